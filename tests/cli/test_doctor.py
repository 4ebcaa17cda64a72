"""`hanglens doctor`: what it prints."""

from __future__ import annotations

import os
import sys

import pytest

from hanglens.cli import main
from hanglens.collect import doctor as module
from hanglens.collect.doctor import Check
from tests.collect.processes import NO_PID

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a host is looked at through Linux's /proc")


@pytest.fixture
def doctor(capsys):
    """The exit code of the command with these arguments, what it printed, and what it said beside it."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *arguments])
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_each_check_and_what_unlocks_it(doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each check with its sign, and below it the command, if one is needed."""
    checks = [Check("stacks", "ok", "fine"), Check("shm", "limited", "small", "grow it"), Check("log", "missing", "none", "sudo this")]
    monkeypatch.setattr(module, "examine", lambda *_: checks)
    code, printed, said = doctor()
    assert (code, said) == (0, "")
    assert printed.splitlines() == ["✓ stacks  fine", "! shm     small", "          → grow it", "✗ log     none", "          → sudo this"]


def test_this_host(doctor) -> None:
    """On any host each check says something, in one line without colours where nobody looks."""
    code, printed, _ = doctor()
    assert code == 0
    for what in ("stack dumps", "right to trace (ptrace)", "processes", "GPUs", "kernel messages", "/dev/shm", "room"):
        assert sum(line[2:].startswith(what) for line in printed.splitlines()) == 1
    assert "\x1b" not in printed


def test_a_job(doctor) -> None:
    """Given a process, it says what of its job can be had."""
    code, printed, _ = doctor("--pid", str(os.getpid()))
    assert code == 0
    assert "stacks of the job" in printed


def test_a_pid_that_is_not_there(doctor) -> None:
    """An unknown pid is wrong usage."""
    code, printed, said = doctor("--pid", str(NO_PID))
    assert (code, printed) == (2, "")
    assert said.count("\n") == 1
    assert f"no process {NO_PID}" in said
