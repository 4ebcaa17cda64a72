"""Who is missing: the rank that the others wait for, and above all who must not be accused."""

from __future__ import annotations

import pytest

from hanglens.analyze.missing import missing_facts
from hanglens.incident import Incident, Member
from hanglens.verdict import Fact
from tests.builders import (
    ALL_REDUCE,
    BARRIER,
    FILE_LOCK,
    IDLE,
    JIT,
    READS,
    RPC,
    SYNC,
    call,
    dumps,
    event,
    facts,
    incident,
    log,
    member,
    members_of,
    nccl_init,
    parsed,
    process,
    ras,
    timeout,
)

BEHIND = ras({0: 6, 1: 5}, size=2)


def accused(about: Incident) -> dict[int, Fact]:
    """The facts of the ranks said to be missing."""
    return {fact.ranks[0]: fact for fact in facts(about, missing_facts).get("rank.missing_from_collective", [])}


def test_all_but_one_in_a_collective() -> None:
    """The one rank outside of it is missing; the fact says where it stands and cites it before those who wait."""
    found = accused(incident(member(0, BARRIER), member(1, BARRIER), member(2, READS), member(3, BARRIER)))
    assert list(found) == [2]
    assert (found[2].values["where"], found[2].values["op"], found[2].values["waiting"], found[2].values["kinds"]) == (
        READS,
        "barrier",
        3,
        1,
    )
    assert [entry.rank for entry in found[2].evidence] == [2, 0, 1]


@pytest.mark.parametrize(
    "members",
    [
        (member(0, BARRIER), member(1, BARRIER), member(2, IDLE)),
        (member(0, SYNC), member(1, IDLE)),
        (member(0, BARRIER), member(1, RPC)),
        (member(0, READS), member(1, READS), member(2, READS)),
        (member(0, BARRIER), member(1, READS), member(2, READS), member(3, READS)),
        (member(0, BARRIER), member(1, BARRIER), member(2, READS), member(3, READS)),
        (member(0, BARRIER), member(1, BARRIER), member(2)),
        (member(0, BARRIER), member(1, BARRIER), member(2, "select (selectors.py:415)")),
        (member(0, BARRIER), member(1, BARRIER), member(None, READS, pid=9)),
    ],
    ids="idle idle-beside-gpu-wait rpc nobody-waits one-of-four half not-collected waits-in-python no-rank".split(),
)
def test_nobody_is_accused_by_stacks(members: tuple[object, ...]) -> None:
    """Idle workers, callers, ranks without a stack, processes that are no rank and majorities are not missing."""
    assert accused(incident(*members)) == {}  # type: ignore[arg-type]


ASLEEP = process(state="S", syscall="257 0x1")


@pytest.mark.parametrize(
    ("other", "late", "seen"),
    [
        (BARRIER, member(1, READS), "glimpse"),
        (BARRIER, member(1, READS, process=process(state="R", syscall="running")), "glimpse"),
        (BARRIER, member(1, READS, process=ASLEEP), "clear"),
        (SYNC, member(1, READS, process=ASLEEP), "glimpse"),
        (SYNC, member(1, READS, READS), "clear"),
    ],
    ids="one-stack running sleeping sleeping-beside-gpu-wait two-samples".split(),
)
def test_one_stack_of_a_rank_is_a_glimpse(other: str, late: Member, seen: str) -> None:
    """A moment of a healthy loop looks the same, unless the rank sleeps while others stand in a collective, or stood there twice."""
    assert accused(incident(member(0, other), late))[1].values["seen"] == seen


def test_two_samples_that_moved_say_that_nobody_is_missing() -> None:
    """If any rank moved between its samples, the job moves."""
    moved = member(0, f"{BARRIER}\nstep (train.py:10)", f"{BARRIER}\nstep (train.py:12)")
    assert facts(incident(moved, member(1, READS)), missing_facts) == {}


@pytest.mark.parametrize(
    ("frames", "state", "syscall", "wait"),
    [
        (FILE_LOCK, "S", "", "lock"),
        (JIT, "R", "running", "jit"),
        ("safe_open (safetensors/torch.py:8)", "D", "", "weights"),
        (READS, "S", "257 0xffffff9c", "open"),
        (READS, "S", "202 0x7f", "lock"),
        (READS, "S", "0 0x3", "io"),
        (READS, "R", "running", "compute"),
        (READS, "", "", "python"),
    ],
)
def test_what_the_absent_rank_is_in(frames: str, state: str, syscall: str, wait: str) -> None:
    """Its frames say it where a table knows them, else its system call."""
    late = member(1, frames, process=process(state=state, syscall=syscall))
    assert accused(incident(member(0, BARRIER), late))[1].values["wait"] == wait


