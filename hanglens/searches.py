"""The searches of one analysis by the expressions of its rules, each rule within a time of its own.

Expressions and lines may both come from strangers: some expressions take for ever on some lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from time import thread_time
from typing import TYPE_CHECKING

from hanglens.errors import HangLensError
from hanglens.expressions import search

if TYPE_CHECKING:
    import regex

SLOW = 0.01  # seconds of the processor, so that waiting for it does not count; a search that is not slow takes microseconds
MOST_SLOW = 1.5  # seconds of slow searches of one rule


class Searches:
    """Searches for the expressions of rules until their time is used up; `off` has the rules that are not searched for any more, and why.

    A rule that is off has seen only a part of the evidence: nothing may be concluded from it.
    """

    def __init__(self, rules: Callable[[], Iterable[tuple[str, str]]] = tuple) -> None:
        """`rules` gives pairs of a rule and an expression, and is asked for them only when a search is slow.

        An expression of several rules is the first one's; one of no rule has a time of its own.
        """
        self._rules = rules
        self._slow: dict[str, float] = {}
        self.off: dict[str, str] = {}

    def reset(self) -> None:
        """Begin another analysis."""
        self._slow.clear()
        self.off.clear()

    def search(self, expression: str, text: str) -> regex.Match[str] | None:
        """The first match; None where there is none, or where it was not found in time."""
        if self.off and self._rule(expression) in self.off:
            return None
        began = thread_time()
        try:
            found = search(expression, text)
        except HangLensError as error:
            self.off[self._rule(expression)] = str(error)
            return None
        seconds = thread_time() - began
        if seconds > SLOW:
            self._spend(self._rule(expression), seconds)
        return found

    @cached_property
    def _rule_of(self) -> Mapping[str, str]:
        return {expression: rule for rule, expression in reversed(tuple(self._rules()))}

    def _rule(self, expression: str) -> str:
        return self._rule_of.get(expression, expression)

    def _spend(self, rule: str, seconds: float) -> None:
        self._slow[rule] = self._slow.get(rule, 0.0) + seconds
        if self._slow[rule] > MOST_SLOW:
            self.off[rule] = f"its patterns took more than {MOST_SLOW:g} s on lines of this evidence"
