"""The one call to tell of, whose records are cited, and what is said of members without a dump."""

from __future__ import annotations

from dataclasses import replace

from hanglens.analyze.missing import missing_facts
from hanglens.analyze.recorder import recorder_facts, wavefront
from hanglens.analyze.rows import communicators, rank_rows, waits
from hanglens.analyze.unjoined import unjoined_by, unjoined_by_silent
from hanglens.incident import Incident
from tests.builders import READS, SYNC, call, dumps, facts, incident, member, members_of, parsed, status

RANKS = range(4)
GROUPS = (members_of("world", *RANKS, description="WORLD"), members_of("tp", 2, 3, description="TENSOR"))


def job(*missing: int) -> Incident:
    """Ranks 0 to 2 stand in the second call of the world, which rank 3 lacks; rank 2 launched one of its own group behind it."""
    done = [call(rank, 1, group="world", state="completed") for rank in RANKS]
    late = [*(call(rank, 2, group="world") for rank in range(3)), call(2, 1, "all_gather", group="tp", record=9)]
    kept = [record for record in (*done, *late) if record.rank not in missing]
    given = [rank for rank in RANKS if rank not in missing]
    groups = [replace(group, rank=given[0]) for group in GROUPS]
    about = parsed(*dumps(*given), *groups, *kept)
    return incident(*(member(rank, collected=rank in given) for rank in RANKS), evidence=about)


def test_the_call_in_which_most_stand_is_told() -> None:
    """What is only launched behind it is no second story: number, group, what that is for, and how many of its members wait."""
    found = unjoined_by(wavefront(job()), 3)
    assert found
    assert (found.text, len(found.waiting), found.members) == ("all_reduce #2 (group world, WORLD)", 3, tuple(RANKS))
    (fact,) = facts(job(), missing_facts)["rank.missing_from_collective"]
    assert (fact.values["call"], fact.values["joined"], fact.values["members"], fact.values["seen"]) == (found.text, 3, 4, "clear")


def test_a_stack_does_not_hide_the_call() -> None:
    """Where those who wait are seen in `synchronize`, the call and the frame are both told, for the finding and in the tables."""
    records = (*dumps(0, 1), members_of("0", 0, 1), call(0, 1, state="completed"), call(1, 1, state="completed"), call(0, 2))
    about = incident(member(0, SYNC), member(1, READS), evidence=parsed(*records))
    told = facts(about, missing_facts)
    both = f"all_reduce #2 (group 0, default_pg), seen in {SYNC}"
    assert told["rank.missing_from_collective"][0].values["call"] == both
    assert [(wait.who, wait.for_whom, wait.in_what) for wait in waits(about, told)] == [(0, 1, both)]
    assert [row.waiting_in for row in rank_rows(about, told)] == [both, READS]


def test_members_without_a_dump_are_named_beside_the_late_one() -> None:
    """Of a member whose dump is missing nothing is known: it may be late as well, and the list of members is cited."""
    (fact,) = facts(job(1), missing_facts)["rank.missing_from_collective"]
    assert (fact.ranks, fact.values["silent"], fact.values["seen"]) == ((3,), "rank 1", "glimpse")
    assert any("members 0, 1, 2, 3" in entry.text for entry in fact.evidence)


def test_with_few_dumps_a_late_rank_is_only_possible() -> None:
    """Where more may lack the call than are known to have made it, that call may be one too many."""
    about = job(0, 1)
    assert {fact.values["seen"] for fact in facts(about, missing_facts)["rank.missing_from_collective"]} == {"glimpse"}
    assert facts(job(), missing_facts)["rank.missing_from_collective"][0].values["seen"] == "clear"


