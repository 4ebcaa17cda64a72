"""PyTorch's flight recorder: the ring of collectives that one rank's process groups kept, as pickle or JSON.

Format: PyTorch `torch/csrc/distributed/c10d/FlightRecorder*` (`NCCLUtils`, `TraceUtils.h` before 2.5), versions 1 (a bare
list, torch 2.2) and 2.1 to 2.10. The files are untrusted: `hanglens.parse.pickles` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, TypeGuard

import msgspec

from hanglens.model import Collective, Frame, Gap, GroupMembers, GroupStatus, Parsed, RecorderDump, SourceRef
from hanglens.parse.blocks import Place
from hanglens.parse.pickles import MOST_CONTAINERS, is_pickle, load_plain

LARGEST = 1 << 30  # bytes; the ring of 2000 records takes less than one MiB
MOST_RECORDS = 200_000
MOST_FRAMES = 256
SHORT = 8  # a list of so many elements is quicker converted than looked up

HOW_TO_GET = (
    "set TORCH_NCCL_TRACE_BUFFER_SIZE=2000 and TORCH_NCCL_DUMP_ON_TIMEOUT=1, or write 1 to the pipe of TORCH_NCCL_DEBUG_INFO_PIPE_FILE"
)
HOW_TO_NAME = "keep the names that PyTorch gives the dumps: they end with the rank"

_JSON_START = re.compile(rb'\s*(?:\{\s*"|\[\s*\{\s*")')
_JSON_KEYS = re.compile(rb'"(?:pg_config|pg_status|profiling_name|collective_seq_id)"')
_NUMBER = re.compile(r"\d{1,9}")


def is_flight_recorder(head: bytes) -> bool:
    """Whether the first 4 KiB of a file are a pickle, or the JSON form of a dump."""
    return is_pickle(head) or bool(_JSON_START.match(head) and _JSON_KEYS.search(head))


def parse_flight_recorder(stream: BinaryIO, place: Place, size: int) -> Parsed:
    """Read one rank's dump of `size` bytes. What cannot be read becomes a Gap; raises only what the stream raises."""
    try:
        dump = _understand(_read(stream, size))
    except ValueError as error:
        return Parsed(gaps=(Gap(place.file, str(error), HOW_TO_GET),))
    rank, how_known = _rank(dump, place)
    groups = _Groups(dump)
    reader = _Reader(rank, place.file, groups)
    collectives = tuple(reader.collective(entry, i) for i, entry in enumerate(dump.entries[:MOST_RECORDS]) if _is_record(entry))
    ref = SourceRef(place.file)
    return Parsed(
        collectives=collectives,
        group_members=tuple(_members(dump, rank, ref)),
        group_statuses=tuple(_statuses(dump, rank, groups, ref)),
        recorder_dumps=(RecorderDump(rank, ref, len(collectives), dump.version, how_known),),
        gaps=tuple(_gaps(dump, rank, len(collectives), place.file)),
    )


@dataclass(frozen=True, slots=True)
class _Dump:
    """A dump of any version. `config` is by process-group name, `status` by the process's own number of the group."""

    version: str
    entries: list[object]
    config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    status: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    rank: int | None = None


def _read(stream: BinaryIO, size: int) -> object:
    data = stream.read(LARGEST + 1) if size <= LARGEST else b""
    if size > LARGEST or len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB: not read")
    if not data.strip():
        raise ValueError("is empty: the rank wrote no records")
    if is_pickle(data):
        return load_plain(data)
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
        version=str(_scalar(content.get("version")) or ""),
        entries=entries if isinstance(entries, list) else [],
        config=_tables(content.get("pg_config")),
        status=_tables(content.get("pg_status")),
        rank=rank if type(rank) is int else None,
    )


def _tables(value: object) -> dict[str, Mapping[str, object]]:
    rows = value.items() if isinstance(value, dict) else ()
    return {str(_scalar(name)): row for name, row in rows if isinstance(row, dict)}


def _scalar(value: object) -> str | int | float | None:
    """The value, or None for a container: no text is ever made of those, since they may nest without end."""
    return value if isinstance(value, (str, int, float)) and value.__class__ is not bool else None


def _integer(value: object, default: int) -> int:
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value) else default


def _rank(dump: _Dump, place: Place) -> tuple[int, str]:
    if place.rank is not None:
        return place.rank, "file name"
    return (dump.rank, "rank in the dump") if dump.rank is not None else (-1, "")


def _gaps(dump: _Dump, rank: int, read: int, file: str) -> list[Gap]:
    unread = len(dump.entries) - read
    unknown = Gap(file, "neither its name nor its content tells the rank", HOW_TO_NAME)
    partial = Gap(file, f"{unread} of {len(dump.entries)} records could not be read", HOW_TO_GET)
    return [gap for gap, holds in ((unknown, rank < 0), (partial, unread > 0)) if holds]


class _Groups:
    """Process-group names by the process's own number of the group, which differs from rank to rank.

    Only the records tie the two together. A number that no record names stands for the name that looks alike only if
    every record agrees; otherwise it becomes `local:<number>`, which no other rank shares.
    """

    def __init__(self, dump: _Dump) -> None:
        self._names: dict[str, str] = {}
        seen: set[int] = set()
        for entry in filter(_is_record, dump.entries[:MOST_RECORDS]):
            number = entry.get("pg_id")
            if type(number) is int and number not in seen and (name := _group_of(entry)[0]):
                seen.add(number)
                self._names[str(number)] = name
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


