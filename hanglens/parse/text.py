"""Read a text of any kind: the lines that some pattern wants become Events, blocks become what their parsers make of them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO

from hanglens.chunks import Chunk, chunks
from hanglens.limits import BundleError
from hanglens.model import Event, Gap, Input, Parsed, RuleOff, SourceRef, Stamp
from hanglens.parse.blocks import Block, BlockKind, Place
from hanglens.parse.index import SEARCHED, PatternIndex, Wanted
from hanglens.parse.late import LateLines
from hanglens.parse.lines import Line, read_line, states
from hanglens.parse.silences import Silences
from hanglens.scan import Pattern

if TYPE_CHECKING:
    from regex import Match

KEEP = 60  # events of one pattern and file that are kept from its beginning, and as many from its end
LATE = 4 * KEEP  # lines with its literals at the end of the file that are kept to look for these
TRIED = 40 * KEEP  # and of those so many, where the end of the file is still there
TAIL_BYTES = 64 << 10
TAIL_LINES = 300
CONTEXT = 2
WRAPPED = 2  # lines below one that a terminal may have wrapped


@dataclass(slots=True)
class _Kept:
    """The events of one pattern in one file: the first and the last."""

    first: list[Event] = field(default_factory=list)
    last: deque[Event] = field(default_factory=lambda: deque(maxlen=KEEP))

    def add(self, event: Event) -> bool:
        """Whether it is full now, so that of the lines below only the last ones matter."""
        if len(self.first) < KEEP:
            self.first.append(event)
        else:
            self.last.append(event)
        return len(self.first) == KEEP


@dataclass(slots=True)
class _Reading:
    """A file that is being read."""

    place: Place
    index: PatternIndex
    kept: dict[str, _Kept] = field(default_factory=dict)
    full: dict[str, int] = field(default_factory=dict)  # patterns of which enough was kept, and after which offset of this chunk
    parts: list[Parsed] = field(default_factory=list)
    block: Block | None = None
    late: LateLines = field(init=False)

    def __post_init__(self) -> None:
        self.late = LateLines(LATE, self.index.scanner)

    def take_chunk(self, chunk: Chunk) -> None:
        """Take all lines from which something may come. Of a pattern that is full only the last lines count: they are put off."""
        self.full = dict.fromkeys(self.full, -1)
        now: dict[int, dict[str, Wanted]] = {}
        literals: dict[str, frozenset[int]] = {}
        for literal in chunk.hits.ends:
            for one in self.index.wanted(literal):
                literals[one.name] = literals.get(one.name, frozenset()) | {literal}
                if one.name not in self.full:
                    now.setdefault(literal, {})[one.name] = one
        lines: dict[int, dict[str, Wanted]] = {}
        for literal, ends in self.index.scanner.places(chunk.data, chunk.hits, now.keys()).items():
            for start in chunk.line_starts(ends):
                lines.setdefault(start, {}).update(now[literal])
        self.take_lines(chunk, lines)
        self.late.add(chunk, {name: literals[name] for name in self.full if name in literals}, self.full)

    def take_lines(self, chunk: Chunk, wanted: dict[int, dict[str, Wanted]]) -> None:
        """Take the lines at these offsets, and all lines of the blocks that begin in them."""
        number = chunk.counting()
        for at, raw in _lines(chunk, sorted(wanted), self):
            here = [one for name, one in wanted.get(at, {}).items() if name not in self.full]
            if self.block is not None or self.index.promising(here, raw):
                self.take(read_line(raw, number(at)), here, chunk, at)

    def take(self, line: Line, wanted: Collection[Wanted], chunk: Chunk, at: int) -> None:
        """Take a line of which this may come, or which belongs to the block that is open."""
        if self.block is not None and not self.block.feed(line):
            self.end_block()
        for event in self.recognised(line, [one for one in wanted if isinstance(one, Pattern)], chunk, at):
            if self.kept.setdefault(event.name, _Kept()).add(event):
                self.full.setdefault(event.name, at)
        for kind in wanted:
            if self.block is None and isinstance(kind, BlockKind):
                self.block = kind.start(line, self.place)

    def recognised(self, line: Line, patterns: Collection[Pattern], chunk: Chunk, at: int) -> list[Event]:
        """The events that these patterns make of a line."""
        segments = [segment for segment in (_segments(line) if patterns else ()) if _speaks(segment)]
        found = [
            (pattern, segment, match) for segment in segments for pattern in patterns if (match := self.match(pattern, segment, chunk, at))
        ]
        context = _context(chunk, at) if found else ()
        return [_event(pattern, segment, match, self.place.file, context) for pattern, segment, match in found]

    def match(self, pattern: Pattern, line: Line, chunk: Chunk, at: int) -> Match[str] | None:
        """What a pattern finds in a line, which a terminal may have wrapped."""
        if (pattern.sources and line.source not in pattern.sources) or (pattern.level and line.level != pattern.level):
            return None
        message, search = line.message[:SEARCHED], self.index.searches.search
        found = search(pattern.expression, message)
        if found is None and pattern.wraps:
            found = search(pattern.expression, message.rstrip() + "".join(part.strip() for part in _next_lines(chunk, at)))
        return found

    def end(self) -> None:
        """The file has ended: look at the lines that were put off, now that it is known which are the last ones."""
        self.end_block()
        read: dict[tuple[int, int], Line] = {}
        for name, places in self.late.last(TRIED).items():
            pattern, events = self.index.patterns[name], list[Event]()
            for chunk, at in places:
                if len(events) >= KEEP:
                    break
                raw = chunk.data[at : chunk.line_end(at)].decode("utf-8", "replace")
                if self.index.promising([pattern], raw):
                    line = read.get((id(chunk), at)) or read.setdefault((id(chunk), at), read_line(raw, chunk.number(at)))
                    events += reversed(self.recognised(line, [pattern], chunk, at))
            self.kept[name].last.extend(reversed(events))

    def end_block(self) -> None:
        """Keep what was read of the block that is open."""
        if self.block is not None:
            self.parts.append(self.block.close())
            self.block = None

    def events(self) -> list[Event]:
        """What was recognised, in the order of the file; of each pattern the first and the last."""
        return sorted((event for kept in self.kept.values() for event in (*kept.first, *kept.last)), key=_line_number)


def read_text(stream: BinaryIO, place: Place, index: PatternIndex) -> Parsed:
    """Read one text to its end, or to damage, which is a Gap then. Raises only what the stream raises before anything could be read."""
    reading, silences = _Reading(place, index), Silences(place.file)
    size, lines, head, tail = 0, 0, b"", b""
    damage: tuple[Gap, ...] = ()
    try:
        for chunk in chunks(stream, index.scanner):
            head = head or chunk.data[:TAIL_BYTES]
            size += len(chunk.data)
            lines = chunk.first_line + chunk.newlines[-1]
            reading.take_chunk(chunk)
            silences.feed(chunk.data, chunk.first_line)
            tail = _tail(tail, chunk.data)
    except BundleError as error:
        if not size:
            raise
        damage = (error.gap,)
    reading.end()
    events = reading.events()
    told = _last_lines(tail, lines, place.file)
    stamps = [event.time for event in told if event.time]
    about = Input(
        file=place.file, kind=_kind(events, reading.parts, told), bytes=size, lines=lines - (1 if tail.endswith(b"\n") else 0),
        group=place.group, pid=place.pid, rank=place.rank, first_time=_first_stamp(head), last_time=stamps[-1] if stamps else None,
        tail=tuple(told), silences=silences.found(),
    )  # fmt: skip
    off = tuple(RuleOff(rule, why) for rule, why in index.searches.off.items())
    return Parsed.total([Parsed(inputs=(about,), events=tuple(events), gaps=damage, rules_off=off), *reading.parts])


def read_events(data: bytes, place: Place, index: PatternIndex) -> tuple[Event, ...]:
    """The lines of a text that some pattern wants; its blocks are nobody's business here."""
    index = index.without_blocks
    if not index.scanner.hits(data).ends:
        return ()
    reading = _Reading(place, index)
    for chunk in chunks(io.BytesIO(data), index.scanner):
        reading.take_chunk(chunk)
    reading.end()
    return tuple(reading.events())


