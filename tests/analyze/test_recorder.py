"""Flight-recorder dumps compared over ranks: who is behind and free, who called something else, who is only held up."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest

from hanglens.analyze.absent import absent_facts
from hanglens.analyze.ranks import build_incident
from hanglens.analyze.recorder import recorder_facts, wavefront
from hanglens.bundle import open_evidence
from hanglens.knowledge.load import RulePack
from hanglens.model import Gap, Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.flight_recorder import parse_flight_recorder
from hanglens.reading import read_evidence, search_index
from tests.builders import Recorded, call, dumps, facts, incident, members_of, parsed, status
from tests.conftest import WITHOUT_PRIVATE


def behind(*values: object) -> dict[int, bool]:
    """Ranks behind and whether each may be held up itself."""
    return {entry.rank: entry.held for entry in wavefront(incident(evidence=parsed(*values))).behind}


def told(*values: object) -> dict[str, list[tuple[int, ...]]]:
    """The ranks of each fact."""
    found = facts(incident(evidence=parsed(*values)), recorder_facts)
    return {name: [fact.ranks for fact in same] for name, same in found.items()}


def test_a_rank_short_of_the_frontier_is_behind() -> None:
    """The rank that did not enqueue what the others wait in is behind, and free where it has nothing pending."""
    done = [call(rank, 1, state="completed") for rank in range(3)]
    assert behind(*dumps(0, 1, 2), members_of("0", 0, 1, 2), *done, call(0, 2), call(1, 2)) == {2: False}


def test_completed_calls_put_nobody_behind() -> None:
    """Records that were overwritten on one rank are no lag if the others have finished them."""
    assert behind(*dumps(0, 1), members_of("0", 0, 1), call(0, 5, state="completed")) == {}


def test_a_rank_without_a_dump_is_not_behind() -> None:
    """Nothing is known of it: it is listed as not dumped instead."""
    values = (*dumps(0), replace(members_of("0", 0, 1), rank=0), call(0, 3))
    assert behind(*values) == {}
    (fact,) = facts(incident(evidence=parsed(*values)), absent_facts)["rank.maybe_missing"]
    assert (fact.ranks, fact.values["call"], fact.values["group"]) == ((1,), "all_reduce #3 (group 0, default_pg)", "0, default_pg")
    assert [entry.text for entry in fact.evidence][-1] == "rank 0: group 0, default_pg: members 0, 1 (pg_config)"


def test_members_of_idle_groups_are_not_waited_for() -> None:
    """A rank without a dump whose groups have nothing unfinished is not missed."""
    about = incident(evidence=parsed(*dumps(0), members_of("0", 0, 1), call(0, 3, state="completed")))
    assert facts(about, absent_facts) == {}


def test_held_up_by_another_group() -> None:
    """A rank that is behind in one group because it waits in another one is held, not free."""
    groups = (members_of("tp", 0, 1), members_of("dp", 1, 2))
    values = (*dumps(0, 1, 2), *groups, call(0, 4, group="tp"), call(1, 9, group="dp"))
    assert behind(*values) == {1: True, 2: False}


def test_a_dump_with_nothing_recorded_is_behind() -> None:
    """A rank that dumped an empty buffer has not entered the first call of the group."""
    assert behind(*dumps(0, 1), members_of("0", 0, 1), call(0, 1)) == {1: False}


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ((status(0, 6), status(1, 6)), {}),
        ((status(0, 6), status(1, 5)), {1: False}),
        ((status(0, 19), status(1, 19)), {1: False}),
        ((), {1: False}),
    ],
    ids="agree-level agree-behind counts-p2p none".split(),
)
def test_counters_are_trusted_where_they_agree_with_records(counters: tuple[object, ...], expected: dict[int, bool]) -> None:
    """Some versions count point-to-point calls in pg_status: it speaks for a rank without records only if it fits those with."""
    assert behind(*dumps(0, 1), members_of("0", 0, 1), call(0, 6), *counters) == expected


def test_point_to_point_calls_are_left_out() -> None:
    """They need not match on all ranks."""
    assert behind(*dumps(0, 1), members_of("0", 0, 1), call(0, 6, "send", p2p=True)) == {}


def _pair(**second: object) -> tuple[Recorded, Recorded]:
    return call(0, 7), call(1, 7, **second)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (_pair(op="broadcast"), {"collective.op_mismatch": [(0, 1)]}),
        (_pair(size=(8,)), {"collective.size_mismatch": [(0, 1)]}),
        (_pair(dtype="Half"), {"collective.dtype_mismatch": [(0, 1)]}),
        (_pair(op="broadcast", state="completed"), {"collective.op_mismatch": [(0, 1)]}),
        (_pair(op="broadcast", group="1"), {}),
        ((call(0, 7, state="completed"), call(1, 7, "broadcast", state="completed")), {}),
        ((call(0, 7), call(1, 8, "broadcast")), {"rank.unfinished_behind": [(0,)]}),
        ((call(0, 7, "all_gather"), call(1, 7, "all_gather", size=(8,))), {"collective.all_equal": [(0, 1)]}),
        ((call(0, 7), call(1, 7), call(2, 7, size=(8,))), {"collective.size_mismatch": [(2,)]}),
        ((call(0, 7), call(1, 7)), {"collective.all_equal": [(0, 1)]}),
        ((call(0, 7), call(1, 7, state="completed")), {"collective.all_equal": [(0,)], "rank.unfinished_alone": [(0,)]}),
    ],
    ids="op size dtype one-finished other-group finished other-number uneven-op majority equal one-left".split(),
)
def test_what_differs_at_one_number_of_one_group(calls: tuple[Recorded, ...], expected: dict[str, list[tuple[int, ...]]]) -> None:
    """Only unfinished calls of one group and number are compared, sizes only where they must agree; a clear majority names the odd one."""
    assert told(*dumps(*(c.rank for c in calls)), *calls) == expected


def test_one_dump_compares_nothing() -> None:
    """Records of a single rank tell nothing of the others."""
    assert told(*dumps(0), call(0, 7)) == {}


def _order(first: tuple[int, int], second: tuple[int, int], seq: int = 3) -> tuple[Recorded, ...]:
    """Two ranks in groups a and b, at these record numbers; the second rank's call in a has number `seq`."""
    return (
        call(0, 3, group="a", record=first[0]), call(0, 3, group="b", record=first[1]),
        call(1, seq, group="a", record=second[0]), call(1, 3, group="b", record=second[1]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("calls", "inverted"),
    [
        (_order((1, 2), (2, 1)), True),
        (_order((1, 2), (1, 2)), False),
        (_order((1, 2), (2, 1), seq=4), False),
        (_order((1, 2), (2, 1))[:3], False),
    ],
    ids="inverted same-order other-call one-group-only".split(),
)
def test_groups_entered_in_opposite_order(calls: tuple[Recorded, ...], inverted: bool) -> None:
    """The same two calls of two groups, pending on both ranks in opposite order."""
    assert (told(*dumps(0, 1), *calls).get("collective.order_mismatch") == [(0, 1)]) is inverted


def test_a_wavefront_has_its_source() -> None:
    """Of a pipeline of groups that stall one after the other, only the rank that is free is to blame."""
    groups = [members_of(f"g{n}", n, n + 1, description="pp") for n in range(5)]
    stalled = [call(n, 2, group=f"g{n}") for n in range(5)]
    assert [rank for rank, held in behind(*dumps(*range(6)), *groups, *stalled).items() if not held] == [5]


@pytest.mark.parametrize("case", ["gpu_error_2nd", "lock_gil_1st"])
def test_labelled_dumps_of_sixteen_ranks(case: str, shared: Path) -> None:
    """In real dumps of a job with injected faults, exactly the injected ranks are behind and free."""
    folder = shared / "fr-labelled" / case / "evidence"
    if not folder.is_dir():
        pytest.skip(WITHOUT_PRIVATE)
    about = build_incident(
        Parsed.total(read_evidence(open_evidence([str(folder)]), lambda: search_index(RulePack(())))), several_hosts=False
    )
    assert {entry.rank for entry in wavefront(about).behind if not entry.held} == {9, 14}


@pytest.mark.parametrize(("op", "expected"), [("all_reduce", {}), ("broadcast", {1: False})])
def test_an_older_dump_puts_nobody_behind(op: str, expected: dict[int, bool]) -> None:
    """What needs every rank cannot be complete without the one whose dump lacks it; a broadcast's root may finish alone."""
    calls = (call(1, 4, state="completed"), call(0, 5, op, state="completed"), call(0, 6))
    assert behind(*dumps(0, 1), members_of("0", 0, 1), *calls) == expected


def test_groups_of_one_name_with_other_members_are_two() -> None:
    """A tensor-parallel group of each pipeline stage may bear the same name: ranks of one are not behind the other."""
    groups = (members_of("tp", 0, 1), members_of("tp", 2, 3))
    calls = (call(0, 9, group="tp"), call(1, 9, group="tp"), call(2, 3, group="tp", state="completed"))
    assert behind(*dumps(0, 1, 2, 3), *groups, *calls) == {}


def test_a_dump_without_a_record_says_so() -> None:
    """An empty ring is a fact of its own; a dump that keeps only what is unfinished and counts more is none, nor a damaged one."""
    cut = Gap("dump_2", "1 of 1 records could not be read")
    about = replace(parsed(*dumps(0, 1, 2), status(1, 6)), gaps=(cut,))
    found = facts(incident(evidence=about), recorder_facts)
    assert [(fact.ranks, fact.evidence[0].text) for fact in found["recorder.empty"]] == [
        ((0,), "rank 0: no collective was recorded before the dump")
    ]


def test_very_many_unfinished_records_take_seconds() -> None:
    """A job that enqueues far ahead leaves each call unfinished: the time grows with their number, and not with its square."""
    first = [{"record_id": n, "pg_id": 0, "process_group": ["0", "default_pg"], "collective_seq_id": n + 1, "p2p_seq_id": 0,
              "profiling_name": "nccl:all_reduce", "input_sizes": [[4]], "input_dtypes": ["Float"], "output_sizes": [[4]],
              "output_dtypes": ["Float"], "state": "scheduled", "retired": False, "is_p2p": False, "frames": []}
             for n in range(50_000)]  # fmt: skip
    ranks = {0: first, 1: first[:-1]}
    config = {"0": {"name": "0", "desc": "default_pg", "ranks": "[0, 1]"}}
    data = {rank: pickle.dumps({"version": "2.10", "pg_config": config, "pg_status": {}, "entries": e}, 2) for rank, e in ranks.items()}
    began = process_time()
    parts = [parse_flight_recorder(dump, Place(f"trace_{rank}", rank=rank), len(dump)) for rank, dump in data.items()]
    about = build_incident(Parsed.total(parts), several_hosts=False)
    assert facts(about)
    assert [(entry.rank, entry.seq) for entry in wavefront(about).behind] == [(1, 50_000)]
    assert process_time() - began < 5