def _is_record(entry: object) -> TypeGuard[dict[str, object]]:
    return isinstance(entry, dict)


def _group_name(key: str, row: Mapping[str, object]) -> str:
    return str(_scalar(row.get("name")) or key)


def _group_of(entry: Mapping[str, object]) -> tuple[str, str]:
    """Name and description of a record's process group; empty where the version does not keep them."""
    group = entry.get("process_group")
    if not isinstance(group, (list, tuple)) or len(group) != 2:
        return "", ""
    name, description = group
    return name if isinstance(name, str) else "", description if isinstance(description, str) else ""


def _members(dump: _Dump, rank: int, ref: SourceRef) -> list[GroupMembers]:
    rows = ((_group_name(key, row), _ranks(row.get("ranks")), str(_scalar(row.get("desc")) or "")) for key, row in dump.config.items())
    return [GroupMembers(name, ranks, ref, rank if rank >= 0 else None, about) for name, ranks, about in rows if ranks]


def _ranks(value: object) -> tuple[int, ...]:
    """`"[0, 1]"` (as PyTorch writes it) or a list."""
    if isinstance(value, str):
        return tuple(map(int, _NUMBER.findall(value)))
    return tuple(x for x in value if type(x) is int) if isinstance(value, (list, tuple)) else ()


def _statuses(dump: _Dump, rank: int, groups: _Groups, ref: SourceRef) -> list[GroupStatus]:
    def count(row: Mapping[str, object], what: str) -> int:
        return _integer(row.get(f"last_{what}_collective"), -1)

    return [
        GroupStatus(rank, groups.name(number), count(row, "enqueued"), count(row, "started"), count(row, "completed"), ref)
        for number, row in dump.status.items()
    ]


class _Reader:
    """Turns the records of one dump into values.

    Long lists that several records share (by identity, as a pickle keeps it) are walked once: otherwise a small file could
    ask for endless work.
    """

    def __init__(self, rank: int, file: str, groups: _Groups) -> None:
        self._rank, self._file, self._groups = rank, file, groups
        self._long_sizes: dict[int, tuple[tuple[int, ...], ...]] = {}
        self._long_shapes: dict[int, tuple[int, ...]] = {}
        self._long_texts: dict[int, tuple[str, ...]] = {}
        self._stacks: dict[tuple[int, ...], tuple[Frame, ...]] = {}

    def collective(self, entry: dict[str, object], record: int) -> Collective:
        """The record as a value; what is missing in it or of another type is left at its default."""
        get = entry.get
        name, description = _group_of(entry)
        p2p = get("is_p2p") is True
        seq = get("p2p_seq_id") if p2p else get("collective_seq_id", get("seq_id"))
        op, state = get("profiling_name"), get("state")
        return Collective(
            rank=self._rank,
            group=name or self._groups.name(str(_integer(get("pg_id"), -1))),
            seq=_integer(seq, -1),
            op=_op(op) if isinstance(op, str) else "",
            state=state if isinstance(state, str) else "",
            ref=SourceRef(self._file, None, record),
            description=description,
            input_sizes=self._tensors(get("input_sizes")),
            output_sizes=self._tensors(get("output_sizes")),
            dtypes=self._names(get("input_dtypes")),
            frames=self._stack(get("frames")),
            record_id=_integer(get("record_id"), 0),
            p2p=p2p,
            retired=get("retired") is True,
            created_ns=_integer(get("time_created_ns"), 0),
        )

    def _tensors(self, value: object) -> tuple[tuple[int, ...], ...]:
        if not isinstance(value, list):
            return ()
        if len(value) <= SHORT:
            return tuple([self._shape(shape) for shape in value])
        known = self._long_sizes.get(id(value))
        if known is None:
            known = self._long_sizes[id(value)] = tuple([self._shape(shape) for shape in value])
        return known

    def _shape(self, value: object) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)):
            return ()
        if len(value) <= SHORT:
            return tuple([size for size in value if type(size) is int])
        known = self._long_shapes.get(id(value))
        if known is None:
            known = self._long_shapes[id(value)] = tuple([size for size in value if type(size) is int])
        return known

    def _names(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            return ()
        if len(value) <= SHORT:
            return tuple([text for text in value if isinstance(text, str)])
        known = self._long_texts.get(id(value))
        if known is None:
            known = self._long_texts[id(value)] = tuple([text for text in value if isinstance(text, str)])
        return known

    def _stack(self, value: object) -> tuple[Frame, ...]:
        if not isinstance(value, list) or not value:
            return ()
        frames = value[:MOST_FRAMES]
        key = tuple(map(id, frames))
        known = self._stacks.get(key)
        if known is None:
            known = self._stacks[key] = tuple([_frame_of(frame) for frame in frames if isinstance(frame, dict)])
        return known


def _frame_of(frame: Mapping[str, object]) -> Frame:
    function, file, line = frame.get("name"), frame.get("filename"), frame.get("line")
    return _frame(str(_scalar(function) or ""), str(_scalar(file) or ""), line if type(line) is int else None)


@lru_cache(maxsize=16384)
def _frame(function: str, file: str, line: int | None) -> Frame:
    """One Frame for all ranks that stand there; the record that it came from is its Collective's."""
    return Frame(function, file, line)


@lru_cache(maxsize=4096)
def _op(profiling_name: str) -> str:
    """`nccl:send 1->2` is `send 1->2`."""
    backend, colon, op = profiling_name.partition(":")
    return op if colon and backend.isidentifier() else profiling_name
