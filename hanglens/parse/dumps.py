"""What all parsers of stack dumps share.

Their limits, the thread that is being read, a loop driven by a dumper's dialect, and the untangling of speakers whose lines stand mixed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from hanglens import number
from hanglens.model import Frame, Parsed, SourceRef, Speaker, Stack, Traceback
from hanglens.parse.blocks import Block, BlockKind, Place
from hanglens.parse.lines import Line

MAX_FRAMES = 2_000  # of one thread
MAX_THREADS = 20_000  # of one dump
MAX_LOCALS = 64  # variables of one thread
MAX_LOCAL = 200  # characters of a variable's value
MAX_SPEAKERS = 1_024  # whose dumps stand mixed
MAX_LINE = 8_000  # characters of a line that are looked at
MAX_TEXT = 500  # characters of a name or line that are kept
PATIENCE = 16  # lines of others in a row that do not end a dump

Start = Callable[[Line, Place], Block | None]

# A line of somebody else that holds one of these begins another dump, and must not be passed over.
_OPENERS = ("Traceback (most recent", "Stack trace of the failed", "(most recent call first)", "Pyspy ", "Traceback for thread", "(LWP ")
_PYTHON_FRAME = re.compile(r'\s*File "(?P<file>[^"]*)", line (?P<line>\d{1,9}), in (?P<function>.+)')


@dataclass(frozen=True, slots=True)
class Header:
    """What a dumper says of a thread before it lists the frames."""

    id: str = ""
    name: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Spot:
    """What one frame line says; `number` is the frame's place from the innermost one, where the dumper counts."""

    function: str
    file: str = ""
    line: int | None = None
    number: int | None = None


def body(line: Line) -> str:
    """The line without prefixes and trailing blanks, cut to a length that every expression here can bear."""
    return line.message[:MAX_LINE].rstrip()


def as_number(text: str) -> int | None:
    """A line number or id; None for what is none."""
    return number.whole(text)


def split_location(text: str) -> tuple[str, int | None]:
    """`file:line`, or just the file."""
    file, colon, number = text.rpartition(":")
    line = as_number(number)
    return (file, line) if colon and line is not None else (text, None)


def python_spot(text: str) -> Spot | None:
    """A frame as Python's `traceback` module prints it: `File "f.py", line 3, in name`."""
    found = _PYTHON_FRAME.match(text)
    return Spot(found["function"], found["file"], int(found["line"])) if found else None


def make_frame(spot: Spot, raw: str, below: int) -> Frame:
    """The frame that a line shows, which stands so many lines below the head of its stack."""
    return Frame(spot.function[:MAX_TEXT], spot.file[:MAX_TEXT], spot.line, raw.strip()[:MAX_TEXT], below)


@dataclass(slots=True)
class Thread:
    """A thread whose frames are still being read; `first` is its header, or its first frame where there is no header."""

    first: Line
    place: Place
    header: Header = Header()
    frames: list[Frame] = field(default_factory=list)

    def add(self, spot: Spot, line: Line) -> None:
        """Take the next frame, as long as there is room."""
        if len(self.frames) < MAX_FRAMES:
            self.frames.append(make_frame(spot, line.raw, line.number - self.first.number))

    def stack(self, tool: str, pid: int | None = None, command: str = "", local: Mapping[str, str] | None = None) -> Stack:
        """The finished stack. Rank and pid are those of the dump, else of the line's prefix, else of the file's name."""
        speaker, place = self.first.speaker, self.place
        return Stack(
            frames=tuple(self.frames), ref=SourceRef(place.file, self.first.number), tool=tool,
            host=speaker.host, command=command, group=place.group,
            pid=next((p for p in (pid, speaker.pid, place.pid) if p is not None), None),
            rank=speaker.rank if speaker.rank is not None else place.rank,
            thread=self.header.name, thread_id=self.header.id, state=self.header.state, locals=local or {},
        )  # fmt: skip


