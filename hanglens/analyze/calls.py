"""Workers that do not come back from a call: the caller waits for all of them, the others have answered and idle."""

from __future__ import annotations

from collections.abc import Iterator

from hanglens.analyze.blocked import inside, parked, reads_file, slow_work, wait_of
from hanglens.analyze.cite import cite, cite_frame, unique
from hanglens.analyze.stacks import counts_of
from hanglens.incident import Incident, Member
from hanglens.verdict import Evidence, Fact


def call_facts(incident: Incident) -> Iterator[Fact]:
    """rank.holds_up_call: only where the rank waits for a file or a lock and was not scheduled once between two samples."""
    callers = [m for m in incident.others if m.standing and m.standing.kind == "rpc-wait"]
    workers = [m for m in incident.members if m.standing]
    idle = [m for m in workers if m.standing and m.standing.kind == "idle"]
    busy = [m for m in workers if m not in idle]
    if not callers or not idle or any(m.standing and m.standing.waits_for_others for m in busy):
        return
    for member in busy:
        if parked(member) and _in_its_own(member):
            yield _fact(incident, member, callers[0])


def _in_its_own(member: Member) -> bool:
    """Whether what it waits for is a file or a lock in code of its own; a child process, a server or a device may answer at any moment."""
    standing = member.standing
    if standing is None or standing.kind not in ("own", "weights") or slow_work(member):
        return False
    plain = not any(frame.file.endswith(".py") for frame in inside(standing))
    return plain and (wait_of(member) in ("open", "lock") or bool(reads_file(member)))


def _fact(incident: Incident, member: Member, caller: Member) -> Fact:
    standing, waits_in = member.standing, caller.standing
    return Fact(
        name="rank.holds_up_call", ranks=(member.rank,) if member.rank is not None else (),
        pids=(member.pid,) if member.pid is not None else (), evidence=unique([*_frames(member), *_frames(caller), *_counts(member)]),
        values={
            "where": standing.at.text if standing and standing.at else "?", "call": waits_in.at.text if waits_in and waits_in.at else "?",
            "wait": wait_of(member), "pid": str(member.pid or "PID"), "of": incident.world_size or len(incident.members),
        },
    )  # fmt: skip


def _frames(member: Member) -> list[Evidence]:
    standing = member.standing
    frames = [standing.at, *standing.landmarks] if standing else []
    return [cite_frame(frame, standing.stack, member.rank) for frame in dict.fromkeys(frames) if frame and standing]


def _counts(member: Member) -> list[Evidence]:
    states = counts_of(member, member.standing) if member.standing else []
    return [cite(state.ref, state.text, member.rank) for state in (states[:1] + states[-1:])]
