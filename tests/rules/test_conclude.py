"""The root cause among the findings, or none, and the verdict."""

from __future__ import annotations

import pytest

from hanglens.rules.conclude import Conclusion, conclude, score
from hanglens.rules.conditions import Observed
from hanglens.rules.findings import Candidate, candidates
from hanglens.verdict import Fact
from tests.builders import fact, rule


def cause(rule_id: str, confidence: str = "possible", **fields: object) -> Candidate:
    """A cause that fired with this confidence, standing on one fact of rank 1."""
    levels = {} if confidence == "possible" else {confidence: "always"}
    made = rule({"fact": "rank.a"}, rule_id, confidence=levels, **fields)
    return candidates([made], Observed(facts={"rank.a": [fact("rank.a", 1)], "b": [fact("b")]}))[0]


def outcome(*fired: Candidate, facts: dict[str, list[Fact]] | None = None) -> Conclusion:
    """What follows from these."""
    return conclude(fired, facts or {})


@pytest.mark.parametrize(
    ("fired", "expected"),
    [
        ((), None),
        ((cause("oom/a"),), "oom/a"),
        ((cause("oom/a"), cause("oom/b", "likely")), "oom/b"),
        ((cause("oom/a", "likely"), cause("nccl-bug/b", "confirmed")), "nccl-bug/b"),
        ((cause("oom/a"), cause("nccl-bug/b")), None),
        ((cause("oom/a"), cause("oom/b")), "oom/a"),
        ((cause("oom/a"), cause("nccl-bug/b", culprits="matched")), "nccl-bug/b"),
        ((cause("oom/a", "confirmed", role="observation"),), None),
        ((cause("oom/a", role="contributing"), cause("nccl-bug/b")), "nccl-bug/b"),
        ((cause("oom/a", "likely", against=[{"fact": "b"}]), cause("nccl-bug/b")), "nccl-bug/b"),
    ],
    ids="none one firm firmer two-categories one-category stands-out observation contributing contradicted".split(),
)
def test_the_root_cause(fired: tuple[Candidate, ...], expected: str | None) -> None:
    """A firm cause wins; of several that are only possible, of different categories, none is named unless it stands out."""
    root = outcome(*fired).root_cause
    assert (root.id if root else None) == expected


def test_what_becomes_of_the_others() -> None:
    """Beside a firm root cause, other firm causes contribute and the possible ones are ruled out, with the reason."""
    chosen, firm, weak = cause("oom/a", "confirmed"), cause("nccl-bug/b", "likely"), cause("gpu-hw/c")
    findings = {finding.rule: finding for finding in outcome(weak, firm, chosen).findings}
    assert [finding.role for finding in findings.values()] == ["cause", "contributing", "ruled-out"]
    assert findings["gpu-hw/c"].why_not


def test_possible_causes_stand_beside_each_other() -> None:
    """Nothing is ruled out by what is itself only possible, and nobody is blamed for it."""
    result = outcome(cause("oom/a", culprits="matched"), cause("nccl-bug/b"))
    assert [finding.role for finding in result.findings] == ["cause", "cause"]
    assert (result.root_cause is not None, result.culprits) == (True, ())


def test_whom_a_firm_cause_blames() -> None:
    """Its culprits are the diagnosis's."""
    assert outcome(cause("oom/a", "likely", culprits="matched")).culprits == (1,)


def test_findings_in_order() -> None:
    """The root cause, then by role, confidence and the rule's own order."""
    fired = [
        cause("observation/z", role="observation", order=9), cause("observation/y", role="observation", order=1),
        cause("nccl-bug/b", "likely"), cause("oom/a", "confirmed"), cause("gpu-hw/c"),
    ]  # fmt: skip
    assert [finding.rule for finding in outcome(*fired).findings] == ["oom/a", "nccl-bug/b", "observation/y", "observation/z", "gpu-hw/c"]


def test_scores_lie_in_bands() -> None:
    """No bonus lifts a cause above a firmer one."""
    weak = [score(cause("oom/a")), score(cause("oom/a", culprits="matched"))]
    assert max(weak) < score(cause("oom/a", "likely")) < score(cause("oom/a", "confirmed")) <= 1
    assert weak[0] < weak[1]
    assert score(cause("oom/a", "likely", against=[{"fact": "b"}])) < weak[0]


@pytest.mark.parametrize(
    ("fired", "facts", "verdict"),
    [
        ((), {}, "unknown"),
        ((cause("oom/a", "likely", verdict="failed"),), {}, "failed"),
        ((cause("slow-not-hung/a", "likely", verdict="slow"),), {"collective.timeout": [fact("t")]}, "slow"),
        ((cause("healthy/a", verdict="healthy"),), {}, "unknown"),
        ((cause("oom/a", verdict="failed"),), {}, "unknown"),
        ((cause("oom/a", verdict="failed"),), {"error.first": [fact("e")]}, "failed"),
        ((), {"collective.timeout": [fact("t")], "rank.failed": [fact("f")]}, "hung"),
        ((), {"rank.missing_from_collective": [fact("m", 1, seen="clear")]}, "hung"),
        ((), {"rank.missing_from_collective": [fact("m", 1, seen="glimpse")]}, "unknown"),
        ((), {"wedge.symmetric": [fact("w")]}, "hung"),
        ((), {"rank.stopped": [fact("s")]}, "hung"),
        ((), {"rank.failed": [fact("f")]}, "failed"),
        ((), {"rank.gone": [fact("g")]}, "failed"),
        ((), {"job.moves_on": [fact("j")], "rank.gone": [fact("g")]}, "unknown"),
        ((), {"rank.maybe_missing": [fact("m")]}, "unknown"),
        ((), {"stack.waits_in_collective": [fact("s")]}, "unknown"),
    ],
)
def test_the_verdict(fired: tuple[Candidate, ...], facts: dict[str, list[Fact]], verdict: str) -> None:
    """A firm cause's own verdict; else hung where ranks waited for sure, failed where one ended; ordinary waits tell nothing."""
    assert outcome(*fired, facts=facts).verdict == verdict