def _never(_frame: str, _text: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one dumper writes: what its headers and frames say, and which lines between them carry nothing.

    `wraps(frame, text)` tells that `text` is the rest of the line `frame`, which a terminal or the dumper broke.
    """

    tool: str
    header: Callable[[str], Header | None]
    spot: Callable[[str], Spot | None]
    filler: re.Pattern[str]
    outermost_first: bool = False
    wraps: Callable[[str, str], bool] = _never


@dataclass(slots=True)
class ThreadDump:
    """The threads of one dump in some dialect."""

    dialect: Dialect
    place: Place
    threads: list[Thread] = field(default_factory=list)
    open: bool = False  # whether frames may still be added to the last thread
    last: str = ""
    number: int = -1

    def feed(self, line: Line) -> bool:
        """Take a header, a frame, the rest of a frame, or a line that carries nothing."""
        text = body(line)
        if header := self.dialect.header(text):
            self._begin(Thread(line, self.place, header))
        elif spot := self.dialect.spot(text):
            self._add(spot, text, line)
        elif self.last and self.dialect.wraps(self.last, text):
            self._lengthen(text)
        else:
            self.last = ""
            return not text or self.dialect.filler.match(text) is not None
        return True

    def _begin(self, thread: Thread) -> None:
        self.open = len(self.threads) < MAX_THREADS
        if self.open:
            self.threads.append(thread)
        self.last, self.number = "", -1

    def _add(self, spot: Spot, text: str, line: Line) -> None:
        restarted = spot.number is not None and spot.number <= self.number
        if not self.threads or restarted:
            self._begin(Thread(line, self.place))
        if self.open:
            self.threads[-1].add(spot, line)
        self.last, self.number = text, spot.number if spot.number is not None else -1

    def _lengthen(self, text: str) -> None:
        self.last = f"{self.last} {text.strip()}"[:MAX_LINE]
        spot = self.dialect.spot(self.last)
        if spot and self.open and len(self.threads[-1].frames) < MAX_FRAMES:
            frames = self.threads[-1].frames
            frames[-1] = replace(frames[-1], function=spot.function[:MAX_TEXT], file=spot.file[:MAX_TEXT], line=spot.line)

    def close(self) -> Parsed:
        """One stack for each thread; a heading of a list that never came is none."""
        told = (thread.stack(self.dialect.tool) for thread in self.threads if thread.frames or thread.header.id)
        if self.dialect.outermost_first:
            told = (replace(stack, frames=stack.frames[::-1]) for stack in told)
        return Parsed(stacks=tuple(told))


@dataclass(slots=True)
class BySpeaker:
    """Blocks of one kind whose lines stand mixed, one for each speaker.

    A line that does not say who speaks goes on where the last one was; a few lines of others are passed over.
    """

    start: Start
    place: Place
    current: Speaker
    blocks: dict[Speaker, Block]
    parts: list[Parsed] = field(default_factory=list)
    strangers: int = 0

    def feed(self, line: Line) -> bool:
        """Take the line into its speaker's block, or into a new one."""
        key = self.current if line.speaker == Speaker() else line.speaker
        if self._taken(key, line):
            self.current, self.strangers = key, 0
            return True
        self.strangers += 1
        return bool(self.blocks) and self.strangers <= PATIENCE and not any(opener in line.message for opener in _OPENERS)

    def _taken(self, key: Speaker, line: Line) -> bool:
        block = self.blocks.get(key)
        if block is not None and block.feed(line):
            return True
        if block is not None:
            self._keep(self.blocks.pop(key))
        fresh = self.start(line, self.place) if len(self.blocks) < MAX_SPEAKERS else None
        if fresh is not None:
            self.blocks[key] = fresh
        return fresh is not None

    def _keep(self, block: Block) -> None:
        if len(self.parts) < MAX_THREADS:
            self.parts.append(block.close())

    def close(self) -> Parsed:
        """What all speakers said, in the order of the file."""
        for block in self.blocks.values():
            self._keep(block)
        found = Parsed.total(self.parts)
        return replace(found, stacks=tuple(sorted(found.stacks, key=_line_of)), tracebacks=tuple(sorted(found.tracebacks, key=_line_of)))


def _line_of(found: Stack | Traceback) -> int:
    return found.ref.line or 0


def dump_kind(name: str, literals: tuple[str, ...], start: Start) -> BlockKind:
    """A kind of block whose lines may come from several speakers at once."""
    return BlockKind(name, literals, partial(_start_first, start))


def dialect_kind(name: str, literals: tuple[str, ...], dialect: Dialect) -> BlockKind:
    """A kind of block that begins with a header or a frame of the dialect."""
    return dump_kind(name, literals, partial(_start_dialect, dialect))


def _start_first(start: Start, line: Line, place: Place) -> Block | None:
    block = start(line, place)
    return BySpeaker(start, place, line.speaker, {line.speaker: block}) if block is not None else None


def _start_dialect(dialect: Dialect, line: Line, place: Place) -> Block | None:
    text = body(line)
    if dialect.header(text) is None and dialect.spot(text) is None:
        return None
    dump = ThreadDump(dialect, place)
    dump.feed(line)
    return dump