@pytest.mark.parametrize(
    ("reports", "members", "expected"),
    [
        ((BEHIND,), (member(0, collected=True), member(1, collected=True)), {}),
        ((ras({0: 9, 1: 5}, size=2),), (member(0, collected=True), member(1, collected=True)), {}),
        ((BEHIND, BEHIND), (member(0, collected=True), member(1, collected=True)), {1: "clear"}),
        ((BEHIND, ras({0: 8, 1: 7}, size=2)), (member(0, collected=True), member(1, collected=True)), {}),
        ((BEHIND, BEHIND), (member(0, collected=True), member(1)), {}),
        ((BEHIND,), (member(0, SYNC), member(1, SYNC)), {}),
        ((BEHIND, BEHIND), (member(0, SYNC), member(1, SYNC)), {}),
        ((BEHIND,), (member(0, SYNC), member(1, READS)), {1: "clear"}),
        ((BEHIND, BEHIND), (member(0, SYNC), member(1, READS)), {1: "lasting"}),
        ((ras({0: 6, 1: 5}, missing=(1,), size=2),) * 2, (member(0, SYNC), member(1, collected=True)), {}),
    ],
    ids="one-report far-in-one frozen moved frozen-not-collected waits-too waits-too-frozen with-stack frozen-with-stack gone".split(),
)
def test_operation_counts_of_ras(reports: tuple[object, ...], members: tuple[object, ...], expected: dict[int, str]) -> None:
    """A lag in one report alone says nothing, the same numbers in two do; never against a rank that waits with the others or is gone."""
    found = accused(incident(*members, evidence=parsed(*reports)))  # type: ignore[arg-type]
    assert {rank: fact.values["seen"] for rank, fact in found.items()} == expected


def test_kinds_of_evidence_are_counted() -> None:
    """Stack and RAS that agree on a rank are two kinds; both are cited before either is cited twice."""
    fact = accused(incident(member(0, SYNC), member(1, READS), evidence=parsed(BEHIND)))[1]
    assert (fact.values["kinds"], fact.values["how"]) == (2, "ras,stack")
    assert {entry.file for entry in fact.evidence[:3]} == {"pid101.txt", "ras.txt"}


def test_the_majority_is_not_behind() -> None:
    """Where one rank is ahead of all others by RAS or by its records, it made a call of its own: the others are not missing."""
    everyone = [member(rank, collected=True) for rank in range(3)]
    reports = [ras({0: 6, 1: 5, 2: 5}, size=3)] * 2
    records = (*dumps(0, 1, 2), members_of("0", 0, 1, 2), call(0, 6), *(call(rank, 5, state="completed") for rank in range(3)))
    assert accused(incident(*everyone, evidence=parsed(*reports))) == {}
    assert accused(incident(*everyone, evidence=parsed(*records))) == {}


def test_behind_in_the_flight_recorder() -> None:
    """A rank that did not enqueue what the others wait in is missing, the first call of the group is told as such."""
    done = [call(rank, 1, state="completed") for rank in range(3)]
    records = parsed(*dumps(0, 1, 2), members_of("0", 0, 1, 2), *done, call(0, 2), call(1, 2))
    found = accused(incident(*(member(rank, collected=True) for rank in range(3)), evidence=records))
    assert {rank: (fact.values["how"], fact.values["first"]) for rank, fact in found.items()} == {2: ("flight-recorder", False)}


def test_a_mismatch_comes_before_absence() -> None:
    """Where ranks called different things at one number, being behind afterwards accuses nobody."""
    records = parsed(*dumps(0, 1), members_of("0", 0, 1), call(0, 2, "broadcast"), call(1, 2), call(0, 3))
    assert accused(incident(member(0, collected=True), member(1, collected=True), evidence=records)) == {}


@pytest.mark.parametrize(("enqueued", "completed", "expected"), [(6, 6, [1]), (7, 6, []), (6, 5, [])])
def test_the_rank_that_dumped_on_anothers_signal(enqueued: int, completed: int, expected: list[int]) -> None:
    """With nothing enqueued at the call that timed out elsewhere it is behind; with something pending it is not known to be."""
    signal = event("torch.dump_signal", rank=1, origin=0, enqueued=enqueued, completed=completed)
    found = accused(incident(member(0, collected=True), member(1, collected=True), evidence=parsed(timeout(0, 7), signal)))
    assert list(found) == expected


