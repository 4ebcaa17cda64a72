"""How far the start-up of an engine came: copies of each stage's line against the ranks that should print it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hanglens.analyze.cite import cite_event
from hanglens.incident import Incident
from hanglens.knowledge.tables import Stage, Track, load_tracks
from hanglens.model import Event
from hanglens.verdict import Fact


@dataclass(frozen=True, slots=True)
class Progress:
    """One stage as the logs show it: who printed it, and of how many it is expected."""

    stage: Stage
    events: tuple[Event, ...]
    named: frozenset[int]
    expected: int

    @property
    def copies(self) -> int:
        """Ranks that printed it; lines that name no rank count one each."""
        return len(self.named) + sum(1 for event in self.events if event.rank is None)

    @property
    def complete(self) -> bool:
        """Everybody who should have printed it did."""
        return self.copies >= self.expected


def track_of(incident: Incident) -> Track | None:
    """The track whose own marks the logs show most, if any."""
    seen = [event.name for event in incident.parsed.events if event.name.startswith("mark:")]
    tracks = [(sum(name.startswith(f"mark:{track.name}#") for name in seen), track) for track in load_tracks()]
    ranked = sorted(((number, track) for number, track in tracks if number), key=lambda item: -item[0])
    executor = [track for _, track in ranked if track.name.startswith("lmdeploy-") and track.name != "lmdeploy-legacy"]
    return executor[0] if executor else ranked[0][1] if ranked else None


def progress(incident: Incident, track: Track) -> list[Progress]:
    """All stages of the track in order, with what the logs show of each."""
    world = incident.world_size or 0
    by_name: dict[str, list[Event]] = {}
    for event in incident.parsed.events:
        by_name.setdefault(event.name, []).append(event)
    rows = []
    for stage in track.stages:
        events = tuple(by_name.get(stage.pattern.name, ()))
        named = frozenset(rank for event in events if (rank := event.rank) is not None) if stage.each else frozenset()
        rows.append(Progress(stage, events, named, max(world, 1) if stage.each else 1))
    return rows


def stage_facts(incident: Incident) -> Iterator[Fact]:
    """stage.reached, stage.short and stage.stuck_between of the track that the logs show."""
    track = track_of(incident)
    if track is None:
        return
    rows = progress(incident, track)
    for row in rows:
        if row.copies:
            yield Fact(
                name="stage.reached", ranks=tuple(sorted(row.named)), of_all=row.complete, evidence=tuple(map(cite_event, row.events[:6])),
                values={"value": row.stage.id, "engine": track.engine, "complete": row.complete, "have": row.copies, "of": row.expected},
            )  # fmt: skip
    yield from _short(incident, track, rows)
    yield from _stuck(incident, track, rows)


def _short(incident: Incident, track: Track, rows: list[Progress]) -> Iterator[Fact]:
    """The last stage that some ranks printed and some did not: those without it are short of it.

    Not the first stage that the log shows, since its other copies may stand above the cut; and none that a complete stage follows,
    since the copies that lack were then only not printed.
    """
    seen = [n for n, row in enumerate(rows) if row.copies]
    passed = max((n for n in seen if rows[n].complete), default=-1)
    partial = [n for n in seen[1:] if n > passed]
    if (incident.world_size or 0) < 2 or not partial:
        return
    row = rows[partial[-1]]
    named = frozenset().union(*(rows[n].named for n in partial))
    everyone = frozenset(range(row.expected))
    told = len(named) == row.copies or (named and len(named) >= max(rows[n].copies for n in partial))
    short = tuple(sorted(everyone - named)) if told else ()
    evidence = [cite_event(event) for n in partial for event in rows[n].events[: row.expected]]
    yield Fact(
        name="stage.short", ranks=short, evidence=tuple(evidence[:10]),
        values={"value": row.stage.id, "engine": track.engine, "have": row.copies, "of": row.expected},
    )  # fmt: skip


def _stuck(incident: Incident, track: Track, rows: list[Progress]) -> Iterator[Fact]:
    """Everybody passed the last stage that anybody printed, and its program printed nothing afterwards."""
    reached = [n for n, row in enumerate(rows) if row.copies]
    if not reached or reached[-1] + 1 >= len(rows) or not rows[reached[-1]].complete:
        return
    row, following = rows[reached[-1]], rows[reached[-1] + 1]
    if not row.stage.call or not _silent_after(incident, row):
        return
    yield Fact(
        name="stage.stuck_between", ranks=tuple(sorted(row.named)), of_all=row.stage.each, evidence=tuple(map(cite_event, row.events[-6:])),
        values={"value": row.stage.id, "engine": track.engine, "next": following.stage.id, "call": row.stage.call,
                "collective": row.stage.collective},
    )  # fmt: skip


def _silent_after(incident: Incident, row: Progress) -> bool:
    """No line of the same program stands below the stage's last line in the same file."""
    last = row.events[-1]
    tail = next((about.tail for about in incident.parsed.inputs if about.file == last.ref.file), ())
    return not any(event.source == last.source and (event.ref.line or 0) > (last.ref.line or 0) for event in tail)


def stage_of_ranks(incident: Incident) -> dict[int, Stage]:
    """The last stage each rank is known to have reached."""
    track = track_of(incident)
    reached: dict[int, Stage] = {}
    for row in progress(incident, track) if track else []:
        everyone = range(incident.world_size or 0) if row.complete and row.stage.each else ()
        for rank in {*row.named, *everyone}:
            reached[rank] = row.stage
    return reached
