"""Many patterns over many bytes: which lines of a stream hold one of a set of literals.

Each pattern has literals of which one must stand in a line before its regular expression is tried. A Hyperscan database
of all literals finds the candidate lines; where there is no Hyperscan wheel, a plain search gives the same lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import regex

from hanglens.errors import HangLensError

if sys.version_info >= (3, 11):
    from re import _constants as _sre  # type: ignore[attr-defined]
    from re import _parser as _sre_parser  # type: ignore[attr-defined]
else:
    import sre_constants as _sre
    import sre_parse as _sre_parser

CHUNK = 1 << 20
LONGEST_LINE = 1 << 20
BORDER = 8000  # bytes that a chunk knows of what stands above and below it
NEAR = 4096  # bytes that a single line knows of the same
REGEX_SECONDS = 0.5
SHORTEST_LITERAL = 4
MOST_ALTERNATIVES = 16  # of a literal that holds choices, as `via P2P` and `via SHM` of `via (?:P2P|SHM)`

_Tree = Sequence[tuple[object, object]]
_EMPTY = frozenset({""})
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
    """Search with a time limit, since expressions and lines may both come from strangers; a slow search finds nothing.

    Raises:
        HangLensError: `regex` does not take the expression, though Python's own parser does.
    """
    try:
        return _compiled(expression).search(text, timeout=REGEX_SECONDS)
    except TimeoutError:
        return None
    except regex.error as error:
        raise HangLensError(f"the pattern {expression!r} cannot be searched: {error}", "run `hanglens rules lint`") from error


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> regex.Pattern[str]:
    return regex.compile(expression)


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> tuple[_Tree, bool]:
    """The expression's tree, and whether case is ignored in all of it."""
    tree: Any = _sre_parser.parse(expression)
    return tree, bool(tree.state.flags & re.IGNORECASE)


_FAULTS = (re.error, regex.error, ValueError, OverflowError, RecursionError)  # a flag or a number may be wrong, too


def fault(expression: str) -> str:
    """What Python's own parser finds wrong with a regular expression; nothing if it takes it."""
    return _complaint(_parsed, expression)


def search_fault(expression: str) -> str:
    """The same of the parser that searches, which is slow: for each of hundreds of rules it would be the half of a start."""
    return _complaint(_compiled, expression)


def _complaint(parse: Callable[[str], object], expression: str) -> str:
    try:
        parse(expression)
    except _FAULTS as error:
        return str(error)
    return ""


def required_literals(expression: str) -> tuple[str, ...]:
    r"""Derive the literals that every match must hold (any one of them): of all pieces the longest.

    >>> required_literals(r"Rank (?P<r>\d+) failed to pass monitoredBarrier")
    (' failed to pass monitoredBarrier',)
    """
    return max(required_pieces(expression), key=_shortest, default=())


@lru_cache(maxsize=4096)
def required_pieces(expression: str) -> tuple[tuple[str, ...], ...]:
    r"""Derive all pieces that every match must hold, each as its alternatives.

    >>> required_pieces(r"(?:recv|send) \(\S*distributed_c10d")
    (('recv', 'send'), ('distributed_c10d',))
    """
    try:
        tree, ignores_case = _parsed(expression)
    except _FAULTS:
        return ()
    pieces = [] if ignores_case else _required(tree)
    return tuple(tuple(sorted(piece)) for piece in pieces if _shortest(piece) >= SHORTEST_LITERAL)


def _shortest(alternatives: Iterable[str]) -> int:
    return min(map(len, alternatives))


def _best(tree: _Tree) -> frozenset[str] | None:
    """The alternatives whose shortest piece is longest; None if nothing is required."""
    return max(_required(tree), key=_shortest, default=None)


def _required(tree: _Tree) -> list[frozenset[str]]:
    """Alternatives of which one must stand in every match, for each part of the expression that requires some."""
    candidates: list[frozenset[str]] = []
    runs = _EMPTY
    for op, argument in tree:
        longer = _longer(runs, _exact(op, argument))
        if longer is not None:
            runs = longer
            continue
        inner = _inner(op, argument)
        candidates += [found for found in (runs, inner) if found]
        runs = _EMPTY
    return [found for found in (*candidates, runs) if all(found)]


