"""Calls that a rank's dump leaves unfinished and its peers' dumps do not, on a rank that is behind besides.

What it proves: a call that needs every rank ends on none before it has begun on all. So the GPU of the rank had come as far as the last of
these calls, and nobody saw them end there: the GPU ended in an error or stands still in that last one, or what notes the ends (the
watchdog thread) stands still, or the dump was written before the others. It does not prove which of these it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hanglens.analyze.wavefront import NEEDS_ALL, Wavefront
from hanglens.groups import Group, Lane
from hanglens.model import Collective


@dataclass(frozen=True, slots=True)
class Lag:
    """The calls of one group, oldest first, that a rank has not finished and all its peers have."""

    group: Group
    calls: tuple[Collective, ...]

    @property
    def text(self) -> str:
        """The calls in words."""
        first, last = self.calls[0].seq, self.calls[-1].seq
        numbers = f"#{first} … #{last}" if last > first else f"#{first}"
        return f"{numbers} (group {self.group.title})"


def lag_of(front: Wavefront, rank: int) -> Lag | None:
    """The longest such row of calls; None if the rank has none."""
    found = (Lag(group, calls) for group in front.groups.values() if (calls := tuple(_unfinished(group, rank))))
    return max(found, key=lambda lag: len(lag.calls), default=None)


def _unfinished(group: Group, rank: int) -> Iterator[Collective]:
    """Up to the last one that needs all ranks: what stands before it in the group has ended, too, wherever it has."""
    own = group.lanes.get(rank)
    if own is None:
        return
    peers = [lane for lane in group.lanes.values() if lane.rank != rank]
    ended = [row for row in own.open if peers and _ended(own, row, peers)]
    yield from (own.at(row) for row in own.open if ended and row <= ended[-1])


def _ended(own: Lane, row: int, peers: list[Lane]) -> bool:
    seq = own.records.seqs[row]
    return own.ops(row) <= NEEDS_ALL and all(peer.finished(seq) for peer in peers)
