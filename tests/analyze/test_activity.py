"""Whether the job moves, idles with nothing asked of it, or only waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hanglens.analyze.activity import TAIL, activity_facts
from hanglens.incident import Member
from hanglens.model import Event, SourceRef, ThreadState
from hanglens.verdict import Fact
from tests.builders import ALL_REDUCE, BARRIER, IDLE, READS, RPC, SYNC, event, facts, incident, log, member, parsed, timeout


def told(*members: Member, world: int | None = None, events: tuple[Event, ...] = (), lines: int = 10) -> dict[str, list[Fact]]:
    """The facts of these members and lines."""
    return facts(incident(*members, world=world, evidence=parsed(*events, log(lines=lines))), activity_facts)


@pytest.mark.parametrize(
    ("members", "ranks", "of_all"),
    [
        ((member(0, BARRIER), member(1, SYNC)), (0, 1), True),
        ((member(0, BARRIER), member(1, READS)), (0,), False),
        ((member(0, BARRIER), member(1)), (0,), False),
        ((member(None, BARRIER, pid=7), member(None, RPC, pid=8)), (), True),
    ],
    ids="all one not-collected no-ranks".split(),
)
def test_who_waits_in_a_collective(members: tuple[Member, ...], ranks: tuple[int, ...], of_all: bool) -> None:
    """Ranks that wait for the others; all of them only if no rank of the world lacks; callers are no workers."""
    (fact,) = told(*members)["stack.waits_in_collective"]
    assert (fact.ranks, fact.of_all) == (ranks, of_all)


REQUEST, ANSWER = event("lmdeploy.accepted", session=1), event("lmdeploy.finished", session=1)
OPEN = event("lmdeploy.accepted", session=2)
QUIET = event("vllm.stats", running=0, throughput=0.0)
QUEUED = event("vllm.stats", "Running: 0 reqs, Waiting: 3 reqs", running=0, throughput=0.0)
BUSY = event("vllm.stats", running=3, throughput=0.0)


@pytest.mark.parametrize(
    ("events", "frames", "idle"),
    [
        ((REQUEST, ANSWER), (IDLE, IDLE), True),
        ((QUIET,), (IDLE, IDLE), True),
        ((REQUEST, ANSWER, OPEN), (IDLE, IDLE), False),
        ((), (IDLE, IDLE), False),
        ((BUSY,), (IDLE, IDLE), False),
        ((QUIET, BUSY), (IDLE, IDLE), False),
        ((REQUEST, ANSWER), (IDLE, BARRIER), False),
        ((REQUEST, ANSWER), (IDLE, READS), False),
        ((QUIET, OPEN), (IDLE, IDLE), False),
        ((REQUEST, ANSWER, REQUEST), (IDLE, IDLE), False),
        ((QUEUED,), (IDLE, IDLE), False),
        ((BUSY, QUIET), (IDLE, IDLE), True),
    ],
    ids="answered quiet open nothing-said busy busy-later one-waits one-works quiet-but-open asked-again queued busy-before".split(),
)
def test_idle_needs_answered_requests(events: tuple[Event, ...], frames: tuple[str, str], idle: bool) -> None:
    """An idle worker looks like a hung one in a single dump: idle is only said where the log shows that nothing is asked."""
    assert ("job.idle" in told(*(member(rank, text) for rank, text in enumerate(frames)), events=events)) is idle


def test_not_all_workers_seen_is_not_idle() -> None:
    """A rank without a stack may be anywhere."""
    assert "job.idle" not in told(member(0, IDLE), member(1), events=(QUIET,))


@pytest.mark.parametrize(
    ("frames", "caller", "expected"),
    [((IDLE, IDLE), RPC, True), ((IDLE, ALL_REDUCE), RPC, False), ((IDLE, IDLE), READS, False), ((IDLE,), RPC, False)],
)
def test_a_caller_whose_workers_all_idle(frames: tuple[str, ...], caller: str, expected: bool) -> None:
    """The engine waits for an answer while every worker waits for work: a message was lost."""
    found = told(*(member(rank, text) for rank, text in enumerate(frames)), member(None, caller, pid=9))
    assert ("rpc.callees_idle" in found) is expected


def test_still_and_moving() -> None:
    """Two samples of a rank tell whether it moves; one sample tells neither."""
    moved = member(1, f"{READS}\nfit (train.py:1)", f"{READS}\nfit (train.py:2)")
    found = told(member(0, BARRIER, BARRIER), moved, member(2, BARRIER))
    assert {name: [fact.ranks for fact in found[name]] for name in ("stack.still", "stack.moving")} == {
        "stack.still": [(0,)],
        "stack.moving": [(1,)],
    }


def bar(*percents: int, start: int = 1) -> tuple[Event, ...]:
    """A progress bar at these percentages, one a line."""
    return tuple(event("progress.bar", f"{p}%", line=start + n, percent=p) for n, p in enumerate(percents))


def decode(*speeds: float) -> tuple[Event, ...]:
    """SGLang's throughput lines."""
    return tuple(event("sglang.decode", line=n + 1, throughput=speed) for n, speed in enumerate(speeds))


