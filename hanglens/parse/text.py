"""Read a text of any kind: the lines that some pattern wants become Events, blocks become what their parsers make of them."""

from __future__ import annotations

import io
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

from hanglens.model import Event, Input, Parsed, SourceRef, Stamp
from hanglens.parse.blocks import Block, BlockKind, Place
from hanglens.parse.lines import Line, read_line, states
from hanglens.parse.silences import Silences
from hanglens.scan import Chunk, Pattern, Scanner, chunks, search

KEEP = 60  # events of one pattern and file that are kept from its beginning, and as many from its end
TAIL_BYTES = 64 << 10
TAIL_LINES = 300
CONTEXT = 2
WRAPPED = 2  # lines below one that a terminal may have wrapped
_ANCHORS = ("^", "$", "\\A", "\\Z", "(?<!", "(?<=")
SEARCHED = 64 << 10  # characters of a line in which a pattern is searched


class PatternIndex:
    """All patterns and block kinds of an analysis, found by the literals that a scan hits."""

    def __init__(self, patterns: Sequence[Pattern], kinds: Sequence[BlockKind]) -> None:
        wanted: dict[str, list[Pattern | BlockKind]] = {}
        for pattern in patterns:
            for literal in pattern.required():
                wanted.setdefault(literal, []).append(pattern)
        for kind in kinds:
            for literal in kind.literals:
                wanted.setdefault(literal, []).append(kind)
        self.scanner = Scanner(list(wanted))
        self._patterns = patterns
        self._wanted = [wanted[literal] for literal in self.scanner.literals]
        self._anchored = {p.name for p in patterns if p.wraps or any(sign in p.expression.replace("[^", "[") for sign in _ANCHORS)}

    @cached_property
    def without_blocks(self) -> PatternIndex:
        """The patterns alone, for files whose blocks somebody else reads."""
        return PatternIndex(self._patterns, ())

    def promising(self, raw: str, hits: set[int]) -> bool:
        """Whether something may come of a line with these literals; to ask is far cheaper than to take its prefixes off.

        The message is a part of the raw line unless control codes stand in it, so what is not anchored to the message's
        ends is found in the raw line too.
        """
        if not raw.rstrip("\r\n").isprintable():
            return True
        unsure = {w.name: w for hit in hits for w in self._wanted[hit]}.values()
        return any(not isinstance(w, Pattern) or w.name in self._anchored or search(w.expression, raw[: 2 * SEARCHED]) for w in unsure)

    def patterns(self, hits: set[int]) -> list[Pattern]:
        """The patterns worth trying on a line with these literals."""
        return list({p.name: p for hit in hits for p in self._wanted[hit] if isinstance(p, Pattern)}.values())

    def settled(self, hit: int, full: set[str]) -> bool:
        """All that want this literal are patterns of which enough has been kept."""
        return all(isinstance(wanted, Pattern) and wanted.name in full for wanted in self._wanted[hit])

    def kinds(self, hits: set[int]) -> list[BlockKind]:
        """The block kinds that may start on a line with these literals."""
        return list({k.name: k for hit in hits for k in self._wanted[hit] if isinstance(k, BlockKind)}.values())


