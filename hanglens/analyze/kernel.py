"""Whether the kernel log speaks of this job: a dmesg goes back for weeks, and names other jobs' processes too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from hanglens import number
from hanglens.analyze.cite import cite_event
from hanglens.incident import Incident
from hanglens.model import Event, Parsed
from hanglens.verdict import Fact

BEFORE = 60.0  # seconds before the first line of the job's logs from which on a kernel line may belong to it
_OF_PROCESSES = re.compile(r"oom-kill|[Kk]illed process|[Oo]ut of memory|segfault|general protection|blocked for more than|state:D\b")


def kernel_facts(incident: Incident) -> Iterator[Fact]:
    """rank.gone for ranks that the kernel killed; kernel.of_others if all it says is of other processes or of earlier times."""
    events = [event for event in incident.parsed.events if event.name.startswith("kernel.")]
    if not events:
        return
    rank_of = incident.rank_of_pid()
    for event in events:
        rank = rank_of.get(_pid(event) or 0)
        if event.name == "kernel.oom_kill" and rank is not None:
            yield Fact(name="rank.gone", ranks=(rank,), values={"how": "kernel", "exit_code": -9}, evidence=(cite_event(event),))
    ours = {m.pid for m in (*incident.members, *incident.others)} | {p.pid for p in incident.parsed.processes}
    began = _began(incident)
    if all(_foreign(event, ours - {None}) or _before(event, began) for event in events):
        yield Fact(name="kernel.of_others", evidence=tuple(map(cite_event, events[:3])))


def without_earlier_kills(parsed: Parsed) -> Parsed:
    """The evidence without what the kernel did to processes before the job was started; what it says of the hardware still counts."""
    told = [collection.began for collection in parsed.collections if collection.began is not None]
    if not told:
        return parsed

    def counts(event: Event) -> bool:
        past = event.source == "kernel" and _before(event, min(told))
        return not (past and (event.name == "log.error" or _OF_PROCESSES.search(event.text)))

    return replace(parsed, events=tuple(filter(counts, parsed.events)))


def _pid(event: Event) -> int | None:
    return number.pid(event.fields.get("pid"))


def _foreign(event: Event, ours: set[int | None]) -> bool:
    pid = _pid(event)
    return bool(ours) and pid is not None and pid not in ours


def _before(event: Event, began: float | None) -> bool:
    return began is not None and event.time is not None and event.time.dated and event.time.seconds < began - BEFORE


def _began(incident: Incident) -> float | None:
    """When the job was started, as its host says; else when the first line of its own logs was printed."""
    told = [collection.began for collection in incident.parsed.collections if collection.began is not None]
    if told:
        return min(told)
    logs = [about for about in incident.parsed.inputs if not about.kind.startswith("kernel")]
    return min((about.first_time.seconds for about in logs if about.first_time and about.first_time.dated), default=None)
