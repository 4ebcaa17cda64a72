"""Flight-recorder dumps whose content does not tell their rank: what the names of a folder tell together, and what stays unknown."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hanglens import number
from hanglens.model import Gap, Parsed, RecorderDump

HOW_KNOWN = "all dumps of its folder are named by numbers, which fit"
HOW_TO_NAME = "keep the names that PyTorch gives the dumps: they end with the rank"

_NUMBER = re.compile(r"\d{1,6}$")


def with_numbered_dumps(parsed: Parsed) -> Parsed:
    """The evidence with the ranks that plain numbers tell, and a Gap for the dumps of which no rank can be told."""
    if all(dump.rank >= 0 for dump in parsed.recorder_dumps):
        return parsed
    numbers = dict(_numbers(parsed))
    dumps = tuple(_named(dump, numbers) for dump in parsed.recorder_dumps)
    nameless = [dump.ref.file for dump in dumps if dump.rank < 0]
    return replace(
        parsed,
        recorder_dumps=dumps,
        group_members=tuple(replace(e, rank=numbers.get(e.ref.file, e.rank)) for e in parsed.group_members),
        group_statuses=tuple(replace(row, rank=numbers.get(row.ref.file, row.rank)) for row in parsed.group_statuses),
        gaps=(*parsed.gaps, *_gaps(nameless)),
    )


def _named(dump: RecorderDump, numbers: Mapping[str, int]) -> RecorderDump:
    return replace(dump, rank=numbers[dump.ref.file], how_known=HOW_KNOWN) if dump.rank < 0 and dump.ref.file in numbers else dump


def _numbers(parsed: Parsed) -> Iterator[tuple[str, int]]:
    """The numbers of folders in which every dump is named by one that its content does not contradict.

    None at all where two folders would give the same number: each host counts its own ranks from 0, or they are two sets of dumps.
    """
    found = list(_of_folders(parsed))
    numbers = Counter(rank for _, rank in found)
    if all(times == 1 for times in numbers.values()):
        yield from found


def _of_folders(parsed: Parsed) -> Iterator[tuple[str, int]]:
    folders: dict[str, list[RecorderDump]] = defaultdict(list)
    for dump in parsed.recorder_dumps:
        folders[dump.ref.file.rpartition("/")[0]].append(dump)
    members: dict[str, list[Sequence[int]]] = defaultdict(list)
    for entry in parsed.group_members:
        members[entry.ref.file].append(entry.members)
    for dumps in folders.values():
        names = [dump.ref.file.rpartition("/")[2] for dump in dumps]
        numbers = [number.rank(name) if _NUMBER.match(name) else None for name in names]
        ranks = [rank for dump, rank in zip(dumps, numbers, strict=True) if rank is not None and _fits(dump, rank, members[dump.ref.file])]
        if len(dumps) > 1 and len(set(ranks)) == len(dumps):
            yield from zip((dump.ref.file for dump in dumps), ranks, strict=True)


def _fits(dump: RecorderDump, rank: int, groups: Sequence[Sequence[int]]) -> bool:
    """Whether a number may be the dump's rank: it is in each of the groups, and there are some."""
    return dump.rank in (-1, rank) and bool(groups) and all(rank in members for members in groups)


def _gaps(nameless: Sequence[str]) -> Iterator[Gap]:
    if nameless:
        shown = ", ".join(nameless[:3]) + (", …" if len(nameless) > 3 else "")
        what = f"{len(nameless)} flight-recorder dump{'s' * (len(nameless) > 1)} ({shown})"
        yield Gap(what, "of which no rank could be told: neither name nor content says it", HOW_TO_NAME)
