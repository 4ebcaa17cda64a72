"""What the flight-recorder dumps of all ranks say together: who called something else, who is late, whether all are level."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from hanglens.analyze.cite import cite, cite_collective
from hanglens.analyze.lagging import lag_of
from hanglens.analyze.mismatches import inverted_orders, mismatches
from hanglens.analyze.wavefront import Wavefront
from hanglens.groups import Group, titled
from hanglens.incident import Incident
from hanglens.verdict import Fact


@lru_cache(maxsize=1)
def wavefront(incident: Incident) -> Wavefront:
    """Who waits for whom, by the dumps of this incident. Several analyses ask for it."""
    dumps = incident.parsed.recorder_dumps
    return Wavefront(incident.groups, frozenset(dump.rank for dump in dumps), frozenset(dump.rank for dump in dumps if dump.wrapped))


@lru_cache(maxsize=1)
def differences(incident: Incident) -> tuple[Fact, ...]:
    """Calls that differ between the members of a group, and groups that two ranks entered in opposite order."""
    late = {(entry.group, entry.seq) for entry in wavefront(incident).behind}
    return (
        *(fact for group in incident.groups.values() for fact in mismatches(group)),
        *inverted_orders(incident.groups, late),
    )


def recorder_facts(incident: Incident) -> Iterator[Fact]:
    """Mismatches and inverted orders; where there are none, what only may be wrong, and equality. `missing` tells who is late."""
    yield from _empty(incident)
    if len(incident.parsed.recorder_dumps) < 2:
        return
    yield from differences(incident)
    if not differences(incident):
        front = wavefront(incident)
        for analysis in (_ring, _late, _extra, _alone, _lagging, _wedged):
            yield from analysis(front)
        yield from _all_equal(incident)


def _empty(incident: Incident) -> Iterator[Fact]:
    """Dumps that were read and hold no collective; not those of which records are lost, or that keep only what is unfinished."""
    damaged = {gap.what for gap in incident.parsed.gaps}
    went = {row.rank for row in incident.parsed.group_statuses if row.enqueued > 0}
    for dump in incident.parsed.recorder_dumps:
        if not dump.records and dump.rank >= 0 and dump.rank not in went and dump.ref.file not in damaged:
            text = f"rank {dump.rank}: no collective was recorded before the dump"
            yield Fact(name="recorder.empty", ranks=(dump.rank,), evidence=(cite(dump.ref, text, dump.rank),))


def _all_equal(incident: Incident) -> Iterator[Fact]:
    """Every rank of every group enqueued the same, and something is unfinished."""
    unfinished = [call for group in incident.groups.values() for lane in group.lanes.values() for call in lane.unfinished()]
    if not unfinished or not all(map(_level, incident.groups.values())):
        return
    yield Fact(
        name="collective.all_equal", ranks=tuple(sorted({call.rank for call in unfinished})),
        values={"how": "flight-recorder", "sizes": True}, evidence=tuple(cite_collective(call) for call in unfinished[:4]),
    )  # fmt: skip


def _level(group: Group) -> bool:
    """All members are known to have enqueued as much; one member alone is compared with nobody."""
    return len({group.enqueued(rank) for rank in group.members}) == 1 and (len(group.members) > 1 or not group.pending)


def _ring(front: Wavefront) -> Iterator[Fact]:
    """Ranks each of which waits for the next one in a call of another group, and the last for the first."""
    calls = [front.heads[rank].call for rank in front.ring]
    if calls:
        steps = [f"rank {call.rank} ({call.call.op}, group {titled(call.group, call.about)})" for call in (*calls, calls[0])]
        yield Fact(
            name="collective.ring", ranks=front.ring, values={"ring": " → ".join(steps)}, evidence=tuple(map(cite_collective, calls)),
        )  # fmt: skip


def _late(front: Wavefront) -> Iterator[Fact]:
    """Ranks that stand in a call themselves, which may not be what makes them late. One fact for each rank."""
    told: set[int] = set()
    for entry in front.behind:
        if entry.unexplained and entry.rank not in told:
            told.add(entry.rank)
            own = front.heads[entry.rank].call
            yield Fact(
                name="rank.maybe_late", ranks=(entry.rank,), evidence=tuple(map(cite_collective, (*entry.calls[:2], own))),
                values={"op": entry.calls[0].call.op, "group": front.groups[entry.group].title, "seq": entry.seq, "own": own.call.op,
                        "own_group": titled(own.group, own.about)},
            )  # fmt: skip


def _extra(front: Wavefront) -> Iterator[Fact]:
    """A call that few members of a group made and most did not, who wait for nobody: it may be one too many."""
    seen: set[tuple[str, int]] = set()
    for entry in front.behind:
        if entry.many and not entry.held and (entry.group, entry.seq) not in seen:
            seen.add((entry.group, entry.seq))
            made = tuple(sorted(call.rank for call in entry.calls))
            yield Fact(
                name="collective.extra_call", ranks=made, evidence=tuple(map(cite_collective, entry.calls[:4])),
                values={"op": entry.calls[0].call.op, "group": front.groups[entry.group].title, "seq": entry.seq, "made": len(made)},
            )  # fmt: skip


def _alone(front: Wavefront) -> Iterator[Fact]:
    """What every other member has finished is unfinished on these ranks: their GPU may be stuck, or their dump is a moment older."""
    for rank in front.unfinished_alone:
        head = front.heads[rank]
        peers = [lane.call(head.call.seq) for lane in (head.group.p2p if head.call.p2p else head.group.lanes).values() if lane.rank != rank]
        yield Fact(
            name="rank.unfinished_alone", ranks=(rank,), evidence=tuple(cite_collective(call) for call in (head.call, *peers[:2]) if call),
            values={"op": head.call.call.op, "group": head.group.title, "seq": head.call.seq},
        )  # fmt: skip


def _lagging(front: Wavefront) -> Iterator[Fact]:
    """Ranks that are behind, and whose dump leaves calls unfinished besides which all their peers have finished."""
    for rank in sorted({entry.rank for entry in front.behind if not entry.held and not entry.many}):
        lag = lag_of(front, rank)
        if lag:
            first, last, number = lag.calls[0], lag.calls[-1], len(lag.calls)
            peers = [lane.call(last.seq + 1) for lane in lag.group.lanes.values() if lane.rank != rank]
            yield Fact(
                name="rank.unfinished_behind", ranks=(rank,), evidence=tuple(map(cite_collective, filter(None, (first, last, *peers[:2])))),
                values={"group": lag.group.title, "op": first.call.op, "seq": first.seq, "last": last.seq, "number": number},
            )  # fmt: skip


def _wedged(front: Wavefront) -> Iterator[Fact]:
    """A group whose members all stand in one call, for which ranks outside of it wait."""
    for head in front.wedged:
        calls = [call for call in (lane.call(head.call.seq) for lane in head.group.lanes.values()) if call]
        ranks = tuple(sorted(call.rank for call in calls))
        yield Fact(
            name="collective.wedged_group", ranks=ranks, evidence=tuple(map(cite_collective, calls[:4])),
            values={"op": head.call.call.op, "group": head.group.title, "seq": head.call.seq, "of": len(head.group.members)},
        )  # fmt: skip
