"""Which patterns and blocks a line is worth trying on."""

from __future__ import annotations

import pytest

from hanglens.parse.blocks import BlockKind
from hanglens.parse.index import SEARCHED, PatternIndex
from hanglens.scan import Pattern

BLOCK = BlockKind("block", ("Thread ",), lambda _line, _place: None)


def test_who_wants_a_literal() -> None:
    """Patterns and kinds of blocks are found by each of their literals, and without blocks the patterns alone."""
    pattern = Pattern("p", "(?:one|two) mark", literals=("one mark", "Thread "))
    index = PatternIndex([pattern], [BLOCK])
    assert {literal: index.wanted(n) for n, literal in enumerate(index.scanner.literals)} == {
        "Thread ": (pattern, BLOCK),
        "one mark": (pattern,),
    }
    assert [index.without_blocks.wanted(n) for n in range(2)] == [(pattern,), (pattern,)]


@pytest.mark.parametrize(
    ("expression", "raw", "worth"),
    [
        (r"mark \d", "[rank1]: mark 1", True),
        (r"mark \d", "[rank1]: mark x", False),
        (r"mark .* other", "[rank1]: mark 1", False),
        (r"mark \d$", "[rank1]: mark 1\r", True),
        (r"mark \d$", "[rank1]: mark 1 and more", False),
        (r"^mark \d", "[rank1]: mark 1", True),
        (r"^mark \d", "[rank1]: mark x", True),  # nobody knows yet where the message begins
        (r"^mark \d later", "[rank1]: mark 1", False),
        (r"[^x] mark", "[rank1]: mark", True),
        (r"(?<!no )mark", "no mark", True),
        (r"mark \d", "mark\x1b[0m 1", True),
        (r"mark \d", "mark x\rmark 1", True),
        (r"mark \d", "x" * SEARCHED + "mark", True),
    ],
)
def test_a_line_of_which_nothing_comes_is_known_at_once(expression: str, raw: str, worth: bool) -> None:
    """Without a look at its prefixes; where these or control codes may matter, it is worth a try."""
    pattern = Pattern("p", expression, literals=("mark",))
    assert PatternIndex([pattern], ()).promising([pattern], raw) is worth


def test_a_block_or_a_wrapped_line_is_always_worth_a_try() -> None:
    """What begins there, or goes on below, the line alone cannot tell."""
    wrapped = Pattern("p", "mark 1", wraps=True)
    index = PatternIndex([wrapped], [BLOCK])
    assert index.promising([BLOCK], "anything")
    assert index.promising([wrapped], "mark")
    assert not index.promising([], "anything")
