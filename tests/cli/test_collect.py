"""`hanglens collect`: how it is called, what it prints, how it ends."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from hanglens.cli import main
from hanglens.collect import collector
from hanglens.collect.collector import Collected, Request
from hanglens.manifest import Item, ListedProcess, Manifest
from tests.collect.processes import NO_PID, SLEEP, Processes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="jobs are collected through Linux's /proc")


@pytest.fixture
def collect(capsys, monkeypatch):
    """The exit code of the command with these arguments, what it printed, and what it said beside it."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            main(["collect", *arguments])
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def start():
    """Starts small processes."""
    processes = Processes()
    yield processes
    processes.end()


def brought(bundle: Path, *items: Item) -> Collected:
    """A collection of two ranks with these items."""
    listed = [ListedProcess(pid=pid, ppid=1, role="rank", command="python3", rank=pid - 7) for pid in (7, 8)]
    manifest = Manifest(
        schema_version="1.0", tool_version="0", host="n1", clock={}, seconds=1.5, given_pids=[7], interrupted=False, names_redacted=False,
        redactions={}, processes=listed, items=list(items),
    )  # fmt: skip
    return Collected(bundle=bundle, manifest=manifest)


def dump(pid: int, status: str) -> Item:
    """An attempt to dump a process."""
    how = f"sudo hanglens collect --pid {pid}"
    return Item(what="py-spy dump", status=status, start="", seconds=0.1, pid=pid, reason="the kernel refuses", how_to_collect=how)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--pid PID"),
        (("--pid", "1", "--auto"), "give one of"),
        (("--name", "x", "--auto"), "give one of"),
        (("--pid", "1", "--name", "x"), "give one of"),
        (("--pid", str(NO_PID)), f"no process {NO_PID}"),
        (("--pid", "0"), "--help"),
        (("--pid", "x"), "--help"),
        (("--pid", "1", "--samples", "0"), "--help"),
        (("--pid", "1", "--log", "/no/such/log"), "--help"),
        (("--pid", "1", "--log-limit", "large"), "KiB, MiB or GiB"),
        (("--pid", "1", "--log-limit", "0"), "KiB, MiB or GiB"),
        (("--pid", "1", "--log-limit", "-5"), "KiB, MiB or GiB"),
        (("--pid", str(os.getpid()), "-o", "/no/such/folder/bundle"), "-o"),
        (("--name", "no-such-job-anywhere"), "give --pid"),
    ],
)
def test_wrong_usage(collect, arguments: tuple[str, ...], says: str) -> None:
    """Each mistake ends with exit code 2 and one line that says the next step; nothing is printed."""
    code, printed, said = collect(*arguments)
    assert (code, printed) == (2, "")
    assert said.count("\n") == 1
    assert said.startswith("hanglens: ")
    assert says in said


def test_a_place_that_is_taken(collect, tmp_path: Path) -> None:
    """A file where the bundle shall lie is not overwritten."""
    (tmp_path / "mine").write_text("mine")
    code, _, said = collect("--pid", str(os.getpid()), "-o", str(tmp_path / "mine"))
    assert code == 2
    assert "is there already" in said
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(("text", "size"), [("5", 5), ("5K", 5 << 10), ("32MiB", 32 << 20), ("2 gb", 2 << 30)])
def test_what_is_asked_for(collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    """Options come to the collector as they were given, sizes in bytes."""
    asked: list[Request] = []
    monkeypatch.setattr(collector, "collect", lambda request, **_: asked.append(request) or brought(tmp_path / "b"))
    assert collect("--pid", "7", "--pid", "8", "--log-limit", text, "--samples", "3", "--redact", "--native", "-o", str(tmp_path))[0] == 0
    expected = Request(pids=(7, 8), output=tmp_path, samples=3, log_limit=size, redact_names=True, native=True, logs=())
    assert asked == [expected]


@pytest.mark.parametrize(("statuses", "code"), [(("ok", "refused"), 0), (("refused", "refused"), 4), (("failed", "refused"), 0), ((), 0)])
def test_path_alone_on_standard_output(
    collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statuses: tuple[str, ...], code: int
) -> None:
    """The path is all that is printed; the exit code is 4 if not one process could be looked into, and the same refusal is said once."""
    items = [dump(7 + n, status) for n, status in enumerate(statuses)]
    monkeypatch.setattr(collector, "collect", lambda *_, **__: brought(tmp_path / "b.tar.gz", *items))
    found, printed, said = collect("--pid", "7")
    assert (found, printed) == (code, f"{tmp_path / 'b.tar.gz'}\n")
    assert "ranks 0-1" in said
    assert f"next: hanglens analyze {tmp_path / 'b.tar.gz'}" in said
    missed = [line for line in said.splitlines() if "not collected" in line]
    assert len(missed) == bool(statuses)
    assert ("(2 times)" in said) is (len(statuses) == 2 and "ok" not in statuses)
    assert collect("-q", "--pid", "7")[1:] == (f"{tmp_path / 'b.tar.gz'}\n", "")


def test_several_jobs_of_one_name_are_listed(collect, start: Processes) -> None:
    """Without a terminal nobody can choose: the jobs are listed with their pids, and the exit code is 2."""
    word = f"word{os.getpid()}"
    pids = [start.python(SLEEP, word).pid for _ in range(2)]
    code, printed, said = collect("--name", word)
    assert (code, printed) == (2, "")
    assert all(f"pid {pid} " in said for pid in pids)
    assert said.splitlines()[-1] == "hanglens: 2 jobs fit; choose one of them with --pid"


def test_one_job_of_a_name_is_taken(collect, start: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one job fits it is collected, and it is said which."""
    asked: list[Request] = []
    monkeypatch.setattr(collector, "collect", lambda request, **_: asked.append(request) or brought(tmp_path / "b"))
    child = start.python(SLEEP, f"only{os.getpid()}")
    code, _, said = collect("--name", f"only{os.getpid()}")
    assert (code, [list(request.pids) for request in asked]) == (0, [[child.pid]])
    assert f"pid {child.pid} " in said


def test_a_real_process(collect, start: Processes, tmp_path: Path) -> None:
    """From a pid comes one archive whose path is printed, also where not a stack could be had."""
    code, printed, _ = collect("--pid", str(start.python().pid), "-o", str(tmp_path), "--samples", "1")
    assert code in (0, 4)
    assert [str(path) for path in tmp_path.iterdir()] == printed.splitlines()
    assert printed.endswith(".tar.gz\n")
