"""Time-outs that the watchdogs printed, compared over ranks."""

from __future__ import annotations

import pytest

from hanglens.analyze.watchdog import behind_by_signal, timeouts, watchdog_facts
from hanglens.model import Event
from hanglens.verdict import Fact
from tests.builders import event, facts, incident, parsed, pg_status, timeout


def told(*events: Event, world: int = 2) -> dict[str, list[Fact]]:
    """The facts of these lines."""
    return facts(incident(evidence=parsed(*events), world=world), watchdog_facts)


def test_the_first_time_out_of_each_rank_counts() -> None:
    """The watchdog prints one time-out again and again, and later ones follow from it."""
    found = timeouts(incident(evidence=parsed(timeout(1, 7), timeout(0, 7), timeout(0, 7, line=90), timeout(1, 9, line=91))))
    assert [(entry.rank, entry.seq, entry.event.ref.line) for entry in found] == [(0, 7, 10), (1, 7, 11)]


def test_torn_lines_and_group_ranks() -> None:
    """A torn line still names operation and number; the rank in the group stands in where no global rank is printed."""
    torn = event("torch.timeout_torn", rank=2, seq=7, op="ALLREDUCE")
    found = timeouts(incident(evidence=parsed(torn, timeout(None, group_rank=3), event("torch.timeout", seq=1, op="X"))))
    assert [(entry.rank, entry.numel, entry.limit_ms) for entry in found] == [(2, None, 0), (3, 4, 600000)]


def test_counters_belong_to_the_call_that_timed_out() -> None:
    """Counters of another number are not taken; nothing completed on any rank means that it was the first."""
    fact = told(timeout(0, 1), pg_status(0, 5, completed=4), pg_status(0, 1, enqueued=3, completed=-1))["collective.timeout"][0]
    assert (fact.values["enqueued"], fact.values["completed"], fact.values["first"]) == (3, -1, True)
    assert (fact.of_all, fact.values["printed"], fact.values["of"]) == (False, 1, 2)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"seq": 9}, {"collective.desync"}),
        ({"op": "BROADCAST"}, {"collective.op_mismatch"}),
        ({"numel": 8}, {"collective.size_mismatch"}),
        ({}, {"collective.all_equal"}),
        ({"limit": 1800000, "op": "BROADCAST"}, set()),
        ({"seq": 5000}, set()),
        ({"file": "other.log", "op": "BROADCAST"}, set()),
    ],
    ids="number operation size equal other-limit another-run another-file".split(),
)
def test_what_differs_between_time_outs(second: dict[str, object], expected: set[str]) -> None:
    """Only time-outs of one group (or, where no line names it, of one file) with one limit are compared."""
    assert set(told(timeout(0), timeout(1, **second))) - {"collective.timeout"} == expected  # type: ignore[arg-type]


def test_groups_are_not_mixed() -> None:
    """Two groups time out at numbers and operations of their own."""
    lines = (timeout(0, 7), timeout(1, 9, "BROADCAST"), pg_status(0, 7, group="0"), pg_status(1, 9, group="1"))
    assert set(told(*lines)) == {"collective.timeout"}


def test_uneven_operations_may_differ_in_size() -> None:
    """Ranks pass different sizes to an all-to-all legally."""
    assert "collective.size_mismatch" not in told(timeout(0, op="ALLTOALL_BASE"), timeout(1, op="ALLTOALL_BASE", numel=8))


def test_equality_needs_every_rank() -> None:
    """Three of eight that agree say nothing of the other five."""
    assert "collective.all_equal" not in told(timeout(0), timeout(1), timeout(2), world=8)


@pytest.mark.parametrize(
    ("rank", "enqueued", "completed", "expected"),
    [(1, 6, 6, [1]), (1, 7, 7, []), (1, 6, 5, []), (0, 6, 6, [])],
    ids="nothing-enqueued level pending timed-out-itself".split(),
)
def test_who_dumped_on_anothers_signal(rank: int, enqueued: int, completed: int, expected: list[int]) -> None:
    """A rank with all of its calls done and fewer of them than the one that timed out is behind."""
    signal = event("torch.dump_signal", rank=rank, origin=0, enqueued=enqueued, completed=completed)
    assert [entry[0] for entry in behind_by_signal(incident(evidence=parsed(timeout(0, 7), signal)))] == expected


def test_no_time_out_no_fact() -> None:
    """Silence of the watchdog means nothing: some groups have a limit of years."""
    assert told(pg_status(0, 7)) == {}


@pytest.mark.parametrize(
    "second",
    [timeout(5, 9, group_rank=1, line=2), timeout(None, 9, group_rank=0, line=2)],
    ids=["not-the-global-rank", "twice-the-same-rank"],
)
def test_numbers_of_unnamed_groups_are_not_compared(second: Event) -> None:
    """Where ranks in groups show that several groups speak and no line names them, their numbers say nothing of each other."""
    alone = (timeout(None, 7, group_rank=0), timeout(None, 9, group_rank=1, line=1))
    assert "collective.desync" in told(*alone)
    assert "collective.desync" not in told(*alone, second, timeout(None, 8, group_rank=2, line=3))
