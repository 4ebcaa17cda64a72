from __future__ import annotations

from datetime import timedelta

import pytest

from hanglens.report.moments import EPOCH, comparable
from hanglens.verdict import TimelineSpan


def span(start: str, end: str) -> TimelineSpan:
    """A span from one stamp to another."""
    return TimelineSpan(rank=0, start=start, end=end, kind="stage", label="load")


@pytest.mark.parametrize(
    ("start", "end", "begins"),
    [
        ("2026-03-01T02:00:00.5", "2026-03-01T02:00:09.5Z", "2026-03-01T02:00:00.500000"),
        ("2026-03-01T02:00:00+08:00", "2026-03-01T02:00:09+08:00", "2026-03-01T02:00:00"),
        ("02-29T02:00:00", "02-29T02:00:09", "2000-02-29T02:00:00"),
        ("02:00:00", "02:00:09", "2000-01-01T02:00:00"),
    ],
)
def test_every_form_of_stamp_is_read(start: str, end: str, begins: str) -> None:
    """A moment is as many seconds after EPOCH as its own clock says; what a stamp leaves out is taken from there."""
    (found,) = comparable([span(start, end)])

    assert (EPOCH + timedelta(seconds=found.start)).isoformat() == begins
    assert found.end - found.start == 9


@pytest.mark.parametrize(
    "stamp", ["", "soon", "2026-02-31T00:00:00", "25:00:00", "2026-03-01", "02:00:00 ", "02:00:00.1234567890", "2026-03-01T02:00:00+8"]
)
def test_what_is_no_stamp_has_no_moment(stamp: str) -> None:
    """A span is left out if either of its stamps cannot be read."""
    assert comparable([span(stamp, stamp), span("02:00:00", stamp), span(stamp, "02:00:00")]) == []


def test_only_the_commonest_form_is_compared() -> None:
    """A time of day is not compared with a full date, nor one offset with another, also inside of one span."""
    usual = [span(f"2026-03-01T02:00:0{n}", "2026-03-01T02:00:09") for n in range(2)]
    others = [
        span("02:00:00", "02:00:09"),
        span("2026-03-01T02:00:00+08:00", "2026-03-01T02:00:09"),
        span("2026-03-01T02:00:00", "02:00:09"),
    ]

    assert [found.span for found in comparable([*others, *usual])] == usual


def test_no_span_ends_before_it_begins() -> None:
    """The end of a span that runs backwards is its beginning."""
    (found,) = comparable([span("02:00:09", "02:00:01")])

    assert found.end == found.start


def test_nothing_has_no_moments() -> None:
    """Without spans there is nothing to compare."""
    assert comparable([]) == []
