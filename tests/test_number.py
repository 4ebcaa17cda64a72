"""Numbers out of text that may be hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import number

ABSURD = ("", " ", "-", "+1", "1_000", "²", "٤", "４", "1.5", "0x10", "nan", "9" * 5000, "1e5000", "--1")


@pytest.mark.parametrize("text", [*ABSURD, "-1", None])
def test_what_is_no_whole_number_is_none(text: str | None) -> None:
    """Signs, digits of other scripts, separators, fractions and thousands of digits."""
    assert number.whole(text) is None


@given(st.integers(0, number.MOST))
def test_a_whole_number_is_read(value: int) -> None:
    """Each number that JSON carries exactly; with a sign as an integer."""
    assert (number.whole(str(value)), number.integer(f"-{value}")) == (value, -value)


@given(st.text() | st.from_regex(r"[-+0-9.eExX²٤]{1,40}"))
def test_no_text_raises(text: str) -> None:
    """Whatever stands there, the answer is a number in its bounds, or None."""
    for read in (number.whole, number.integer, number.rank, number.pid):
        found = read(text)
        assert found is None or -number.MOST <= found <= number.MOST
    real = number.decimal(text)
    assert real is None or abs(real) < float("inf")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), ("-2", -2.0), ("3e2", 300.0), ("0.25", 0.25), *((text, None) for text in ABSURD if text not in ("+1", "1.5"))],
)
def test_decimals(text: str, value: float | None) -> None:
    """A number with or without a fraction and an exponent; never infinite, never not a number."""
    assert number.decimal(text) == value


def test_what_no_job_has() -> None:
    """A rank has five digits at most, a pid fits pid_t."""
    assert (number.rank("65535"), number.rank("65536")) == (65535, None)
    assert (number.pid("2147483647"), number.pid("2147483648")) == (2147483647, None)


@pytest.mark.parametrize(
    ("value", "found"), [(3, 3), (0, 0), (-1, None), (True, None), ("3", None), (3.0, None), (None, None), (10**40, None)]
)
def test_values_of_documents(value: object, found: int | None) -> None:
    """Of JSON and pickles only true whole numbers count; a truth value is none."""
    assert number.counted(value) == found
