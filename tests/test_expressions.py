"""Regular expressions: their literals, their faults, and searches that end."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import expressions
from hanglens.expressions import fault, required_literals, required_pieces, search


@pytest.mark.parametrize(
    ("expression", "literals"),
    [
        (r"Rank (?P<r>\d+) failed to pass", (" failed to pass",)),
        (r"block num: \d+", ("block num: ",)),
        (r"(?:Destroy|Abort) COMPLETE", ("Abort COMPLETE", "Destroy COMPLETE")),
        (r"via (?:P2P|SHM)(?:/IPC)?", ("via P2P", "via SHM")),
        (r"(?:a|b|c|d|e)(?:1|2|3|4)-tail", ("-tail",)),
        (r"Destroy COMPLETE|Abort COMPLETE", ("Abort COMPLETE", "Destroy COMPLETE")),
        (r"(?P<a>one (?:two(?:three|fourth)))", ("one twofourth", "one twothree")),
        (r"(?P<a>on(?P<b>.three|a fourth))", ("a fourth", "three")),
        (r"(x)?(?(1)yesyes|nonono)later", ("later",)),
        (r"\[Gemm2\] Tuning\.", ("[Gemm2] Tuning.",)),
        (r"a\.b\tc\\d", ("a.b\tc\\d",)),
        (r"(?:abcd){2,}x", ("abcd",)),
        (r"abcd+efgh", ("efgh",)),
        (r"(?m)^abcde$", ("abcde",)),
        ("等待 rank", ("等待 rank",)),
    ],
)
def test_literals_are_derived(expression: str, literals: tuple[str, ...]) -> None:
    """Of every expression the longest piece that each match must hold is found, one for each alternative, as long as they are few."""
    assert required_literals(expression) == literals


@pytest.mark.parametrize("expression", [r"\d{99999999,}", r"(?:a{1,500}b){300}", r"x(?:y|(?=z{20000}))", r"(?:(?:a{100}){100}){100}"])
def test_an_expression_that_would_fill_the_memory_is_refused(expression: str) -> None:
    """A count is compiled to as many copies."""
    assert "repeats a piece" in fault(expression)


def test_all_pieces_are_derived() -> None:
    """Every part that a match must hold is a piece, each as its alternatives; short ones are left out."""
    expected = (("recv (", "send ("), ("distributed_c10d.py", "parallel_state.py"))
    assert required_pieces(r"(?:recv|send) \(\S*(?:distributed_c10d|parallel_state)\.py") == expected


@pytest.mark.parametrize(
    "expression",
    [
        r"(?:maybe)?",
        r"(?:never)*",
        r"(?:known|)",
        r"(?:longer|\d+)",
        r"[abcd][efgh]",
        r"\d+ \w+",
        r"abc",
        r"(?i)no case",
        r"(?i:no case)",
        r"(?:(?i:no)|(?i:case))",
        r"(?!forbidden)",
        r"(?=ahead)",
        r"(unclosed",
        r"",
        r".*",
    ],
)
def test_no_literal_where_none_is_sure(expression: str) -> None:
    """Optional parts, classes, short pieces and parts in any case are not relied on; nor is what does not parse."""
    assert required_literals(expression) == ()


@given(st.data())
def test_literals_stand_in_every_match(data: st.DataObject) -> None:
    """Whatever an expression matches holds one of its literals."""
    words = st.text("abXY. ", min_size=1, max_size=6)
    parts = data.draw(
        st.lists(
            st.tuples(words, st.sampled_from(["{}", "(?:{})?", "(?:{})+", "(?P<g{n}>{}|other)", "(?i:{})", "(?:{}){{2}}"])), max_size=4
        )
    )
    expression = "".join(shape.format(re.escape(word), n=n) for n, (word, shape) in enumerate(parts))
    text = data.draw(st.from_regex(expression, fullmatch=True))
    literals = required_literals(expression)
    assert not literals or any(literal in text for literal in literals)
    assert all(any(literal in text for literal in piece) for piece in required_pieces(expression))


@pytest.mark.parametrize("expression", ["(", "a**", "(?P<n>a)(?P<n>b)", "a{99999999999999}", "(?L)a", "[z-a]", "\\", "(?P=x)"])
def test_faults_are_told(expression: str) -> None:
    """A faulty expression is described and never raises; a good one has nothing to tell."""
    assert fault(expression)
    assert not fault(r"(?P<good>\d+) (?:of|and) \S")


def test_a_runaway_expression_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that would take for ever finds nothing, soon."""
    monkeypatch.setattr(expressions, "REGEX_SECONDS", 0.05)
    start = time.process_time()
    assert search(r"^(?:a|aa|a+b?)+$", "a" * 5000 + "!") is None
    assert time.process_time() - start < 5
