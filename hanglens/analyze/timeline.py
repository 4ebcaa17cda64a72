"""The timeline: what each rank did when, by the time stamps of its own lines, until it fell silent.

Nothing is concluded from it: hosts have their own clocks, and a log may be written late.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import chain, groupby

from msgspec import structs

from hanglens.analyze.clocks import JobClock, stamp_of
from hanglens.analyze.stages import track_of
from hanglens.incident import Incident
from hanglens.model import Collection, Event, Stamp
from hanglens.verdict import SpanKind, Text, TimelineSpan

MOST_SPANS = 20_000
LAST_ERRORS = 3  # of one rank, and the first
LABEL = 120  # characters
SILENT = 5.0  # seconds without a line that are shown as silence

_PROGRESS = frozenset({"progress.bar", "sglang.decode", "nccl_tests.row"})
_ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL"})
_LAST_CALL = Text(en="last call recorded", zh="最后一次记录到的调用")
_DUMPING = re.compile(
    "preparing to dump debug info|[Rr]eceived a dump signal"
)  # PyTorch says so at level ERROR, of a dump that was asked for
_LEAD = re.compile(  # what stands before the words: what a container runtime adds, rank, stamps, source, level
    r"(?:[\w.-]+ +\| )?"
    r"(?:\s|[-|:]|\[[^\]]{0,120}\]|\d{4}-\d\d-\d\d|T?\d\d:\d\d:\d\d(?:[\d.,]*Z|[\d.,]*(?:\+\d\d:?\d\d)?)|\bstd(?:out|err) [FP] "
    r"|\b(?:ERROR|WARN(?:ING)?|INFO|CRITICAL|FATAL)\b|[\w./-]{1,80}:\d{1,6}(?=\s|\]))*"
)
_KERNEL = "kernel log"  # a kernel has nothing to say for hours
_UNTIMED = Text(en="no line with a time", zh="没有带时间的行")

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
    """Stages and progress as bands, errors and time-outs as moments, silences, the last of them after a rank's last line.

    What belongs to no rank comes last. Without any log the last call that each flight recorder kept is shown.
    """
    timed = _timed(incident)
    clock = JobClock(time for _, time in timed)
    lines = _lines(incident, clock, timed)
    ends = _Ends(incident, lines)
    titles = _titles(incident)
    heard, untimed = _last_heard(lines), _untimed_ends(incident)
    own = {rank: list(same) for rank, same in groupby(lines, key=lambda line: line.rank)}
    unnamed = _marks(own.get(None, ()), titles)
    quiet = _silences(incident, clock, lines, heard)
    told = [
        [
            *_bands(own.get(rank, ()), heard[rank].time, titles, unnamed), *_moments(own.get(rank, ())), *quiet.get(rank, ()),
            *_silence(replace(heard[rank], rank=rank), ends, untimed),
        ]
        if rank in own else list(quiet[rank])
        for rank in sorted(own.keys() | quiet.keys(), key=lambda rank: (rank is None, rank or 0))
    ]  # fmt: skip
    told = told or [list(_recorded(incident))]
    most = max(MOST_SPANS // len(told), 1)
    return tuple(span for spans in told for span in spans[-most:])


def _timed(incident: Incident) -> list[tuple[Event, Stamp]]:
    tails = (about.tail for about in incident.parsed.inputs if about.kind.endswith("log"))
    return [(event, event.time) for event in chain(incident.parsed.events, *tails) if event.time]


def _lines(incident: Incident, clock: JobClock, timed: Sequence[tuple[Event, Stamp]]) -> list[_Line]:
    """All lines by rank and time, those of no rank last, as far as their times can be compared."""
    rank_of_file = {about.file: about.rank for about in incident.parsed.inputs}
    lines = [
        _Line(event, time, event.rank if event.rank is not None else rank_of_file.get(event.ref.file))
        for event, printed in timed
        if (time := clock.read(printed))
    ]
    return sorted(lines, key=lambda line: (line.rank is None, line.rank or 0, line.time.seconds, line.event.ref.line or 0))


class _Ends:
    """When the evidence of each host ends: its last line of all, or when it was looked at afterwards, if the logs have the host's clock.

    Hosts are not compared: their clocks, and the zones that their logs print, may differ.
    """

    def __init__(self, incident: Incident, lines: Sequence[_Line]) -> None:
        self._hosts = incident.hosts
        by_host: dict[str, list[Stamp]] = defaultdict(list)
        for line in lines:
            by_host[self._host(line)].append(line.time)
        looks = {self._folder(about.ref.file): about for about in incident.parsed.collections}
        self._ends = {host: _end(times, looks.get(host)) for host, times in by_host.items()}

    def after(self, line: _Line) -> Stamp:
        """The end of the evidence of the host that printed a line."""
        return self._ends[self._host(line)]

    def _host(self, line: _Line) -> str:
        return self._folder(line.event.ref.file)

    def _folder(self, file: str) -> str:
        """The host of a file, where several were given: its first folder."""
        return self._hosts.of(file)


def _end(times: Sequence[Stamp], looked: Collection | None) -> Stamp:
    first, last = min(times, key=_seconds), max(times, key=_seconds)
    if looked and looked.ended and looked.began and first.dated and not first.has_offset and looked.began <= first.seconds + 60:
        return max(last, stamp_of(datetime.fromtimestamp(looked.ended, timezone.utc)), key=_seconds)
    return last


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


def _untimed_ends(incident: Incident) -> set[tuple[str, int | None]]:
    """Files whose last line has no time, with whose line it is: nobody can tell how long they went on."""
    ends = (about.tail[-1] for about in incident.parsed.inputs if about.tail)
    return {(end.ref.file, end.speaker.rank) for end in ends if end.time is None}


def _silence(heard: _Line, ends: _Ends, untimed: set[tuple[str, int | None]]) -> Spans:
    """From the last line to the end of its host's evidence; it is said where lines without a time follow."""
    end, file = ends.after(heard), heard.event.ref.file
    if end.seconds - heard.time.seconds > SILENT:
        goes_on = (file, None) in untimed or (file, heard.rank) in untimed
        yield _span(heard, end, "silence", title=_UNTIMED if goes_on else None)