@dataclass(slots=True)
class _Reading:
    """A file that is being read."""

    place: Place
    index: PatternIndex
    kept: dict[str, tuple[list[Event], deque[Event]]] = field(default_factory=dict)
    pending: dict[int, deque[Chunk]] = field(default_factory=dict)
    parts: list[Parsed] = field(default_factory=list)
    block: Block | None = None

    def take_chunk(self, chunk: Chunk) -> None:
        """Take all lines from which something may come."""
        hits = self.thinned(chunk)
        for at, number, raw in _wanted_lines(chunk, hits, self):
            if self.block is not None or self.index.promising(raw, hits.get(at, set())):
                self.take(read_line(raw, number), hits.get(at, set()), chunk, at)

    def take(self, line: Line, hits: set[int], chunk: Chunk, at: int) -> None:
        if self.block is not None and not self.block.feed(line):
            self.end_block()
        if not hits:
            return
        for segment in _segments(line):
            for pattern in self.index.patterns(hits) if _speaks(segment) else ():
                event = _recognise(pattern, segment, self.place.file, chunk, at)
                if event:
                    # Twice as many as are kept: lines that were put off come here after later ones, and must not drive them out.
                    first, last = self.kept.setdefault(pattern.name, ([], deque(maxlen=2 * KEEP)))
                    (first if len(first) < KEEP else last).append(event)
        for kind in self.index.kinds(hits):
            if self.block is None:
                self.block = kind.start(line, self.place)

    def thinned(self, chunk: Chunk) -> dict[int, set[int]]:
        """The hits of a chunk that are looked at now. Of a pattern that is full only the last lines of the file count: they are put off."""
        full = {name for name, (first, _) in self.kept.items() if len(first) >= KEEP}
        settled = {hit for hit in set().union(*chunk.hits.values()) if self.index.settled(hit, full)} if full else set()
        if not settled:
            return chunk.hits
        now = {at: wanted for at, hits in chunk.hits.items() if (wanted := hits - settled)}
        seen, last = dict.fromkeys(settled, 0), defaultdict[int, set[int]](set)
        for at in sorted(chunk.hits, reverse=True):
            for hit in chunk.hits[at] & settled:
                if seen[hit] < KEEP:
                    seen[hit] += 1
                    last[at].add(hit)
            if min(seen.values()) >= KEEP:
                break
        self.put_off(chunk, last)
        return now

    def put_off(self, chunk: Chunk, hits: Mapping[int, set[int]]) -> None:
        """Remember lines, with what stands around them; of each literal the last ones only."""
        position, number = 0, chunk.first_line
        for at in sorted(hits):
            number += chunk.data.count(b"\n", position, at)
            position = at
            line = chunk.window(at, number)
            for hit in hits[at]:
                self.pending.setdefault(hit, deque(maxlen=KEEP)).append(line)

    def take_pending(self) -> None:
        """Look at the lines that were put off, now that it is known which are the last ones."""
        lines: dict[int, tuple[Chunk, set[int]]] = {}
        for hit, windows in self.pending.items():
            for window in windows:
                lines.setdefault(window.first_line, (window, set()))[1].add(hit)
        for number, (window, hits) in sorted(lines.items(), key=lambda line: line[0]):
            raw = window.data.decode("utf-8", "replace")
            if self.index.promising(raw, hits):
                self.take(read_line(raw, number), hits, window, 0)

    def events(self) -> list[Event]:
        """What was recognised, in the order of the file; of each pattern the first and the last."""
        kept = [event for first, last in self.kept.values() for event in (*first, *sorted(last, key=_line_number)[-KEEP:])]
        return sorted(kept, key=_line_number)

    def end_block(self) -> None:
        if self.block is not None:
            self.parts.append(self.block.close())
            self.block = None


def read_text(stream: BinaryIO, place: Place, index: PatternIndex) -> Parsed:
    """Read one text to its end. Raises only what the stream raises."""
    reading, silences = _Reading(place, index), Silences(place.file)
    size, lines, head, tail, tail_line = 0, 0, b"", b"", 1
    for chunk in chunks(stream, index.scanner):
        head = head or chunk.data[:TAIL_BYTES]
        size += len(chunk.data)
        lines = chunk.first_line + chunk.data.count(b"\n") - (1 if chunk.data.endswith(b"\n") else 0)
        reading.take_chunk(chunk)
        silences.feed(chunk.data, chunk.first_line)
        tail, tail_line = _tail(tail, tail_line, chunk)
    reading.end_block()
    reading.take_pending()
    events = reading.events()
    told = _last_lines(tail, tail_line, place.file)
    stamps = [event.time for event in told if event.time]
    about = Input(
        file=place.file, kind=_kind(events, reading.parts, told), bytes=size, lines=lines, group=place.group, pid=place.pid,
        rank=place.rank, first_time=_first_stamp(head), last_time=stamps[-1] if stamps else None, tail=tuple(told),
        silences=silences.found(),
    )  # fmt: skip
    return Parsed.total([Parsed(inputs=(about,), events=tuple(events)), *reading.parts])


def read_events(data: bytes, place: Place, index: PatternIndex) -> tuple[Event, ...]:
    """The lines of a text that some pattern wants; its blocks are nobody's business here."""
    index = index.without_blocks
    if not index.scanner.hits(data):
        return ()
    reading = _Reading(place, index)
    for chunk in chunks(io.BytesIO(data), index.scanner):
        reading.take_chunk(chunk)
    reading.take_pending()
    return tuple(reading.events())


