"""Which of many literals stand in a text: one search for all of them, since hardly any does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from hanglens.scan import Scanner

SHORT = 64 << 10  # characters; in less it is sooner to look for one after the other than to begin a search for all


class Hints:
    """A set of literals. The search for all of them is prepared when the first long text comes."""

    def __init__(self, literals: Iterable[str]) -> None:
        self._literals = frozenset(literals)

    def there(self, text: str) -> frozenset[str]:
        """Those that stand in a text."""
        if len(text) < SHORT:
            return frozenset(literal for literal in self._literals if literal in text)
        found = self._scanner.hits(text.encode("utf-8", "surrogatepass")).ends
        return frozenset(self._scanner.literals[which] for which in found)

    @cached_property
    def _scanner(self) -> Scanner:
        return Scanner(list(self._literals))
