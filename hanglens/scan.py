"""Many patterns over many bytes: which literals stand where in a block.

Each pattern has literals of which one must stand in a line before its regular expression is tried. A Hyperscan database
of all literals finds them; where there is no Hyperscan wheel, a plain search finds the same.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from hanglens.expressions import required_literals

MOST_THREADS = 4
WORTH_A_THREAD = 1 << 18  # bytes; less is searched sooner than handed over
CROWDED = 50  # literals in a block: to hear of each, a thread waits for the interpreter, and so for the one that looks at what was found

Hits = Mapping[int, Sequence[int]]
"""The literals found, by their place in `Scanner.literals`: of each the offsets of its last bytes, ascending."""
_Find = Callable[[bytes], Hits]


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


class Scanner:
    """Finds literals (case is significant) in blocks, several at a time where there are several cores."""

    def __init__(self, literals: Sequence[str]) -> None:
        self.literals = tuple(sorted(set(literals)))
        encoded = tuple(text.encode("utf-8", "replace") for text in self.literals)
        self._find: _Find = _hyperscan(encoded) or _plain(encoded)
        self.threads = min(_cores(), MOST_THREADS) if _cores() > 1 else 0  # beside the one that looks at what was found
        self._pool: ThreadPoolExecutor | None = None
        self._crowded = False

    def hits(self, block: bytes) -> Hits:
        """The literals in `block`."""
        found = self._find(block) if self.literals and block else {}
        self._crowded = sum(map(len, found.values())) > CROWDED
        return found

    def begin(self, block: bytes) -> Callable[[], Hits]:
        """Begin to search a block, in another thread if that helps; what is returned gives the literals in it."""
        if self._crowded or not self._worth_a_thread(block):
            found = self.hits(block)
            return lambda: found
        return self._threads().submit(self.hits, block).result

    def ahead(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The same blocks; where they are large, each is read and inflated while the one before it is searched."""
        block = next(blocks, b"")
        while block:
            if not self._worth_a_thread(block):
                yield block
                block = next(blocks, b"")
                continue
            coming = self._threads().submit(next, blocks, b"")
            try:
                yield block
            finally:
                wait([coming])  # whoever stops here may close what is read
            block = coming.result()

    def _worth_a_thread(self, block: bytes) -> bool:
        return self.threads > 0 and len(block) >= WORTH_A_THREAD

    def _threads(self) -> ThreadPoolExecutor:
        self._pool = self._pool or ThreadPoolExecutor(self.threads, "scan")
        return self._pool


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


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
    local = threading.local()

    def find(block: bytes) -> Hits:
        if not hasattr(local, "scratch"):  # the memory that a search works in, which no two threads may share
            local.scratch = hyperscan.Scratch(database)
        found: dict[int, list[int]] = {}

        def hit(which: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found.setdefault(which, []).append(end - 1)

        database.scan(block, match_event_handler=hit, scratch=local.scratch)
        return found

    return find


def _plain(literals: tuple[bytes, ...]) -> _Find:
    def find(block: bytes) -> Hits:
        return {which: ends for which, literal in enumerate(literals) if (ends := list(_occurrences(block, literal)))}

    return find


def _occurrences(block: bytes, literal: bytes) -> Iterator[int]:
    at = block.find(literal)
    while at >= 0:
        yield at + len(literal) - 1
        at = block.find(literal, at + 1)
