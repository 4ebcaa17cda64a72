"""Where each log ends and each stack stands, and which errors came first: what a triager looks at before anything else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from hanglens.analyze.cite import cite_event, cite_frame
from hanglens.incident import Incident
from hanglens.model import Event, Input
from hanglens.verdict import Evidence, Fact

LAST = 4  # lines of a log's end that are shown
MOST = 12  # lines in all
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)(?::|$)|: (?:[\w.]*Error|NCCL error)")
_SPOKEN = re.compile(r"\w{3}")


def ending_facts(incident: Incident) -> Iterator[Fact]:
    """log.end, error.first and stack.stands."""
    logs = [about for about in incident.parsed.inputs if about.tail and not about.kind.startswith(("stack", "/proc", "nvidia", "NCCL RAS"))]
    logs = [
        about for about in logs if not incident.parsed.collections or "logs/" in about.file
    ]  # a bundle has its logs in a folder of theirs
    each = max(1, min(LAST, MOST // max(len(logs), 1)))
    ends = [line for about in logs for line in _end(about, each)]
    if ends:
        yield Fact(name="log.end", values={"files": len(logs)}, evidence=tuple(ends[:MOST]))
    yield from _first_errors(incident)
    yield from _stands(incident)


def _end(about: Input, number: int) -> list[Evidence]:
    """The last different lines with words in them."""
    told = [event for event in about.tail if _SPOKEN.search(event.text)]
    different = {event.text[-120:]: event for event in told}
    return [cite_event(event) for event in list(different.values())[-number:]]


def _first_errors(incident: Incident) -> Iterator[Fact]:
    by_file: dict[str, list[Event]] = defaultdict(list)
    for event in incident.parsed.events:
        if event.name == "log.error" and _is_error(event):
            by_file[event.ref.file].append(event)
    firsts = [event for events in by_file.values() for event in events[:3]]
    if firsts:
        firsts.sort(key=lambda event: (event.time is None, event.time.seconds if event.time else 0.0))
        yield Fact(name="error.first", values={"files": len(by_file)}, evidence=tuple(cite_event(event) for event in firsts[:MOST]))


def _is_error(event: Event) -> bool:
    if event.level in ("ERROR", "FATAL") or (event.source == "nccl" and event.level == "WARN"):
        return True
    return bool(_EXCEPTION.search(event.text.strip()))


def _stands(incident: Incident) -> Iterator[Fact]:
    members = [m for m in (*incident.members, *incident.others) if m.standing]
    cited = [
        cite_frame(frame, m.standing.stack, m.rank)
        for m in members[:4]
        if m.standing
        for frame in dict.fromkeys((m.standing.stack.frames[0], m.standing.at, *m.standing.landmarks))
        if frame
    ]
    if cited:
        ranks = tuple(m.rank for m in members if m.rank is not None)
        yield Fact(name="stack.stands", ranks=ranks, values={"of": len(members)}, evidence=tuple(cited))
