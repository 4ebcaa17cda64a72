"""The processes of a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hanglens.collect.proctable import ProcTable, environ_of, executable_of, libraries_of, namespace_pid, state_of
from tests.collect.processes import NO_PID, READY, Processes, fake, stop, table_of, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this is Linux's /proc")


def status(pid: int, rows: str) -> object:
    """A reader of files for which the status of one process holds these rows."""

    def read(path: Path, *_: object) -> str:
        assert str(path) == f"/proc/{pid}/status"
        return f"Name:\tpython3\nPid:\t{pid}\n{rows}Threads:\t1\n"

    return read


def test_below_is_the_whole_tree_parents_first() -> None:
    """A process and all its descendants, and nobody else's."""
    table = table_of(fake(1), fake(2, 1), fake(3, 2), fake(4, 1), fake(5, 9))
    assert [pid - NO_PID for pid in table.below(NO_PID + 1)] == [1, 2, 4, 3]
    assert list(table.below(NO_PID + 77)) == []


def test_above_is_the_way_up_nearest_first() -> None:
    """All ancestors that are in the table, also where two processes are said to be each other's parent."""
    table = table_of(fake(1, 0), fake(2, 1), fake(3, 2), fake(7, 8), fake(8, 7))
    assert [proc.pid - NO_PID for proc in table.above(NO_PID + 3)] == [2, 1]
    assert [proc.pid - NO_PID for proc in table.above(NO_PID + 7)] == [8]


def test_now_shows_a_process_as_it_is(start: Processes) -> None:
    """Pid, parent, command line, state, user and start of a real process are its own."""
    child = start.python(READY + "time.sleep(60)", "an argument")
    stop(child.pid)
    proc = ProcTable.now().procs[child.pid]
    assert (proc.ppid, proc.state) == (os.getpid(), "T")
    assert proc.command[-1] == "an argument"
    assert proc.line.endswith(" an argument")
    assert proc.user
    assert abs(proc.started - Path(f"/proc/{child.pid}").stat().st_ctime) < 60


def test_a_zombie_is_in_the_table(start: Processes) -> None:
    """A process that ended unnoticed is there with state Z, and with its name where its command line was."""
    child = start.python(READY)
    wait_until(lambda: state_of(child.pid) == "Z")
    proc = ProcTable.now().procs[child.pid]
    assert proc.state == "Z"
    assert proc.line == f"[{proc.name}]"
    assert environ_of(child.pid) == {}
    assert libraries_of(child.pid) == []


def test_what_is_gone_says_nothing() -> None:
    """Of a process that is not there everything is empty, and nothing raises."""
    assert (environ_of(NO_PID), namespace_pid(NO_PID), state_of(NO_PID), executable_of(NO_PID), libraries_of(NO_PID)) == (
        {},
        None,
        "",
        "",
        [],
    )


def test_environment(start: Processes) -> None:
    """The environment is the one that the process was started with; a value may hold `=` and line breaks."""
    child = start.python(environ={"MADE_UP": "a=b\nc", "EMPTY": ""})
    found = environ_of(child.pid)
    assert (found["MADE_UP"], found["EMPTY"]) == ("a=b\nc", "")


def test_an_environment_that_may_not_be_read_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of another user has an empty environment, libraries that nobody knows, and no program."""

    def refuse(*_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(os, "readlink", refuse)
    assert (environ_of(os.getpid()), libraries_of(os.getpid()), executable_of(os.getpid())) == ({}, [], "")


@pytest.mark.parametrize(
    ("rows", "inside"),
    [
        ("NSpid:\t4242\nNSpgid:\t4242\n", None),
        ("NSpid:\t4242\t17\nNSpgid:\t4242\t17\n", 17),
        ("NSpid:\t4242\t300\t5\nNSpgid:\t1\n", 5),
        ("", None),
    ],
    ids=["the host's own", "in a container", "in a container in a container", "an old kernel"],
)
def test_pid_inside_of_a_container(monkeypatch: pytest.MonkeyPatch, rows: str, inside: int | None) -> None:
    """The innermost number of NSpid is the pid that the process knows itself by, if it has another one than here."""
    monkeypatch.setattr(Path, "read_text", status(4242, rows))
    assert namespace_pid(4242) == inside


def test_pid_inside_of_a_real_namespace(start: Processes) -> None:
    """A process in a pid namespace of its own is number 1 there."""
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", READY + "time.sleep(60)"]
    try:
        refused = subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode
    except FileNotFoundError:
        refused = 1
    if refused:
        pytest.skip("needs the right to make a pid namespace: run the tests as root")
    outer = start.run(command)
    (inner,) = ProcTable.now().children[outer.pid]
    assert namespace_pid(inner) == 1
    assert namespace_pid(os.getpid()) is None or namespace_pid(os.getpid()) != 1


def test_state_of_a_process_with_an_odd_name(tmp_path: Path, start: Processes) -> None:
    """Brackets and blanks in a name do not shift the columns of /proc/PID/stat."""
    named = tmp_path / "a) Z 1 (b"
    named.symlink_to(Path(sys.executable).resolve())
    child = start.run([str(named), "-S", "-c", "import time; print('ready', flush=True); time.sleep(60)"])
    wait_until(lambda: state_of(child.pid) == "S")


def test_libraries_are_named_once_by_their_paths(start: Processes) -> None:
    """Each mapped file once, and nothing that is no file."""
    child = start.python("import _socket, mmap; " + READY + "time.sleep(60)")
    found = libraries_of(child.pid)
    assert len(found) == len(set(found))
    assert found
    assert all(path.startswith("/") for path in found)
    assert any("python" in path for path in found)
