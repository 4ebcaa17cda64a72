"""The tables of the diagnosis."""

from __future__ import annotations

import pytest

from hanglens.analyze import rows
from hanglens.analyze.rows import communicators, input_rows, rank_rows, stack_groups, waits
from tests.builders import (
    BARRIER,
    FILE_LOCK,
    IDLE,
    READS,
    RPC,
    call,
    dumps,
    event,
    fact,
    incident,
    joined,
    log,
    member,
    members_of,
    nccl_init,
    parsed,
    ras,
)


@pytest.mark.parametrize(
    ("frames", "facts", "state"),
    [
        (BARRIER, (), "waiting"),
        (READS, (), "running"),
        (FILE_LOCK, (), "running"),
        (IDLE, (), "idle"),
        (RPC, (), "waiting"),
        (None, (), "unknown"),
        (None, ("collective.timeout",), "waiting"),
        (READS, ("rank.missing_from_collective",), "running"),
        (None, ("rank.stopped",), "stopped"),
        (None, ("rank.traced",), "stopped"),
        (None, ("collective.timeout", "rank.gone"), "gone"),
        (None, ("collective.timeout", "rank.failed"), "failed"),
    ],
)
def test_the_state_of_a_rank(frames: str | None, facts: tuple[str, ...], state: str) -> None:
    """What became of its process outweighs what it waited in; without either it is unknown."""
    about = incident(member(0, *([frames] if frames else [])))
    assert rank_rows(about, {name: [fact(name, 0)] for name in facts})[0].state == state


def test_a_row_says_what_is_known() -> None:
    """Last line by any log, what it waits in, and how it is known; a rank without evidence has its row."""
    tails = log("a.log", tail=(event("tail", "first", rank=0, line=1, file="a.log"), event("tail", "last", rank=0, line=2, file="a.log")))
    first, second = rank_rows(incident(member(0, BARRIER), member(1), evidence=parsed(tails)), {})
    assert first.last_event
    assert (first.last_event.text, first.last_event.line, first.waiting_in) == ("last", 2, BARRIER)
    assert (second.collected, second.last_event, second.waiting_in) == (False, None, None)


def test_who_waits_for_whom() -> None:
    """Members of a collective wait for the absent one, a caller for its workers; each edge once."""
    about = incident(member(0, BARRIER), member(1, READS), member(None, RPC, pid=9))
    facts = {"rank.missing_from_collective": [fact("m", 1)], "rank.stopped": [fact("s", 1)]}
    assert [(w.who, w.for_whom, w.in_what) for w in waits(about, facts)] == [(0, 1, BARRIER), ("pid 9", 0, RPC), ("pid 9", 1, RPC)]


def test_waits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where half of a large job waits for the other half, not every pair of ranks is listed."""
    monkeypatch.setattr(rows, "MOST_WAITS", 5)
    about = incident(*(member(rank, BARRIER) for rank in range(4)), *(member(rank, READS) for rank in range(4, 8)))
    found = waits(about, {"rank.missing_from_collective": [fact("m", rank) for rank in range(4, 8)]})
    assert [(wait.who, wait.for_whom) for wait in found] == [(0, 4), (1, 4), (2, 4), (3, 4), (0, 5)]


def test_stack_groups() -> None:
    """Ranks in the same calls are one group, the largest first; moving is known with two samples only."""
    groups = stack_groups(incident(member(0, READS, READS), member(1, BARRIER), member(2, BARRIER), member(None, RPC, pid=9)))
    assert [(group.ranks, group.processes, group.moving) for group in groups] == [
        ((1, 2), (), None),
        ((0,), (), False),
        ((), ("pid 9",), None),
    ]


def test_the_calls_around_the_odd_one() -> None:
    """The table of a group shows the calls near its frontier, and marks the one that differs."""
    calls = [call(rank, 7, size=(8,) if rank == 2 else (4,)) for rank in range(3)] + [call(0, 1, state="completed")]
    (table,) = communicators(incident(evidence=parsed(*dumps(0, 1, 2), members_of("0", 0, 1, 2), *calls)))
    assert [(cell.rank, cell.seq, cell.odd) for cell in table.divergence] == [(0, 7, False), (1, 7, False), (2, 7, True)]
    assert (table.id, table.members, table.name) == ("0", (0, 1, 2), "default_pg")


def test_communicators_of_nccl_and_ras() -> None:
    """Members as far as lines and reports name them, by the ranks of the job: a communicator counts its own from 0."""
    whole = [nccl_init(rank, 4, 10 + rank) for rank in (0, 3)]
    part = [nccl_init(rank, 2, 10 + of, comm="0xb2") for rank, of in ((0, 0), (1, 3))]
    tables = communicators(joined(*whole, *part, ras({}, size=4), log()))
    assert {table.id: table.members for table in tables} == {"a1": (0, 3), "b2": (0, 3), "c1": (0, 1, 2, 3)}


def test_inputs() -> None:
    """Every file, also one of which nothing was understood."""
    assert [(row.file, row.kind) for row in input_rows(incident(evidence=parsed(log("a.log"), log("core", kind="unknown"))))] == [
        ("a.log", "text log"), ("core", "unknown"),
    ]  # fmt: skip
