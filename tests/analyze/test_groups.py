"""Dumps of all ranks joined group by group."""

from __future__ import annotations

from hanglens.analyze.groups import FAR, build_groups, of_one_run
from hanglens.groups import Group
from hanglens.model import RecorderDump, SourceRef
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


def test_a_group_made_anew_counts_from_one_again() -> None:
    """Only the calls since its numbers last went down are its own."""
    old = [call(0, seq, state="completed", record=seq) for seq in range(5, 9)]
    lane = groups(*dumps(0), *old, call(0, 1, state="completed", record=11), call(0, 2, record=12))["0"].lanes[0]
    assert (lane.first, lane.last, lane.unbroken, lane.pending()) == (1, 2, True, [2])


def test_what_stands_above_a_finished_call_is_finished() -> None:
    """A communicator works in order, and some records are never told that they ended."""
    lane = groups(*dumps(0), call(0, 3), call(0, 4, state="completed"), call(0, 5))["0"].lanes[0]
    assert lane.pending() == [5]
    assert lane.finished(3)


def _dump(file: str, rank: int, hours: int) -> RecorderDump:
    return RecorderDump(rank, SourceRef(file), 1, newest_ns=hours * 3600 * 10**9)


def _kept(*found: RecorderDump) -> tuple[list[str], int]:
    run = of_one_run(parsed(*found))
    return [dump.ref.file for dump in run.recorder_dumps], len(run.gaps)


def test_of_two_runs_the_newer_folder_counts() -> None:
    """Dumps of two jobs with ranks of the same numbers are not mixed; each that is left out is a gap."""
    old, new = [_dump(f"a/dump_{r}", r, 100) for r in range(3)], [_dump(f"b/dump_{r}", r, 200) for r in range(2)]
    assert _kept(*old, *new) == (["b/dump_0", "b/dump_1"], 3)


def test_a_copy_of_one_dump_counts_once() -> None:
    """The ranks of which there is one dump only stay, wherever it lies."""
    assert _kept(_dump("dump_0", 0, 100), _dump("dump_1", 1, 100), _dump("old/dump_1", 1, 99)) == (["dump_0", "dump_1"], 1)


def test_a_dump_of_another_day_is_left_out() -> None:
    """Hours before or after all others no rank of one run writes; moments are nothing."""
    assert _kept(*(_dump(f"dump_{r}", r, 100 + (r == 3) * (FAR // 3600 // 10**9 + 1)) for r in range(5)))[0] == [
        f"dump_{r}" for r in (0, 1, 2, 4)
    ]
    assert _kept(*(_dump(f"dump_{r}", r, 100 + r) for r in range(3)))[1] == 0