def _exact(op: object, argument: object) -> frozenset[str] | None:
    """All texts that a part matches, where these are few and known: constants, and choices of them."""
    if op is _sre.LITERAL:
        return frozenset({chr(argument)})  # type: ignore[arg-type]
    if op is _sre.SUBPATTERN:
        return None if argument[1] & re.IGNORECASE else _exact_run(argument[-1])  # type: ignore[index]
    if op is _sre.BRANCH:
        branches = [_exact_run(branch) for branch in argument[1]]  # type: ignore[index]
        return None if None in branches else frozenset().union(*branches)  # type: ignore[arg-type]
    return None


def _exact_run(tree: _Tree) -> frozenset[str] | None:
    runs: frozenset[str] | None = _EMPTY
    for op, argument in tree:
        runs = _longer(runs, _exact(op, argument)) if runs is not None else None
    return runs


def _longer(runs: frozenset[str], exact: frozenset[str] | None) -> frozenset[str] | None:
    """Each text with each that may follow it; None if what follows is not known, or they would be too many."""
    if exact is None or len(runs) * len(exact) > MOST_ALTERNATIVES:
        return None
    return frozenset(begun + more for begun in runs for more in exact)


def _inner(op: object, argument: object) -> frozenset[str] | None:
    if op is _sre.SUBPATTERN:
        return None if argument[1] & re.IGNORECASE else _best(argument[-1])  # type: ignore[index]
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
        encoded = tuple(text.encode("utf-8", "replace") for text in self.literals)
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
    expressions = [b"".join(b"\\x%02x" % byte for byte in literal) for literal in literals]
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
    """Whole lines of a stream: `data`, the number of its first line, and the hits by the offset of their line.

    `above` ends where `data` begins and `below` begins where it ends; both are BORDER bytes at most.
    """

    data: bytes
    first_line: int
    hits: dict[int, set[int]]
    above: bytes = b""
    below: bytes = b""

    def before(self, at: int) -> bytes:
        """BORDER bytes that end at an offset; fewer at the beginning of the stream."""
        return (self.above + self.data[:at] if at < BORDER else self.data[at - BORDER : at])[-BORDER:]

    def after(self, at: int) -> bytes:
        """BORDER bytes from an offset on; fewer at the end of the stream."""
        return (self.data[at : at + BORDER] + self.below)[:BORDER]

    def window(self, at: int, number: int) -> Chunk:
        """The line at an offset alone, whose number is known, with what stands next to it."""
        end = self.data.find(b"\n", at)
        end = len(self.data) if end < 0 else end
        below = (self.data[end : end + NEAR] + self.below)[:NEAR]
        return Chunk(self.data[at:end], number, {}, self.before(at)[-NEAR:], below)


def chunks(stream: BinaryIO, scanner: Scanner) -> Iterator[Chunk]:
    """Read a stream in pieces cut at line ends.

    A line longer than LONGEST_LINE is cut where a progress bar rewrote it, and its parts have the same number; of one that
    no bar wrote only the beginning is kept. Where no line ends with a line feed, carriage returns end lines.
    """
    above = b""
    pieces = _pieces(stream)
    piece = next(pieces, None)
    while piece:
        data, line = piece
        piece = next(pieces, None)
        yield Chunk(data, line, _by_line(data, scanner.hits(data)), above, piece[0][:BORDER] if piece else b"")
        above = (above + data[-BORDER:])[-BORDER:]


def _pieces(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Whole lines, and the number of the first of them."""
    rest, line, begun = b"", 1, False
    while block := stream.read(CHUNK):
        if len(rest) >= LONGEST_LINE:  # what follows belongs to a line that is too long already
            block = block[block.find(b"\n") :] if b"\n" in block else b""
        data = rest + block
        cut = data.rfind(b"\n") + 1 or (data.rfind(b"\r") + 1 if len(data) >= LONGEST_LINE else 0)
        if cut:
            yield data[:cut], line
            line, begun = line + data.count(b"\n", 0, cut), True
        rest = data[cut : cut + LONGEST_LINE]
    if rest:
        yield (rest if begun else rest.replace(b"\r", b"\n")), line


def _by_line(data: bytes, hits: list[Hit]) -> dict[int, set[int]]:
    lines: dict[int, set[int]] = {}
    start, stop = 0, -1  # of the line that the last hit was in: a long line may hold many
    for end, which in sorted(hits):
        if end > stop:
            start, stop = data.rfind(b"\n", 0, end) + 1, data.find(b"\n", end)
            stop = len(data) if stop < 0 else stop
        lines.setdefault(start, set()).add(which)
    return lines