def _line_number(event: Event) -> int:
    return event.ref.line or 0


def _lines(chunk: Chunk, starts: list[int], reading: _Reading) -> Iterator[tuple[int, str]]:
    """Offset and text of each of these lines, and of every line while a block is open."""
    position, upcoming = 0, iter(starts)
    while position < len(chunk.data):
        if reading.block is None:
            start = next((start for start in upcoming if start >= position), None)
            if start is None:
                return
            position = start
        end = chunk.line_end(position)
        yield position, chunk.data[position:end].decode("utf-8", "replace")
        position = end + 1


def _speaks(line: Line) -> bool:
    """The program speaks itself; in a line that logs a request it quotes what its user typed."""
    return line.level != "REQUEST" and not line.message.startswith("Received request")


def _segments(line: Line) -> list[Line]:
    """The states of a progress bar that stand in one line, each read as a line of its own; usually just the line."""
    body = line.raw.rstrip("\r\n")
    if "\r" not in body:
        return [line]
    return [read_line(part, line.number) for part in states(body)]


def _event(pattern: Pattern, line: Line, found: Match[str], file: str, context: tuple[str, ...]) -> Event:
    return Event(
        name=pattern.name, source=line.source, text=_shared(_cut(line.raw.rstrip("\r\n"), found.group(0))),
        ref=SourceRef(file, line.number), level=line.level, time=line.time, speaker=line.speaker,
        fields={name: value for name, value in found.groupdict().items() if value is not None}, context=context,
    )  # fmt: skip


