"""PyTorch's flight recorder: the ring of collectives that one rank's process groups kept, as pickle or JSON.

Format: PyTorch `torch/csrc/distributed/c10d/FlightRecorder*` (`NCCLUtils`, `TraceUtils.h` before 2.5), versions 1 (a bare
list, torch 2.2) and 2.1 to 2.10. The files are untrusted: `hanglens.pickles` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import BinaryIO

import msgspec

from hanglens import number
from hanglens.model import Gap, GroupMembers, GroupStatus, Parsed, RecorderDump, SourceRef
from hanglens.parse.blocks import Place
from hanglens.parse.dump_rank import rank_by_content
from hanglens.parse.records import Columns, as_integer, as_scalar
from hanglens.pickles import MOST_CONTAINERS, is_pickle, load_plain
from hanglens.streams import read_most

LARGEST = 1 << 30  # bytes; the ring of 2000 records takes less than one MiB
MOST_RECORDS = 200_000
MOST_MEMBERS = 1 << 20

HOW_TO_GET = (
    "set TORCH_NCCL_TRACE_BUFFER_SIZE=2000 and TORCH_NCCL_DUMP_ON_TIMEOUT=1, or write 1 to the pipe of TORCH_NCCL_DEBUG_INFO_PIPE_FILE"
)

_JSON_START = re.compile(rb'\s*(?:\{\s*"|\[\s*\{\s*")')
_JSON_KEYS = re.compile(rb'"(?:pg_config|pg_status|profiling_name|collective_seq_id)"')
_NUMBER = re.compile(r"[0-9]{1,9}")


def is_flight_recorder(head: bytes) -> bool:
    """Whether the first 4 KiB of a file are a pickle, or the JSON form of a dump."""
    return is_pickle(head) or bool(_JSON_START.match(head) and _JSON_KEYS.search(head))


def load_dump(stream: BinaryIO, size: int) -> bytes:
    """The bytes of a dump, at most LARGEST; no more than that is read of a larger one. Raises only what the stream raises."""
    return read_most(stream, LARGEST + 1) if size <= LARGEST else b""


def parse_flight_recorder(data: bytes, place: Place, size: int, *, confined: bool = False) -> Parsed:
    """Read one rank's dump of `size` bytes; what cannot be read becomes a Gap. `confined` as for `load_plain`."""
    try:
        dump = _understand(_read(data, size, confined=confined))
    except ValueError as error:
        return Parsed(gaps=(Gap(place.file, str(error), HOW_TO_GET),))
    columns = Columns()
    columns.read(dump.entries, first=max(len(dump.entries) - MOST_RECORDS, 0))
    names = _Names(dump, columns.named())
    told = _told(dump, columns, names, place)
    return Parsed(
        group_members=tuple(_members(dump, told.rank, told.ref)),
        group_statuses=tuple(_statuses(dump, told.rank, names, told.ref)),
        recorder_dumps=(told,),
        gaps=tuple(_gaps(dump, columns.number, place.file)),
    )


def _told(dump: _Dump, columns: Columns, names: _Names, place: Place) -> RecorderDump:
    """The dump as a value, with the rank that its name or its content tells."""
    rank, how_known = _rank(dump, place)
    calls, groups, ref = tuple(columns.calls), tuple(columns.groups(names.name)), SourceRef(place.file)
    told = RecorderDump(rank, ref, columns.number, dump.version, how_known, calls, groups, _newest(dump.entries), _wrapped(dump.entries))
    if rank < 0:
        rank, how_known = rank_by_content(told, _members(dump, rank, ref))
    return replace(told, rank=rank, how_known=how_known)


@dataclass(frozen=True, slots=True)
class _Dump:
    """A dump of any version. `config` is by process-group name, `status` by the process's own number of the group."""

    version: str
    entries: list[object]
    config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    status: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    rank: int | None = None


def _read(data: bytes, size: int, *, confined: bool) -> object:
    if max(size, len(data)) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB: not read")
    if not data.strip():
        raise ValueError("is empty: the rank wrote no records")
    if is_pickle(data):
        return load_plain(data, confined=confined)
    if data.count(b"{") + data.count(b"[") > MOST_CONTAINERS:
        raise ValueError(f"holds more than {MOST_CONTAINERS} lists and objects: not read")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"is damaged: {error}") from error