def _silences(
    incident: Incident, clock: JobClock, lines: Sequence[_Line], heard: Mapping[int | None, _Line]
) -> dict[int | None, list[TimelineSpan]]:
    """The silences within the logs by whose they are, the longest last. That of a file which several ranks write is nobody's own."""
    writers: dict[str, set[int | None]] = defaultdict(set)
    for line in lines:
        writers[line.event.ref.file].add(line.rank)
    found: dict[int | None, list[tuple[float, TimelineSpan]]] = defaultdict(list)
    for about in incident.parsed.inputs:
        rank = about.rank if about.rank is not None else next(iter(writers[about.file])) if len(writers[about.file]) == 1 else None
        for silence in about.silences if about.kind.endswith("log") and about.kind != _KERNEL else ():
            since, until = clock.read(silence.before.time), clock.read(silence.after)
            if since and until and not (rank in heard and until.seconds > heard[rank].time.seconds):
                line = _Line(silence.before, since, rank)
                found[rank].append((until.seconds - since.seconds, _span(line, until, "silence", title=_unstamped(silence.unstamped))))
    return {rank: [span for _, span in sorted(spans, key=lambda span: span[0])] for rank, spans in found.items()}


def _unstamped(lines: int) -> Text | None:
    """What is printed in a silence of lines with a time."""
    return Text(en=f"no line with a time, {lines} without", zh=f"没有带时间的行，另有 {lines} 行不带时间") if lines else None


def _bands(lines: Sequence[_Line], heard: Stamp, titles: Mapping[str, Text], unnamed: Sequence[_Mark]) -> Spans:
    """Each stage lasts until the next one, the last one as long as its rank prints; progress lasts from its first line to its last.

    A later stage that nobody's name stands at ends it too: it may be this rank's.
    """
    marks = _marks(lines, titles)
    runs = [list(same) for _, same in groupby(marks, key=lambda mark: mark.what)]
    for number, run in enumerate(runs, 1):
        first, last = run[0], run[-1]
        if first.title is None:
            yield _span(last.line, last.line.time, "progress", since=first.line.time)
        elif number < len(runs):
            yield _span(first.line, runs[number][0].line.time, "stage", title=first.title)
        else:
            passed = next((mark.line for mark in unnamed if first.line.rank is not None and _may_follow(mark, first)), None)
            yield _span(first.line, passed.time if passed else heard, "stage", title=first.title)


def _may_follow(mark: _Mark, first: _Mark) -> bool:
    same_file = mark.line.event.ref.file == first.line.event.ref.file
    return same_file and mark.what != first.what and mark.line.time.seconds >= first.line.time.seconds


def _marks(lines: Sequence[_Line], titles: Mapping[str, Text]) -> list[_Mark]:
    return [mark for line in lines if (mark := _mark(line, titles))]


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
    first, *others = errors.values() or [None]
    for line in filter(None, [first, *others[-LAST_ERRORS:]]):
        yield _span(line, line.time, "error")


def _is_error(event: Event) -> bool:
    says_so = event.level in _ERRORS or (event.source == "nccl" and event.level == "WARN")
    return says_so and not _DUMPING.search(event.text)


def _span(line: _Line, until: Stamp, kind: SpanKind, title: Text | None = None, since: Stamp | None = None) -> TimelineSpan:
    said = line.event.text.strip()
    words = _LEAD.sub("", said, count=1) or said
    op = line.event.fields.get("op", "") if kind == "timeout" else ""
    return TimelineSpan(
        rank=line.rank, start=(since or line.time).text, end=until.text, kind=kind, label=op or (title.en if title else words[:LABEL]),
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
