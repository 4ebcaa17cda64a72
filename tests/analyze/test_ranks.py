"""One row for each rank of the job, and every line, stack and process given to its rank."""

from __future__ import annotations

import pytest

from hanglens.analyze.ranks import MOST_ROWS
from hanglens.model import Process, SourceRef, Traceback
from tests.builders import (
    BARRIER,
    IDLE,
    INDUCTOR,
    READS,
    RPC,
    TRACKER,
    dumps,
    event,
    facts,
    joined,
    log,
    nccl_init,
    process,
    stack,
)


def test_a_rank_of_which_nothing_was_collected_is_a_row() -> None:
    """The world size counts it, and nothing accuses it firmly."""
    about = joined(nccl_init(0, 3, 10), nccl_init(1, 3, 11), stack(BARRIER, pid=10), stack(BARRIER, pid=11))
    row = about.member(2)
    assert row
    assert (row.collected, row.pid, row.how_known) == (False, None, "counted from the world size")
    assert "rank.missing_from_collective" not in facts(about)
    assert [fact.ranks for fact in facts(about)["rank.maybe_missing"]] == [(2,)]


@pytest.mark.parametrize(
    ("said", "by_name", "expected"),
    [(0, 1, 0), (None, 1, 1), (1, 1, 1)],
    ids="lines-say-another name-only agree".split(),
)
def test_a_files_name_is_the_last_resort(said: int | None, by_name: int, expected: int) -> None:
    """A file named rank1 that holds lines of rank 0 is rank 0's: what a line says of itself stands."""
    lines = [event("a", rank=said, file="rank1.log"), event("b", file="rank1.log", line=2)]
    about = joined(*lines, log("rank1.log", rank=by_name))
    assert about.parsed.events[0].speaker.rank == expected
    assert about.parsed.inputs[0].rank == (by_name if said in (None, by_name) else None)
    assert about.parsed.events[1].speaker.rank == about.parsed.inputs[0].rank


def test_lines_of_a_known_process_get_its_rank() -> None:
    """The pid joins a line to the rank; tails and tracebacks of a file of one rank too."""
    tail = event("tail", pid=11, source="nccl")
    error = Traceback((), "ValueError: x", SourceRef("rank1.log", 3))
    about = joined(nccl_init(1, 2, 11), event("x", pid=11), error, log("job.log", tail=(tail,)), log("rank1.log", rank=1))
    assert {line.speaker.rank for line in (*about.parsed.events, *about.parsed.inputs[0].tail)} == {1}
    assert about.parsed.tracebacks[0].speaker.rank == 1


def test_several_runs_in_one_log() -> None:
    """Only the events of the last run count; one run, and logs of other files, stay whole."""
    runs = [event("vllm.start", line=n) for n in (1, 50)]
    lines = [event("a", line=9), event("b", line=60), event("c", line=9, file="other.log")]
    assert [e.name for e in joined(*runs, *lines).parsed.events] == ["vllm.start", "b", "c"]
    assert len(joined(runs[0], *lines).parsed.events) == 4
    raised = [Traceback((), "ValueError: x", SourceRef("job.log", n)) for n in (20, 70)]
    assert [t.ref.line for t in joined(*runs, *raised).parsed.tracebacks] == [70]


def test_starts_of_several_processes_are_one_run() -> None:
    """Data-parallel engines each print their start, with their pid."""
    starts = [event("vllm.start", line=n, pid=n) for n in (1, 50)]
    assert len(joined(*starts, event("a", line=9)).parsed.events) == 3


@pytest.mark.parametrize(
    "helper",
    [
        (stack(TRACKER, pid=9),),
        (stack(INDUCTOR, pid=9),),
        (stack(READS, pid=9, command="python -c from multiprocessing.resource_tracker import main"),),
        (stack(READS, pid=9), process(9, command="ray::IDLE")),
    ],
    ids="tracker inductor by-command by-process".split(),
)
def test_helper_processes_are_no_members(helper: tuple[object, ...]) -> None:
    """They are neither ranks nor others, and never the one left over."""
    about = joined(nccl_init(0, 2, 10), stack(BARRIER, pid=10), *helper)
    assert 9 not in {m.pid for m in (*about.members, *about.others)}


@pytest.mark.parametrize("frames", [RPC, IDLE, "select (selectors.py:415)"])
def test_callers_and_idle_processes_are_not_the_one_left_over(frames: str) -> None:
    """Elimination needs a process that works: a front end is no rank."""
    about = joined(nccl_init(0, 2, 10), stack(BARRIER, pid=10), stack(frames, pid=9))
    assert [m.pid for m in about.others] == [9]


def test_a_launcher_is_not_the_one_left_over() -> None:
    """A process whose stack begins elsewhere than those of the known ranks is none of them."""
    about = joined(nccl_init(0, 2, 10), stack(f"{BARRIER}\n<module> (train.py:9)", pid=10), stack(f"{READS}\nmain (launcher.py:1)", pid=9))
    assert [m.pid for m in about.others] == [9]
    assert "rank.missing_from_collective" not in facts(about)


def test_two_left_over_are_not_guessed() -> None:
    """Two processes and two ranks without a name stay apart."""
    about = joined(nccl_init(0, 3, 10), *(stack(BARRIER, pid=pid) for pid in (10, 11, 12)))
    assert {m.pid for m in about.others} == {11, 12}


def test_what_proc_said_is_merged() -> None:
    """Parts of one process from several files; files of one group share the pid that one of them names."""
    parts = [
        Process(SourceRef("rank0.status.txt", 3), 10, state="S", text="State:\tS", group="rank0"),
        Process(SourceRef("rank0.wchan.txt", 1), wchan="futex_wait", group="rank0"),
        Process(SourceRef("rank0.syscall.txt", 1), syscall="202 0x7f", tracer=0, group="rank0"),
    ]
    member = joined(*parts, nccl_init(0, 2, 10)).member(0)
    assert member
    assert member.process
    assert (member.process.state, member.process.wchan, member.process.syscall, member.process.tracer) == ("S", "futex_wait", "202 0x7f", 0)
    assert member.process.text == "State:\tS"


def test_stacks_by_rank_or_by_nobody() -> None:
    """A dump that names its rank stands with it; one that names nobody is a process of its own file."""
    about = joined(stack(BARRIER, rank=0, file="rank0.txt"), stack(READS, file="x.txt"), event("torch.world", world=2, rank_=0))
    member = about.member(0)
    assert member
    assert member.standing
    assert [m.standing.kind for m in about.others if m.standing] == ["own"]


def test_who_spoke_is_collected() -> None:
    """A flight-recorder dump or a line of its own is something of the rank."""
    about = joined(*dumps(1), event("a", rank=2), event("torch.world", world=4, rank_=0))
    assert {m.rank: m.collected for m in about.members} == {0: False, 1: True, 2: True, 3: False}


def test_an_absurd_world_size_makes_no_rows() -> None:
    """A number that some line claims does not fill the report."""
    about = joined(event("torch.world", world=MOST_ROWS + 1, rank_=0), event("a", rank=1))
    assert about.world_size == MOST_ROWS + 1
    assert [m.rank for m in about.members] == [1]


def test_no_evidence() -> None:
    """Nothing collected is an empty incident."""
    about = joined()
    assert (about.members, about.others, about.world_size) == ((), (), None)
    assert about.member(0) is None