def _understand(content: object) -> _Dump:
    if isinstance(content, list) and (not content or (isinstance(content[0], dict) and "profiling_name" in content[0])):
        return _Dump("1", content)
    if not isinstance(content, dict) or not {"entries", "pg_config", "pg_status"} & content.keys():
        raise ValueError("holds plain data, and no flight-recorder records")
    entries, rank = content.get("entries"), content.get("rank")
    return _Dump(
        version=str(as_scalar(content.get("version")) or ""),
        entries=entries if isinstance(entries, list) else [],
        config=_tables(content.get("pg_config")),
        status=_tables(content.get("pg_status")),
        rank=number.counted(rank, number.MOST_RANKS - 1),
    )


def _tables(value: object) -> dict[str, Mapping[str, object]]:
    rows = value.items() if isinstance(value, dict) else ()
    return {str(as_scalar(name)): row for name, row in rows if isinstance(row, dict)}


def _rank(dump: _Dump, place: Place) -> tuple[int, str]:
    if place.rank is not None:
        return place.rank, "file name"
    return (dump.rank, "rank in the dump") if dump.rank is not None else (-1, "")


def _newest(entries: list[object]) -> int:
    """When the last record was made, in nanoseconds since the epoch; 0 where it does not say."""
    last = entries[-1] if entries else None
    return as_integer(last.get("time_created_ns"), 0) if isinstance(last, dict) else 0


def _wrapped(entries: list[object]) -> bool:
    """Whether older records were overwritten: a ring that begins late, and not one that keeps only what is unfinished."""
    first = entries[0] if entries else None
    begins_late = isinstance(first, dict) and as_integer(first.get("record_id"), 0) > 0
    return begins_late and any(isinstance(entry, dict) and entry.get("state") == "completed" for entry in entries)


def _gaps(dump: _Dump, read: int, file: str) -> list[Gap]:
    unread = len(dump.entries) - read
    return [Gap(file, f"{unread} of {len(dump.entries)} records could not be read", HOW_TO_GET)] if unread > 0 else []


class _Names:
    """Process-group names by the process's own number of the group, which differs from rank to rank.

    Only the records tie the two together. A number that no record names stands for the name that looks alike only if
    every record agrees; otherwise it becomes `local:<number>`, which no other rank shares.
    """

    def __init__(self, dump: _Dump, named: Iterable[tuple[int, str]]) -> None:
        self._names = {str(number): name for number, name in named}
        self._configured = {_group_name(key, row) for key, row in dump.config.items()}
        self._alike = all(number == name for number, name in self._names.items())
        if dump.config.get("0", {}).get("desc") == "default_pg":
            self._names.setdefault("0", _group_name("0", dump.config["0"]))

    def name(self, number: str) -> str:
        """The name of the group that the process knows by this number."""
        known = self._names.get(number)
        if known is None:
            known = number if self._alike and number in self._configured else f"local:{number}"
        return known


def _group_name(key: str, row: Mapping[str, object]) -> str:
    return str(as_scalar(row.get("name")) or key)


def _members(dump: _Dump, rank: int, ref: SourceRef) -> list[GroupMembers]:
    rows = ((_group_name(key, row), _ranks(row.get("ranks")), str(as_scalar(row.get("desc")) or "")) for key, row in dump.config.items())
    return [GroupMembers(name, ranks, ref, rank if rank >= 0 else None, about) for name, ranks, about in rows if ranks]


def _ranks(value: object) -> Sequence[int]:
    """`"[0, 1]"` (as PyTorch writes it) or a list."""
    if isinstance(value, str):
        return _ranks_of_text(value)
    told = (number.counted(rank, number.MOST_RANKS - 1) for rank in value) if isinstance(value, (list, tuple)) else ()
    return _evenly(tuple(rank for rank in told if rank is not None))


@lru_cache(maxsize=64)
def _ranks_of_text(text: str) -> Sequence[int]:
    told = (number.rank(found[0]) for found in islice(_NUMBER.finditer(text), MOST_MEMBERS))
    return _evenly(tuple(rank for rank in told if rank is not None))


def _evenly(ranks: tuple[int, ...]) -> Sequence[int]:
    """Ranks at equal distances as a range: each of thousands of dumps lists thousands of them."""
    step = ranks[1] - ranks[0] if len(ranks) > 1 else 0
    evenly = range(ranks[0], ranks[-1] + 1, step) if step > 0 else ()
    return evenly if len(evenly) == len(ranks) and tuple(evenly) == ranks else ranks


def _statuses(dump: _Dump, rank: int, names: _Names, ref: SourceRef) -> list[GroupStatus]:
    def count(row: Mapping[str, object], what: str) -> int:
        return as_integer(row.get(f"last_{what}_collective"), -1)

    return [
        GroupStatus(rank, names.name(number), count(row, "enqueued"), count(row, "started"), count(row, "completed"), ref)
        for number, row in dump.status.items()
    ]