def test_members_without_a_dump_lead_where_nobody_is_seen_to_be_late() -> None:
    """Those who stand in a call, and the members of it of whom nothing is known; of a pair only the other side."""
    found = unjoined_by_silent(wavefront(job(3)))
    assert found
    assert (found.call.seq, len(found.waiting), found.silent) == (2, 3, (3,))
    pair = parsed(*dumps(0), members_of("0", *RANKS), call(0, 1, "send 0->2", p2p=True))
    alone = unjoined_by_silent(wavefront(incident(evidence=pair)))
    assert alone
    assert (alone.members, alone.silent) == ((0, 2), (2,))


def test_the_own_records_of_the_late_rank_are_cited_first() -> None:
    """Its last record and its counters come before the calls of those who wait, in whatever order the dumps were read."""
    records = [*(call(rank, 1, state="completed") for rank in RANKS), *(call(rank, 2) for rank in range(3))]
    counters = [status(0, 2), status(3, 1)]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
        about = parsed(*dumps(*order), members_of("0", *RANKS), *records, *counters)
        (fact,) = facts(incident(*(member(rank, collected=True) for rank in RANKS), evidence=about), missing_facts)[
            "rank.missing_from_collective"
        ]
        assert [entry.rank for entry in fact.evidence] == [3, 3, 0, 1]
        assert fact.evidence[1].text == "rank 3: group 0, default_pg: last enqueued #1, last completed #0 (pg_status)"


def test_of_several_late_ranks_each_is_told() -> None:
    """A text tells of all of them at once."""
    done = [call(rank, 1, state="completed") for rank in range(5)]
    about = parsed(*dumps(*range(5)), members_of("0", *range(5)), *done, *(call(rank, 2) for rank in range(3)))
    found = facts(incident(*(member(rank, collected=True) for rank in range(5)), evidence=about), missing_facts)
    assert {fact.values["last"] for fact in found["rank.missing_from_collective"]} == {
        "rank 3: all_reduce #1 (group 0, default_pg), completed; rank 4: all_reduce #1 (group 0, default_pg), completed"
    }


def test_a_late_rank_may_have_calls_that_only_its_peers_have_finished() -> None:
    """All up to the last one that needs every rank, which its GPU must have begun; none where a peer has not finished it either."""
    made = [call(2, 1, "broadcast"), call(2, 2), call(2, 3, "broadcast")]
    peers = [
        call(rank, seq, op, state="completed") for rank in (0, 1) for seq, op in ((1, "broadcast"), (2, "all_reduce"), (3, "broadcast"))
    ]
    values = (*dumps(0, 1, 2), members_of("0", 0, 1, 2), *made, *peers, call(0, 4), call(1, 4))
    (fact,) = facts(incident(evidence=parsed(*values)), recorder_facts)["rank.unfinished_behind"]
    assert (fact.ranks, fact.values["seq"], fact.values["last"], fact.values["number"]) == ((2,), 1, 2, 2)
    same = (*dumps(0, 1, 2), members_of("0", 0, 1, 2), *made, *(replace(peer, state="scheduled") for peer in peers), call(0, 4), call(1, 4))
    assert "rank.unfinished_behind" not in facts(incident(evidence=parsed(*same)), recorder_facts)


def test_what_dumps_tell_is_no_sign_of_life() -> None:
    """A rank that is late by its records alone may be dead: its state is unknown. Waits for it come before those for others."""
    groups = (members_of("pp", 3, 0), members_of("0", 0, 1, 2))
    done = [call(rank, 1, state="completed") for rank in range(3)]
    about = parsed(*dumps(*RANKS), *groups, *done, call(0, 2), call(1, 2), call(3, 1, group="pp"))
    about = incident(*(member(rank, collected=True) for rank in RANKS), evidence=about)
    told = facts(about, missing_facts)
    assert communicators(about)[0].id == "0"
    assert [row.state for row in rank_rows(about, told)] == ["waiting", "waiting", "unknown", "waiting"]
    assert [(wait.who, wait.for_whom) for wait in waits(about, told)] == [(0, 2), (1, 2), (3, 0)]
