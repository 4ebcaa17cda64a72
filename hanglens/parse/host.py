"""Listings of a host: processes (`ps` in any column layout, `top -b`) and the size of /dev/shm (`df`); also in the middle of a log.

Format: procps 3 and 4, coreutils `df`, and lines `PID ppid=PPID STATE COMMAND`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hanglens import number
from hanglens.model import Parsed, Process, Setting, SourceRef
from hanglens.parse.blocks import BlockKind, Place
from hanglens.parse.lines import Line

_STATES = {"running": "R", "sleeping": "S", "disk-sleep": "D", "stopped": "T", "tracing-stop": "t", "zombie": "Z", "idle": "I", "dead": "X"}
_LISTED = re.compile(r"\s*(?P<pid>\d{1,9}) ppid=(?P<ppid>\d{1,9}) (?P<state>[a-z-]+) (?P<command>.*)")
_COLUMN = re.compile(r"[A-Z%+:]{1,10}$")

_SIZE = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,3})?)(?P<unit>[KMGTPE]?)i?B?$")
_DF_HEADER = re.compile(r"Filesystem\s+(?:Type\s+)?(?P<unit>Size|\d*[KMG]?B?-blocks)\s+Used\s+Avail")
_DF_ROW = re.compile(
    r"\S+\s+(?:[a-z]\w+\s+)?(?P<size>[\d.]+[KMGTPE]?)\s+(?P<used>[\d.]+[KMGTPE]?)\s+(?P<free>[\d.]+[KMGTPE]?)\s+(?:\d+%|-)\s+(?P<mount>/\S*)"
)
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "K", "M", "G", "T", "P", "E"))}


@dataclass(slots=True)
class _Processes:
    """Rows below a header: the last column is the command, the others are single words."""

    columns: list[str]
    place: Place
    processes: list[Process] = field(default_factory=list)

    def feed(self, line: Line) -> bool:
        cells = line.message.split(None, len(self.columns) - 1)
        row = dict(zip(self.columns, cells, strict=False))
        if len(row) < len(self.columns) or not _pid(row["PID"]):
            return False
        wchan = row.get("WCHAN", "-")
        self.processes.append(
            Process(
                SourceRef(self.place.file, line.number),
                pid=_pid(row["PID"]),
                ppid=_pid(row.get("PPID", "")),
                command=cells[-1].strip(),
                state=(row.get("STAT") or row.get("S") or "")[:1],
                wchan="" if wchan in "-0" else wchan,
                text=line.message[:500],
            )
        )
        return True

    def close(self) -> Parsed:
        return Parsed(processes=tuple(self.processes))


@dataclass(slots=True)
class _Listed:
    """Lines without a header: `419 ppid=410 running python3 serve.py`."""

    place: Place
    processes: list[Process] = field(default_factory=list)

    def feed(self, line: Line) -> bool:
        found = _LISTED.match(line.message)
        if not found:
            return False
        state, ref = _STATES.get(found["state"], ""), SourceRef(self.place.file, line.number)
        command, text = found["command"].strip(), line.message[:500]
        self.processes.append(Process(ref, pid=int(found["pid"]), ppid=int(found["ppid"]), command=command, state=state, text=text))
        return True

    def close(self) -> Parsed:
        return Parsed(processes=tuple(self.processes))


@dataclass(slots=True)
class _FileSystems:
    """Rows of `df`; only the one of /dev/shm is kept. `unit` is what a number without a suffix counts, in bytes."""

    place: Place
    unit: int = 1024
    settings: list[Setting] = field(default_factory=list)

    def feed(self, line: Line) -> bool:
        found = _DF_ROW.match(line.message)
        if found and found["mount"] == "/dev/shm":
            ref = SourceRef(self.place.file, line.number)
            sizes = (("host.dev_shm_bytes", found["size"]), ("host.dev_shm_free_bytes", found["free"]))
            self.settings += [Setting(name, str(_bytes(size, self.unit)), ref, line.message) for name, size in sizes]
        return bool(found)

    def close(self) -> Parsed:
        return Parsed(settings=tuple(self.settings))


def _pid(text: str) -> int | None:
    return number.pid(text)


def _bytes(size: str, unit: int) -> int:
    """`64M` of `df -h` in bytes (1024-based); a bare number counts `unit` bytes."""
    found = _SIZE.match(size)
    return int(float(found["number"]) * (_UNITS[found["unit"]] if found["unit"] else unit)) if found else 0


def _start_processes(line: Line, place: Place) -> _Processes | None:
    columns = line.message.split()
    known = len(columns) > 2 and "PID" in columns and columns[-1] in ("CMD", "COMMAND") and all(_COLUMN.match(c) for c in columns)
    return _Processes(columns, place) if known else None


def _start_listed(line: Line, place: Place) -> _Listed | None:
    block = _Listed(place)
    return block if block.feed(line) else None


def _start_df(line: Line, place: Place) -> _FileSystems | None:
    header = _DF_HEADER.match(line.message)
    if header:
        unit = _SIZE.match(header["unit"].split("-")[0])
        return _FileSystems(place, int(unit["number"]) * _UNITS[unit["unit"]] if unit else 1)
    block = _FileSystems(place)
    return block if block.feed(line) and block.settings else None


BLOCKS = (
    BlockKind("ps", ("PID ",), _start_processes),
    BlockKind("ps-listed", ("ppid=",), _start_listed),
    BlockKind("df", ("Filesystem", "/dev/shm"), _start_df),
)
