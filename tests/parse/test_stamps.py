"""Time stamps in every style."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.parse.stamps import read_stamp


@pytest.mark.parametrize(
    ("text", "iso", "dated"),
    [
        ("2025-02-11 02:06:07,899", "2025-02-11T02:06:07.899", True),  # Python logging
        ("2025-02-11 02:06:07", "2025-02-11T02:06:07", True),
        ("2025-02-11T02:06:07.123456789Z", "2025-02-11T02:06:07.123456789Z", True),  # docker, Kubernetes
        ("2025-02-11T02:06:07+08:00", "2025-02-11T02:06:07+08:00", True),
        ("2025-02-11T02:06:07-0530", "2025-02-11T02:06:07-05:30", True),
        ("07-22 07:59:47", "07-22T07:59:47", False),  # vLLM
        ("321 02:07:08.408271257", "03-21T02:07:08.408271257", False),  # PyTorch: the month is not padded
        ("1206 02:07:08.4", "12-06T02:07:08.4", False),
        ("119 02:07:08", "01-19T02:07:08", False),
        ("0229 00:00:00", "02-29T00:00:00", False),
        ("Tue Sep  3 10:11:12 2024", "2024-09-03T10:11:12", True),  # dmesg -T
        ("Sep 13 10:11:12", "09-13T10:11:12", False),  # syslog
        ("10:11:12.345", "10:11:12.345", False),
        (" 10:11:12 ", "10:11:12", False),
    ],
)
def test_every_form(text: str, iso: str, dated: bool) -> None:
    """A stamp becomes ISO 8601 as far as it goes; what was not printed, such as a year or a zone, is not added."""
    stamp = read_stamp(text)
    assert stamp is not None
    assert (stamp.text, stamp.dated) == (iso, dated)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2025-13-01 00:00:00", "2025-02-29 00:00:00", "2025-02-11 25:00:00", "Foo 12 10:11:12", "Sep 31 10:11:12", "1331 10:11:12",
     "10:11", "2025-02-11", "0000-01-01 00:00:00 x", "0001-01-01 00:00:00", "1999-12-31 23:59:59",
     "9999-12-31 23:59:59", "Sep  3 10:11:12 2100", "9" * 5000, "Sep " + "1" * 5000 + " 10:11:12", "10:11:12." + "9" * 5000],
)  # fmt: skip
def test_no_real_time(text: str) -> None:
    """What is no stamp, or no real time, gives None."""
    assert read_stamp(text) is None


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)), st.timedeltas(timedelta(0), timedelta(days=9)))
def test_seconds_order_stamps_of_one_clock(moment: datetime, later: timedelta) -> None:
    """The difference of the seconds of two stamps is the time between them."""
    first, second = (read_stamp(str(when.replace(microsecond=0))) for when in (moment, moment + later))
    assert first is not None
    assert second is not None
    assert second.seconds - first.seconds == ((moment + later).replace(microsecond=0) - moment.replace(microsecond=0)).total_seconds()


@given(st.integers(-14 * 60, 14 * 60))
def test_an_offset_counts(minutes: int) -> None:
    """Stamps with different offsets that mean the same moment have the same seconds."""
    here = datetime(2025, 2, 11, 2, 6, 7, tzinfo=timezone(timedelta(minutes=minutes)))
    stamp, utc = read_stamp(here.isoformat()), read_stamp("2025-02-11T02:06:07Z")
    assert stamp is not None
    assert utc is not None
    assert stamp.seconds - utc.seconds == -60 * minutes


@given(st.text() | st.from_regex(r"\d{1,5}[- ]\d{1,4}[- :T]\d{1,3}:\d\d:\d\d([.,]\d*)?(Z|[+-]\d{4})?", fullmatch=True))
def test_never_raises(text: str) -> None:
    """Any text is a stamp or None."""
    read_stamp(text)
