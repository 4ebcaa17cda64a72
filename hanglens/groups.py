"""Process groups over all ranks: what each member recorded of them, side by side."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hanglens.model import COMPLETED, Collective, GroupRecords, GroupStatus, RecorderDump


@dataclass(frozen=True, slots=True)
class Lane:
    """One rank's calls in one group, oldest first; `open` are the rows that are not completed, one for each sequence number."""

    dump: RecorderDump
    records: GroupRecords
    first: int
    last: int
    open: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        """Whose calls these are."""
        return self.dump.rank

    @property
    def unbroken(self) -> bool:
        """Whether each number from the first to the last stands here once."""
        return self.last - self.first + 1 == len(self.records.seqs)

    def row(self, seq: int) -> int | None:
        """The row of a sequence number, the last one of a coalesced call; None if it is not (or no longer) recorded."""
        seqs = self.records.seqs
        row = seq - self.first if self.unbroken else bisect_right(seqs, seq) - 1
        return row if 0 <= row < len(seqs) and seqs[row] == seq else None

    def at(self, row: int) -> Collective:
        """One row as a value of its own."""
        return self.dump.record(self.records, row)

    def ops(self, row: int) -> set[str]:
        """The operations of this row, all of them if it stands for a coalesced call."""
        seqs, calls = self.records.seqs, self.records.calls
        first = row
        while first > 0 and seqs[first - 1] == seqs[row]:
            first -= 1
        return {self.dump.calls[calls[at]].op for at in range(first, row + 1)}

    def call(self, seq: int) -> Collective | None:
        """The record of a sequence number."""
        row = self.row(seq)
        return None if row is None else self.at(row)

    def unfinished(self) -> Iterator[Collective]:
        """The calls that are not completed, oldest first."""
        return map(self.at, self.open)

    def finished(self, seq: int) -> bool:
        """Whether the rank went past this number and has completed it; what it does not record any more it has completed."""
        if seq > self.last:
            return False
        row = self.row(seq)
        return row is None or self.records.states[row] == COMPLETED


@dataclass(frozen=True, slots=True)
class Group:
    """One process group: its members (global ranks, in the order of their ranks in the group), and what each recorded.

    `lanes` are the collectives and `p2p` the point-to-point calls by rank; `status` the counters that a rank's dump ends with.
    """

    name: str
    description: str = ""
    members: tuple[int, ...] = ()
    lanes: Mapping[int, Lane] = field(default_factory=dict)
    p2p: Mapping[int, Lane] = field(default_factory=dict)
    status: Mapping[int, GroupStatus] = field(default_factory=dict)
    trusted: bool = False

    def enqueued(self, rank: int) -> int:
        """The last sequence number the rank enqueued; -1 if it has none that is unfinished and no older one is recorded.

        The counters of pg_status count point-to-point calls too in some versions: they are used where they are `trusted`, that is
        where they agree with the records of another rank.
        """
        lane = self.lanes.get(rank)
        if lane:
            return lane.last
        return self.status[rank].enqueued if self.trusted and rank in self.status else -1

    def unfinished(self) -> list[Collective]:
        """Unfinished collectives of all members, furthest ahead first."""
        return sorted((call for lane in self.lanes.values() for call in lane.unfinished()), key=lambda call: -call.seq)

    @property
    def pending(self) -> bool:
        """Whether any member has an unfinished collective here."""
        return any(lane.open for lane in self.lanes.values())
