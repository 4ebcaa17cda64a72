"""NCCL RAS: what `ncclras` answers about a live job's communicators, as text (also in the middle of a log) or as JSON.

Format: NCCL `src/ras/client_support.cc`, 2.24 to 2.30 (JSON since 2.28.7). The counts are launches on the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from hanglens import number
from hanglens.model import Gap, Parsed, RasCommunicator, RasCount, RasRank, RasReport, Setting, SourceRef
from hanglens.parse.blocks import BlockKind, Place
from hanglens.parse.lines import Line

HOW_TO_GET = "run `ncclras -v` (or `echo verbose status | nc localhost 28028`) on a host of the job while it hangs; NCCL 2.24 or later"

_START = re.compile(r"(?:Job summary|Communicators\.\.\.|NCCL version \S+ compiled with CUDA|SERVER PROTOCOL \d)")
_HEAD = re.compile(
    _START.pattern
    + r"|CUDA runtime version|=+$|Group\s+Comms|Errors$|Warnings$|INCOMPLETE$|DEAD$|TIMEOUT$|The outlier nodes:|OK$|\(total\)|#\d+-\d+ \("
)
_VERSION = re.compile(r"NCCL version (\S+) compiled")
_ROW = re.compile(
    r"\s*(?P<group>\d+)\s+(?P<comms>\d+)(?:\s+[\d-]+){2}\s+(?P<size>[\d-]+)\s+[\d-]+\s+(?P<status>[A-Z,]+)\s+(?P<errors>[A-Z,]+)\s*$"
)
_COMMUNICATOR = re.compile(r"#(?P<group>\d+)-(?P<number>\d+) \((?P<hash>[0-9a-fA-Fx:]+)\) (?P<errors>[A-Z,]+)")
_OPERATION = re.compile(r"Communicator ranks have different (?P<op>\w+) operation counts")
_COUNT = re.compile(
    r"(?:(?P<number>\d+) ranks? (?:have|has)|Rank (?P<rank>\d+) has) "
    r"(?:launched up to operation (?P<launched>\d+)|not launched any operations)"
)
_MISSING = re.compile(r"Missing communicator data from|considered dead|The missing ranks?:")
_LIST = re.compile(r"The missing ranks?: (?P<ranks>[\d, -]+)")
_RANK = re.compile(r"Rank (?P<rank>\d+)\b")
_WHERE = re.compile(r"GPU (?P<device>\d+)\b.{0,20}? managed by process (?P<pid>\d+) on node (?P<host>\S+)")
_PROCESS = re.compile(r"Process (?P<pid>\d+) on node (?P<host>\S+) managing GPU (?P<device>\d+)")
_REFUSED = re.compile(r"(?i)(?:ncclras|\bras\b|:28028).{0,200}connection refused|connection refused.{0,200}(?:ncclras|\bras\b|:28028)")


@dataclass(slots=True)
class _Communicator:
    """A communicator that is being read; `counts` and `missing` take the ranks that are listed below their line."""

    id: str
    group: str
    ref: SourceRef
    text: str
    errors: str = ""
    op: str = ""
    counts: list[RasCount] = field(default_factory=list)
    missing: list[RasRank] = field(default_factory=list)
    lists: str = ""  # what listed ranks belong to: "missing", "count" or nothing

    def take(self, text: str, ref: SourceRef) -> None:
        """Read one line of its section."""
        if found := _OPERATION.search(text):
            self.op, self.lists = found["op"], ""
        elif found := _COUNT.search(text):
            self._count(found, text, ref)
        elif _MISSING.search(text):
            self.lists = "missing"
            self.missing += [_bare(rank, text, ref) for rank in _listed(text)]
        elif rank := _read_rank(text, ref):
            self._listed_rank(rank)
        elif text.strip():
            self.lists = ""

    def _count(self, found: re.Match[str], text: str, ref: SourceRef) -> None:
        rank = _read_rank(text, ref) if found["rank"] else None
        launched = number.whole(found["launched"])
        told = number.whole(found["number"] or "1")
        if told is not None and (launched is not None or not found["launched"]):
            self.counts.append(RasCount(self.op, -1 if launched is None else launched, ref, text, told, (rank,) if rank else ()))
        self.lists = "" if rank else "count"

    def _listed_rank(self, rank: RasRank) -> None:
        if self.lists == "missing":
            self.missing.append(rank)
        elif self.lists == "count" and self.counts and len(self.counts[-1].ranks) < self.counts[-1].number:
            self.counts[-1] = replace(self.counts[-1], ranks=(*self.counts[-1].ranks, rank))

    def value(self, row: re.Match[str] | None) -> RasCommunicator:
        """The communicator, with what the table says of its group."""
        size = number.whole(row["size"], number.MOST_RANKS) if row else None
        return RasCommunicator(
            id=self.id,
            ref=self.ref,
            text=self.text,
            size=size,
            status=row["status"] if row else "",
            errors=self.errors,
            counts=tuple(self.counts),
            missing=tuple(self.missing),
        )


class _Report:
    """One answer that is being read."""

    def __init__(self, line: Line, place: Place) -> None:
        self._file, self._ref, self._text = place.file, SourceRef(place.file, line.number), line.message
        self._version, self._settings = "", list[Setting]()
        self._rows: dict[str, tuple[re.Match[str], SourceRef, str]] = {}
        self._communicators: dict[str, _Communicator] = {}
        self._current: _Communicator | None = None
        self._section, self._blank = "", False
        self._take(line.message, self._ref)

    def feed(self, line: Line) -> bool:
        text = line.message
        if not self._belongs(text):
            return False
        self._blank = not text.strip()
        self._take(text, SourceRef(self._file, line.number))
        return True

    def close(self) -> Parsed:
        communicators = tuple(self._values())
        if not communicators:
            alone = Gap(self._file, "an NCCL RAS answer without a table of communicators", HOW_TO_GET)
            return Parsed(settings=tuple(self._settings), gaps=() if self._version and not self._section else (alone,))
        report = RasReport(self._ref, communicators, self._version, self._text)
        return Parsed(ras_reports=(report,), settings=tuple(self._settings))

    def _belongs(self, text: str) -> bool:
        """A second answer begins a report of its own; indented lines belong to the lines above them, except below the last section."""
        if _START.match(text):
            return not self._rows and not (text.startswith("SERVER") and self._version)
        if _HEAD.match(text) or not text.strip() or _ROW.match(text):
            return True
        return text.startswith("  ") and not (self._blank and self._section == "Warnings")

    def _take(self, text: str, ref: SourceRef) -> None:
        if found := _VERSION.match(text):
            self._version = found[1]
            self._settings.append(Setting("nccl.version", found[1], ref, text))
        elif text.startswith(("Job summary", "Communicators...", "Errors", "Warnings")):
            self._section = text.split(maxsplit=1)[0]
        elif self._section == "Communicators..." and (row := _ROW.match(text)):
            self._rows[row["group"]] = (row, ref, text)
        elif found := _COMMUNICATOR.match(text):
            self._open(_Communicator(found["hash"], found["group"], ref, text), found["errors"])
        elif text.strip() in ("INCOMPLETE", "DEAD", "TIMEOUT"):
            self._open(_Communicator("job", "", ref, text), text.strip())
        elif self._current and self._section in ("Errors", "Warnings"):
            self._current.take(text, ref)

    def _open(self, communicator: _Communicator, errors: str) -> None:
        """A communicator may be told of in both sections; `job` stands for processes of which no communicator is known."""
        self._current = self._communicators.setdefault(communicator.id, communicator)
        self._current.errors = f"{self._current.errors},{errors}".lstrip(",")

    def _values(self) -> list[RasCommunicator]:
        rows = {group: row for group, (row, _, _) in self._rows.items()}
        told = [communicator.value(rows.get(communicator.group)) for communicator in self._communicators.values()]
        return [*self._untold(), *told]

    def _untold(self) -> list[RasCommunicator]:
        """One for each row of the table that has communicators of which nothing more is told."""
        groups = [communicator.group for communicator in self._communicators.values()]
        seen = {group: groups.count(group) for group in self._rows}
        return [
            replace(_Communicator(f"#{group}", group, ref, text).value(row), errors="OK" if seen[group] else row["errors"])
            for group, (row, ref, text) in self._rows.items()
            if seen[group] < (number.whole(row["comms"]) or 0)
        ]


def _read_rank(text: str, ref: SourceRef) -> RasRank | None:
    """`Rank 12 -- GPU 4 managed by process 323504 on node 198.51.100.11`, `Process 955 on node 192.0.2.2 managing GPU 1`."""
    rank, where = _RANK.search(text), _WHERE.search(text) or _PROCESS.search(text)
    if not rank and not where:
        return None
    told = number.rank(rank["rank"]) if rank else None
    if where is None:
        return _bare(told, text, ref)
    return RasRank(told, number.whole(where["device"]), number.pid(where["pid"]), where["host"], ref, text)


def _bare(rank: int | None, text: str, ref: SourceRef) -> RasRank:
    return RasRank(rank, None, None, None, ref, text)


def _listed(text: str) -> list[int]:
    """The ranks of `The missing ranks: 3,8-11`; at most 4096."""
    found = _LIST.search(text)
    spans = [part.split("-") for part in found["ranks"].replace(" ", "").split(",")] if found else []
    ends = [(number.rank(span[0]), number.rank(span[-1])) for span in spans]
    known = ((first, last) for first, last in ends if first is not None and last is not None)
    return [rank for first, last in known for rank in range(first, min(last, first + 4095) + 1)][:4096]


def _start(line: Line, place: Place) -> _Report | None:
    return _Report(line, place) if _START.match(line.message) else None


class _Refusal:
    """One line that says that the RAS port did not answer."""

    def __init__(self, line: Line, place: Place) -> None:
        self._gap = Gap(f"NCCL RAS ({place.file}:{line.number})", line.message.strip()[:500], HOW_TO_GET)

    def feed(self, line: Line) -> bool:
        return False

    def close(self) -> Parsed:
        return Parsed(gaps=(self._gap,))


def _start_refusal(line: Line, place: Place) -> _Refusal | None:
    return _Refusal(line, place) if _REFUSED.search(line.message[:1000]) else None


BLOCKS = (
    BlockKind("nccl-ras", ("Job summary", "Communicators...", "compiled with CUDA", "SERVER PROTOCOL"), _start),
    BlockKind("nccl-ras-refused", ("onnection refused",), _start_refusal),
)
