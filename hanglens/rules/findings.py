"""From rules to findings: how sure each is, what speaks for and against it, and which of them only follow from others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from hanglens import number
from hanglens.knowledge.schema import FactCondition, NextStep, Rule
from hanglens.rules.conditions import Match, Observed, evaluate
from hanglens.verdict import CONFIDENCES, Confidence, Evidence, Finding, Fix, Text

MOST_EVIDENCE = 40
_FIRM = ("likely", "confirmed")
_PLACE = re.compile(r"\{([a-z_]\w*)\}")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with what only the choice of the root cause needs."""

    rule: Rule
    finding: Finding
    culprits: tuple[int, ...]
    pids: tuple[int, ...]
    on_lines: bool
    against: int
    next: tuple[NextStep, ...] = ()


def candidates(rules: Iterable[Rule], seen: Observed) -> list[Candidate]:
    """Every rule that fires, the consequences of firm causes marked as such."""
    fired = [candidate for rule in rules if _applies(rule, seen) and (candidate := _candidate(rule, seen))]
    fired = [candidate for candidate in fired if candidate.rule.id not in seen.searches.off]
    return [_explained_away(candidate, fired) for candidate in fired]


def _applies(rule: Rule, seen: Observed) -> bool:
    """A rule for other versions is out; an unknown version is no reason to leave a rule out."""
    return all(_version_fits(program, span, seen) for program, span in rule.applies.items())


def _version_fits(program: str, span: str, seen: Observed) -> bool:
    names = (f"{program}.version", *(("engine.version",) if _engine_is(program, seen) else ()))
    versions = [str(fact.values.get("value", "")) for name in names for fact in seen.facts.get(name, ())]
    return not versions or any(in_span(version, span) for version in versions)


def _engine_is(program: str, seen: Observed) -> bool:
    return any(fact.values.get("value") == program for fact in seen.facts.get("engine.name", ()))


def in_span(version: str, span: str) -> bool:
    """Whether a version lies in a span such as `>=2.23, <2.29.3`; what cannot be read fits."""
    number = _numbers(version)
    for part in span.split(","):
        found = re.fullmatch(r"\s*(>=|<=|==|<|>)\s*v?([\d.]+)\S*\s*", part)
        if found and number:
            limit = _numbers(found[2])
            width = max(len(number), len(limit))
            a, b = number + (0,) * (width - len(number)), limit + (0,) * (width - len(limit))
            if not {">=": a >= b, "<=": a <= b, "==": a == b, "<": a < b, ">": a > b}[found[1]]:
                return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(number.whole(part) or 0 for part in found[1].split(".")) if found else ()


def _candidate(rule: Rule, seen: Observed) -> Candidate | None:
    match = evaluate(rule.when, seen)
    if not match.held:
        return None
    against = [part for part in (evaluate(condition, seen) for condition in (*rule.against, *_moving(rule))) if part.held]
    against += _went_on(rule, match, seen)
    culprits = match.culprits if rule.culprits == "matched" else _named(match)
    about = culprits or match.ranks
    values = {**match.values, "ranks": _names(about, match.pids), "who": _who(about, match.pids)}
    finding = Finding(
        rule=rule.id, category=rule.category, role=rule.role, confidence="possible" if against else _confidence(rule, match),
        title=_filled(rule.title, values), explanation=_filled(rule.explain, values), ranks=tuple(sorted(culprits or match.ranks)),
        evidence=_evidence(match, against), fixes=tuple(_filled_fix(fix, values) for fix in rule.fixes), references=rule.references,
    )  # fmt: skip
    pids = tuple(sorted(match.pids)) if rule.culprits == "matched" else ()
    return Candidate(
        rule=rule, finding=finding, culprits=tuple(sorted(culprits)), pids=pids, on_lines=match.on_lines, against=len(against),
        next=tuple(msgspec.structs.replace(step, command=_fill(step.command, values, keep=True)) for step in rule.next),
    )  # fmt: skip


def _moving(rule: Rule) -> tuple[FactCondition, ...]:
    """Against whatever should have stopped the job speaks that it moves to the end of the evidence."""
    return (FactCondition("moving", "job.moves_on"),) if _halts(rule) else ()


