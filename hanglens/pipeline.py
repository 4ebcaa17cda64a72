"""Open, parse, analyze, apply the rules, conclude: evidence in, Diagnosis out."""

from __future__ import annotations

import io
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from hanglens import __version__
from hanglens.advice import next_evidence, summary
from hanglens.analyze import compute_facts, rows
from hanglens.analyze.environment import environment
from hanglens.analyze.ranks import build_incident
from hanglens.analyze.stacks import without_twins
from hanglens.analyze.timeline import timeline
from hanglens.bundle import Item
from hanglens.dumps_given import nameless_dumps
from hanglens.errors import HangLensError
from hanglens.faults import left_out
from hanglens.incident import Incident
from hanglens.knowledge.load import RulePack
from hanglens.knowledge.schema import Rule, Snippet
from hanglens.limits import Limits
from hanglens.model import Event, Gap, Input, Parsed
from hanglens.parse.index import PatternIndex
from hanglens.reading import of_several_hosts, read_evidence, read_paths, search_index
from hanglens.rules.conclude import conclude
from hanglens.rules.conditions import Observed
from hanglens.rules.findings import candidates
from hanglens.searches import Searches
from hanglens.verdict import Confidence, CulpritProcess, Diagnosis, Fact, GapRow

MOST_FAULTS = 8  # files that are left out one by one, each after some more reasoning


def diagnose(paths: Sequence[str], pack: RulePack, *, limits: Limits | None = None) -> Diagnosis:
    """Diagnose the evidence under `paths`, one incident. Raises as `read_paths` does."""
    return diagnose_parts(read_paths(paths, lambda: pack, limits=limits), pack, several_hosts=of_several_hosts(paths))


def diagnose_parts(parts: Sequence[Parsed], pack: RulePack, *, several_hosts: bool = False) -> Diagnosis:
    """Diagnose what was read of each file. A file on which the reasoning fails, by a fault of our own, is left out as a Gap.

    Raises:
        Exception: it fails on many files, or on none.
    """
    left, out = list(parts), set[int]()
    for _ in range(MOST_FAULTS):
        try:
            return diagnose_parsed(Parsed.total(left), pack, several_hosts=several_hosts)
        except (HangLensError, MemoryError):
            raise
        except Exception as error:
            at = _first_faulty(left, lambda some: diagnose_parsed(Parsed.total(some), pack, several_hosts=several_hosts))
            if at is None or at in out:
                raise
            out.add(at)
            listed = tuple(Input(about.file, about.kind, about.bytes, about.lines) for about in left[at].inputs)
            left[at] = Parsed(gaps=(left_out(_file_of(left[at]), error),), inputs=listed)
    return diagnose_parsed(Parsed.total(left), pack, several_hosts=several_hosts)


def _first_faulty(parts: Sequence[Parsed], reason: Callable[[Sequence[Parsed]], object]) -> int | None:
    """The first of the parts with which the reasoning fails, found by halving; None if it fails without any."""

    def fails(number: int) -> bool:
        try:
            reason(parts[:number])
        except Exception:  # noqa: BLE001  whatever it is, the caller has it
            return True
        return False

    at = bisect_left(range(len(parts) + 1), True, key=fails)  # noqa: FBT003  the key is a truth value
    return at - 1 if 0 < at <= len(parts) else None


def _file_of(part: Parsed) -> str:
    return part.inputs[0].file if part.inputs else part.gaps[0].what if part.gaps else "the evidence"


def diagnose_parsed(parsed: Parsed, pack: RulePack, *, several_hosts: bool = False) -> Diagnosis:
    """The reasoning, on what has been read."""
    incident = build_incident(parsed, several_hosts=several_hosts)
    facts = compute_facts(incident)
    off = {one.rule: one.why for one in parsed.rules_off}
    rules = [rule for rule in pack.rules if rule.id not in off]
    seen = observe(incident, facts, Searches(lambda: ((rule.id, expression) for rule in rules for expression in rule.expressions())))
    fired = candidates(rules, seen)
    conclusion = conclude(fired, facts)
    culprits = conclusion.culprits
    return Diagnosis(
        tool_version=__version__,
        verdict=conclusion.verdict,
        summary=summary(conclusion, facts, nameless_dumps(incident)),
        root_cause=conclusion.root_cause,
        culprit_ranks=culprits,
        culprit_processes=_processes(incident, culprits, conclusion.pids),
        victim_ranks=_victims(incident, culprits, facts),
        world_size=incident.world_size,
        findings=conclusion.findings,
        ranks=rows.rank_rows(incident, facts),
        waits=rows.waits(incident, facts),
        communicators=rows.communicators(incident),
        stack_groups=rows.stack_groups(incident),
        timeline=timeline(incident),
        environment=environment(incident),
        gaps=tuple(_gaps(incident.parsed.gaps, {**off, **seen.searches.off})),
        next_evidence=next_evidence(conclusion, fired, facts, incident),
        inputs=rows.input_rows(incident),
    )


