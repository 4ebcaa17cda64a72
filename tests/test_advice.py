"""The sentence on top, and what to collect next."""

from __future__ import annotations

import pytest

from hanglens.advice import MOST_NEXT, next_evidence, summary
from hanglens.incident import Incident
from hanglens.rules.conclude import conclude
from hanglens.rules.conditions import Observed
from hanglens.rules.findings import Candidate, candidates
from hanglens.verdict import Fact
from tests.builders import BARRIER, dumps, event, fact, incident, member, parsed, rule, text

Facts = dict[str, list[Fact]]
WEDGE: Facts = {"wedge.symmetric": [fact("w", op="all_gather", of=4)]}
STILL: Facts = {"stack.still": [fact("s")]}
TIMEOUT: Facts = {"collective.timeout": [fact("t", first=False)]}
FIRST: Facts = {"collective.timeout": [fact("t", first=True)]}


def cause(rule_id: str, confidence: str = "possible", **fields: object) -> Candidate:
    """A cause of rank 1 that fired with this confidence."""
    made = rule({"fact": "rank.a"}, rule_id, confidence={} if confidence == "possible" else {confidence: "always"}, **fields)
    return candidates([made], Observed(facts={"rank.a": [fact("rank.a", 1)]}))[0]


@pytest.mark.parametrize(
    ("fired", "facts", "sentence"),
    [
        ([], {}, "The evidence does not tell whether the job hung."),
        ([], TIMEOUT, "The job hung. The evidence does not decide why."),
        ([], WEDGE, "The job hung: all 4 ranks wait alike in all_gather, and no rank is to blame. The evidence does not decide why."),
        ([cause("oom/a", "confirmed", culprits="matched")], {}, "The job hung. A made-up cause (rank 1)."),
        ([cause("oom/a", "likely", verdict="failed")], {}, "The job failed. Most likely: a made-up cause."),
        ([cause("oom/a", culprits="matched")], TIMEOUT, "The job hung. Possibly: a made-up cause."),
        ([cause("oom/a", "likely", title=text("NCCL broke"))], {}, "The job hung. Most likely: NCCL broke."),
    ],
)
def test_the_summary(fired: list[Candidate], facts: Facts, sentence: str) -> None:
    """The verdict, the cause with how sure it is, and whom a firm one blames; without a cause it says so."""
    assert summary(conclude(fired, facts), facts).en == sentence


def test_where_a_wedge_stands_is_the_blocking_call() -> None:
    """The call between two start-up stages says more than the frame."""
    stuck = {"stage.stuck_between": [fact("x", collective=True, call="warmup_dist")]}
    assert "wait alike in warmup_dist" in summary(conclude([], WEDGE), {**WEDGE, **stuck}).en


SILENT = incident()
COMPLETE = incident(member(0, BARRIER, BARRIER), evidence=parsed(event("nccl.version", source="nccl")))
EVERYTHING = incident(member(0, BARRIER, BARRIER), evidence=parsed(event("nccl.version", source="nccl"), *dumps(0)))


def commands(fired: list[Candidate], facts: Facts, about: Incident) -> list[str]:
    """The first words of what is asked for."""
    return [step.command.split(" ", 1)[0] for step in next_evidence(conclude(fired, facts), fired, facts, about)]


@pytest.mark.parametrize(
    ("fired", "facts", "about", "expected"),
    [
        ([], {}, SILENT, ["hanglens", "eval"]),
        ([], STILL, COMPLETE, ["eval"]),
        ([], STILL, EVERYTHING, ["hanglens"]),
        ([], TIMEOUT, SILENT, ["eval", "hanglens"]),
        ([], FIRST, SILENT, ["NCCL_P2P_DISABLE=1", "eval", "hanglens"]),
        ([cause("oom/a")], {}, SILENT, ["look", "hanglens", "eval"]),
        ([cause("oom/a")], WEDGE, SILENT, ["NCCL_P2P_DISABLE=1", "eval", "hanglens"]),
        ([cause("oom/a"), cause("nccl-bug/b")], STILL, COMPLETE, ["look", "eval"]),
        ([cause("oom/a", "confirmed")], {}, SILENT, []),
    ],
    ids="nothing all-but-recorder everything time-out first-call possible wedge same-step confirmed".split(),
)
def test_what_to_collect_next(fired: list[Candidate], facts: Facts, about: Incident, expected: list[str]) -> None:
    """What the open causes ask for, each once, then what is missing; a symmetric wedge asks for the test that splits it."""
    assert commands(fired, facts, about) == expected


@pytest.mark.parametrize("confidence", ["possible", "likely", None])
@pytest.mark.parametrize("about", [SILENT, COMPLETE, EVERYTHING])
@pytest.mark.parametrize("facts", [{}, STILL, TIMEOUT, FIRST, WEDGE])
def test_it_is_never_empty_unless_confirmed(confidence: str | None, about: Incident, facts: Facts) -> None:
    """Whatever was collected, something would settle it: one to three things."""
    fired = [cause("oom/a", confidence, next=[])] if confidence else []
    assert 1 <= len(commands(fired, facts, about)) <= MOST_NEXT


def test_what_is_there_already_is_not_asked_for() -> None:
    """A step that names the fact which it would bring is left out where that fact is known."""
    steps = [{"what": {"en": "look twice", "zh": "看两次"}, "command": "twice", "unless": "stack.still"}]
    fired = [cause("oom/a", next=steps)]
    assert "twice" in commands(fired, {}, SILENT)
    assert "twice" not in commands(fired, STILL, SILENT)


def test_which_causes_it_would_tell_apart() -> None:
    """Every step names the causes that are still open."""
    fired = [cause("oom/a"), cause("nccl-bug/b")]
    assert {step.splits for step in next_evidence(conclude(fired, {}), fired, {}, SILENT)} == {("oom/a", "nccl-bug/b")}