def test_a_rank_that_timed_out_itself_is_never_missing() -> None:
    """It waited as long as the others."""
    about = incident(member(0, BARRIER), member(1, READS), evidence=parsed(timeout(0), timeout(1)))
    assert accused(about) == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ((), {1: "glimpse"}),
        ((event("nccl.bootstrap", source="nccl", pid=11, rank=1),), {1: "clear"}),
        ((nccl_init(1, 2, 11, "START"),), {}),
        ((nccl_init(0, 2, 10, "COMPLETE"),), {}),
    ],
    ids="no-nccl-log has-nccl-log started complete".split(),
)
def test_ranks_that_never_began_to_join(more: tuple[object, ...], expected: dict[int, str]) -> None:
    """Others wait to complete a communicator that a rank never began: clear only if NCCL's log of that rank is there."""
    evidence = parsed(nccl_init(0, 2, 10, "START"), *more)
    found = accused(incident(member(0, collected=True), member(1, collected=True), evidence=evidence))
    assert {rank: fact.values["seen"] for rank, fact in found.items()} == expected
    assert all(fact.values["first"] for fact in found.values())


def test_smaller_communicators_do_not_accuse_by_init_lines() -> None:
    """A sub-group's rank numbers are not the job's."""
    about = incident(*(member(rank, collected=True) for rank in range(4)), evidence=parsed(nccl_init(0, 2, 10, "START")))
    assert accused(about) == {}


def test_where_no_stack_tells_where_its_last_words_do() -> None:
    """Without a stack the rank's last line says where it was seen."""
    said = event("tail", "loading shard 3", rank=1)
    evidence = parsed(BEHIND, BEHIND, log(tail=(event("tail", "first", rank=1), said)))
    assert accused(incident(member(0, collected=True), member(1, collected=True), evidence=evidence))[1].values["last"] == "loading shard 3"


@pytest.mark.parametrize(
    ("about", "how", "ranks"),
    [
        (incident(member(0, collected=True), member(1), evidence=parsed(timeout(0))), "watchdog", (1,)),
        (incident(member(0, BARRIER), member(1, BARRIER), member(2)), "stack", (2,)),
        (incident(member(0), member(1), evidence=parsed(*dumps(0), members_of("0", 0, 1), call(0, 3))), "flight-recorder", (1,)),
    ],
)
def test_absence_from_the_evidence_is_a_maybe(about: Incident, how: str, ranks: tuple[int, ...]) -> None:
    """A rank of which nothing was collected while others wait may be the one, and no more than that."""
    found = facts(about, missing_facts)
    assert "rank.missing_from_collective" not in found
    assert [(fact.values["how"], fact.ranks) for fact in found["rank.maybe_missing"]] == [(how, ranks)]


def test_most_of_the_ranks_are_not_even_maybe_missing() -> None:
    """One collected rank of eight says nothing of the other seven."""
    assert facts(incident(member(0, BARRIER), *(member(rank) for rank in range(1, 8)), world=8), missing_facts) == {}


@pytest.mark.parametrize(
    ("members", "world", "op"),
    [
        ((member(0, ALL_REDUCE), member(1, ALL_REDUCE)), 2, "all_reduce"),
        ((member(None, BARRIER, pid=1), member(None, BARRIER, pid=2)), 0, "barrier"),
        ((member(0, SYNC), member(1, SYNC)), 2, None),
        ((member(0, ALL_REDUCE), member(1, BARRIER)), 2, None),
        ((member(0, ALL_REDUCE), member(1, ALL_REDUCE)), 4, None),
        ((member(0, ALL_REDUCE), member(1, ALL_REDUCE), member(2, READS)), 3, None),
        ((member(0, ALL_REDUCE),), 1, None),
    ],
    ids="all-alike no-ranks gpu-waits-only different-calls two-of-four one-outside alone".split(),
)
def test_symmetric_wedge(members: tuple[object, ...], world: int, op: str | None) -> None:
    """Everybody at the same wait for the others is a wedge without a culprit; waits for the GPU alone are no wedge."""
    found = facts(incident(*members, world=world), missing_facts).get("wedge.symmetric", [])  # type: ignore[arg-type]
    assert [fact.values["op"] for fact in found] == ([op] if op else [])
