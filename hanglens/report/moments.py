"""When the spans of a timeline were, in seconds. Stamps come in several forms, and only those of one form can be compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hanglens.verdict import TimelineSpan

EPOCH = datetime(2000, 1, 1)  # a leap year, for stamps without a year
_STAMP = re.compile(r"(?:(?:(\d{4})-)?(\d\d)-(\d\d)T)?(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):?(\d\d))?")


@dataclass(frozen=True, slots=True)
class Timed:
    """A span with its beginning and end in seconds since EPOCH; the end is never before the beginning."""

    span: TimelineSpan
    start: float
    end: float


def comparable(spans: Sequence[TimelineSpan]) -> list[Timed]:
    """The spans whose stamps have the commonest form (with a year, without one, time of day only)."""
    read = [(span, _read(span.start), _read(span.end)) for span in spans]
    forms = Counter(start[0] for _, start, _ in read if start)
    common = forms.most_common(1)[0][0] if forms else ""
    return [Timed(span, start[1], max(start[1], end[1])) for span, start, end in read if start and end and start[0] == end[0] == common]


def _read(text: str) -> tuple[str, float] | None:
    """A stamp as its form and seconds; its offset is part of the form, since clocks are not compared."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, *zone = found.groups()
    try:
        moment = datetime(int(year or 2000), int(month or 1), int(day or 1), int(hour), int(minute), int(second))
    except ValueError:
        return None
    form = f"{bool(year)}{bool(month)}{zone}"
    return form, (moment - EPOCH).total_seconds() + float(fraction or 0)
