"""Programs that are run on the user's behalf."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hanglens.collect import commands
from hanglens.collect.commands import find_program, run
from hanglens.collect.proctable import state_of
from tests.collect.processes import program, wait_until


def test_output_and_exit_code() -> None:
    """What a program prints is kept, its complaints apart, and it has no standard input to wait for."""
    found = run(["sh", "-c", "cat; echo out; echo err >&2"], deadline=10)
    assert (found.status, found.output, found.error, found.reason) == ("ok", b"out\n", "err", "")


def test_a_failure_says_its_code_and_its_last_words() -> None:
    """A program that fails is `failed`, with its exit code, the last line that it complained, and what it printed before."""
    found = run(["sh", "-c", "echo half; echo first >&2; echo last >&2; exit 3"], deadline=10)
    assert (found.status, found.output, found.reason) == ("failed", b"half\n", "exit code 3: last")


def test_a_program_that_is_not_there() -> None:
    """A program that cannot be started is `failed`, and the reason names it."""
    found = run(["/no/such/program", "-x"], deadline=10)
    assert (found.status, found.output) == ("failed", b"")
    assert found.reason == f"/no/such/program: {os.strerror(errno.ENOENT)}"


def test_the_deadline_ends_a_program_and_its_children(tmp_path: Path) -> None:
    """A program that is late is killed with all it started; what it had printed is kept, and it is waited for no longer."""
    script = f"echo begun; sleep 60 & echo $! > {shlex.quote(str(tmp_path / 'child'))}; wait"
    began = time.monotonic()
    found = run(["sh", "-c", script], deadline=0.4)
    assert (found.status, found.output, found.reason) == ("timed-out", b"begun\n", "no end within 0.4 s")
    assert 0.4 <= found.seconds < 30  # instead of 60
    assert time.monotonic() - began < 30
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: state_of(child) in ("", "Z"))


def test_a_child_that_outlives_its_program_is_not_waited_for() -> None:
    """A program that leaves a child behind with its output open is not waited for, and the child is ended."""
    found = run(["sh", "-c", "sleep 60 & echo $!"], deadline=10)
    assert found.status == "ok"
    assert found.seconds < 5
    wait_until(lambda: state_of(int(found.output)) in ("", "Z"))


def test_no_more_than_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long output the beginning is kept."""
    monkeypatch.setattr(commands, "MOST_OUTPUT", 10)
    assert run(["sh", "-c", "echo 0123456789abcdef"], deadline=10).output == b"0123456789"


def test_ctrl_c_does_not_reach_it() -> None:
    """A SIGINT to the process group that runs a program does not end the program: it may have stopped somebody else's process."""
    code = (
        "import signal; from hanglens.collect.commands import run\n"
        "signal.signal(signal.SIGINT, lambda *_: None); print('ready', flush=True)\n"
        "print(run(['sh', '-c', 'sleep 0.7; echo whole'], deadline=20))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=20)[0]
    finally:
        process.kill()
        process.wait(10)
    assert b"status='ok', output=b'whole\\n'" in said


def test_messages_are_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs speak the language that we look for in their messages, whatever the user's is."""
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"], deadline=10).output == b"C\n"


def test_a_program_is_found_beside_our_python_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the interpreter lies what pip installed; then comes PATH; then nothing."""
    beside = program(tmp_path / "env", "made-up", "")
    on_path = program(tmp_path / "path", "made-up", "")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    assert find_program("made-up") == beside
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    assert find_program("made-up") == on_path
    assert find_program("never-heard-of") is None
