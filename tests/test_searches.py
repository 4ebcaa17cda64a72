"""The time that the expressions of one rule may take."""

from __future__ import annotations

from time import process_time

from hanglens.searches import MOST_SLOW, Searches

RUNS_AWAY, TRAP = r"(?:a|aa)+$", "a" * 60 + "!"


def test_a_rule_that_runs_away_is_off_after_its_time() -> None:
    """Of any number of lines it costs no more than its time, with one search on top."""
    searches = Searches(lambda: [("nccl-bug/made-up", RUNS_AWAY)])
    began = process_time()
    assert all(searches.search(RUNS_AWAY, TRAP) is None for _ in range(1000))
    assert process_time() - began < MOST_SLOW + 1
    assert list(searches.off) == ["nccl-bug/made-up"]
    assert searches.search(RUNS_AWAY, "aaa") is None


def test_all_expressions_of_a_rule_share_its_time() -> None:
    """Once it is off, none of them is searched for; those of other rules are."""
    searches = Searches(lambda: [("a/slow", RUNS_AWAY), ("a/slow", "mark"), ("b/fast", "other mark"), ("c/late", RUNS_AWAY)])
    for _ in range(9):
        searches.search(RUNS_AWAY, TRAP)
    assert list(searches.off) == ["a/slow"]
    assert searches.search("mark", "a mark") is None
    assert searches.search("other mark", "an other mark") is not None


def test_an_expression_that_cannot_be_searched_turns_its_rule_off() -> None:
    """Python's own parser takes some that `regex` does not; that is no end of an analysis."""
    searches = Searches(lambda: [("nccl-bug/made-up", r"(?P<a>x)(?P=b)")])
    assert searches.search(r"(?P<a>x)(?P=b)", "xx") is None
    assert list(searches.off) == ["nccl-bug/made-up"]


def test_quick_searches_cost_nothing() -> None:
    """However many there are: only slow ones count."""
    searches = Searches(lambda: [("nccl-bug/made-up", "mark")])
    assert all(searches.search("mark", "a mark") for _ in range(20_000))
    assert searches.off == {}
