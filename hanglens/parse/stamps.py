"""Time stamps in every style that the logs of this field use."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache

from hanglens.model import Stamp

_MONTHS = {name: n for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_STAMP = re.compile(
    r"(?:(\w[\w -]{2,13}?)([ T]))?((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?(?: (\d{4}))?", re.ASCII
)
_DAYS = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", re.ASCII),
    re.compile(r"(?P<month>\d\d)-(?P<day>\d\d)", re.ASCII),
    re.compile(r"(?P<month>\d\d?)(?P<day>\d\d)", re.ASCII),  # glog: the month is not padded, the day is
    re.compile(r"(?:[A-Z][a-z]{2} )?(?P<name>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2})", re.ASCII),
)
YEARS = range(2000, 2100)  # of a stamp; one outside of it is no time at which a job wrote a line
_ASSUMED_YEAR = 2000  # a leap year, so that 02-29 is a day; only orders stamps among themselves


def read_stamp(text: str) -> Stamp | None:
    """Read one stamp; None if `text` is none of the known forms or no real time."""
    found = _STAMP.fullmatch(text.strip())
    if found is None:
        return None
    date, separator, clock, fraction, zone, year = found.groups()
    day = _day(date or "", year or "")
    if day is None:
        return None
    iso, midnight, dated = day
    if (zone or separator == "T") and (year or not dated):
        return None
    seconds = midnight + 3600 * int(clock[:2]) + 60 * int(clock[3:5]) + int(clock[6:])
    if fraction:
        clock, seconds = f"{clock}.{fraction}", seconds + float(f"0.{fraction}")
    if zone and zone != "Z":
        zone, seconds = f"{zone[:3]}:{zone[-2:]}", seconds - _offset(zone)
    return Stamp(f"{iso}T{clock}{zone or ''}" if iso else clock, seconds, dated)


@lru_cache(1 << 10)
def _day(text: str, year: str) -> tuple[str, float, bool] | None:
    """A day in ISO 8601, when it begins in UTC, and whether its year is known; None if there is no such day. No text is any day."""
    found = next((m for m in (form.fullmatch(text) for form in _DAYS) if m), None)
    if found is None:
        return ("", _midnight(_ASSUMED_YEAR, 1, 1) or 0.0, False) if not text and not year else None
    part = found.groupdict()
    if year and "name" not in part:
        return None
    month, day, year = part["month"] if "month" in part else _MONTHS.get(part["name"], 0), int(part["day"]), year or part.get("year") or ""
    midnight = _midnight(int(year or _ASSUMED_YEAR), int(month), day)
    iso = f"{int(month):02d}-{day:02d}"
    return None if midnight is None else (f"{year}-{iso}" if year else iso, midnight, bool(year))


def _midnight(year: int, month: int, day: int) -> float | None:
    try:
        return datetime(year, month, day, tzinfo=timezone.utc).timestamp() if year in YEARS else None
    except ValueError:
        return None


def _offset(zone: str) -> float:
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)
