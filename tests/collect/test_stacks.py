"""Stack dumps of live processes."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from hanglens.collect import stacks
from hanglens.collect.commands import Outcome
from hanglens.collect.proctable import state_of
from hanglens.collect.stacks import Dumper, explain, find_dumper, sample_stacks
from hanglens.collect.staging import Staging
from hanglens.manifest import Item
from tests.collect.processes import READY, SLEEP, Processes, items_of, job_of, program, stop, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at through Linux's /proc")

RANKED = "import time\ndef run(rank):\n    print('ready', flush=True)\n    time.sleep(60)\nrun(3)"
NEVER = threading.Event()


def sampled(staging: Staging, dumper: Dumper | None, pid: int, number: int = 1) -> tuple[list[Item], stacks.Ranks]:
    """The attempts on one process in one sample, and the ranks that were found."""
    targets = job_of(pid).targets
    ranks = sample_stacks(targets, dumper, staging, number, NEVER)
    return items_of(staging, "py-spy dump"), ranks


def test_a_running_process_is_dumped_and_runs_on(py_spy: str, start: Processes, staging: Staging) -> None:
    """Both forms of the dump are kept with the rank that the process knows of itself, and it goes on."""
    child = start.python(RANKED)
    items, ranks = sampled(staging, Dumper(py_spy), child.pid)
    assert [(i.status, i.file, i.pid) for i in items] == [
        ("ok", f"processes/pid{child.pid}.sample1.pyspy.json", child.pid),
        ("ok", f"processes/pid{child.pid}.sample1.pyspy.txt", child.pid),
    ]
    assert ranks == {child.pid: (3, "variable rank of run (<string>:4)")}
    assert "run (<string>:4)" in (staging.folder / items[1].file).read_text()
    assert state_of(child.pid) in ("S", "R")
    assert child.poll() is None


def test_a_stopped_process_is_dumped_and_still_stopped(py_spy: str, start: Processes, staging: Staging) -> None:
    """One that somebody stopped is read without being touched, and stands as it stood."""
    child = start.python(RANKED)
    stop(child.pid)
    items, ranks = sampled(staging, Dumper(py_spy), child.pid)
    assert {i.status for i in items} == {"ok"}
    assert ranks[child.pid][0] == 3
    assert "--nonblocking" in items[0].command
    assert state_of(child.pid) == "T"


def test_variables_are_looked_at_once(py_spy: str, start: Processes, staging: Staging) -> None:
    """Only the first sample asks for variables; the later ones are shorter for it."""
    child = start.python(RANKED)
    items, ranks = sampled(staging, Dumper(py_spy), child.pid, number=2)
    assert ranks == {}
    assert "--locals" not in items[0].command
    assert "rank: 3" not in (staging.folder / items[1].file).read_text()


@pytest.mark.parametrize(("code", "says"), [(READY, "zombie"), (SLEEP, "ended meanwhile")])
def test_what_ended_is_an_item_with_a_reason(start: Processes, staging: Staging, code: str, says: str) -> None:
    """A zombie and a process that vanished since it was found are said to be so."""
    child = start.python(code)
    targets = [replace(t, proc=replace(t.proc, state="S")) for t in job_of(child.pid).targets]
    if code == READY:
        wait_until(lambda: state_of(child.pid) == "Z")
    else:
        child.kill()
        child.wait(10)
    assert sample_stacks(targets, Dumper("/bin/false"), staging, 1, NEVER) == {}
    (item,) = items_of(staging, "py-spy dump")
    assert (item.status, item.pid) == ("failed", child.pid)
    assert says in item.reason


def test_without_py_spy_each_process_says_how_to_have_it(start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where py-spy is not installed every process has an item that says how to install it."""
    monkeypatch.setattr(stacks, "find_program", lambda _: None)
    assert find_dumper(native=False) is None
    (item,), _ = sampled(staging, find_dumper(native=False), start.python().pid)
    assert (item.status, item.reason) == ("failed", "py-spy is not installed")
    assert "pip install" in item.how_to_collect


@pytest.mark.parametrize(
    ("says", "status", "reason"),
    [
        ("Error: Permission Denied: Try running again with elevated permissions", "refused", "ptrace"),
        ("Error: Failed to suspend process\nReason: EPERM: Operation not permitted", "refused", "ptrace"),
        ("Error: Failed to find python version from target process", "failed", "no Python"),
        ("Error: something else\n\nStack backtrace:\n 0: anyhow", "failed", "py-spy: Error: something else"),
    ],
)
def test_what_py_spy_says_is_understood(start: Processes, staging: Staging, tmp_path: Path, *, says: str, status: str, reason: str) -> None:
    """A refusal is told from a failure, the reason in a sentence, and each has its next step."""
    child = start.python()
    (tmp_path / "says").write_text(says)
    dumper = Dumper(program(tmp_path, "py-spy", f"cat '{tmp_path}/says' >&2; exit 1"))
    (item,), _ = sampled(staging, dumper, child.pid)
    assert item.status == status
    assert reason in item.reason
    assert "backtrace" not in item.reason
    assert item.how_to_collect
    assert item.command.startswith("py-spy dump --json")


