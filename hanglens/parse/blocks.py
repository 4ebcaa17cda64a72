"""Things in a log that take several lines: the contract between the text reader and the parsers of such blocks.

A log may hold anything: a stack dump between two log lines, a RAS table, a traceback. The reader offers each line that
holds one of a kind's literals to `start`; if that returns a block, it feeds the following lines until the block
refuses one, and that line is looked at afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hanglens.model import Parsed
from hanglens.parse.lines import Line


@dataclass(frozen=True, slots=True)
class Place:
    """The file that is read. `group` is what the names of one process's files share; `pid` and `rank` what the name says."""

    file: str
    group: str = ""
    pid: int | None = None
    rank: int | None = None


class Block(Protocol):
    """A block that is being read."""

    def feed(self, line: Line) -> bool:
        """Take the next line; False if it does not belong to the block any more (it is then not taken)."""

    def close(self) -> Parsed:
        """What was read. Never raises, whatever the lines were."""


@dataclass(frozen=True, slots=True)
class BlockKind:
    """`start` gets each line that holds one of `literals`, and opens a block with it or returns None."""

    name: str
    literals: tuple[str, ...]
    start: Callable[[Line, Place], Block | None]
