"""The last lines of a file that a pattern may match, of which enough was kept from the file's beginning."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hanglens.chunks import Chunk
from hanglens.scan import Scanner

MOST_CHUNKS = 8  # when twice as many are there, the older ones are let go

Lines = dict[str, list[tuple[Chunk, int]]]
"""Of each pattern some lines, as chunk and offset; the last one first."""


@dataclass(slots=True)
class _Part:
    """A chunk, for each pattern those of its literals that stand in it, and the lines that hold them where these were asked for.

    `below`: for each pattern the offset of the line below which its lines matter; -1 where all do.
    """

    chunk: Chunk
    wanted: Mapping[str, frozenset[int]]
    below: Mapping[str, int]
    starts: dict[str, list[int]] = field(default_factory=dict)

    def look_up(self, names: set[str], scanner: Scanner) -> None:
        """Find the lines for these patterns, all in one go."""
        unknown = {name: self.wanted[name] for name in names if name not in self.starts}
        places = scanner.places(self.chunk.data, self.chunk.hits, frozenset().union(*unknown.values()))
        for name, literals in unknown.items():
            starts = self.chunk.line_starts([at for literal in literals for at in places[literal]])
            self.starts[name] = starts[bisect_right(starts, self.below[name]) :]


class LateLines:
    """Remembers where the last lines are that hold a pattern's literals; only at the end of the file it is known which they are."""

    def __init__(self, most: int, scanner: Scanner) -> None:
        self._most, self._scanner = most, scanner
        self._parts: list[_Part] = []
        self._lines: Lines = {}  # in parts that have been let go: each is a chunk of its own now

    def add(self, chunk: Chunk, wanted: Mapping[str, frozenset[int]], below: Mapping[str, int]) -> None:
        """A chunk, for each pattern those of its literals that stand in it, and the offset of the line below which it matters, or -1."""
        if not wanted:
            return
        self._parts.append(_Part(chunk, wanted, below))
        if len(self._parts) == 2 * MOST_CHUNKS:
            self._let_go()

    def last(self, most: int) -> Lines:
        """Of each pattern so many of the last lines that it may match, the last one first, as far as they are still there."""
        return self._last(self._parts, self._lines, most)

    def _let_go(self) -> None:
        """Of the older parts keep the lines that may be among the last."""
        older, self._parts = self._parts[:MOST_CHUNKS], self._parts[MOST_CHUNKS:]
        newer = self._last(self._parts, {}, self._most)
        enough = {name for name, lines in newer.items() if len(lines) == self._most}
        alone = {(id(chunk), at): chunk for lines in self._lines.values() for chunk, at in lines}
        kept: Lines = {}
        for name, lines in self._last(older, self._lines, self._most, enough).items():
            for chunk, at in lines[: self._most - len(newer.get(name, ()))]:
                window = alone.get((id(chunk), at)) or alone.setdefault((id(chunk), at), chunk.window(at))
                kept.setdefault(name, []).append((window, 0))
        self._lines = kept

    def _last(self, parts: Sequence[_Part], above: Lines, most: int, without: set[str] | None = None) -> Lines:
        """The last lines of each pattern in some parts, and of those that stand above them."""
        found: Lines = {}
        for part in reversed(parts):
            lacking = {name for name in part.wanted if len(found.get(name, ())) < most} - (without or set())
            part.look_up(lacking, self._scanner)
            for name in sorted(lacking):
                lines = found.setdefault(name, [])
                lines += ((part.chunk, at) for at in reversed(part.starts[name][len(lines) - most :]))
        for name in above.keys() - (without or set()):
            lines = found.setdefault(name, [])
            lines += above[name][: most - len(lines)]
        return found
