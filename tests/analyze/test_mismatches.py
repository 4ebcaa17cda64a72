"""Different calls at one number of one group, also among finished ones, and groups entered in opposite order."""

from __future__ import annotations

import pytest

from hanglens.analyze.mismatches import inverted_orders, mismatches
from hanglens.groups import Group
from hanglens.verdict import Fact
from tests.builders import call, dumps, incident, members_of, parsed

OPS = ("all_reduce", "broadcast", "all_gather", "all_reduce", "reduce_scatter")


def group(*calls: object, ranks: int = 3) -> Group:
    """Group 0 of these records."""
    return incident(evidence=parsed(*dumps(*range(ranks)), members_of("0", *range(ranks)), *calls)).groups["0"]


def ring(rank: int, ops: tuple[str, ...], first: int = 1) -> list[object]:
    """A rank's ring: all finished but the last call."""
    return [
        call(rank, seq, op, state="completed" if seq < first + len(ops) - 1 else "scheduled", record=seq)
        for seq, op in enumerate(ops, first)
    ]


def told(found: Group) -> list[tuple[str, tuple[int, ...], object]]:
    """Name, ranks and number of each mismatch."""
    return [(fact.name.removeprefix("collective."), fact.ranks, fact.values["seq"]) for fact in mismatches(found)]


def test_a_lost_call_is_found_where_it_was_lost() -> None:
    """A rank that skipped a call goes on with its partners' next ones: the first number that differs is named."""
    skipped = OPS[:1] + OPS[2:]
    found = group(*ring(0, OPS), *ring(1, skipped), *ring(2, OPS))
    assert told(found) == [("op_mismatch", (1,), 2)]
    (fact,) = mismatches(found)
    assert (fact.values["a"], fact.values["b"], fact.values["majority"]) == ("broadcast", "all_gather", True)


def test_rings_that_begin_at_different_numbers_are_laid_side_by_side() -> None:
    """Only numbers that all members still record are compared."""
    found = group(*ring(0, OPS), *ring(1, OPS[2:], first=3), *ring(2, OPS[1:], first=2))
    assert told(found) == []
    assert told(group(*ring(0, OPS), *ring(1, OPS[2:], first=3), *ring(2, ("barrier", *OPS[2:]), first=2))) == []


def test_the_majority_is_taken_for_each_field() -> None:
    """The first rank is not right because it is the first: two against one are."""
    (fact,) = mismatches(group(call(0, 4, size=(8,)), call(1, 4), call(2, 4)))
    assert (fact.name, fact.ranks, fact.values["a"], fact.values["b"]) == ("collective.size_mismatch", (0,), "[4]", "[8]")


def test_equal_numbers_of_elements_are_equal_sizes() -> None:
    """NCCL is told a count: a tensor of another shape with as many elements is the same call."""
    assert told(group(call(0, 4, size=(2, 8)), call(1, 4, size=(16,)), call(2, 4, size=(4, 4)))) == []


@pytest.mark.parametrize(
    ("types", "width"), [(("Float", "Half"), "differs"), (("Half", "BFloat16"), "equal"), (("Float", "Strange"), "unknown")]
)
def test_types_tell_whether_their_widths_differ(types: tuple[str, str], width: str) -> None:
    """Half and bfloat16 give wrong numbers and no hang."""
    (fact,) = mismatches(group(call(0, 4, dtype=types[0]), call(1, 4, dtype=types[1]), ranks=2))
    assert (fact.name, fact.values["width"]) == ("collective.dtype_mismatch", width)


def test_a_group_that_has_finished_everything_is_not_looked_at() -> None:
    """What differed long ago and did not stop anybody is no finding."""
    assert told(group(call(0, 4, state="completed"), call(1, 4, "barrier", state="completed"), ranks=2)) == []


def test_thousands_of_ranks_in_two_orders_give_one_inversion() -> None:
    """Ranks that agree are not compared pair by pair; one rank of each order is cited."""
    about = incident(
        evidence=parsed(
            *dumps(*range(300)), members_of("a", *range(300)), members_of("b", *range(300)),
            *(call(r, 3, group=name, record=place) for r in range(300) for place, name in enumerate("ba" if r == 7 else "ab", 1)),
        )
    )  # fmt: skip
    found: list[Fact] = list(inverted_orders(about.groups))
    assert [(fact.ranks, fact.values) for fact in found] == [((0, 7), {"a": "a, default_pg", "b": "b, default_pg"})]
