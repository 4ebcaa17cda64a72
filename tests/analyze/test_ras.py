"""NCCL RAS reports over one or several samples."""

from __future__ import annotations

import pytest

from hanglens.analyze.ras import ras_facts
from hanglens.model import RasReport
from hanglens.verdict import Fact
from tests.builders import facts, incident, parsed, ras


def told(*reports: RasReport) -> dict[str, list[Fact]]:
    """The facts of these reports."""
    return facts(incident(evidence=parsed(*reports)), ras_facts)


@pytest.mark.parametrize(
    ("reports", "ranks", "frozen"),
    [
        ((ras({0: 6, 1: 5}),), (1,), False),
        ((ras({0: 6, 1: 5}), ras({0: 6, 1: 5})), (1,), True),
        ((ras({0: 6, 1: 5}), ras({0: 7, 1: 6})), (1,), False),
        ((ras({0: 5, 1: 6}), ras({0: 6, 1: 5})), (1,), False),
        ((ras({0: 9, 1: 5}),), (1,), False),
    ],
    ids="once frozen moved swapped far".split(),
)
def test_counts_that_differ(reports: tuple[RasReport, ...], ranks: tuple[int, ...], frozen: bool) -> None:
    """The ranks behind are those of the last report; frozen means that the report before has the same numbers."""
    fact = told(*reports)["ras.counts_differ"][0]
    assert (fact.ranks, fact.values["frozen"], fact.values["samples"]) == (ranks, frozen, len(reports))


def test_counts_of_different_operations_are_not_compared() -> None:
    """Broadcasts of one rank and all-reduces of another are no lag."""
    mixed = RasReport(ras({}).ref, ras({0: 6}).communicators + ras({1: 5}, op="Broadcast").communicators)
    assert "ras.counts_differ" not in told(mixed)


def test_a_rank_without_data_is_gone() -> None:
    """RAS has no data of a rank whose process does not answer any more."""
    assert [(fact.ranks, fact.values["how"]) for fact in told(ras({0: 6}, missing=(1,), errors="INCOMPLETE"))["rank.gone"]] == [
        ((1,), "ras")
    ]


@pytest.mark.parametrize(("report", "equal"), [(ras({}), True), (ras({}, errors="MISMATCH"), False), (ras({}, missing=(1,)), False)])
def test_a_report_without_complaints_says_that_all_are_equal(report: RasReport, equal: bool) -> None:
    """Status OK and no differing counts: every rank launched the same, of sizes RAS knows nothing."""
    found = told(report).get("collective.all_equal", [])
    assert [fact.values["sizes"] for fact in found] == ([False] if equal else [])
