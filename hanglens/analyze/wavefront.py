"""Who is waited for: from the call that each rank stands in to the rank at which the waiting begins.

Groups wait for groups: a rank that is late in one may only wait in another. Each rank is taken to stand in its oldest unfinished call,
since a GPU works in the order in which it was given work.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from hanglens.groups import Group, Lane
from hanglens.model import COMPLETED, Collective

# Every rank passes the same number of elements to these; the others may differ legally.
SYMMETRIC = {"all_reduce", "allreduce", "reduce", "broadcast", "_all_gather_base", "all_gather_into_tensor", "_reduce_scatter_base",
             "reduce_scatter_tensor", "barrier", "all_reduce_barrier", "_allgather_base", "_broadcast_oop", "_reduce_oop"}  # fmt: skip
# No rank finishes these before all have begun; the root of a broadcast may.
NEEDS_ALL = SYMMETRIC - {"broadcast", "_broadcast_oop", "reduce", "_reduce_oop"} | {"all_to_all", "all_gather", "reduce_scatter"}

PAIR = 2
_PEER = re.compile(r"(?P<kind>send|recv) (?P<me>\d{1,6})(?:->|<-)(?P<peer>\d{1,6})$")


@dataclass(frozen=True, slots=True)
class Behind:
    """A rank that did not enqueue calls in which others of its group wait.

    `held`: it stands in an unfinished call itself. `unexplained`: it does, but that may not be what keeps it, since peers who stand in a
    call of the same kind went on, or nobody is known whom it waits for there. `many`: most of the group have not made the call, so that
    those who have may be the odd ones.
    """

    rank: int
    group: str
    seq: int
    calls: tuple[Collective, ...]
    held: bool
    unexplained: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The call that a rank stands in, its oldest unfinished one."""

    group: Group
    call: Collective


@dataclass(frozen=True, slots=True)
class _Wait:
    """Where members of a group stand at one of its numbers."""

    absent: frozenset[int] = frozenset()
    inside: tuple[int, ...] = ()
    past: bool = False


