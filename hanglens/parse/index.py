"""What the lines of texts are searched for, and what of it a line is worth trying on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from hanglens.expressions import required_pieces
from hanglens.parse.blocks import BlockKind
from hanglens.scan import Pattern, Scanner
from hanglens.searches import Searches

SEARCHED = 64 << 10  # characters of a line in which a pattern is searched
_BEGINNINGS = ("^", "\\A", "(?<!", "(?<=")

Wanted = Pattern | BlockKind


class PatternIndex:
    """All patterns and block kinds of an analysis, found by the literals that a scan hits."""

    def __init__(self, patterns: Sequence[Pattern], kinds: Sequence[BlockKind], searches: Searches | None = None) -> None:
        wanted: dict[str, list[Wanted]] = {}
        for pattern in patterns:
            for literal in pattern.required():
                wanted.setdefault(literal, []).append(pattern)
        for kind in kinds:
            for literal in kind.literals:
                wanted.setdefault(literal, []).append(kind)
        self.scanner = Scanner(list(wanted))
        self.searches = searches or Searches(lambda: ((pattern.rule, pattern.expression) for pattern in patterns))
        self.patterns = {pattern.name: pattern for pattern in patterns}
        self._wanted = [tuple(wanted[literal]) for literal in self.scanner.literals]

    @cached_property
    def without_blocks(self) -> PatternIndex:
        """The patterns alone, for files whose blocks somebody else reads."""
        return PatternIndex(list(self.patterns.values()), (), self.searches)

    def wanted(self, literal: int) -> tuple[Wanted, ...]:
        """Who wants a literal."""
        return self._wanted[literal]

    def promising(self, wanted: Collection[Wanted], raw: str) -> bool:
        """Whether something may come of a line; to ask is far cheaper than to take its prefixes off.

        The message is the end of the raw line unless control codes stand in it, so what is not bound to the message's beginning
        is found in the raw line too.
        """
        text = raw.rstrip("\r\n")
        if len(text) > SEARCHED or not text.isprintable():
            return True
        return any(not isinstance(one, Pattern) or self._may_match(one, text) for one in wanted)

    def _may_match(self, pattern: Pattern, text: str) -> bool:
        if pattern.wraps:
            return True
        if not all(any(piece in text for piece in pieces) for pieces in required_pieces(pattern.expression)):
            return False
        return _begins(pattern.expression) or self.searches.search(pattern.expression, text) is not None


def _begins(expression: str) -> bool:
    """Whether it is bound to the beginning of the message."""
    bare = expression.replace("[^", "[")
    return any(sign in bare for sign in _BEGINNINGS)
