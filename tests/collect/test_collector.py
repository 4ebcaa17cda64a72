"""A whole collection of small processes: what goes wrong in one place does not take the rest along."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hanglens.collect import collector, versions
from hanglens.collect.collector import Request, collect, locate
from hanglens.errors import UsageError
from hanglens.manifest import decode
from tests.collect.processes import NO_PID, SLEEP, Processes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at through Linux's /proc")


def test_command_line_that_is_no_text(tmp_path: Path, start: Processes) -> None:
    """Bytes that are no UTF-8 in an argument lose nothing: the bundle is whole and its manifest is read."""
    child = start.run([sys.executable.encode(), b"-c", SLEEP.encode(), b"\xc4\xa3\xd0\xcd"])
    result = collect(Request(pids=[child.pid], output=tmp_path / "bundle", samples=1))
    read = decode((result.bundle / "manifest.json").read_bytes())
    assert [process.pid for process in read.processes] == [child.pid]
    assert not [item for item in read.items if "fault" in item.reason]


def test_fault_of_a_probe_stands_in_the_manifest(tmp_path: Path, start: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broken probe did not bring is told as not collected, and everything else is there."""
    monkeypatch.setattr(versions, "collect_versions", lambda *_: next(iter(())))
    child = start.python()
    items = collect(Request(pids=[child.pid], output=tmp_path / "bundle", samples=1)).manifest.items
    assert [(item.what, item.status) for item in items if "StopIteration" in item.reason] == [("versions", "failed")]
    assert any(item.what == "py-spy dump" for item in items)


def test_fault_of_ours_leaves_nothing_behind(tmp_path: Path, start: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the collection itself breaks, no draft of a bundle stays."""
    monkeypatch.setattr(collector, "sample_stacks", lambda *_: next(iter(())))
    with pytest.raises(StopIteration):
        collect(Request(pids=[start.python().pid], output=tmp_path / "bundle", samples=1))
    assert not list(tmp_path.iterdir())


def test_bundle_does_not_replace_what_is_there(tmp_path: Path, start: Processes) -> None:
    """A bundle of that name, archive or folder, is refused before anything is looked at."""
    (tmp_path / "mine.tar.gz").write_text("an older bundle")
    with pytest.raises(UsageError, match="is there already"):
        collect(Request(pids=[start.python().pid], output=tmp_path / "mine.tar.gz"))


def test_pid_that_is_not_here_names_the_next_step() -> None:
    """A process that ended already is no crash: its log can be diagnosed."""
    with pytest.raises(UsageError, match="hanglens analyze LOG"):
        locate([NO_PID])


def test_pid_of_a_container_is_found_by_what_its_own_logs_call_it(start: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid that is nobody's here is taken for the one inside a container, if it is one process's only."""
    one, other = start.python(), start.python()
    monkeypatch.setattr(collector, "namespace_pid", lambda pid: NO_PID if pid == one.pid else None)
    assert [target.pid for target in locate([NO_PID])[1].targets] == [one.pid]
    monkeypatch.setattr(collector, "namespace_pid", lambda pid: NO_PID if pid in (one.pid, other.pid) else None)
    with pytest.raises(UsageError, match="several containers"):
        locate([NO_PID])
