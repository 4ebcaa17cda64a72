"""Many patterns over many bytes: which lines of a stream hold one of a set of literals.

Each pattern has literals of which one must stand in a line before its regular expression is tried. A Hyperscan database
of all literals finds the candidate lines; where there is no Hyperscan wheel, a plain search gives the same lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import regex

if sys.version_info >= (3, 11):
    from re import _constants as _sre  # type: ignore[attr-defined]
    from re import _parser as _sre_parser  # type: ignore[attr-defined]
else:
    import sre_constants as _sre
    import sre_parse as _sre_parser

CHUNK = 1 << 20
LONGEST_LINE = 1 << 20
REGEX_SECONDS = 0.5
SHORTEST_LITERAL = 4

Hit = tuple[int, int]  # the offset of a literal's last byte, and which literal
_Find = Callable[[bytes], list[Hit]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression for one line. `sources` and `level` limit it to programs' lines; empty means any.

    `literals`: one of these must stand in the line; they are derived from the expression where none are given.
    `wraps`: a terminal may have wrapped the line; if the expression fails on it, it is tried on it and the next two joined.
    """

    name: str
    expression: str
    sources: frozenset[str] = frozenset()
    level: str = ""
    literals: tuple[str, ...] = ()
    wraps: bool = False

    def required(self) -> tuple[str, ...]:
        """The literals of which one stands in every line that can match; empty if none can be told."""
        return self.literals or required_literals(self.expression)


def search(expression: str, text: str) -> regex.Match[str] | None:
    """Search with a time limit, since expressions and lines may both come from strangers; a slow search finds nothing."""
    try:
        return _compiled(expression).search(text, timeout=REGEX_SECONDS)
    except TimeoutError:
        return None


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> regex.Pattern[str]:
    return regex.compile(expression)


def fault(expression: str) -> str:
    """What is wrong with a regular expression, by Python's own parser; nothing if it is good."""
    try:
        _parsed(expression)
    except re.error as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> Sequence[tuple[object, object]]:
    tree: Sequence[tuple[object, object]] = _sre_parser.parse(expression)
    return tree


@lru_cache(maxsize=4096)
def required_literals(expression: str) -> tuple[str, ...]:
    r"""Derive the literals that every match must hold (any one of them), longest piece first.

    >>> required_literals(r"Rank (?P<r>\d+) failed to pass monitoredBarrier")
    (' failed to pass monitoredBarrier',)
    """
    try:
        best = _best(_parsed(expression))
    except re.error:
        return ()
    return tuple(sorted(best)) if best and min(map(len, best)) >= SHORTEST_LITERAL else ()


def _best(tree: Sequence[tuple[object, object]]) -> frozenset[str] | None:
    """The alternatives whose shortest piece is longest; None if nothing is required."""
    candidates: list[frozenset[str]] = []
    run = ""
    for op, argument in tree:
        if op is _sre.LITERAL:
            run += chr(argument)  # type: ignore[arg-type]
            continue
        candidates += [frozenset({run})] if run else []
        run = ""
        inner = _inner(op, argument)
        candidates += [inner] if inner else []
    candidates += [frozenset({run})] if run else []
    return max(candidates, key=lambda alternatives: min(map(len, alternatives)), default=None)


def _inner(op: object, argument: object) -> frozenset[str] | None:
    if op is _sre.SUBPATTERN:
        return _best(argument[-1])  # type: ignore[index]
    if op is _sre.BRANCH:
        branches = [_best(branch) for branch in argument[1]]  # type: ignore[index]
        return frozenset().union(*branches) if all(branches) else None  # type: ignore[arg-type]
    if op in (_sre.MAX_REPEAT, _sre.MIN_REPEAT) and argument[0] > 0:  # type: ignore[index]
        return _best(argument[2])  # type: ignore[index]
    return None


class Scanner:
    """Finds the lines that hold one of `literals` (case is significant). One scanner serves one thread."""

    def __init__(self, literals: Sequence[str]) -> None:
        self.literals = tuple(sorted(set(literals)))
        encoded = tuple(text.encode() for text in self.literals)
        self._find: _Find = _hyperscan(encoded) or _plain(encoded)

    def hits(self, block: bytes) -> list[Hit]:
        """The literals found in `block`, in no particular order."""
        return self._find(block) if self.literals and block else []


def _hyperscan(literals: tuple[bytes, ...]) -> _Find | None:
    try:
        import hyperscan
    except ImportError:
        return None
    if not literals:
        return None
    database = hyperscan.Database()
    expressions = [re.escape(literal) for literal in literals]
    database.compile(expressions=expressions, ids=list(range(len(literals))), elements=len(literals), flags=[0] * len(literals))

    def find(block: bytes) -> list[Hit]:
        found: list[Hit] = []
        database.scan(block, match_event_handler=lambda which, _start, end, _flags, _context: found.append((end - 1, which)))
        return found

    return find


def _plain(literals: tuple[bytes, ...]) -> _Find:
    def find(block: bytes) -> list[Hit]:
        return [hit for which, literal in enumerate(literals) for hit in _occurrences(block, literal, which)]

    return find


def _occurrences(block: bytes, literal: bytes, which: int) -> Iterator[Hit]:
    at = block.find(literal)
    while at >= 0:
        yield at + len(literal) - 1, which
        at = block.find(literal, at + 1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of a stream: `data`, the number of its first line, and the hits by the offset of their line."""

    data: bytes
    first_line: int
    hits: dict[int, set[int]]


def chunks(stream: BinaryIO, scanner: Scanner) -> Iterator[Chunk]:
    """Read a stream in blocks cut at line ends; of a line longer than LONGEST_LINE only the beginning is kept."""
    rest, line = b"", 1
    while True:
        block = stream.read(CHUNK)
        data = rest + block
        cut = data.rfind(b"\n") + 1 if block else len(data)
        if block and not cut:
            rest = data[:LONGEST_LINE]
            continue
        data, rest = data[:cut], data[cut:]
        if data:
            yield Chunk(data, line, _by_line(data, scanner.hits(data)))
            line += data.count(b"\n")
        if not block:
            return


def _by_line(data: bytes, hits: list[Hit]) -> dict[int, set[int]]:
    lines: dict[int, set[int]] = {}
    for end, which in hits:
        lines.setdefault(data.rfind(b"\n", 0, end) + 1, set()).add(which)
    return lines
