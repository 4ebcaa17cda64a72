"""A stream in pieces of whole lines, each with the literals that were found in it. The pieces ahead are searched meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from hanglens.errors import HangLensError
from hanglens.newlines import PART, NewlineCounter
from hanglens.scan import NOTHING, Hits, Scanner

CHUNK = 2 << 20
LONGEST_LINE = CHUNK  # not less: what is left of a chunk behind its last line feed is no line that is too long
BORDER = 8000  # bytes that a chunk knows of what stands above and below it
NEAR = 4096  # bytes that a single line knows of the same
LONG = 128 << 10  # bytes of a single line that are kept
AHEAD = 3  # chunks for each thread that may be under way
_KEPT = 24 << 20  # bytes

_Found = tuple[Hits, Sequence[int]]
_counter = NewlineCounter()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of a stream: `data`, the number of its first line, and the literals in it.

    `newlines` has how many line ends stand before each PART bytes, and in all. `above` ends where `data` begins and `below`
    begins where it ends; both are BORDER bytes at most.
    """

    data: bytes
    first_line: int
    newlines: Sequence[int]
    hits: Hits
    above: bytes = b""
    below: bytes = b""

    def number(self, at: int) -> int:
        """The number of the line that an offset is in."""
        part = at // PART
        return self.first_line + self.newlines[part] + self.data.count(b"\n", part * PART, at)

    def counting(self) -> Callable[[int], int]:
        """`number` for offsets that ascend: it counts on from the last one."""
        at, number = 0, self.first_line

        def count(place: int) -> int:
            nonlocal at, number
            part = place // PART
            if part * PART > at:
                at, number = part * PART, self.first_line + self.newlines[part]
            number += self.data.count(b"\n", at, place)
            at = place
            return number

        return count

    def line_starts(self, places: Sequence[int]) -> list[int]:
        """Offsets of the lines that these offsets are in, ascending."""
        starts, end = [], -1
        for place in sorted(places):
            if place > end:
                starts.append(self.data.rfind(b"\n", 0, place) + 1)
                end = self.line_end(place)
        return starts

    def line_end(self, at: int) -> int:
        """The offset at which the line of an offset ends, before its line feed."""
        end = self.data.find(b"\n", at)
        return len(self.data) if end < 0 else end

    def before(self, at: int) -> bytes:
        """BORDER bytes that end at an offset; fewer at the beginning of the stream."""
        return (self.above + self.data[:at] if at < BORDER else self.data[at - BORDER : at])[-BORDER:]

    def after(self, at: int) -> bytes:
        """BORDER bytes from an offset on; fewer at the end of the stream."""
        return (self.data[at : at + BORDER] + self.below)[:BORDER]

    def window(self, at: int) -> Chunk:
        """The line that begins at an offset alone, LONG bytes of it at most, with what stands next to it."""
        end = self.line_end(at)
        below = (self.data[end : end + NEAR] + self.below)[:NEAR]
        if end - at > LONG:
            bar = self.data.find(b"\r", end - LONG, end)  # of a line that rewrote itself the last states are looked at
            line = self.data[bar + 1 : end] if bar >= 0 else self.data[at : at + LONG]
        else:
            line = self.data[at:end]
        return Chunk(line, self.number(at), (0,), NOTHING, self.before(at)[-NEAR:], below)


def chunks(stream: BinaryIO, scanner: Scanner) -> Iterator[Chunk]:
    """Read a stream in pieces cut at line ends.

    A line longer than LONGEST_LINE is cut where a progress bar rewrote it, and its parts have the same number; of one that
    no bar wrote only the beginning is kept. Where no line ends with a line feed, carriage returns end lines.
    """
    _keep_freed_memory()
    above, line = b"", 1
    for data, (hits, newlines), below in _searched(scanner.ahead(pieces(stream, LONGEST_LINE)), scanner):
        yield Chunk(data, line, newlines, hits, above, below[:BORDER])
        line += newlines[-1]
        above = (above + data[-BORDER:])[-BORDER:]


def _searched(pieces: Iterator[bytes], scanner: Scanner) -> Iterator[tuple[bytes, _Found, bytes]]:
    """Each piece, what was found in it, and the piece that follows; those ahead are searched meanwhile."""

    def search(piece: bytes) -> _Found:
        return scanner.hits(piece), _counter.count(piece)

    ahead: deque[tuple[bytes, Callable[[], _Found]]] = deque()
    error = None
    while True:
        try:
            piece = next(pieces, b"")
        except (HangLensError, OSError) as raised:  # of the stream
            piece, error = b"", raised
        if piece:
            ahead.append((piece, scanner.begin(search, piece)))
        while ahead and (not piece or len(ahead) > (AHEAD * scanner.threads or 1)):
            first, found = ahead.popleft()
            yield first, found(), ahead[0][0] if ahead else b""
        if error:
            raise error
        if not piece:
            return


class _Reader:
    """Reads a stream to its end or to an error, which waits until what stands before it has been looked at."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.error: Exception | None = None

    def __call__(self) -> bytes:
        try:
            return self._stream.read(CHUNK)
        except (HangLensError, OSError) as error:
            self.error = error
            return b""


def pieces(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    """Whole lines. Of one longer than `longest`, which is not below CHUNK, what a progress bar did not write is cut off."""
    rest, begun, read = b"", False, _Reader(stream)
    while block := read():
        if len(rest) >= longest:  # what follows belongs to a line that is too long already
            block = block[block.find(b"\n") :] if b"\n" in block else b""
        cut = block.rfind(b"\n") + 1
        if not cut and len(rest) + len(block) >= longest:
            rest, block = b"", rest + block
            cut = block.rfind(b"\r") + 1
        if cut:
            yield b"".join((rest, memoryview(block)[:cut]))
            rest, begun = b"", True
        rest += block[cut : cut + longest]
    if rest:
        yield rest if begun else rest.replace(b"\r", b"\n")
    if read.error:
        raise read.error


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep the memory of chunks for the next ones: to get it anew from the system takes as long as to search it.

    glibc gives freed blocks back at once that are larger than any that it has seen freed before (mallopt(3), M_MMAP_THRESHOLD).
    """
    with suppress(MemoryError):
        bytes(_KEPT)  # no page of it is touched