def _halts(rule: Rule) -> bool:
    return rule.role == "cause" and rule.verdict in ("hung", "failed")


def _went_on(rule: Rule, match: Match, seen: Observed) -> list[Match]:
    """Against a halt that stands on lines alone speaks that in each of their logs the job worked on below them."""
    last = {str(fact.values["file"]): fact for fact in seen.facts.get("job.went_on", ())}
    lines = [entry for entry in match.evidence if entry.file]
    later = [last[e.file] for e in lines if e.file in last and (e.line or 0) < int(last[e.file].values["line"])]
    if not _halts(rule) or not lines or len(later) < len(lines):
        return []
    return [Match("went_on", held=True, number=1, evidence=later[0].evidence)]


def _named(match: Match) -> frozenset[int]:
    """Ranks that a line names as guilty, wherever in the tree."""
    own = match.culprits if match.on_lines and not match.children else frozenset()
    return own.union(*(_named(child) for child in match.children if child.held))


def _confidence(rule: Rule, match: Match) -> Confidence:
    held = match.held_paths() | {"always"}
    if held & set(rule.confirmed):
        return "confirmed"
    return "likely" if held & set(rule.likely) else "possible"


def _evidence(match: Match, against: list[Match]) -> tuple[Evidence, ...]:
    contrary = [msgspec.structs.replace(entry, polarity="against") for part in against for entry in part.evidence]
    unique = {(e.file, e.line, e.record, e.text, e.polarity): e for e in (*match.evidence, *contrary)}
    return tuple(unique.values())[:MOST_EVIDENCE]


def _explained_away(candidate: Candidate, fired: list[Candidate]) -> Candidate:
    stronger = [
        other for other in fired
        if other.rule.role == "cause" and other is not candidate and other.finding.confidence in _FIRM
        and strength(other.finding.confidence) >= strength(candidate.finding.confidence)
        and _yields(candidate.rule, other.rule) and not _yields(other.rule, candidate.rule)
    ]  # fmt: skip
    if not stronger or candidate.finding.role != "cause":
        return candidate
    title = stronger[0].finding.title
    why = Text(en=f"follows from: {title.en}", zh=f"是其结果：{title.zh}")
    return msgspec.structs.replace(candidate, finding=msgspec.structs.replace(candidate.finding, role="cascade", why_not=why))


def _yields(rule: Rule, other: Rule) -> bool:
    return any(fnmatchcase(other.id, pattern) or other.category == pattern for pattern in rule.yields_to)


def _filled(text: Text, values: Mapping[str, str]) -> Text:
    return Text(en=_fill(text.en, values), zh=_fill(text.zh, values))


def _filled_fix(fix: Fix, values: Mapping[str, str]) -> Fix:
    return Fix(title=_filled(fix.title, values), command=_fill(fix.command, values, keep=True), risk=_filled(fix.risk, values),
               verify=_filled(fix.verify, values))  # fmt: skip


def _fill(text: str, values: Mapping[str, str], *, keep: bool = False) -> str:
    """Replace `{name}`; in a command an unknown name is left, since braces are the shell's too.

    What stands in `[[ ]]` in a text is left out where one of its names has no value.
    """
    text = text if keep else _OPTIONAL.sub(lambda part: part[1] if all(values.get(name) for name in _PLACE.findall(part[1])) else "", text)
    return _PLACE.sub(lambda found: values.get(found[1]) or (found[0] if keep else "?"), text)


def _names(ranks: Iterable[int], pids: Iterable[int]) -> str:
    """The ranks, or the processes where no rank is known."""
    numbers = ", ".join(map(str, sorted(ranks)))
    return numbers or ", ".join(f"of pid {pid}" for pid in sorted(pids))


def _who(ranks: Iterable[int], pids: Iterable[int]) -> str:
    """The same as the subject of an English sentence: `rank 9`, `ranks 9 and 14`."""
    numbers = list(map(str, sorted(ranks)))
    if len(numbers) < 2:
        return f"rank {numbers[0]}" if numbers else f"the rank {_names((), pids)}"
    return f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}"


def strength(confidence: Confidence) -> int:
    """possible 0, likely 1, confirmed 2."""
    return CONFIDENCES.index(confidence)
