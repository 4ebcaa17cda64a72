"""Time stamps of several logs, made comparable: with the year of the job, and in UTC where they say their offset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone

from hanglens.model import Stamp

_YEARLESS = re.compile(r"\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?")


class JobClock:
    """Reads the stamps of a job that can be compared: those of the commonest form. A date cannot be compared with a time of day."""

    def __init__(self, stamps: Iterable[Stamp]) -> None:
        known = list(stamps)
        self._year = next((stamp.text[:4] for stamp in known if stamp.dated), "")
        forms = Counter(_form(self._same(stamp)) for stamp in known)
        self._common = max(forms, key=lambda form: (forms[form], form), default=None)

    def read(self, stamp: Stamp | None) -> Stamp | None:
        """The stamp with its year, and in UTC; None if it cannot be compared."""
        same = self._same(stamp) if stamp else None
        return same if same and _form(same) == self._common else None

    def _same(self, stamp: Stamp) -> Stamp:
        return _in_utc(_in_year(stamp, self._year))


def _form(stamp: Stamp) -> tuple[bool, bool, bool]:
    return stamp.dated, *stamp.form


def _in_utc(stamp: Stamp) -> Stamp:
    """Stamps with an offset can be compared with each other, whatever it is."""
    if not (stamp.dated and stamp.has_offset) or stamp.text.endswith("Z"):
        return stamp
    return Stamp(stamp_of(datetime.fromtimestamp(stamp.seconds, timezone.utc)).text + "Z", stamp.seconds)


def _in_year(stamp: Stamp, year: str) -> Stamp:
    """glog prints no year; the other lines of the same job tell it."""
    found = _YEARLESS.match(stamp.text) if year and not stamp.dated else None
    try:
        return stamp_of(datetime.fromisoformat(f"{year}-{_six_digits(found[0])}+00:00")) if found else stamp
    except ValueError:  # the 29th of February of another year
        return stamp


def _six_digits(text: str) -> str:
    """Python 3.10 reads fractions of three or six digits only."""
    clock, _, fraction = text.partition(".")
    return f"{clock}.{fraction:0<6}" if fraction else clock


def stamp_of(moment: datetime) -> Stamp:
    """A moment as a log without offsets prints it."""
    return Stamp(moment.replace(tzinfo=None).isoformat(timespec="milliseconds"), moment.timestamp())
