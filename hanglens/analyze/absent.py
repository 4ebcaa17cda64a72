"""Who may be missing because nothing of them is there, and whether everybody waits alike: what is left where nobody is seen to be late."""

from __future__ import annotations

from collections.abc import Iterator

from hanglens.analyze.blocked import polls, runs
from hanglens.analyze.cite import cite_collective, unique
from hanglens.analyze.own_records import cite_members
from hanglens.analyze.recorder import wavefront
from hanglens.analyze.stages import stage_facts, track_of
from hanglens.analyze.unjoined import unjoined_by_silent
from hanglens.analyze.waiting import awaited_call, everyone, standing_evidence, waiting_members
from hanglens.analyze.watchdog import timeouts
from hanglens.incident import Incident
from hanglens.verdict import Fact


def absent_facts(incident: Incident) -> Iterator[Fact]:
    """rank.maybe_missing by every kind of evidence, and wedge.symmetric."""
    yield from _undumped(incident)
    yield from _maybe(incident)
    yield from _symmetric(incident)


def _undumped(incident: Incident) -> Iterator[Fact]:
    """Members of a call in which others stand, of whom there is no dump."""
    found = unjoined_by_silent(wavefront(incident))
    if found:
        yield Fact(
            name="rank.maybe_missing", ranks=found.silent,
            values={"how": "flight-recorder", "op": found.call.call.op, "of": incident.world_size or len(incident.members),
                    "call": found.text, "group": found.group.title, "joined": len(found.waiting), "members": len(found.members)},
            evidence=(*map(cite_collective, found.waiting[:4]), *cite_members(incident, found)),
        )  # fmt: skip


def _maybe(incident: Incident) -> Iterator[Fact]:
    """All that speaks against these ranks is that nothing of them is there while others wait."""
    printed = {t.rank for t in timeouts(incident)}
    world = incident.world_size or 0
    waiting = waiting_members(incident)
    unseen = {m.rank or 0 for m in incident.members if not m.collected} if any(m.rank is not None for m in waiting) else set()
    for how, absent, op in (
        ("watchdog", set(range(world)) - printed if 0 < world - len(printed) < world else set(), _timeout_op(incident)),
        ("stage", _short_ranks(incident), "the next stage"),
        ("stack", unseen, awaited_call(waiting)),
    ):
        if absent and len(absent) <= world / 2:
            evidence = tuple(e for fact in stage_facts(incident) if how == "stage" and fact.name == "stage.short" for e in fact.evidence)
            yield Fact(
                name="rank.maybe_missing", ranks=tuple(sorted(absent)), values={"how": how, "op": op, "of": world}, evidence=evidence
            )


def _short_ranks(incident: Incident) -> set[int]:
    return {rank for fact in stage_facts(incident) if fact.name == "stage.short" for rank in fact.ranks}


def _timeout_op(incident: Incident) -> str:
    return next((t.op for t in timeouts(incident)), "a collective")


def _symmetric(incident: Incident) -> Iterator[Fact]:
    """Everybody of whom there should be a stack waits in the same kind of place."""
    present = everyone(incident)
    waiting = waiting_members(incident)
    world = incident.world_size or 0
    if len(waiting) < 2 or len(waiting) != len(present) or len(waiting) < world or any(map(polls, waiting)):
        return
    stuck = next((fact for fact in stage_facts(incident) if fact.name == "stage.stuck_between" and fact.values["collective"]), None)
    places = {m.standing.at.function for m in waiting if m.standing and m.standing.at}
    if len(places) > 1 or (stuck is None and (places == {"synchronize"} or any(map(runs, waiting)))):
        return
    track = track_of(incident)
    evidence = [e for m in waiting[:4] for e in standing_evidence(m)] + list(stuck.evidence if stuck else ())
    yield Fact(
        name="wedge.symmetric", of_all=True, evidence=unique(evidence)[:12],
        ranks=tuple(sorted(m.rank for m in waiting if m.rank is not None)),
        values={"op": places.pop(), "of": len(waiting), "first": stuck is not None, "stage": str(stuck.values["value"]) if stuck else "",
                "engine": track.engine if track else ""},
    )  # fmt: skip
