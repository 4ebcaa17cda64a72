"""Process groups over all ranks: what each member recorded of them, side by side."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hanglens.model import Collective, GroupRecords, GroupStatus, RecorderDump


def titled(name: str, description: str) -> str:
    """A group as people are told of it: its name, which often is a number, and what it is for.

    >>> titled("37", "TENSOR_MODEL_PARALLEL_GROUP")
    '37, TENSOR_MODEL_PARALLEL_GROUP'
    """
    return name if description in ("", "undefined", name) else f"{name}, {description}"


@dataclass(frozen=True, slots=True)
class Lane:
    """One rank's calls in one group, oldest first, their numbers never going down.

    `open` are the rows that are not finished, one for each number; `unbroken` says that each number from the first to the last stands
    here once.
    """

    dump: RecorderDump
    records: GroupRecords
    open: tuple[int, ...] = ()
    unbroken: bool = False

    @property
    def rank(self) -> int:
        """Whose calls these are."""
        return self.dump.rank

    @property
    def first(self) -> int:
        """The oldest number."""
        return self.records.seqs[0]

    @property
    def last(self) -> int:
        """The newest number."""
        return self.records.seqs[-1]

    def row(self, seq: int) -> int | None:
        """The row of a number, the last one of a coalesced call; None if it is not (or no longer) recorded."""
        seqs = self.records.seqs
        row = seq - seqs[0] if self.unbroken else bisect_right(seqs, seq) - 1
        return row if 0 <= row < len(seqs) and seqs[row] == seq else None

    def rows(self, row: int) -> range:
        """All rows of the number that ends with this row: of a coalesced call its parts, and the record that closes it."""
        seqs, first = self.records.seqs, row
        while first > 0 and seqs[first - 1] == seqs[row]:
            first -= 1
        return range(first, row + 1)

    def at(self, row: int) -> Collective:
        """The call of a number as a value: what its first record called, as far as its last one, which closes it, has come."""
        return self.dump.record(self.records, self.rows(row)[0], row)

    def ops(self, row: int) -> set[str]:
        """The operations of all rows of a number."""
        return {self.dump.calls[self.records.calls[at]].op for at in self.rows(row)}

    def call(self, seq: int) -> Collective | None:
        """The call of a number."""
        row = self.row(seq)
        return None if row is None else self.at(row)

    def unfinished(self) -> Iterator[Collective]:
        """The calls that are not finished, oldest first."""
        return map(self.at, self.open)

    def pending(self) -> list[int]:
        """The numbers of these."""
        return [self.records.seqs[row] for row in self.open]

    def unended(self, row: int) -> bool:
        """Whether a row is one of the unfinished; there may be hundreds of thousands, in ascending order."""
        at = bisect_left(self.open, row)
        return at < len(self.open) and self.open[at] == row

    def finished(self, seq: int) -> bool:
        """Whether the rank went past this number and has finished it; what it does not record any more it has finished."""
        if seq > self.last:
            return False
        row = self.row(seq)
        return row is None or not self.unended(row)


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

    @property
    def title(self) -> str:
        """Its name, and what it is for."""
        return titled(self.name, self.description)

    def enqueued(self, rank: int) -> int:
        """The last sequence number the rank enqueued; -1 if it has none that is unfinished and no older one is recorded.

        The counters of pg_status count point-to-point calls too in some versions: they are used where they are `trusted`, that is
        where they agree with the records of another rank.
        """
        lane = self.lanes.get(rank)
        if lane:
            return lane.last
        return self.status[rank].enqueued if self.counted(rank) else -1

    def counted(self, rank: int) -> bool:
        """Whether the rank's counters of this group can be believed."""
        return self.trusted and rank in self.status

    def unfinished(self) -> list[Collective]:
        """Unfinished collectives of all members, furthest ahead first."""
        return sorted((call for lane in self.lanes.values() for call in lane.unfinished()), key=lambda call: -call.seq)

    @property
    def pending(self) -> bool:
        """Whether any member has an unfinished collective here."""
        return any(lane.open for lane in self.lanes.values())
