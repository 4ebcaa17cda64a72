"""Regular expressions of strangers: searched with a time limit, checked, and the literals that every match of them must hold."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import regex

from hanglens.errors import HangLensError

if sys.version_info >= (3, 11):
    from re import _constants as _sre  # type: ignore[attr-defined]
    from re import _parser as _sre_parser  # type: ignore[attr-defined]
else:
    import sre_constants as _sre
    import sre_parse as _sre_parser

REGEX_SECONDS = 0.5
SHORTEST_LITERAL = 4
MOST_REPEATS = 10_000
MOST_ALTERNATIVES = 16  # of a literal that holds choices, as `via P2P` and `via SHM` of `via (?:P2P|SHM)`

_Tree = Sequence[tuple[object, object]]
_EMPTY = frozenset({""})
_REPEATING = {_sre.MAX_REPEAT, _sre.MIN_REPEAT, getattr(_sre, "POSSESSIVE_REPEAT", _sre.MAX_REPEAT)}  # the last since Python 3.11


def search(expression: str, text: str) -> regex.Match[str] | None:
    """Search with a time limit, since expressions and lines may both come from strangers; a slow search finds nothing.

    Raises:
        HangLensError: `regex` does not take the expression, though Python's own parser does.
    """
    try:
        return _compiled(expression).search(text, timeout=REGEX_SECONDS, concurrent=False)
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
    """What is wrong with a regular expression: what Python's own parser says, or that it is too large; nothing if it is right."""
    if complaint := _complaint(_parsed, expression):
        return complaint
    return f"it repeats a piece more than {MOST_REPEATS} times" if _repeats(_parsed(expression)[0]) > MOST_REPEATS else ""


def _repeats(tree: _Tree) -> int:
    """How many copies of its smallest piece it becomes when it is compiled."""
    return max((_copies(op, argument) for op, argument in tree), default=1)


def _copies(op: object, argument: Any) -> int:  # noqa: ANN401  the parser's trees have no types
    if op in _REPEATING:
        least, most, inner = argument
        return int(max(least if most is _sre.MAXREPEAT else most, 1)) * _repeats(inner)
    return max(map(_repeats, _inside(op, argument)), default=1)


def _inside(op: object, argument: Any) -> Sequence[_Tree]:  # noqa: ANN401  as above
    if op is _sre.BRANCH:
        return argument[1]  # type: ignore[no-any-return]
    return [argument[-1]] if op in (_sre.SUBPATTERN, _sre.ASSERT, _sre.ASSERT_NOT) else ()


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
