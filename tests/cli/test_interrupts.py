"""Ctrl+C at any moment, and streams that somebody closed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hanglens.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and descriptors of POSIX")

COMMAND_LINE = """
import os
from hanglens import cli
first = cli._open_closed_streams
cli._open_closed_streams = lambda: (first(), os.write(3, b"."))
cli.main()
"""


def begun(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """The command line in the first moment of ours."""
    ready, tell = os.pipe()
    # A shell starts what runs in its background with SIGINT ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command = [sys.executable, "-c", f"import os; os.dup2({tell}, 3)\n{COMMAND_LINE}", *arguments]
        process = subprocess.Popen(command, pass_fds=[tell], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(tell)
    assert os.read(ready, 1) == b"."
    os.close(ready)
    return process


@pytest.mark.parametrize("latest", [0.05, 0.1, 0.2, 0.4])
def test_one_line_at_any_moment(fixtures_dir: Path, tmp_path: Path, latest: float) -> None:
    """While modules are imported, evidence is read or all is over: exit code 130 and one line, or the work was done."""
    for _ in range(3):
        process = begun("analyze", str(fixtures_dir / "gloo-missing-rank" / "evidence"), "--no-report", cwd=tmp_path)
        time.sleep(random.uniform(0.005, latest))
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert (process.returncode, error) in ((130, b"hanglens: interrupted\n"), (0, b""))


def test_an_interrupt_that_python_drops_is_sent_again() -> None:
    """Inside of a destructor it would be printed with a traceback, and forgotten."""
    code = (
        "import sys, time, signal, click, hanglens.cli.program as program\n"
        "from hanglens.cli import main\n"
        "class Dies:\n    def __del__(self): signal.raise_signal(signal.SIGINT); time.sleep(0)\n"
        "def run(arguments):\n    Dies(); time.sleep(30)\n"
        "program.run = run\n"
        "main()"
    )
    began = time.monotonic()
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60, **options)
    assert (done.returncode, done.stderr) == (130, b"hanglens: interrupted\n")
    assert time.monotonic() - began < 20


def test_handlers_are_left_alone_where_somebody_else_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """Called from Python with its arguments, it changes neither signals nor hooks."""
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(SystemExit):
        main(["--help"])
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before
    assert "Commands" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("closed", "arguments"),
    [([1], ["schema"]), ([2], ["nonsense"]), ([0, 1, 2], ["schema"]), ([0, 1, 2], ["nonsense"]), ([0, 1, 2], ["doctor"])],
)
def test_closed_streams(tmp_path: Path, closed: list[int], arguments: list[str]) -> None:
    """What cannot be said is not said, and nothing else goes wrong: no traceback, and the same exit code."""

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    done = _run(arguments, tmp_path, preexec_fn=close)
    assert done.returncode == (2 if arguments == ["nonsense"] else 0)
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"Exception" not in done.stdout + done.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_gone(tmp_path: Path, stream: str) -> None:
    """Behind `| head -1` there is nobody to complain to."""
    reader, writer = os.pipe()
    os.close(reader)
    options: dict[str, object] = {stream: writer}
    done = _run(["schema"] if stream == "stdout" else ["nonsense"], tmp_path, **options)
    os.close(writer)
    assert done.returncode in ((0, 1) if stream == "stdout" else (2,))
    assert b"Traceback" not in (done.stdout or b"") + (done.stderr or b"")


def _run(arguments: list[str], folder: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    wanted = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run
    return run([sys.executable, "-m", "hanglens", *arguments], cwd=folder, timeout=60, check=False, **wanted)
