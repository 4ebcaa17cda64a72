"""Many patterns over many bytes: which literals stand where in a block.

Each pattern has literals of which one must stand in a line before its regular expression is tried. A Hyperscan database
of all literals finds them; where there is no Hyperscan wheel, a plain search finds the same.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from hanglens.expressions import required_literals
from hanglens.machine import cores

MOST_THREADS = 4
READ_AHEAD = 3  # blocks
WORTH_A_THREAD = 1 << 18  # bytes; less is searched sooner than handed over
LONGEST_LITERAL = 500  # characters; of a longer one the beginning is enough, and Hyperscan has a limit
FLOOD = 64  # hits of one literal in a large block
MOST_FLOODS = 64  # times that more floods are taken note of; each takes as long as some blocks


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

    @property
    def rule(self) -> str:
        """The rule that it belongs to; its own name where it belongs to none."""
        return self.name.partition("#")[0]

    def required(self) -> tuple[str, ...]:
        """The literals of which one stands in every line that can match; empty if none can be told."""
        return tuple(literal[:LONGEST_LITERAL] for literal in self.literals or required_literals(self.expression))


Places = Mapping[int, Sequence[int]]
"""Literals, by their place in `Scanner.literals`, with the ascending offsets at which each ends."""
_Find = Callable[[bytes], Places]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hits:
    """The literals in a block: where each ends everywhere, but of `floods` in one place only."""

    ends: Places
    floods: frozenset[int] = frozenset()


NOTHING = Hits({})


class Scanner:
    """Finds literals (case is significant) in blocks, several at a time where there are several cores."""

    def __init__(self, literals: Sequence[str]) -> None:
        self.literals = tuple(sorted(set(literals)))
        self._encoded = tuple(text.encode("utf-8", "replace") for text in self.literals)
        self.threads = min(cores(), MOST_THREADS) if cores() > 1 else 0  # beside the one that looks at what was found
        self._pool: ThreadPoolExecutor | None = None
        self._finder = _finder(self._encoded, frozenset()), frozenset[int]()  # and the floods of which it tells the first place only
        self._noted, self._lock = 0, threading.Lock()

    def hits(self, block: bytes) -> Hits:
        """The literals in a block. To tell of each place takes long where there are many, and keeps other threads from their work."""
        find, floods = self._finder
        ends = find(block)
        more = {which for which, places in ends.items() if len(places) > FLOOD}
        if more and len(block) >= WORTH_A_THREAD:
            self._note(more)
        return Hits(ends, floods)

    def places(self, block: bytes, hits: Hits, literals: Collection[int]) -> Places:
        """All places of some of the literals in a block."""
        return {which: _occurrences(block, self._encoded[which]) if which in hits.floods else hits.ends[which] for which in literals}

    def _note(self, floods: set[int]) -> None:
        with self._lock:
            known = self._finder[1] | floods
            if known != self._finder[1] and self._noted < MOST_FLOODS:
                self._noted += 1
                self._finder = _finder(self._encoded, known), known

    def begin(self, search: Callable[[bytes], T], block: bytes) -> Callable[[], T]:
        """Begin to search a block, in another thread if it is a large one; what is returned gives what `search` returns."""
        if not self._worth_a_thread(block):
            found = search(block)
            return lambda: found
        return self._threads().submit(search, block).result

    def ahead(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The same blocks; where they are large, the next ones are read and inflated while one is searched."""
        block = next(blocks, b"")
        if not self._worth_a_thread(block):
            yield from chain([block] if block else [], blocks)
            return
        with ThreadPoolExecutor(1, "read") as reader:  # which ends before whoever stops here closes what is read
            coming = deque(reader.submit(next, blocks, b"") for _ in range(READ_AHEAD))
            while block:
                yield block
                block = coming.popleft().result()
                coming.append(reader.submit(next, blocks, b""))

    def _worth_a_thread(self, block: bytes) -> bool:
        return self.threads > 0 and len(block) >= WORTH_A_THREAD

    def _threads(self) -> ThreadPoolExecutor:
        self._pool = self._pool or ThreadPoolExecutor(self.threads, "scan")
        return self._pool


def _finder(literals: tuple[bytes, ...], floods: frozenset[int]) -> _Find:
    if not literals:
        return lambda _block: {}
    return _hyperscan(literals, floods) or _plain(literals, floods)


def _hyperscan(literals: tuple[bytes, ...], floods: frozenset[int]) -> _Find | None:
    try:
        import hyperscan
    except ImportError:
        return None
    database = hyperscan.Database()
    expressions = [b"".join(b"\\x%02x" % byte for byte in literal) for literal in literals]
    flags = [hyperscan.HS_FLAG_SINGLEMATCH if which in floods else 0 for which in range(len(literals))]
    database.compile(expressions=expressions, ids=list(range(len(literals))), elements=len(literals), flags=flags)
    local = threading.local()

    def find(block: bytes) -> Places:
        if not hasattr(local, "scratch"):  # the memory that a search works in, which no two threads may share
            local.scratch = hyperscan.Scratch(database)
        found: dict[int, list[int]] = {}

        def hit(which: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found.setdefault(which, []).append(end - 1)

        if block:
            database.scan(block, match_event_handler=hit, scratch=local.scratch)
        return found

    return find


def _plain(literals: tuple[bytes, ...], floods: frozenset[int]) -> _Find:
    def find(block: bytes) -> Places:
        ends = ((which, _occurrences(block, literal, 1 if which in floods else None)) for which, literal in enumerate(literals))
        return {which: places for which, places in ends if places}

    return find


def _occurrences(block: bytes, literal: bytes, most: int | None = None) -> list[int]:
    """Where a literal ends, so often at most."""
    ends: list[int] = []
    at = block.find(literal)
    while at >= 0 and len(ends) != most:
        ends.append(at + len(literal) - 1)
        at = block.find(literal, at + 1)
    return ends
