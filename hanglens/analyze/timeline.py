"""The timeline: what each rank did when, by the time stamps of its own lines, until it fell silent.

Nothing is concluded from it: hosts have their own clocks, and a log may be written late.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import chain, groupby

from msgspec import structs

from hanglens.analyze.stages import track_of
from hanglens.incident import Incident
from hanglens.model import Event, Stamp
from hanglens.verdict import SpanKind, Text, TimelineSpan

MOST_SPANS = 8_000
MOST_ERRORS = 4  # of one rank
LABEL = 120  # characters
SILENT = 1.0  # seconds without a line that are shown as silence

_PROGRESS = frozenset({"progress.bar", "sglang.decode", "nccl_tests.row"})
_ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL"})
_LAST_CALL = Text(en="last call recorded", zh="最后一次记录到的调用")
_ZONE = re.compile(r"\d(Z|[+-]\d\d:\d\d)$")
_YEARLESS = re.compile(r"\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?")

Spans = Iterator[TimelineSpan]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with its time, and the rank that it is of."""

    event: Event
    time: Stamp
    rank: int | None


@dataclass(frozen=True, slots=True)
class _Mark:
    """A line at which something begins: a stage, or progress."""

    line: _Line
    what: str
    title: Text | None = None


def timeline(incident: Incident) -> tuple[TimelineSpan, ...]:
    """Stages and progress as bands, errors and time-outs as moments, and the silence after a rank's last line.

    What belongs to no rank comes last. Without any log the last call that each flight recorder kept is shown.
    """
    lines = _lines(incident)
    end = _end(incident, lines)
    titles = _titles(incident)
    heard = _last_heard(lines)
    own = {rank: list(same) for rank, same in groupby(lines, key=lambda line: line.rank)}
    told = (_of_rank(same, heard[rank], titles, end) for rank, same in own.items())
    spans = tuple(chain.from_iterable(told)) or tuple(_recorded(incident))
    return spans[:MOST_SPANS]


def _lines(incident: Incident) -> list[_Line]:
    """All lines by rank and time, those of no rank last. All are of one form: one with a date cannot be compared with one without."""
    rank_of_file = {about.file: about.rank for about in incident.parsed.inputs}
    tails = (about.tail for about in incident.parsed.inputs if about.kind.endswith("log"))
    timed = [(event, event.time) for event in chain(incident.parsed.events, *tails) if event.time]
    year = next((time.text[:4] for _, time in timed if time.dated), "")
    lines = [_Line(event, _in_year(time, year), _rank(event, rank_of_file)) for event, time in timed]
    forms = Counter(_form(line.time) for line in lines)
    common = max(forms, key=lambda form: (form[0], forms[form]), default=None)
    told = [line for line in lines if _form(line.time) == common]
    return sorted(told, key=lambda line: (line.rank is None, line.rank or 0, line.time.seconds, line.event.ref.line or 0))


def _rank(event: Event, rank_of_file: Mapping[str, int | None]) -> int | None:
    if event.fields.get("rank", "").isdigit():
        return int(event.fields["rank"])
    return event.speaker.rank if event.speaker.rank is not None else rank_of_file.get(event.ref.file)


def _form(stamp: Stamp) -> tuple[bool, bool, str]:
    """Whether it has a date with its year, a date at all, and its offset."""
    zone = _ZONE.search(stamp.text)
    return stamp.dated, "T" in stamp.text, zone[1] if zone else ""


def _in_year(stamp: Stamp, year: str) -> Stamp:
    """glog prints no year; the other lines of the same job tell it."""
    found = _YEARLESS.match(stamp.text) if year and not stamp.dated else None
    try:
        return _stamp(datetime.fromisoformat(f"{year}-{_six_digits(found[0])}+00:00")) if found else stamp
    except ValueError:  # the 29th of February of another year
        return stamp


def _six_digits(text: str) -> str:
    """Python 3.10 reads fractions of three or six digits only."""
    clock, _, fraction = text.partition(".")
    return f"{clock}.{fraction:0<6}" if fraction else clock


def _stamp(moment: datetime) -> Stamp:
    return Stamp(moment.replace(tzinfo=None).isoformat(timespec="milliseconds"), moment.timestamp())


def _end(incident: Incident, lines: Sequence[_Line]) -> Stamp | None:
    """When the evidence ends: the last line of all, or when the job was looked at afterwards, if the logs have the host's clock."""
    if not lines:
        return None
    first, last = min((line.time for line in lines), key=_seconds), max((line.time for line in lines), key=_seconds)
    if not first.dated or _form(first)[2]:
        return last
    looked = [about.ended for about in incident.parsed.collections if about.ended and about.began and about.began <= first.seconds + 60]
    return max([last, *(_stamp(datetime.fromtimestamp(at, timezone.utc)) for at in looked)], key=_seconds)