@dataclass
class Wavefront:
    """Everything about who waits for whom in these groups.

    `dumped` are the ranks of which there is a dump, `wrapped` those of them whose ring has lost its oldest records.
    """

    groups: Mapping[str, Group]
    dumped: frozenset[int]
    wrapped: frozenset[int] = frozenset()
    _waits: dict[tuple[str, int], _Wait] = field(default_factory=dict)
    _delayed: dict[tuple[str, int], frozenset[int]] = field(default_factory=dict)
    _counts: dict[int, Counter[str]] = field(default_factory=dict)

    @cached_property
    def outdated(self) -> frozenset[int]:
        """Ranks whose dump is older than the others': a call that they had not made yet was completed, which needs all ranks."""
        return frozenset(rank for group in self.groups.values() for rank in _outdated(group))

    @cached_property
    def heads(self) -> dict[int, Head]:
        """The call that each rank stands in, where it has an unfinished one."""
        oldest: dict[int, tuple[int, Group, Lane, int]] = {}
        for group in self.groups.values():
            for lanes in (group.lanes, group.p2p):
                for rank, lane in lanes.items():
                    if lane.open and (rank not in oldest or lane.records.places[lane.open[0]] < oldest[rank][0]):
                        oldest[rank] = lane.records.places[lane.open[0]], group, lane, lane.open[0]
        return {rank: Head(group, lane.at(row)) for rank, (_, group, lane, row) in oldest.items() if rank not in self.outdated}

    @cached_property
    def waits_for(self) -> dict[int, frozenset[int]]:
        """For each rank that stands in a call, the ranks that keep it there; empty where none does, or none is known."""
        return {rank: self._waited(rank, head) for rank, head in self.heads.items()}

    def _waited(self, rank: int, head: Head) -> frozenset[int]:
        if head.call.p2p:
            other = self._other(head)
            queued = other is not None and not other.finished(head.call.seq) and self._elsewhere(other.rank, head)
            return self._owing[rank] or frozenset({other.rank} if other and queued else ())
        wait = self._wait(head.group, head.call)
        if wait.absent or wait.past:
            return wait.absent
        key = head.group.name, head.call.seq
        if key not in self._delayed:
            self._delayed[key] = frozenset(peer for peer in wait.inside if self._elsewhere(peer, head))
        return self._delayed[key]

    def _elsewhere(self, peer: int, head: Head) -> bool:
        """Whether a peer that has made the same call stands in one that it made before."""
        other = self.heads.get(peer)
        return other is not None and (other.group.name, other.call.seq, other.call.p2p) != (head.group.name, head.call.seq, head.call.p2p)

    def _forgot(self, group: Group, rank: int) -> bool:
        """Whether the rank's ring may have held calls of this group and holds none any more: what it made is not known then."""
        return rank in self.wrapped and rank not in group.lanes and not group.counted(rank)

    def _knows(self, group: Group, rank: int) -> bool:
        """Whether it is known what a rank made in a group."""
        return rank in self.dumped and rank not in self.outdated and not self._forgot(group, rank)

    def _wait(self, group: Group, call: Collective) -> _Wait:
        key = group.name, call.seq
        if key not in self._waits:
            known = [rank for rank in group.members if self._knows(group, rank)]
            absent = frozenset(rank for rank in known if group.enqueued(rank) < call.seq)
            present = [rank for rank in known if rank not in absent]
            past = [rank for rank in present if rank in group.lanes and group.lanes[rank].finished(call.seq)]
            inside = tuple(rank for rank in present if rank not in past)
            over = bool(past) and (call.call.op in NEEDS_ALL or len(inside) == 1)
            self._waits[key] = _Wait(absent, inside, over and not absent)
        return self._waits[key]

    @cached_property
    def _owing(self) -> dict[int, frozenset[int]]:
        """For each rank that stands in a point-to-point call, the other sides that have not made their part."""
        return {rank: frozenset(self._silent(head)) for rank, head in self.heads.items() if head.call.p2p}

    def sides(self, head: Head) -> set[int]:
        """The other sides of a point-to-point call, as far as the records of this side name them."""
        return {peer for peer, _ in self._sides(head)}

    def _sides(self, head: Head) -> Iterator[tuple[int, re.Match[str]]]:
        lane, members = head.group.p2p[head.call.rank], head.group.members
        row = lane.row(head.call.seq)
        for own in filter(None, map(_PEER.match, sorted(lane.ops(row)) if row is not None else ())):
            number = int(own["peer"])
            peer = members[number] if number < len(members) else head.call.rank
            if peer != head.call.rank:
                yield peer, own

    def _silent(self, head: Head) -> Iterator[int]:
        lane = head.group.p2p[head.call.rank]
        for peer, own in self._sides(head):
            if peer in self.dumped and peer not in self.outdated and self._lacks(head, lane, peer, own):
                yield peer

    def _lacks(self, head: Head, lane: Lane, peer: int, own: re.Match[str]) -> bool:
        """Whether the peer has made fewer of its parts. In a group of two both sides count alike; in a larger one records are counted."""
        theirs = head.group.p2p.get(peer)
        if theirs is None:
            return peer not in self.wrapped
        if len(head.group.members) == PAIR:
            return theirs.last < head.call.seq
        other = f"recv {own['peer']}<-{own['me']}" if own["kind"] == "send" else f"send {own['peer']}->{own['me']}"
        whole = lane.first <= 1 and theirs.first <= 1
        return (
            self._made(theirs)[other] < self._made(lane)[own[0]] if whole else theirs.last < head.call.seq and not self._made(theirs)[other]
        )

    def _made(self, lane: Lane) -> Counter[str]:
        """How often each operation stands in a lane."""
        key = id(lane)
        if key not in self._counts:
            by_call = Counter(lane.records.calls)
            self._counts[key] = Counter()
            for call, number in by_call.items():
                self._counts[key][lane.dump.calls[call].op] += number
        return self._counts[key]

    def _other(self, head: Head) -> Lane | None:
        """What the other one of a group of two has made. Numbers count alike on both sides only there."""
        members, lanes = head.group.members, head.group.p2p
        lanes_of_others = (lanes[peer] for peer in members if peer != head.call.rank and peer in lanes)
        return next(lanes_of_others, None) if len(members) == PAIR else None

    def _level(self, rank: int) -> bool:
        """It stands in a call that all have made and none has finished: nobody is late there."""
        head = self.heads.get(rank)
        if head is None or not head.call.p2p:
            return head is not None and not self._wait(head.group, head.call).past
        other = self._other(head)
        return other is None or not other.finished(head.call.seq)

    def last(self, rank: int) -> Collective | None:
        """The newest record of a rank."""
        lanes = (lanes[rank] for group in self.groups.values() for lanes in (group.lanes, group.p2p) if rank in lanes)
        newest = max(lanes, key=lambda lane: lane.records.places[-1], default=None)
        return newest.at(len(newest.records.seqs) - 1) if newest else None

    @cached_property
    def behind(self) -> list[Behind]:
        """For each group, the members that have not made the first call in which others stand."""
        found: list[Behind] = []
        for group in self.groups.values():
            for seq, late in sorted(self._late(group).items()):
                calls = [lane.at(row) for lane in group.lanes.values() if (row := lane.row(seq)) is not None and lane.unended(row)]
                many = len(late) > len(calls) or (len(late) == len(calls) > 1)
                found += [self._behind(rank, group.name, calls, many=many) for rank in sorted(late)]
        known = {entry.rank for entry in found}
        for rank, owing in self._owing.items():
            head = self.heads[rank]
            found += [self._behind(peer, head.group.name, [head.call]) for peer in sorted(owing - known)]
        return found

    def _late(self, group: Group) -> Mapping[int, list[int]]:
        """By the number of the first unfinished call that they have not made, the members that are known not to have made it."""
        pending = sorted({seq for lane in group.lanes.values() for seq in lane.pending()})
        late: dict[int, list[int]] = defaultdict(list)
        for rank in group.members:
            following = bisect_right(pending, group.enqueued(rank)) if self._knows(group, rank) else len(pending)
            if following < len(pending):
                late[pending[following]].append(rank)
        return late

    def _behind(self, rank: int, group: str, missed: Sequence[Collective], *, many: bool = False) -> Behind:
        held = bool(self.waits_for.get(rank)) or self._level(rank)
        return Behind(rank, group, missed[0].seq, tuple(missed), held, held and self._unexplained(rank, missed), many)

    def _unexplained(self, rank: int, missed: Sequence[Collective]) -> bool:
        """Peers stand in a call of the same kind as this rank, and made the one that it misses all the same; or nothing keeps it there."""
        if self.heads[rank].call.p2p and not self.waits_for.get(rank):
            return self.dumped.issuperset(self.sides(self.heads[rank]))
        kind = _kind(self.heads[rank])
        peers = ((self.heads[call.rank], call) for call in missed if call.rank in self.heads)
        return any(_kind(peer) == kind and peer.call != call for peer, call in peers)

    @cached_property
    def unfinished_alone(self) -> tuple[int, ...]:
        """Ranks that made every call their peers made, and have not finished one that all others have."""
        behind = {entry.rank for entry in self.behind}
        stuck = (rank for rank in self.heads if rank not in behind and not self.waits_for[rank] and not self._level(rank))
        return tuple(sorted(stuck))

    @cached_property
    def wedged(self) -> tuple[Head, ...]:
        """Calls that all members made and none has finished, in which ranks of other groups see their waiting begin.

        All of them must be known: who left no dump may be the one that is late.
        """
        stuck: dict[tuple[str, int], Head] = {}
        for rank in sorted(frozenset().union(*self.waits_for.values())):
            head = self.heads.get(rank)
            if head and not head.call.p2p and not self.waits_for[rank] and self._level(rank) and self._whole(head.group):
                stuck.setdefault((head.group.name, head.call.seq), head)
        return tuple(stuck.values())

    def _whole(self, group: Group) -> bool:
        """Whether it is known of every member what it made."""
        return all(self._knows(group, rank) for rank in group.members)

    @cached_property
    def ring(self) -> tuple[int, ...]:
        """Ranks each of which waits for the next one, and the last for the first; empty if there is no such ring."""
        among = {rank: [peer for peer in peers if peer in self.heads] for rank, peers in self.waits_for.items()}
        try:
            TopologicalSorter(among).prepare()
        except CycleError as error:
            return tuple(error.args[1][:0:-1])
        return ()


def _kind(head: Head) -> tuple[str, str]:
    """What a call is for, which the ranks of another pipeline stage or replica share: the group's purpose and the operation."""
    return head.group.description, _PEER.sub(r"\g<kind>", head.call.call.op)


def _outdated(group: Group) -> list[int]:
    newest = max(map(_last_needing_all, group.lanes.values()), default=-1)
    return [rank for rank in {*group.lanes, *group.status} if 0 <= group.enqueued(rank) < newest]


def _last_needing_all(lane: Lane) -> int:
    """The last number at which the rank completed a call that needs all ranks; -1 if it records none."""
    records = lane.records
    row = records.states.rfind(COMPLETED)
    while row >= 0 and lane.dump.calls[records.calls[row]].op not in NEEDS_ALL:
        row = records.states.rfind(COMPLETED, 0, row)
    return records.seqs[row] if row >= 0 else -1
