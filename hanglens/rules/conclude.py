"""Choose the root cause among the findings, or none, and the verdict on the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hanglens.rules.findings import Candidate, strength
from hanglens.verdict import Fact, Finding, RootCause, Text, Verdict

_BASE = {"confirmed": 0.9, "likely": 0.7, "possible": 0.4}
_ROLE_ORDER = ("cause", "contributing", "cascade", "observation", "ruled-out")
_ANOTHER = Text(en="the evidence decides for another cause", zh="证据指向另一个原因")


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen candidate (None where the evidence does not decide), the findings in order, and the verdict.

    `culprits` are the ranks and `pids` the processes that a firm cause blames; whom a possible one would blame stands in its finding only.
    """

    verdict: Verdict
    chosen: Candidate | None
    root_cause: RootCause | None
    findings: tuple[Finding, ...]
    culprits: tuple[int, ...] = ()
    pids: tuple[int, ...] = ()


def conclude(fired: Sequence[Candidate], facts: Mapping[str, Sequence[Fact]]) -> Conclusion:
    """Weigh the causes against each other. Of several that are only possible, one is named only if it stands out."""
    causes = sorted((c for c in fired if c.finding.role == "cause"), key=lambda c: (-score(c), c.rule.id))
    chosen = _stands_out(causes)
    root = None
    if chosen:
        finding = chosen.finding
        root = RootCause(
            id=finding.rule, category=finding.category, title=finding.title, confidence=finding.confidence, score=score(chosen)
        )  # fmt: skip
    findings = [_placed(candidate, chosen) for candidate in fired]
    order = {candidate.rule.id: (-strength(candidate.finding.confidence), candidate.rule.order, -score(candidate)) for candidate in fired}
    findings.sort(key=lambda f: (root is None or f.rule != root.id, _ROLE_ORDER.index(f.role), order[f.rule], f.rule))
    firm = chosen if chosen and strength(chosen.finding.confidence) > 0 else None
    return Conclusion(
        verdict=_verdict(chosen, facts), chosen=chosen, root_cause=root, findings=tuple(findings),
        culprits=firm.culprits if firm else (), pids=firm.pids if firm else (),
    )  # fmt: skip


def score(candidate: Candidate) -> float:
    """0..1; within one confidence, what is printed outweighs what is inferred, and a named culprit outweighs none."""
    finding = candidate.finding
    kinds = {entry.file for entry in finding.evidence if entry.polarity == "for"}
    bonus = 0.04 * candidate.on_lines + 0.03 * bool(candidate.culprits) + 0.01 * min(len(kinds), 2)
    return round(max(0.0, _BASE[finding.confidence] + bonus - 0.1 * candidate.against), 3)


def _stands_out(causes: list[Candidate]) -> Candidate | None:
    if not causes:
        return None
    best = causes[0]
    if strength(best.finding.confidence) > 0:
        return best
    rivals = [c for c in causes[1:] if c.rule.category != best.rule.category]
    return best if not rivals or score(rivals[0]) < score(best) else None


def _placed(candidate: Candidate, chosen: Candidate | None) -> Finding:
    """A cause that a firm one has beaten is ruled out, or shown as contributing where it is firm itself."""
    finding = candidate.finding
    if finding.role != "cause" or chosen is None or candidate is chosen or strength(chosen.finding.confidence) == 0:
        return finding
    if strength(finding.confidence) > 0:
        return msgspec.structs.replace(finding, role="contributing")
    return msgspec.structs.replace(finding, role="ruled-out", why_not=_ANOTHER)


def _verdict(chosen: Candidate | None, facts: Mapping[str, Sequence[Fact]]) -> Verdict:
    if chosen and strength(chosen.finding.confidence) > 0:
        return chosen.rule.verdict
    if facts.get("collective.timeout"):
        return "hung"
    if facts.get("rank.stopped") or facts.get("wedge.symmetric"):
        return "hung"
    if any(fact.values.get("seen") != "glimpse" for fact in facts.get("rank.missing_from_collective", ())):
        return "hung"
    if facts.get("job.moves_on"):
        return "unknown"
    if facts.get("rank.failed") or facts.get("rank.gone"):
        return "failed"
    if chosen and chosen.rule.verdict == "failed" and facts.get("error.first"):
        return "failed"
    return "unknown"
