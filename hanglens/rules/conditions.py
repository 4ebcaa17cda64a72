"""Evaluate a rule's conditions: each gives a match that keeps the lines and facts it stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import regex

from hanglens import number
from hanglens.knowledge import schema
from hanglens.model import Event, Stack
from hanglens.searches import Searches
from hanglens.verdict import Evidence, Fact

_Scalar = str | int | float | bool | None

_BLAMING = ("rank.", "stage.short")  # facts whose ranks are those at fault; the ranks of others are only those it is true of
KEEP = 6  # lines of one condition that are cited


@dataclass(frozen=True)
class Observed:
    """What rules are evaluated on: events by pattern name, facts by name, threads, and the last lines of each file that may go silent.

    `cut` are files from whose middle lines are missing, each with the line behind which they are.
    """

    events: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    facts: Mapping[str, Sequence[Fact]] = field(default_factory=dict)
    stacks: Sequence[tuple[Stack, int | None]] = ()
    tails: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    world_size: int | None = None
    cut: Mapping[str, int] = field(default_factory=dict)
    searches: Searches = field(default_factory=Searches)

    def has(self, rank: int) -> bool:
        """Whether the job can have that rank."""
        return rank >= 0 and (self.world_size is None or rank < self.world_size)

    @cached_property
    def texts(self) -> Mapping[str, Sequence[int]]:
        """Where in `stacks` each text of frames stands: most ranks of a job say the same, and one search is enough for all of them."""
        found: dict[str, list[int]] = {}
        for n, (stack, _) in enumerate(self.stacks):
            found.setdefault("\n".join([frame.text or frame.function for frame in stack.frames]), []).append(n)
        return found


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome of one condition. `number` counts lines or facts; `values` are captures and fact values for texts."""

    path: str
    held: bool
    number: int = 0
    evidence: tuple[Evidence, ...] = ()
    ranks: frozenset[int] = frozenset()
    culprits: frozenset[int] = frozenset()
    pids: frozenset[int] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Match, ...] = ()
    on_lines: bool = False

    def held_paths(self) -> set[str]:
        """The paths of all conditions that hold, this one's included."""
        own = {self.path} if self.held else set()
        return own.union(*(child.held_paths() for child in self.children))


def evaluate(condition: schema.Condition, seen: Observed) -> Match:
    """Whether the condition holds, and on what."""
    return _EVALUATORS[type(condition)](condition, seen)


def _pattern(condition: schema.PatternCondition, seen: Observed) -> Match:
    return _of_events(condition, list(seen.events.get(condition.pattern.name, ())), seen)


def _of_events(condition: schema.PatternCondition, events: list[Event], seen: Observed) -> Match:
    ranks = frozenset(rank for event in events if (rank := event.rank) is not None and seen.has(rank))
    copies = len(ranks) + sum(1 for event in events if event.rank is None)
    shown = events if len(events) <= KEEP else [*events[: KEEP - 1], events[-1]]
    return Match(
        condition.path, bool(events) and _on(condition.on, copies, seen.world_size), len(events), tuple(map(_cite, shown)), ranks,
        frozenset(rank for event in events if (rank := number.rank(event.fields.get("culprit"))) is not None and seen.has(rank)),
        values=dict(events[0].fields) if events else {}, on_lines=bool(events),
    )  # fmt: skip


def _cite(event: Event) -> Evidence:
    return Evidence(
        file=event.ref.file, line=event.ref.line, text=event.text, context=event.context, rank=event.rank,
        time=event.time.text if event.time else None,
    )  # fmt: skip


def _on(on: schema.On, copies: int, world: int | None) -> bool:
    if on in ("", "some ranks"):
        return copies > 0
    if on == "one rank":
        return copies == 1
    if world is None:
        return False
    return {"every rank": copies >= world, "all ranks but one": copies == world - 1, "fewer ranks than the world size": copies < world}[on]


def _stack(condition: schema.StackCondition, seen: Observed) -> Match:
    texts: Iterable[str] = seen.texts
    for literals in condition.pieces:
        texts = [text for text in texts if any(literal in text for literal in literals)]
    matches = [found for text in texts if (found := seen.searches.search(condition.expression, text))]
    told = ({name: value for name, value in found.groupdict().items() if value is not None} for found in matches)
    where = sorted((n, at) for at, found in enumerate(matches) for n in seen.texts[found.string])
    ranks = frozenset(rank for n, _ in where if (rank := seen.stacks[n][1]) is not None)
    evidence: list[Evidence] = []
    for n, at in where[:KEEP]:
        evidence += _frames_of(*seen.stacks[n], matches[at]) if len(evidence) < KEEP else ()
    held = bool(where) and _on(condition.on, len(ranks) or len(where), seen.world_size)
    return Match(condition.path, held, len(where), tuple(evidence), ranks, values=next(filter(None, told), {}), on_lines=True)


def _frames_of(stack: Stack, rank: int | None, found: regex.Match[str]) -> list[Evidence]:
    """The first and the last frame that the match touches."""
    start, end = found.span()
    touched = sorted({found.string.count("\n", 0, start), found.string.count("\n", 0, max(end - 1, start))})
    cited = []
    for at in touched:
        frame = stack.frames[at]
        ref = frame.ref(stack.ref)
        context = tuple(f.text or f.function for f in stack.frames[max(0, at - 2) : at + 3])
        text = frame.text or frame.function
        cited.append(Evidence(file=ref.file, line=ref.line, record=ref.record, text=text, context=context, rank=rank))
    return cited