def _line_number(event: Event) -> int:
    return event.ref.line or 0


def _wanted_lines(chunk: Chunk, hits: dict[int, set[int]], reading: _Reading) -> Iterator[tuple[int, int, str]]:
    """Offset, number and text of each line that has a hit, and of every line while a block is open."""
    data, position, number = chunk.data, 0, chunk.first_line
    starts = iter(sorted(hits))
    upcoming = next(starts, None)
    while position < len(data):
        if reading.block is None:
            while upcoming is not None and upcoming < position:
                upcoming = next(starts, None)
            if upcoming is None:
                return
            number += data.count(b"\n", position, upcoming)
            position = upcoming
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        yield position, number, data[position:end].decode("utf-8", "replace")
        position, number = end + 1, number + 1


def _speaks(line: Line) -> bool:
    """The program speaks itself; in a line that logs a request it quotes what its user typed."""
    return line.level != "REQUEST" and not line.message.startswith("Received request")


def _segments(line: Line) -> list[Line]:
    """The states of a progress bar that stand in one line, each read as a line of its own; usually just the line."""
    body = line.raw.rstrip("\r\n")
    if "\r" not in body:
        return [line]
    return [read_line(part, line.number) for part in states(body)]


def _recognise(pattern: Pattern, line: Line, file: str, chunk: Chunk, at: int) -> Event | None:
    if (pattern.sources and line.source not in pattern.sources) or (pattern.level and line.level != pattern.level):
        return None
    message = line.message[:SEARCHED]
    found = search(pattern.expression, message)
    if found is None and pattern.wraps:
        found = search(pattern.expression, message.rstrip() + "".join(part.strip() for part in _next_lines(chunk, at)))
    if found is None:
        return None
    fields = {name: value for name, value in found.groupdict().items() if value is not None}
    return Event(
        name=pattern.name, source=line.source, text=_cut(line.raw.rstrip("\r\n"), found.group(0)), ref=SourceRef(file, line.number),
        level=line.level, time=line.time, speaker=line.speaker, fields=fields, context=_context(chunk, at),
    )  # fmt: skip


def _cut(raw: str, match: str, width: int = 500) -> str:
    """The line, or the part of it around the match, at most `width` characters."""
    if len(raw) <= width:
        return raw
    at = max(raw.find(match[:80]), 0)
    start = max(0, min(at - 100, len(raw) - width))
    return raw[start : start + width]


def _context(chunk: Chunk, at: int) -> tuple[str, ...]:
    above = chunk.before(at).split(b"\n")[:-1][-CONTEXT:]
    below = chunk.after(at).removesuffix(b"\n").split(b"\n")[: 1 + CONTEXT]
    return tuple(line[:500].decode("utf-8", "replace").rstrip("\r") for line in (*above, *below))


def _next_lines(chunk: Chunk, at: int) -> list[str]:
    below = chunk.after(at).split(b"\n")[1 : 1 + WRAPPED]
    return [line.decode("utf-8", "replace") for line in below]


def _tail(tail: bytes, first_line: int, chunk: Chunk) -> tuple[bytes, int]:
    """The end of what was read so far, and the number of its first line."""
    if len(chunk.data) >= TAIL_BYTES:
        cut = chunk.data.rfind(b"\n", 0, len(chunk.data) - TAIL_BYTES) + 1
        return chunk.data[cut:], chunk.first_line + chunk.data.count(b"\n", 0, cut)
    joined = tail + chunk.data
    cut = joined.rfind(b"\n", 0, max(len(joined) - TAIL_BYTES, 0)) + 1
    return joined[cut:], (first_line if tail else chunk.first_line) + joined.count(b"\n", 0, cut)


def _last_lines(tail: bytes, first_line: int, file: str) -> list[Event]:
    numbered = [(number, raw) for number, raw in enumerate(tail.split(b"\n"), first_line) if raw.strip()][-TAIL_LINES:]
    lines = [read_line(raw.decode("utf-8", "replace"), number) for number, raw in numbered]
    return [
        Event("tail", line.source, line.raw.rstrip("\r\n")[:500], SourceRef(file, line.number), line.level, line.time, line.speaker)
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