def _seconds(stamp: Stamp) -> float:
    return stamp.seconds


def _titles(incident: Incident) -> dict[str, Text]:
    """Titles of the stages of the engine that runs, by the names of their events."""
    track = track_of(incident)
    return {stage.pattern.name: stage.title for stage in track.stages} if track else {}


def _last_heard(lines: Sequence[_Line]) -> dict[int | None, _Line]:
    """The last line that each rank may have printed: its own, or one of its files that does not say whose it is."""
    last: dict[tuple[str, int | None], _Line] = {}
    of_file: dict[str, _Line] = {}
    for line in sorted(lines, key=lambda line: line.time.seconds):
        last[line.event.ref.file, line.rank] = of_file[line.event.ref.file] = line
    heard: dict[int | None, list[_Line]] = defaultdict(list)
    for (file, rank), line in last.items():
        heard[rank] += [of_file[file]] if rank is None else [line, last.get((file, None), line)]
    return {rank: max(same, key=lambda line: line.time.seconds) for rank, same in heard.items()}


def _of_rank(lines: Sequence[_Line], heard: _Line, titles: Mapping[str, Text], end: Stamp | None) -> Spans:
    yield from _bands(lines, heard.time, titles)
    yield from _moments(lines)
    if end and end.seconds - heard.time.seconds > SILENT:
        yield _span(replace(heard, rank=lines[0].rank), end, "silence")


def _bands(lines: Sequence[_Line], heard: Stamp, titles: Mapping[str, Text]) -> Spans:
    """Each stage lasts until the next one, the last one as long as its rank prints; progress lasts from its first line to its last."""
    marks = [mark for line in lines if (mark := _mark(line, titles))]
    runs = [list(same) for _, same in groupby(marks, key=lambda mark: mark.what)]
    for number, run in enumerate(runs, 1):
        first, last = run[0], run[-1]
        until = runs[number][0].line.time if number < len(runs) else heard
        if first.title:
            yield _span(first.line, until, "stage", title=first.title)
        else:
            yield _span(last.line, last.line.time, "progress", since=first.line.time)


def _mark(line: _Line, titles: Mapping[str, Text]) -> _Mark | None:
    name = line.event.name
    if name in titles:
        return _Mark(line, name, titles[name])
    return _Mark(line, f"{name} {line.event.ref.file}") if name in _PROGRESS else None


def _moments(lines: Sequence[_Line]) -> Spans:
    """Errors and time-outs; a line is told once."""
    timeouts = {line.event.ref: line for line in lines if line.event.name == "torch.timeout"}
    errors = {line.event.ref: line for line in lines if _is_error(line.event) and line.event.ref not in timeouts}
    for line in timeouts.values():
        yield _span(line, line.time, "timeout")
    for line in list(errors.values())[:MOST_ERRORS]:
        yield _span(line, line.time, "error")


def _is_error(event: Event) -> bool:
    return event.level in _ERRORS or (event.source == "nccl" and event.level == "WARN")


def _span(line: _Line, until: Stamp, kind: SpanKind, title: Text | None = None, since: Stamp | None = None) -> TimelineSpan:
    said = line.event.text.strip()
    op = line.event.fields.get("op", "") if kind == "timeout" else ""
    return TimelineSpan(
        rank=line.rank, start=(since or line.time).text, end=until.text, kind=kind, label=op or (title.en if title else said[:LABEL]),
        file=line.event.ref.file, line=line.event.ref.line, text=said, title=title,
    )  # fmt: skip


def _recorded(incident: Incident) -> Spans:
    """When each rank made the last call that its flight recorder kept, and how long the others went on."""
    dumps = sorted((dump for dump in incident.parsed.recorder_dumps if dump.newest_ns > 0 and dump.rank >= 0), key=lambda dump: dump.rank)
    end = max((dump.newest_ns for dump in dumps), default=0)
    for dump in dumps:
        made = _instant(dump.newest_ns)
        call = TimelineSpan(
            rank=dump.rank, start=made, end=made, kind="progress", label=_LAST_CALL.en, title=_LAST_CALL, file=dump.ref.file
        )  # fmt: skip
        yield call
        if end - dump.newest_ns > SILENT * 1e9:
            yield structs.replace(call, end=_instant(end), kind="silence")


def _instant(nanoseconds: int) -> str:
    """UTC, as far as a datetime goes."""
    seconds = min(nanoseconds / 1e9, datetime.max.replace(tzinfo=timezone.utc).timestamp() - 1)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
