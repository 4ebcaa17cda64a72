"""The waiting is followed to where it begins, through groups, pipelines and point-to-point calls; nobody else is accused."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hanglens.analyze.recorder import recorder_facts, wavefront
from hanglens.analyze.wavefront import Wavefront
from tests.analyze.simulated import WORLD, program, run
from tests.builders import call, dumps, facts, incident, members_of, parsed

LAST = min(len(program(rank)) for rank in WORLD) - 1  # no rank's program is shorter


def front(*values: object) -> Wavefront:
    """Who waits for whom in these dumps."""
    return wavefront(incident(evidence=parsed(*values)))


def free(found: Wavefront) -> set[int]:
    """Ranks at which the waiting begins."""
    return {entry.rank for entry in found.behind if not entry.held and not entry.many}


def maybe(found: Wavefront) -> set[int]:
    """Ranks that may be to blame and no more."""
    return {entry.rank for entry in found.behind if entry.unexplained} | set(found.unfinished_alone)


@pytest.mark.parametrize("active", [False, True], ids=["whole rings", "only what is unfinished"])
@pytest.mark.parametrize("rank", WORLD)
def test_a_host_that_stops_anywhere_is_the_origin(rank: int, active: bool) -> None:
    """At whatever step of its program one rank's host stops, that rank and no other is where the waiting begins."""
    for step in range(1, LAST):
        found = front(*run({rank: step}, {}, active=active))
        assert (free(found), maybe(found), found.ring) == ({rank}, set(), ()), step


@pytest.mark.parametrize("active", [False, True], ids=["whole rings", "only what is unfinished"])
@pytest.mark.parametrize("rank", WORLD)
def test_a_gpu_that_stops_anywhere_is_the_origin_or_possible(rank: int, active: bool) -> None:
    """If its GPU stops, the rank is the origin; in a group of many, where point-to-point calls cannot be paired, it is possible."""
    for step in range(LAST):
        found = front(*run({}, {rank: step}, active=active))
        assert free(found) | maybe(found) == {rank}, step
        assert free(found) or "world" in {head.group.name for head in found.heads.values() if head.call.rank == rank}
        assert found.ring == ()


def test_of_two_faults_nobody_else_is_accused() -> None:
    """Of any two faults at least one is named or possible where the job stalls, and no rank without a fault ever is."""
    chance = random.Random(4)
    for _ in range(300):
        one, other = chance.sample(list(WORLD), 2)
        first = chance.randrange(1, LAST)
        steps = {one: first, other: min(max(1, first + chance.randrange(-8, 9)), LAST)}
        hosts = {rank: step for rank, step in steps.items() if chance.random() < 0.5}
        gpus = {rank: step for rank, step in steps.items() if rank not in hosts}
        about = incident(evidence=parsed(*run(hosts, gpus, active=chance.random() < 0.5)))
        found = wavefront(about)
        assert free(found) | maybe(found) <= {one, other}, (hosts, gpus)
        assert free(found) | maybe(found) or found.wedged or not found.behind, (hosts, gpus)
        assert not {"collective.order_mismatch", "collective.ring", "collective.extra_call"} & facts(about, recorder_facts).keys()


def test_without_some_dumps_nobody_else_is_accused() -> None:
    """Whoever's dumps are missing, no rank without a fault is named, and no group with an unknown member is called wedged."""
    chance = random.Random(7)
    for _ in range(300):
        rank, step = chance.choice(WORLD), chance.randrange(1, LAST)
        missing = set(chance.sample(list(WORLD), chance.randrange(1, 5)))
        host = chance.random() < 0.5
        values = run({rank: step} if host else {}, {} if host else {rank: step}, active=chance.random() < 0.5)
        found = front(*(value for value in values if getattr(value, "rank", None) not in missing))
        assert free(found) | maybe(found) <= {rank}, (rank, step, host, missing)
        assert not [head for head in found.wedged if missing & set(head.group.members)]
        assert found.ring == ()


def test_a_job_that_ran_to_its_end_has_no_origin() -> None:
    """Where everything is finished, nobody is behind."""
    found = front(*run({}, {}))
    assert (found.behind, found.heads, found.unfinished_alone) == ([], {}, ())


PIPE = (*dumps(0, 1), members_of("pp", 0, 1, description="pp"))


@pytest.mark.parametrize(
    ("other", "origin"),
    [
        ((), {1}),
        ((call(1, 3, "recv 1<-0", group="pp", p2p=True),), set()),
        ((call(1, 3, "recv 1<-0", group="pp", p2p=True, state="completed"),), set()),
        ((call(1, 2, "recv 1<-0", group="pp", p2p=True, state="completed"),), {1}),
    ],
    ids="nothing-made made finished an-older-one".split(),
)
def test_a_send_waits_for_the_other_side(other: tuple[object, ...], origin: set[int]) -> None:
    """The rank that has not made its part of a point-to-point call is waited for."""
    assert free(front(*PIPE, call(0, 3, "send 0->1", group="pp", p2p=True), *other)) == origin


def test_a_rank_that_may_wait_for_one_without_a_dump_is_not_called_late() -> None:
    """Whether the other side of its call has done its part is not known."""
    stands = (members_of("tp", 0, 1), members_of("pp", 1, 2), call(0, 9, group="tp"), call(1, 3, "send 0->1", group="pp", p2p=True))
    assert maybe(front(*dumps(0, 1), *stands)) == set()
    assert maybe(front(*dumps(0, 1, 2), *stands, call(2, 3, "recv 1<-0", group="pp", p2p=True))) == {1}


