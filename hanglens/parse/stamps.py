"""Time stamps in every style that the logs of this field use."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from hanglens.model import Stamp

_MONTHS = {name: n for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_FORMS = (
    re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)[ T]{_CLOCK}(?P<zone>Z|[+-]\d\d:?\d\d)?"),
    re.compile(rf"(?P<month>\d\d)-(?P<day>\d\d) {_CLOCK}"),
    re.compile(rf"(?P<month>\d\d?)(?P<day>\d\d) {_CLOCK}"),  # glog: the month is not padded, the day is
    re.compile(rf"(?:[A-Z][a-z]{{2}} )?(?P<name>[A-Z][a-z]{{2}}) {{1,2}}(?P<day>\d{{1,2}}) {_CLOCK}(?: (?P<year>\d{{4}}))?"),
    re.compile(_CLOCK),
)
_ASSUMED_YEAR = 2000  # a leap year, so that 02-29 is a day; only orders stamps among themselves


def read_stamp(text: str) -> Stamp | None:
    """Read one stamp; None if `text` is none of the known forms or no real time."""
    found = next((m for m in (form.fullmatch(text.strip()) for form in _FORMS) if m), None)
    if found is None:
        return None
    part = found.groupdict()
    month = _MONTHS.get(part["name"], 0) if part.get("name") else int(part.get("month") or 1)
    year, day = int(part.get("year") or 0), int(part.get("day") or 1)
    fraction = part["fraction"] or ""
    try:
        moment = datetime(
            year or _ASSUMED_YEAR, month, day, int(part["hour"]), int(part["minute"]), int(part["second"]), tzinfo=timezone.utc
        )
    except ValueError:  # no such day, hour or month
        return None
    clock = f"{part['hour']}:{part['minute']}:{part['second']}" + (f".{fraction}" if fraction else "")
    date = f"{year:04d}-{month:02d}-{day:02d}" if year else f"{month:02d}-{day:02d}" if part.get("day") else ""
    zone = part.get("zone") or ""
    iso = (f"{date}T{clock}" if date else clock) + (zone if len(zone) < 2 else f"{zone[:3]}:{zone[-2:]}")
    seconds = moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0) - _offset(zone)
    return Stamp(iso, seconds, dated=bool(year))


def _offset(zone: str) -> float:
    if len(zone) < 2:  # none, or Z
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)
