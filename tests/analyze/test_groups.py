"""Dumps of all ranks joined group by group."""

from __future__ import annotations

from hanglens.analyze.groups import build_groups
from hanglens.groups import Group
from tests.builders import call, dumps, members_of, parsed, status


def groups(*values: object) -> dict[str, Group]:
    """The groups of these dumps."""
    return build_groups(parsed(*values))


def test_members_keep_their_order_in_the_group() -> None:
    """A rank's number in its group is its place among the members."""
    assert groups(*dumps(9), members_of("pp", 9, 1, 5))["pp"].members == (9, 1, 5)


def test_groups_of_one_name_and_other_members_are_told_apart() -> None:
    """Each pipeline stage may call its tensor-parallel group the same."""
    found = groups(*dumps(0, 2), members_of("tp", 0, 1), members_of("tp", 2, 3), call(0, 4, group="tp"), call(2, 9, group="tp"))
    assert {name: (group.members, set(group.lanes)) for name, group in found.items()} == {
        "tp of rank 0": ((0, 1), {0}),
        "tp of rank 2": ((2, 3), {2}),
    }


def test_point_to_point_calls_have_lanes_of_their_own() -> None:
    """They count in a sequence of their own, and need not match on all ranks."""
    group = groups(*dumps(0), members_of("pp", 0, 1), call(0, 7, group="pp"), call(0, 7, "send 0->1", group="pp", p2p=True))["pp"]
    assert ([c.call.op for c in group.lanes[0].unfinished()], [c.call.op for c in group.p2p[0].unfinished()]) == (
        ["all_reduce"],
        ["send 0->1"],
    )


def test_a_coalesced_call_is_as_far_as_its_last_record() -> None:
    """The records inside of it are never told that they ended."""
    parts = [call(0, 3, op, record=n) for n, op in enumerate(("all_gather", "all_gather", "coalesced"), 1)]
    assert [(c.call.op, c.state) for c in groups(*dumps(0), *parts)["0"].unfinished()] == [("all_gather", "scheduled")]
    ended = [*parts[:2], call(0, 3, "coalesced", record=3, state="completed"), call(0, 4, record=4)]
    lane = groups(*dumps(0), *ended)["0"].lanes[0]
    assert [(c.seq, c.call.op) for c in lane.unfinished()] == [(4, "all_reduce")]
    assert lane.finished(3)
    assert lane.ops(2) == {"all_gather", "coalesced"}


def test_a_number_is_found_in_broken_and_unbroken_rings() -> None:
    """A ring that keeps only what is unfinished has gaps; what is missing from it and older was finished."""
    broken = groups(*dumps(0), call(0, 3), call(0, 8))["0"].lanes[0]
    assert [(seq, broken.row(seq), broken.finished(seq)) for seq in (2, 3, 5, 8, 9)] == [
        (2, None, True),
        (3, 0, False),
        (5, None, True),
        (8, 1, False),
        (9, None, False),
    ]


def test_counters_speak_for_ranks_without_records() -> None:
    """Only where they agree with the records of another rank: some versions count point-to-point calls too."""
    agree = groups(*dumps(0, 1), members_of("0", 0, 1), call(0, 6), status(0, 6), status(1, 5))["0"]
    other = groups(*dumps(0, 1), members_of("0", 0, 1), call(0, 6), status(0, 19), status(1, 19))["0"]
    assert ([agree.enqueued(0), agree.enqueued(1)], [other.enqueued(0), other.enqueued(1)]) == ([6, 5], [6, -1])


def test_dumps_of_unknown_ranks_are_left_out() -> None:
    """Nothing of them can be compared."""
    assert groups(*dumps(-1), call(-1, 3)) == {}