def test_ranks_in_names_of_point_to_point_calls_count_in_the_group() -> None:
    """`send 0->1` in the group of ranks 4 and 9 goes from 4 to 9."""
    found = front(*dumps(4, 9), members_of("pp", 4, 9), call(4, 1, "send 0->1", group="pp", p2p=True))
    assert free(found) == {9}


def test_the_parts_of_a_coalesced_call_tell_its_partners() -> None:
    """Of batched sends and receives only the closing record is told that it has ended; the records before it name the other sides."""
    parts = [call(0, 3, op, group="pp", p2p=True, record=n) for n, op in enumerate(("send 0->1", "recv 0<-1", "coalesced"), 1)]
    assert free(front(*PIPE, *parts)) == {1}
    ended = [*parts[:2], call(0, 3, "coalesced", group="pp", p2p=True, record=3, state="completed")]
    assert front(*PIPE, *ended).heads == {}


def _ring(calls: dict[int, tuple[str, int]]) -> tuple[object, ...]:
    groups = [members_of(f"g{n}", n, (n + 1) % 3) for n in range(3)]
    done = [call(r, 1, group=f"g{n}", state="completed", record=1 + n) for r in range(3) for n in (r, (r + 2) % 3)]
    return *dumps(0, 1, 2), *groups, *done, *(call(r, seq, group=name, record=9) for r, (name, seq) in calls.items())


def test_a_ring_of_waits_is_found() -> None:
    """Each of three ranks stands in a call of the group that it shares with the next one: nobody is the origin."""
    found = front(*_ring({0: ("g0", 2), 1: ("g1", 2), 2: ("g2", 2)}))
    assert (set(found.ring), free(found)) == ({0, 1, 2}, set())
    broken = front(*_ring({0: ("g0", 2), 1: ("g1", 2)}))
    assert (broken.ring, free(broken)) == ((), {2})


def test_where_most_are_late_the_few_may_be_wrong() -> None:
    """A call that one of four ranks made is a call too many as likely as three late ranks."""
    about = incident(evidence=parsed(*dumps(0, 1, 2, 3), members_of("0", 0, 1, 2, 3), call(0, 2)))
    assert {entry.many for entry in wavefront(about).behind} == {True}
    assert [fact.ranks for fact in facts(about, recorder_facts)["collective.extra_call"]] == [(0,)]


def test_a_group_that_all_others_wait_for_is_wedged() -> None:
    """Where all members of one group stand in one call, and ranks outside wait for them, the trouble is in that call."""
    groups = (members_of("tp", 0, 1), members_of("dp", 1, 2))
    found = front(*dumps(0, 1, 2), *groups, call(0, 5, group="tp"), call(1, 5, group="tp"), call(2, 3, group="dp"))
    assert [(head.group.name, head.call.seq) for head in found.wedged] == [("tp", 5)]
    assert free(found) == set()


def test_a_group_of_which_a_dump_is_missing_is_not_wedged() -> None:
    """The member of whom nothing is known may be the one that is late."""
    groups = (members_of("tp", 0, 1, 3), members_of("dp", 1, 2))
    found = front(*dumps(0, 1, 2), *groups, call(0, 5, group="tp"), call(1, 5, group="tp"), call(2, 3, group="dp"))
    assert found.wedged == ()


def test_a_gpu_behind_its_peers_is_only_possible() -> None:
    """A rank that launched everything and has not finished what all others have may as well have dumped a moment earlier."""
    done = [call(rank, 1, state="completed") for rank in (0, 2)]
    found = front(*dumps(0, 1, 2), members_of("0", 0, 1, 2), *done, call(1, 1), *(call(rank, 2) for rank in range(3)))
    assert (free(found), found.unfinished_alone) == (set(), (1,))


def test_a_ring_that_forgot_a_group_says_nothing_of_it() -> None:
    """A rank whose ring wrapped and holds no call of the group may have made it long ago."""
    zero, one = dumps(0, 1)
    groups = (members_of("0", 0, 1), members_of("ckpt", 0, 1))
    calls = (call(1, 4, group="ckpt"), call(0, 90, state="completed"))
    assert free(front(zero, one, *groups, *calls)) == {0}
    assert free(front(replace(zero, wrapped=True), one, *groups, *calls)) == set()


def test_opposite_orders_prove_nothing_where_a_rank_lacks_the_calls() -> None:
    """Both calls wait for the third rank, in whatever order the others made them."""
    groups = (members_of("a", 0, 1, 2), members_of("b", 0, 1, 2))
    calls = [call(rank, 3, group=name, record=place) for rank, order in ((0, "ab"), (1, "ba")) for place, name in enumerate(order, 1)]
    about = incident(evidence=parsed(*dumps(0, 1, 2), *groups, *calls))
    assert "collective.order_mismatch" not in facts(about, recorder_facts)
    assert free(wavefront(about)) == {2}


def test_where_sides_cannot_be_paired_nobody_is_accused() -> None:
    """In a group of four, whose numbers do not count alike, a receive that is finished on the peer is no silence of the peer."""
    members = members_of("0", 0, 1, 2, 3)
    done = call(1, 1, "recv 1<-0", p2p=True, state="completed")
    found = front(*dumps(0, 1, 2, 3), members, call(0, 1, "send 0->1", p2p=True), done)
    assert free(found) == set()
