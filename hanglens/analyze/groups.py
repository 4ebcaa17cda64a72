"""Join the flight-recorder dumps of all ranks, group by group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import le, lt

from hanglens.groups import Group, Lane
from hanglens.model import COMPLETED, Gap, GroupRecords, GroupStatus, Parsed, RecorderDump

FAR = 6 * 3600 * 10**9  # nanoseconds between two runs' dumps; a rank that hangs keeps the others from going on for long
ONE_RUN = "give the dumps of one run, one of each rank"
_Parts = dict[str, list[set[int]]]


def of_one_run(parsed: Parsed) -> Parsed:
    """The evidence with one flight-recorder dump for each rank, and what belongs to it."""
    known = [dump for dump in parsed.recorder_dumps if dump.rank >= 0]
    kept, gaps = _one_run(known)
    if not gaps:
        return parsed
    files = {dump.ref.file for dump in kept}
    return replace(
        parsed,
        recorder_dumps=tuple(dump for dump in parsed.recorder_dumps if dump.rank < 0 or dump.ref.file in files),
        group_members=tuple(entry for entry in parsed.group_members if entry.rank is None or entry.ref.file in files),
        group_statuses=tuple(row for row in parsed.group_statuses if row.ref.file in files),
        gaps=(*parsed.gaps, *gaps),
    )


def build_groups(parsed: Parsed) -> dict[str, Group]:
    """All process groups by name; groups of one name whose members differ are told apart by their first rank."""
    parts = _parts(parsed)
    found: dict[str, _Draft] = defaultdict(_Draft)
    for name, ranks, description in _distinct(parsed):
        draft = found[_name(parts, name, min(ranks, default=-1))]
        draft.members = _joined(draft.members, ranks)
        draft.description = draft.description or description
    for dump in sorted(parsed.recorder_dumps, key=lambda dump: dump.rank):  # in whatever order an archive holds them
        for records in dump.groups if dump.rank >= 0 else ():
            draft = found[_name(parts, records.group, dump.rank)]
            (draft.p2p if records.p2p else draft.lanes)[dump.rank] = _lane(dump, records)
            draft.description = draft.description or records.description
    for row in parsed.group_statuses:
        name = _name(parts, row.group, row.rank)
        if name in found:
            found[name].status[row.rank] = row
    return {name: draft.group(name) for name, draft in found.items()}


@dataclass(slots=True)
class _Draft:
    """A group that is being put together."""

    description: str = ""
    members: Sequence[int] = ()
    lanes: dict[int, Lane] = field(default_factory=dict)
    p2p: dict[int, Lane] = field(default_factory=dict)
    status: dict[int, GroupStatus] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        members = tuple(_joined(self.members, sorted({*self.lanes, *self.p2p})))
        own = frozenset(members)
        status = {rank: row for rank, row in self.status.items() if rank in own or not members}
        trusted = any(lane.last == status[rank].enqueued for rank, lane in self.lanes.items() if rank in status)
        lanes, p2p = ({rank: self._described(lane) for rank, lane in lanes.items()} for lanes in (self.lanes, self.p2p))
        return Group(name, self.description, members, lanes, p2p, status, trusted)

    def _described(self, lane: Lane) -> Lane:
        """The lane with what the group is for, which the records of some versions do not repeat."""
        if lane.records.description or not self.description:
            return lane
        return replace(lane, records=replace(lane.records, description=self.description))


def _joined(ranks: Sequence[int], more: Sequence[int]) -> list[int]:
    """Both, each once, in the order in which they come: that of the ranks in their group."""
    return list(dict.fromkeys([*ranks, *more])) if ranks else list(more)


def _lane(dump: RecorderDump, records: GroupRecords) -> Lane:
    records = _last_life(records)
    seqs = records.seqs
    # A communicator works in order: what stands above a finished call is finished, whatever its record says. Of a coalesced call only
    # the last record, which stands for all, is told that it has ended.
    begin = records.states.rfind(COMPLETED) + 1
    rows = range(begin, len(seqs))
    pending = tuple(row for row in rows if row == len(seqs) - 1 or seqs[row + 1] != seqs[row])
    unbroken = seqs[-1] - seqs[0] + 1 == len(seqs) and all(map(lt, seqs, islice(seqs, 1, None)))
    return Lane(dump, records, pending, unbroken)


def _last_life(records: GroupRecords) -> GroupRecords:
    """The rows since the numbers last went down: a group that is destroyed and made anew counts from one again."""
    seqs = records.seqs
    if all(map(le, seqs, islice(seqs, 1, None))):
        return records
    begin = max(row for row in range(1, len(seqs)) if seqs[row] < seqs[row - 1])
    return replace(records, seqs=seqs[begin:], calls=records.calls[begin:], states=records.states[begin:], places=records.places[begin:])


def _one_run(dumps: Sequence[RecorderDump]) -> tuple[list[RecorderDump], list[Gap]]:
    """One dump for each rank, all of one run; a Gap for each of the others.

    Of several dumps of one rank the folder counts that holds the newest one, and of single dumps that were written long before or after
    most, none.
    """
    several = {rank for rank, number in Counter(dump.rank for dump in dumps).items() if number > 1}
    newest = max((dump for dump in dumps if dump.rank in several), key=lambda dump: dump.newest_ns, default=None)
    folder = _folder(newest) if newest else ""
    times = sorted(dump.newest_ns for dump in dumps if dump.newest_ns and not (several and _folder(dump) != folder))
    usual = times[len(times) // 2] if times else 0
    kept: dict[int, RecorderDump] = {}
    gaps: list[Gap] = []
    for dump in dumps:
        double = bool(several) and _folder(dump) != folder and (dump.rank in several or dump.newest_ns < usual - FAR)
        if dump.rank in kept or double:
            gaps.append(Gap(dump.ref.file, "another dump of this rank, or of another run, is newer: this one was left out", ONE_RUN))
        elif dump.newest_ns and abs(dump.newest_ns - usual) > FAR:
            gaps.append(Gap(dump.ref.file, "written hours before or after most of the dumps: another run, left out", ONE_RUN))
        else:
            kept[dump.rank] = dump
    return list(kept.values()), gaps


def _folder(dump: RecorderDump) -> str:
    return dump.ref.file.rpartition("/")[0]


def _distinct(parsed: Parsed) -> list[tuple[str, Sequence[int], str]]:
    """Each list of members once: all the ranks of a group write the same one."""
    by_rank = sorted(parsed.group_members, key=lambda entry: -1 if entry.rank is None else entry.rank)
    return list(dict.fromkeys((entry.group, entry.members, entry.description) for entry in by_rank))


def _parts(parsed: Parsed) -> _Parts:
    """The members of each group name: more than one set where groups of different ranks have the same name."""
    parts: _Parts = defaultdict(list)
    for group, members, _ in _distinct(parsed):
        mine = set(members)
        apart = [part for part in parts[group] if not part & mine]
        parts[group] = [*apart, mine.union(*(part for part in parts[group] if part & mine))]
    return parts


def _name(parts: _Parts, group: str, rank: int) -> str:
    """The group's name, with its first rank where another group has the same name."""
    own = parts.get(group, ())
    if len(own) < 2:
        return group
    part = next((part for part in own if rank in part), None)
    return group if part is None else f"{group} of rank {min(part)}"
