"""Join the flight-recorder dumps of all ranks, group by group."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from hanglens.groups import Group, Lane
from hanglens.model import GroupRecords, GroupStatus, Parsed, RecorderDump

_NOT_COMPLETED = re.compile(rb"[^\x02]")
_Parts = dict[str, list[set[int]]]


def build_groups(parsed: Parsed) -> dict[str, Group]:
    """All process groups by name; groups of one name whose members differ are told apart by their first rank."""
    parts = _parts(parsed)
    found: dict[str, _Draft] = defaultdict(_Draft)
    for name, ranks, description in _distinct(parsed):
        draft = found[_name(parts, name, min(ranks, default=-1))]
        draft.members = _joined(draft.members, ranks)
        draft.description = draft.description or description
    for dump in parsed.recorder_dumps:
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
        return Group(name, self.description, members, self.lanes, self.p2p, status, trusted)


def _joined(ranks: Sequence[int], more: Sequence[int]) -> list[int]:
    """Both, each once, in the order in which they come: that of the ranks in their group."""
    return list(dict.fromkeys([*ranks, *more])) if ranks else list(more)


def _lane(dump: RecorderDump, records: GroupRecords) -> Lane:
    seqs = records.seqs
    rows = (found.start() for found in _NOT_COMPLETED.finditer(records.states))
    last_row = len(seqs) - 1
    # Of a coalesced call only the last record, which stands for all, is told that it has ended.
    pending = tuple(row for row in rows if row == last_row or seqs[row + 1] != seqs[row])
    return Lane(dump, records, min(seqs), max(seqs), pending)


def _distinct(parsed: Parsed) -> list[tuple[str, Sequence[int], str]]:
    """Each list of members once: all the ranks of a group write the same one."""
    return list(dict.fromkeys((entry.group, entry.members, entry.description) for entry in parsed.group_members))


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