def test_a_refusal_names_the_user_of_the_job(start: Processes) -> None:
    """Who may not trace a process is told to collect as the user whose it is."""
    (target,) = job_of(start.python().pid).targets
    refused = Outcome("failed", b"", "Permission denied (os error 13)", 0.1, "exit code 1")
    status, _, how = explain(refused, replace(target, proc=replace(target.proc, user="alice")))
    assert status == "refused"
    assert f"sudo -u alice hanglens collect --pid {target.pid}" in how


def test_variables_that_cannot_be_read_do_not_cost_the_stack(start: Processes, staging: Staging, tmp_path: Path) -> None:
    """If the dump with variables fails it is tried once more without."""
    dumper = Dumper(program(tmp_path, "py-spy", 'case "$*" in *--locals*) echo "Error: locals" >&2; exit 1;; esac; echo "[]"'))
    items, _ = sampled(staging, dumper, start.python().pid)
    assert [i.status for i in items] == ["ok", "ok"]


def test_what_is_no_dump_is_a_failure(start: Processes, staging: Staging, tmp_path: Path) -> None:
    """Where py-spy prints something else than a dump, that is said and nothing kept."""
    (item,), _ = sampled(staging, Dumper(program(tmp_path, "py-spy", "echo hello")), start.python().pid)
    assert item.status == "failed"
    assert item.reason.startswith("py-spy gave no dump")


STOPS_AND_HANGS = 'for pid in "$@"; do :; done; kill -STOP $pid; echo $$ >> "$0.pids"; exec sleep 60'


def test_one_that_hangs_leaves_nothing_stopped(start: Processes, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A py-spy that hangs while it holds a process is ended at its deadline, and the process is continued."""
    monkeypatch.setattr(stacks, "DEADLINE", 0.5)
    child = start.python()
    fake = program(tmp_path, "py-spy", STOPS_AND_HANGS)
    (item,), _ = sampled(staging, Dumper(fake), child.pid)
    assert item.status == "timed-out"
    wait_until(lambda: state_of(child.pid) == "S", 5)
    hung = [int(pid) for pid in Path(f"{fake}.pids").read_text().split()]
    assert [state_of(pid) for pid in hung] == [""] * len(hung)


def test_one_that_hangs_does_not_continue_what_was_stopped(
    start: Processes, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stood before is not continued, whatever becomes of py-spy."""
    monkeypatch.setattr(stacks, "DEADLINE", 0.3)
    child = start.python()
    stop(child.pid)
    (item,), _ = sampled(staging, Dumper(program(tmp_path, "py-spy", "exec sleep 60")), child.pid)
    assert item.status == "timed-out"
    assert state_of(child.pid) == "T"


def test_once_stopped_no_dump_is_begun(start: Processes, staging: Staging) -> None:
    """After Ctrl+C no further process is touched."""
    over = threading.Event()
    over.set()
    assert sample_stacks(job_of(start.python().pid).targets, Dumper("/bin/false"), staging, 1, over) == {}
    assert items_of(staging, "py-spy dump") == []


def test_all_processes_are_dumped_at_once(start: Processes, staging: Staging, tmp_path: Path) -> None:
    """Four processes are looked at at one time, and not one behind the other."""
    children = [start.python() for _ in range(4)]
    dumper = Dumper(program(tmp_path, "py-spy", 'sleep 0.3; echo "[]"'))
    sample_stacks(job_of(*(c.pid for c in children)).targets, dumper, staging, 2, NEVER)
    items = items_of(staging, "py-spy dump")
    begins = [datetime.fromisoformat(item.start).timestamp() for item in items]
    assert len(items) == 8
    assert max(begins) - min(begins) < 0.25


def test_native_frames_are_tried_first_and_only_where_it_may_be_stopped() -> None:
    """py-spy walks native frames of a process that it stops; where that fails, and of one that stands, the plain stack is."""
    dumper = Dumper("py-spy", native=True)
    ways = [(" ".join(way.command), way.suffix) for way in dumper.ways(5, touch=True, variables=True)]
    assert ways == [
        ("py-spy dump --json --native --locals --pid 5", "pyspy-native"),
        ("py-spy dump --json --locals --pid 5", "pyspy"),
        ("py-spy dump --json --pid 5", "pyspy"),
        ("py-spy dump --json --nonblocking --pid 5", "pyspy"),
    ]
    assert [" ".join(way.command) for way in dumper.ways(5, touch=False, variables=False)] == ["py-spy dump --json --nonblocking --pid 5"]


def test_native_frames_that_fail_do_not_cost_the_stack(start: Processes, staging: Staging, tmp_path: Path) -> None:
    """Without native frames the plain stack is kept, and that they failed is noted."""
    dumper = Dumper(program(tmp_path, "py-spy", 'case "$*" in *--native*) echo "Error: unwind" >&2; exit 1;; esac; echo "[]"'), native=True)
    items, _ = sampled(staging, dumper, start.python().pid, number=2)
    assert [(i.status, i.file.rpartition(".pyspy")[2]) for i in items] == [("ok", ".json"), ("ok", ".txt")]
    assert [(i.status, "unwind" in i.reason) for i in items_of(staging, "native frames")] == [("failed", True)]