@pytest.mark.parametrize(
    ("events", "lines", "expected"),
    [
        (bar(10, 40), 5, True),
        (bar(10, 100), 5, False),
        (bar(40, 40), 5, False),
        (bar(40), 5, False),
        (bar(40, 10), 5, False),
        (bar(10, 40), 5 + TAIL, False),
        (decode(9.0, 8.0, 7.0), 5, True),
        (decode(9.0, 0.0, 7.0), 5, False),
        (decode(9.0, 8.0), 5, False),
        (tuple(event("nccl_tests.row", line=n) for n in range(3)), 5, True),
        ((), 5, False),
    ],
    ids="moves finished still once back buried decode zero-throughput few-decodes nccl-tests nothing".split(),
)
def test_progress_at_the_end_of_a_log(events: tuple[Event, ...], lines: int, expected: bool) -> None:
    """A bar must move, be unfinished and stand where its log ends; counters must count."""
    assert ("job.progressing" in told(events=events, lines=lines)) is expected


@pytest.mark.parametrize(("more", "moves"), [((), True), ((timeout(0),), False)])
def test_a_job_moves_on_unless_a_time_out_fired(more: tuple[Event, ...], moves: bool) -> None:
    """Progress of one loop beside a time-out is no sign that the job goes on."""
    assert ("job.moves_on" in told(events=(*bar(10, 40), *more), lines=5)) is moves


def test_serving() -> None:
    """An engine that printed its last start-up line serves."""
    assert [fact.values["engine"] for fact in told(events=(event("sglang.ready"),))["job.serving"]] == ["sglang"]


@pytest.mark.parametrize(
    ("samples", "moves_on"), [((), True), ((BARRIER,), False), ((BARRIER, BARRIER), False), ((BARRIER, READS), True)], ids=str
)
def test_the_end_of_a_log_is_no_motion_where_stacks_stand(samples: tuple[str, ...], moves_on: bool) -> None:
    """A bar that moved to the end of its log says that the job still moves only where no stack was taken, or one moved."""
    bars = (event("progress.bar", percent=10, line=8), event("progress.bar", percent=20, line=9))
    assert ("job.moves_on" in told(*(member(rank, *samples) for rank in range(2)), events=bars)) == moves_on


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ((event("lmdeploy.accepted", session=1, line=3), event("lmdeploy.finished", session=1, line=9)), 9),
        ((event("lmdeploy.finished", session=1, line=9),), None),
        ((event("sglang.decode", throughput=5.0, line=4), event("sglang.decode", throughput=0.0, line=5)), 4),
        ((event("vllm.ready", line=2),), 2),
    ],
    ids="answered ended decoded ready".split(),
)
def test_up_to_where_the_whole_job_went_on(events: tuple[Event, ...], line: int | None) -> None:
    """A request asked and answered, tokens decoded, or ready: the last line of a log that shows all ranks at work."""
    assert [fact.values["line"] for fact in told(events=events).get("job.went_on", ())] == ([line] if line else [])


def woken(of: Member, voluntary: int) -> Member:
    """The same process, whose thread the kernel saw waiting at both looks, and so often woken in between."""
    standing = of.standings[-1]
    rows = (
        ThreadState(SourceRef("t.txt", 2), of.pid or 0, standing.stack.thread_id, "S", n, "202", at=at)
        for n, at in ((5, 0.0), (5 + voluntary, 1.5))
    )
    return replace(of, threads=tuple(rows))


LOOP = woken(member(0, ALL_REDUCE, ALL_REDUCE), 300)


@pytest.mark.parametrize(
    ("others", "steps"),
    [
        ((member(1, ALL_REDUCE, READS),), True),
        ((member(1, READS, READS),), True),
        ((woken(member(1, ALL_REDUCE, ALL_REDUCE), 1),), True),
        ((woken(member(1, ALL_REDUCE, ALL_REDUCE), 0),), False),
        ((member(1, ALL_REDUCE, ALL_REDUCE),), False),
    ],
    ids="left its-own-work not-still waits-all-the-while not-counted".split(),
)
def test_a_collective_that_one_rank_left_was_completed(others: tuple[Member, ...], steps: bool) -> None:
    """All members came to it then; but that is not said if a rank stands still in one, by the kernel's counts or its stacks."""
    assert ("job.steps" in told(LOOP, *others)) is steps
