"""Whose dump it is, by what stands in it: for dumps whose name does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hanglens.model import GroupMembers, GroupRecords, RecorderDump

BY_GROUPS = "the one rank that is in all groups of the dump"
BY_PAIRS = "the side that its point-to-point calls speak of"
_PAIR = re.compile(r"(?:send|recv) (?P<me>\d{1,6})(?:->|<-)\d{1,6}$")


def rank_by_content(dump: RecorderDump, members: Sequence[GroupMembers]) -> tuple[int, str]:
    """The rank and how it is known; -1 where the content does not say, or speaks for two.

    A process lists the groups that it is in. The calls of a pair begin with the own side, `send 9->1` and `recv 9<-1`, as a number in the
    group; in the default group, whose members are 0, 1, 2, …, that is the rank.
    """
    shared = _in_all(members)
    whole = {entry.group for entry in members if entry.description == "default_pg" and _counts_from_zero(entry.members)}
    sides = {side for group in dump.groups if group.group in whole for side in _sides(dump, group)}
    if len(sides) == 1 and (sides <= shared or not members):
        return sides.pop(), BY_PAIRS
    if len(shared) == 1 and not sides:
        return shared.pop(), BY_GROUPS
    return -1, ""


def _in_all(members: Iterable[GroupMembers]) -> set[int]:
    """The ranks that stand in every group."""
    shared: set[int] | None = None
    for entry in members:
        shared = set(entry.members) if shared is None else shared.intersection(entry.members)
    return shared or set()


def _counts_from_zero(members: Sequence[int]) -> bool:
    return list(members) == list(range(len(members)))


def _sides(dump: RecorderDump, group: GroupRecords) -> Iterable[int]:
    """The own sides in the names of a group's point-to-point calls."""
    return (int(found["me"]) for call in set(group.calls) if (found := _PAIR.match(dump.calls[call].op)))
