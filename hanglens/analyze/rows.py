"""The tables of the diagnosis: ranks, waits, stack groups, communicators, inputs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from hanglens.analyze.cite import spelled
from hanglens.analyze.recorder import differences, wavefront
from hanglens.analyze.stacks import moved
from hanglens.analyze.stages import stage_of_ranks
from hanglens.analyze.unjoined import told_calls
from hanglens.analyze.waiting import frame_of
from hanglens.groups import Group, Lane
from hanglens.incident import Incident, Member
from hanglens.model import Collective, Event, Stack
from hanglens.verdict import (
    MOST_LANES,
    CollectiveCell,
    CommunicatorTable,
    Fact,
    InputRow,
    LastEvent,
    RankRow,
    RankStateName,
    StackGroup,
    Wait,
)

FRAMES = 40  # of a stack group that are shown from either end
AROUND = 3  # sequence numbers shown on each side of the odd call
MOST_TABLES = 24  # groups whose calls are shown
MOST_WAITS = 50_000  # pairs of ranks; half of a large job may wait for the other half

Facts = Mapping[str, Sequence[Fact]]


def rank_rows(incident: Incident, facts: Facts) -> tuple[RankRow, ...]:
    """One row for each rank of the job, whether anything of it was collected or not."""
    states = _states(facts)
    stages = stage_of_ranks(incident)
    last = _last_events(incident)
    calls = {rank: head.call for rank, head in wavefront(incident).heads.items()}

    nameless = any(dump.rank < 0 for dump in incident.parsed.recorder_dumps)  # any rank's dump may be among those without a rank

    def row(member: Member) -> RankRow:
        rank = member.rank or 0
        stage, event, call = stages.get(rank), last.get(rank), calls.get(rank)
        state = states.get(rank) or _state_of(member)
        return RankRow(
            rank=rank, host=member.host, pid=member.pid, device=member.device, collected=member.collected or nameless,
            how_known=member.how_known, state="waiting" if call and rank not in states and state == "unknown" else state,
            stage=getattr(stage, "title", None), last_event=_last_event(event) if event else None, waiting_in=_waiting_in(member, call),
        )  # fmt: skip

    return tuple(map(row, incident.members))


def _waiting_in(member: Member, call: Collective | None) -> str | None:
    """The call, by its records, and the frame in which it is seen to wait."""
    frame = frame_of(member)
    if call is None or (frame and member.standing and not member.standing.waits_for_others):
        return frame
    return f"{spelled(call)}, seen in {frame}" if frame else spelled(call)


def _last_event(event: Event) -> LastEvent:
    return LastEvent(text=event.text, file=event.ref.file, line=event.ref.line, time=event.time.text if event.time else None)


def _states(facts: Facts) -> dict[int, RankStateName]:
    states: dict[int, RankStateName] = {}
    names: tuple[tuple[str, RankStateName], ...] = (
        ("rank.missing_from_collective", "running"), ("collective.timeout", "waiting"), ("rank.failed", "failed"),
        ("rank.no_process", "gone"), ("rank.gone", "gone"), ("rank.traced", "stopped"), ("rank.stopped", "stopped"),
    )  # fmt: skip
    for name, state in names:
        for fact in facts.get(name, ()):
            silent = fact.values.get("how") == "flight-recorder" and state == "running"  # which tells what it made, and not what it does
            states.update(dict.fromkeys(fact.ranks, "unknown" if silent else "waiting" if fact.values.get("parked") else state))
    return states


def _state_of(member: Member) -> RankStateName:
    standing = member.standing
    if standing is None:
        return "unknown"
    if standing.waits_for_others or standing.kind in ("rendezvous", "rpc-wait"):
        return "waiting"
    return "idle" if standing.kind == "idle" else "running"


def _last_events(incident: Incident) -> dict[int, Event]:
    last: dict[int, Event] = {}
    for about in incident.parsed.inputs:
        for event in about.tail if about.kind.endswith("log") else ():
            rank = event.speaker.rank
            if rank is not None and not (rank in last and _earlier(event, last[rank])):
                last[rank] = event
    return last


def _earlier(a: Event, b: Event) -> bool:
    if a.ref.file == b.ref.file:
        return (a.ref.line or 0) < (b.ref.line or 0)
    return not (a.time and b.time and a.time.dated == b.time.dated and a.time.seconds >= b.time.seconds)


def waits(incident: Incident, facts: Facts) -> tuple[Wait, ...]:
    """Who waits for whom, those to blame first.

    Members of a collective wait for the absent, callers for their workers; without stacks, by the flight recorders.
    """
    calls = {rank: head.call for rank, head in wavefront(incident).heads.items()}
    waiting = [
        (m.rank or 0, _waiting_in(m, calls.get(m.rank or 0)) or "") for m in incident.members if m.standing and m.standing.waits_for_others
    ]
    names = ("rank.missing_from_collective", "rank.stopped", "rank.gone")
    awaited = dict.fromkeys(rank for name in names for fact in facts.get(name, ()) for rank in fact.ranks)
    pairs = (Wait(who=who, for_whom=rank, in_what=what) for rank in awaited for who, what in waiting if who != rank)
    found = list(islice(pairs, MOST_WAITS))
    for caller in incident.others:
        if caller.standing and caller.standing.kind == "rpc-wait":
            busy = [m for m in incident.members if not (m.standing and m.standing.kind == "idle")] or incident.members
            found += [Wait(who=f"pid {caller.pid}", for_whom=m.rank or 0, in_what=frame_of(caller) or "") for m in busy]
    return tuple(dict.fromkeys(found or _recorded_waits(incident, list(awaited))))


def _recorded_waits(incident: Incident, awaited: Sequence[int]) -> Iterator[Wait]:
    """By the flight recorders, in the order in which the ranks are awaited."""
    front, place = wavefront(incident), {rank: n for n, rank in enumerate(awaited)}
    edges = (
        (place.get(peer, len(place)), front.heads[rank].call.p2p, rank, peer) for rank, peers in front.waits_for.items() for peer in peers
    )
    for _, _, rank, peer in islice(sorted(edges), MOST_WAITS):
        yield Wait(who=rank, for_whom=peer, in_what=spelled(front.heads[rank].call))


def stack_groups(incident: Incident) -> tuple[StackGroup, ...]:
    """Processes whose working threads stand in the same calls, largest group first."""
    by_place: dict[tuple[tuple[str, str], ...], list[Member]] = defaultdict(list)
    for member in (*incident.members, *incident.others):
        if member.standing:
            by_place[tuple((f.function, f.file) for f in member.standing.stack.frames)].append(member)
    rows = [_stack_group(same) for same in by_place.values()]
    return tuple(sorted(rows, key=lambda row: (-len(row.ranks), row.ranks)))


def _stack_group(same: list[Member]) -> StackGroup:
    standing = same[0].standing
    sampled = [m for m in same if len(m.standings) > 1]
    return StackGroup(
        ranks=tuple(m.rank for m in same if m.rank is not None),
        processes=tuple(f"pid {m.pid}" for m in same if m.rank is None),
        frames=_frames(standing.stack) if standing else (),
        waiting_in=standing.kind if standing else None,
        moving=any(map(moved, sampled)) if sampled else None,
    )


def _frames(stack: Stack) -> tuple[str, ...]:
    told = tuple(frame.text or frame.function for frame in stack.frames)
    return told if len(told) <= 2 * FRAMES else (*told[:FRAMES], f"… {len(told) - 2 * FRAMES} frames", *told[-FRAMES:])


def communicators(incident: Incident) -> tuple[CommunicatorTable, ...]:
    """Process groups of the flight recorder with the calls around the last ones, those told of first; communicators of NCCL and RAS."""
    dumped = {dump.rank for dump in incident.parsed.recorder_dumps}
    told = {found.group.name for found in told_calls(wavefront(incident))}
    shown = (group for group in incident.groups.values() if group.lanes)
    groups = sorted(shown, key=lambda group: (group.name not in told, *_interest(group, dumped)))
    differ = {str(fact.values["name"]): int(fact.values["seq"]) for fact in differences(incident) if "seq" in fact.values}
    found = [_group_table(group, dumped if number < MOST_TABLES else None, differ.get(group.name)) for number, group in enumerate(groups)]
    known: dict[str, set[int]] = defaultdict(set)
    ranks = incident.rank_of_pid()
    for event in incident.parsed.events:
        if event.name == "nccl.init":
            rank = ranks.get(event.speaker.pid or 0)  # the line itself counts ranks within the communicator
            known[event.fields["id"].removeprefix("0x")] |= set() if rank is None else {rank}
    for report in incident.parsed.ras_reports:
        for communicator in report.communicators:
            known[communicator.id] |= (
                set(range(communicator.size)) if communicator.size and communicator.size == incident.world_size else set()
            )
    found += [CommunicatorTable(id=name, name="NCCL", members=tuple(sorted(members))) for name, members in known.items() if members]
    return tuple(found)


def _interest(group: Group, dumped: set[int]) -> tuple[bool, bool]:
    """Groups that wait come first, and those whose members are apart before those that are level."""
    return not group.pending, len({group.enqueued(rank) for rank in group.members if rank in dumped}) == 1


def _group_table(group: Group, dumped: set[int] | None, differs_at: int | None) -> CommunicatorTable:
    """The table of one group; without its cells if `dumped`, the ranks of which there are dumps, is not given."""
    cells = () if dumped is None else tuple(_cells(group, dumped, differs_at))
    return CommunicatorTable(id=group.name, name=group.description, members=tuple(sorted(group.members)), divergence=cells)


def _cells(group: Group, dumped: set[int], differs_at: int | None) -> Iterator[CollectiveCell]:
    """The calls around the oldest at which members differ, else the first that not all made, else the last."""
    late = {rank: group.enqueued(rank) for rank in group.members if rank in dumped} if group.pending else {}
    least = min(late.values(), default=0)
    waiting = [seq for lane in group.lanes.values() for seq in lane.pending() if seq > least]
    middle = min(waiting, default=max(lane.last for lane in group.lanes.values())) if differs_at is None else differs_at
    numbers = range(middle - AROUND, middle + AROUND + 1)
    usual = _usual(group, middle)
    shown = _shown(group, middle)
    for call in filter(None, (lane.call(seq) for lane in shown for seq in numbers)):
        yield _cell(call, odd=call.seq == middle and usual not in ("", _shape(call)))
    made = sorted({seq for lane in shown for seq in numbers if lane.row(seq) is not None})
    for rank in [rank for rank, last in late.items() if last < middle][:MOST_LANES]:
        for seq in (seq for seq in made if seq > late[rank]):
            yield CollectiveCell(rank=rank, seq=seq, op="", state="not called", odd=True)


def _shown(group: Group, middle: int) -> list[Lane]:
    """The lanes of the table: all of a small group; of a large one those that differ from most, and a few of the others."""
    lanes = [lane for _, lane in sorted(group.lanes.items())]
    if len(lanes) <= MOST_LANES:
        return lanes
    calls = {lane.rank: lane.call(middle) for lane in lanes}
    looks = {rank: (_shape(call), call.state) if call else None for rank, call in calls.items()}
    most = Counter(looks.values()).most_common(1)[0][0]
    odd = [lane for lane in lanes if looks[lane.rank] != most][:MOST_LANES]
    usual = [lane for lane in lanes if looks[lane.rank] == most][: max(MOST_LANES - len(odd), 2)]
    return sorted([*odd, *usual], key=lambda lane: lane.rank)


def _shape(call: Collective) -> str:
    return f"{call.call.op} {call.call.sizes}"


def _usual(group: Group, seq: int) -> str:
    """What most members call at this number; nothing where no half of them agrees."""
    seen = Counter(_shape(call) for call in (lane.call(seq) for lane in group.lanes.values()) if call)
    if not seen:
        return ""
    shape, number = seen.most_common(1)[0]
    return shape if 2 * number > seen.total() else ""


def _cell(call: Collective, *, odd: bool) -> CollectiveCell:
    return CollectiveCell(
        rank=call.rank, seq=call.seq, op=call.call.op, state=call.state, size=call.call.sizes, odd=odd, file=call.ref.file,
        record=call.ref.record,
    )  # fmt: skip


def input_rows(incident: Incident) -> tuple[InputRow, ...]:
    """Every file that was looked at."""
    return tuple(
        InputRow(file=i.file, kind=i.kind, bytes=i.bytes, lines=i.lines, rank=i.rank, how_known=i.how_known) for i in incident.parsed.inputs
    )