def _cut(raw: str, match: str, width: int = 500) -> str:
    """The line, or the part of it around the match, at most `width` characters; a sign stands where it does not begin with the line."""
    if len(raw) <= width:
        return raw
    at = max(raw.find(match[:80]), 0)
    start = max(0, min(at - 100, len(raw) - width))
    return f"…{raw[start + 1 : start + width]}" if start else raw[:width]


def _context(chunk: Chunk, at: int) -> tuple[str, ...]:
    above = chunk.before(at).rsplit(b"\n", 1 + CONTEXT)[:-1][-CONTEXT:]
    below = chunk.after(at).removesuffix(b"\n").split(b"\n", 1 + CONTEXT)[: 1 + CONTEXT]
    return tuple(_shared(line[:500].decode("utf-8", "replace").rstrip("\r")) for line in (*above, *below))


@lru_cache(1 << 10)
def _shared(text: str) -> str:
    """The same text: a line is the context of its neighbours, and maybe one of the last lines too, and need not be kept for each."""
    return text


def _next_lines(chunk: Chunk, at: int) -> list[str]:
    below = chunk.after(at).split(b"\n", 1 + WRAPPED)[1 : 1 + WRAPPED]
    return [line.decode("utf-8", "replace") for line in below]


def _tail(tail: bytes, data: bytes) -> bytes:
    """The last TAIL_BYTES of what was read so far, and what stands before them in their first line."""
    joined = data if len(data) >= TAIL_BYTES else tail + data
    return joined[joined.rfind(b"\n", 0, max(len(joined) - TAIL_BYTES, 0)) + 1 :]


def _last_lines(tail: bytes, last: int, file: str) -> list[Event]:
    """What the end of a file tells, of which the number of the last line is known."""
    raws = tail.split(b"\n")
    numbered = [(last - len(raws) + 1 + n, raw) for n, raw in enumerate(raws) if raw.strip()][-TAIL_LINES:]
    lines = [read_line(raw.decode("utf-8", "replace"), number) for number, raw in numbered]
    return [
        Event(
            "tail", line.source, _shared(line.raw.rstrip("\r\n")[:500]), SourceRef(file, line.number), line.level, line.time, line.speaker
        )
        for line in lines
        if line.text.strip()
    ]


def _first_stamp(head: bytes) -> Stamp | None:
    lines = (read_line(raw.decode("utf-8", "replace"), 0) for raw in head.split(b"\n", 200)[:200])
    return next((line.time for line in lines if line.time), None)


def _kind(events: list[Event], parts: list[Parsed], told: list[Event]) -> str:
    """What the text mostly is, in words for the table of inputs."""
    blocks = Parsed.total(parts)
    if blocks.stacks or blocks.dump_failures:
        return "stack dump" if not told or len(blocks.stacks) * 3 > len(told) / 10 else "log with stack dumps"
    for found, name in ((blocks.ras_reports, "NCCL RAS report"), (blocks.gpus or blocks.gpu_links, "nvidia-smi")):
        if found:
            return name
    sources = [event.source for event in (*events, *told) if event.source not in ("text", "python")]
    if sources:
        return max(sorted(set(sources)), key=sources.count) + " log"
    return "environment" if blocks.settings else "traceback" if blocks.tracebacks else "text"
