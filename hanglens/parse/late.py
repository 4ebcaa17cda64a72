"""The last lines of a file that a pattern may match, of which enough was kept from the file's beginning."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from hanglens.chunks import Chunk

MOST_CHUNKS = 8  # that are kept whole for lines in them; of older ones the lines alone are


class LateLines:
    """Remembers where the last lines are that hold a pattern's literals; only at the end of the file it is known which they are."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, deque[tuple[Chunk, int]]] = {}
        self._chunks: deque[Chunk] = deque()

    def add(self, chunk: Chunk, ends: Mapping[str, Sequence[int]]) -> None:
        """The hits in a chunk, by the pattern that wants them."""
        if not ends:
            return
        for name, offsets in ends.items():
            lines = self._lines.setdefault(name, deque(maxlen=self._most))
            lines.extend((chunk, at) for at in chunk.line_starts(offsets, self._most))
        self._chunks.append(chunk)
        if len(self._chunks) > MOST_CHUNKS:
            self._leave(self._chunks.popleft())

    def _leave(self, chunk: Chunk) -> None:
        """Keep no more of a chunk than the lines that are still among the last."""
        windows: dict[int, Chunk] = {}
        for lines in self._lines.values():
            for place, (of, at) in enumerate(lines):
                if of is chunk:
                    windows[at] = windows.get(at) or chunk.window(at)
                    lines[place] = windows[at], 0

    def by_line(self) -> Iterator[tuple[Chunk, int, list[str]]]:
        """Each of the last lines as its chunk and offset, in the order of the file, with the names of the patterns that want it."""
        found: dict[int, tuple[Chunk, int, list[str]]] = {}
        for name, lines in self._lines.items():
            for chunk, at in lines:
                found.setdefault(chunk.number(at), (chunk, at, []))[2].append(name)
        return (found[number] for number in sorted(found))
