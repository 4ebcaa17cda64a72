"""The one call to tell of: of all that a rank, or members without a dump, may hold up, the one in which most ranks stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from hanglens.analyze.cite import spelled
from hanglens.analyze.wavefront import Behind, Head, Wavefront
from hanglens.groups import Group
from hanglens.model import Collective


@dataclass(frozen=True, slots=True)
class Unjoined:
    """A call that some members of a group wait in.

    `waiting` are the records of those who wait, by rank; `members` all that take part, and `silent` those of them of whom no dump is there.
    """

    group: Group
    waiting: tuple[Collective, ...]
    members: tuple[int, ...]
    silent: tuple[int, ...]

    @property
    def call(self) -> Collective:
        """The call, as the first of those who wait recorded it."""
        return self.waiting[0]

    @property
    def text(self) -> str:
        """The call in words."""
        return spelled(self.call)


def unjoined_by(front: Wavefront, rank: int) -> Unjoined | None:
    """Of the calls that a rank has not made the one in which most others stand, and of several the one that they made first."""
    entries = [entry for entry in front.behind if entry.rank == rank and not entry.held and not entry.many]
    entry = max(entries, key=lambda entry: (_standing(front, entry), -min(call.ref.record or 0 for call in entry.calls)), default=None)
    if entry is None:
        return None
    group, waiting = front.groups[entry.group], tuple(sorted(entry.calls, key=lambda call: call.rank))
    members = tuple(sorted({rank, waiting[0].rank})) if waiting[0].p2p else group.members
    return _unjoined(front, group, waiting, members)


def told_calls(front: Wavefront) -> list[Unjoined]:
    """The calls that are told of: of the ranks that are late, else of the members without a dump."""
    late = (unjoined_by(front, rank) for rank in dict.fromkeys(entry.rank for entry in front.behind))
    return list(filter(None, late)) or list(filter(None, [unjoined_by_silent(front)]))


def _standing(front: Wavefront, entry: Behind) -> int:
    """How many ranks stand in the call now, and have not only launched it."""
    return sum(call.rank in front.heads and front.heads[call.rank].call == call for call in entry.calls)


def unjoined_by_silent(front: Wavefront) -> Unjoined | None:
    """The call in which most ranks stand and of which a member has left no dump; nothing where there is none."""
    found: dict[tuple[str, int, tuple[int, ...]], list[Head]] = defaultdict(list)
    for rank in sorted(front.heads):
        head = front.heads[rank]
        for members in _taking_part(front, head):
            if not front.dumped.issuperset(members):
                found[head.group.name, head.call.seq, members].append(head)
    heads = max(found.items(), key=lambda item: (len(item[1]), -item[1][0].call.rank), default=None)
    if heads is None:
        return None
    (_, _, members), standing = heads
    return _unjoined(front, standing[0].group, tuple(head.call for head in standing), members)


def _taking_part(front: Wavefront, head: Head) -> Iterator[tuple[int, ...]]:
    """All members of the group; of a point-to-point call its two sides."""
    if not head.call.p2p:
        yield head.group.members
    for peer in front.sides(head) if head.call.p2p else ():
        yield tuple(sorted({head.call.rank, peer}))


def _unjoined(front: Wavefront, group: Group, waiting: tuple[Collective, ...], members: tuple[int, ...]) -> Unjoined:
    return Unjoined(group, waiting, members, tuple(sorted(set(members) - front.dumped)))