def observe(incident: Incident, facts: dict[str, list[Fact]], searches: Searches) -> Observed:
    """What the rules are evaluated on."""
    events: dict[str, list[Event]] = defaultdict(list)
    for event in incident.parsed.events:
        events[event.name].append(event)
    rank_of_pid = incident.rank_of_pid()
    return Observed(
        events=events,
        facts=facts,
        stacks=[(stack, rank_of_pid.get(stack.pid or 0, stack.rank)) for stack in without_twins(incident.parsed.stacks)],
        tails={about.file: about.tail for about in incident.parsed.inputs if about.tail},
        searches=searches,
        world_size=incident.world_size,
        cut={file: line for collection in incident.parsed.collections for file, line in collection.cut_logs.items()},
    )


def _gaps(gaps: Sequence[Gap], off: Mapping[str, str]) -> Iterator[GapRow]:
    yield from (GapRow(what=gap.what, why=gap.why, how_to_collect=gap.how_to_collect) for gap in gaps)
    for rule, why in off.items():
        yield GapRow(what=f"rule {rule}", why=f"{why}; it is left out", how_to_collect="mend its pattern; try it with: hanglens rules lint")


def _processes(incident: Incident, culprits: Sequence[int], pids: Sequence[int]) -> tuple[CulpritProcess, ...]:
    """The processes of the culprit ranks, and those blamed whose rank is not known."""
    at_fault, named = set(culprits), set(pids)
    blamed = [m for m in incident.members if m.rank in at_fault and m.pid is not None]
    known = {m.pid for m in blamed}
    blamed += [m for m in incident.others if m.pid in named and m.pid not in known]
    return tuple(CulpritProcess(host=m.host, pid=m.pid, rank=m.rank) for m in blamed)


def _victims(incident: Incident, culprits: Sequence[int], facts: dict[str, list[Fact]]) -> tuple[int, ...]:
    """Ranks that wait, by their stack or their watchdog, and hold nobody up."""
    timed_out = {rank for fact in facts.get("collective.timeout", ()) for rank in fact.ranks}
    waiting = {m.rank for m in incident.members if m.standing and m.standing.waits_for_others}
    victims = (timed_out | waiting).difference(culprits)
    return tuple(m.rank for m in incident.members if m.rank is not None and m.rank in victims)


def test_rules(pack: RulePack) -> list[str]:
    """Run the snippets inside all rules of a pack; a sentence for each that does not do as it must."""
    index = search_index(pack)
    return [failure for rule in pack.rules for failure in _failures(rule, index)]


def _failures(rule: Rule, index: PatternIndex) -> Iterator[str]:
    for n, snippet in enumerate(rule.matches):
        fired = _fire(rule, snippet, index)
        if fired is None:
            yield f"{rule.id}: tests.match.{n} does not match"
        elif snippet.confidence and fired != snippet.confidence:
            yield f"{rule.id}: tests.match.{n} is {fired}, not {snippet.confidence}"
    for n, snippet in enumerate(rule.near_misses):
        if _fire(rule, snippet, index):
            yield f"{rule.id}: tests.near_miss.{n} matches"


def _fire(rule: Rule, snippet: Snippet, index: PatternIndex) -> Confidence | None:
    """How sure the rule is of the snippet; None if it does not fire."""
    files = {name: text.encode() for name, text in snippet.files.items()}
    items = [Item(name, len(data), io.BufferedReader(io.BytesIO(data))) for name, data in files.items()]
    parsed = Parsed.total(read_evidence(items, lambda: index))
    incident = build_incident(parsed, several_hosts=False)
    fired = candidates([rule], observe(incident, compute_facts(incident), Searches()))
    return fired[0].finding.confidence if fired else None
