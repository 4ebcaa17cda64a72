"""Who waits for the others, by the stacks of all processes, and in what."""

from __future__ import annotations

from collections.abc import Sequence

from hanglens.analyze.cite import cite_frame
from hanglens.incident import Incident, Member
from hanglens.verdict import Evidence


def everyone(incident: Incident) -> list[Member]:
    """The ranks of which there is a stack; where no rank is known, the processes."""
    known = [m for m in incident.members if m.standings]
    return known or [m for m in incident.others if m.standings]


def waiting_members(incident: Incident) -> list[Member]:
    """Those of them that wait for the others."""
    return [m for m in everyone(incident) if m.standing and m.standing.waits_for_others]


def awaited_call(waiting: Sequence[Member]) -> str:
    """What they call: the wait for the GPU says least."""
    names = [m.standing.at.function for m in waiting if m.standing and m.standing.at]
    return next((name for name in names if name != "synchronize"), names[0] if names else "")


def standing_evidence(member: Member) -> list[Evidence]:
    """The frames that tell where a process stands."""
    standing = member.standing
    if standing is None:
        return []
    frames = [standing.at, *standing.landmarks]
    return [cite_frame(frame, standing.stack, member.rank) for frame in dict.fromkeys(frames) if frame]


def frame_of(member: Member) -> str | None:
    """The frame that tells what it waits in."""
    standing = member.standing
    return standing.at.text or standing.at.function if standing and standing.at else None