def _fact(condition: schema.FactCondition, seen: Observed) -> Match:
    facts = [fact for fact in seen.facts.get(condition.fact, ()) if _compares(condition, fact, seen)]
    ranks = frozenset(rank for fact in facts for rank in fact.ranks)
    of_all = any(fact.of_all for fact in facts)
    world = seen.world_size or max((int(fact.values.get("of", 0)) for fact in facts), default=0) or None
    held = bool(facts) and (not condition.on or _on(condition.on, len(ranks), world) or (of_all and condition.on == "every rank"))
    values = {name: str(value) for fact in reversed(facts) for name, value in fact.values.items()}
    evidence = tuple(entry for fact in facts[:3] for entry in fact.evidence)
    pids = frozenset(pid for fact in facts for pid in fact.pids)
    blames = condition.fact.startswith(_BLAMING)
    return Match(
        condition.path, held, len(facts), evidence, ranks, ranks if blames else frozenset(), pids if blames else frozenset(), values
    )  # fmt: skip


def _compares(condition: schema.FactCondition, fact: Fact, seen: Observed) -> bool:
    value = fact.values.get("value")
    checks = [
        condition.equals is None or _equal(value, condition.equals),
        condition.above is None or (_number(value) is not None and (_number(value) or 0) > condition.above),
        condition.below is None or (_number(value) is not None and (_number(value) or 0) < condition.below),
        condition.matches is None or seen.searches.search(condition.matches, str(value)) is not None,
        all(_equal(fact.values.get(name), wanted) for name, wanted in condition.where.items()),
    ]
    return all(checks)


def _equal(value: _Scalar, wanted: _Scalar) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted or (value is not None and str(value) == str(wanted))


def _number(value: _Scalar) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return number.decimal(str(value))


def _all(condition: schema.AllOf, seen: Observed) -> Match:
    parts = tuple(evaluate(child, seen) for child in condition.children)
    return _joined(condition.path, parts, held=all(part.held for part in parts))


def _any(condition: schema.AnyOf, seen: Observed) -> Match:
    parts = tuple(evaluate(child, seen) for child in condition.children)
    return _joined(condition.path, parts, held=any(part.held for part in parts))


def _joined(path: str, parts: tuple[Match, ...], *, held: bool) -> Match:
    used = [part for part in parts if part.held]
    return Match(
        path, held, sum(part.number for part in used), tuple(entry for part in used for entry in part.evidence),
        frozenset().union(*(part.ranks for part in used)), frozenset().union(*(part.culprits for part in used)),
        frozenset().union(*(part.pids for part in used)),
        {name: value for part in reversed(used) for name, value in part.values.items()}, parts, any(part.on_lines for part in used),
    )  # fmt: skip


def _not(condition: schema.Not, seen: Observed) -> Match:
    child = evaluate(condition.child, seen)
    return Match(condition.path, not child.held, children=(child,))


def _count(condition: schema.Count, seen: Observed) -> Match:
    child = evaluate(condition.child, seen)
    enough = child.number >= condition.at_least and (condition.at_most is None or child.number <= condition.at_most)
    return _joined(condition.path, (child,), held=enough and (child.held or condition.at_least == 0))


def _sequence(condition: schema.Sequence, seen: Observed) -> Match:
    """The steps below one another in one file; of the last step, its last line counts for what must not follow."""
    for file in dict.fromkeys(event.ref.file for event in seen.events.get(condition.steps[0].pattern.name, ())):
        chosen = _steps_in(condition, file, seen)
        if chosen is None or not all(step.held for step in chosen):
            continue
        last = max(_lines_in(condition.steps[-1], file, seen), default=0)
        if any(line > last for never in condition.never for line in _lines_in(never, file, seen)):
            continue
        if condition.never and last <= seen.cut.get(file, 0):
            continue  # it may have stood among the lines that are missing
        program = seen.events[condition.steps[-1].pattern.name][-1].source
        if condition.silence and (
            file not in seen.tails or any(e.source == program and (e.ref.line or 0) > last for e in seen.tails[file])
        ):
            continue
        return _joined(condition.path, tuple(chosen), held=True)
    return Match(condition.path, held=False)


def _steps_in(condition: schema.Sequence, file: str, seen: Observed) -> list[Match] | None:
    """Each step matched on the lines below the first line of the step before it."""
    above, chosen = 0, []
    for step in condition.steps:
        events = [e for e in seen.events.get(step.pattern.name, ()) if e.ref.file == file and (e.ref.line or 0) > above]
        if not events:
            return None
        chosen.append(_of_events(step, events, seen))
        above = events[0].ref.line or 0
    return chosen


def _lines_in(step: schema.PatternCondition, file: str, seen: Observed) -> list[int]:
    return [event.ref.line or 0 for event in seen.events.get(step.pattern.name, ()) if event.ref.file == file]


_EVALUATORS: dict[type, Callable[..., Match]] = {
    schema.PatternCondition: _pattern, schema.StackCondition: _stack, schema.FactCondition: _fact, schema.AllOf: _all, schema.AnyOf: _any,
    schema.Not: _not, schema.Count: _count, schema.Sequence: _sequence,
}  # fmt: skip
