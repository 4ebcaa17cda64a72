"""The timeline in the Trace Event Format, for Perfetto (https://ui.perfetto.dev) and chrome://tracing: a track for each rank.

Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Times are microseconds since the first moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import msgspec

from hanglens.errors import InputError
from hanglens.report.i18n import KINDS, Lang, pick, say, those
from hanglens.report.moments import Timed, comparable
from hanglens.report.plain import clean
from hanglens.verdict import Diagnosis, TimelineSpan

_MOMENTS = ("error", "timeout")  # they happen; all else lasts


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ph` X lasts for `dur`, i is a moment (of its thread: `s`), M describes a process or thread. `cat` is the kind of a span."""

    name: str
    ph: Literal["X", "i", "M"]
    ts: int
    pid: int
    tid: int
    cat: str = ""
    dur: int | None = None
    s: Literal["", "t"] = ""
    args: dict[str, str | int] = {}


class Trace(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole file; `begins` in `other_data` is the stamp of its time 0."""

    trace_events: tuple[Event, ...]
    display_time_unit: Literal["ms"] = "ms"
    other_data: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A span in microseconds; one without a length is a moment."""

    span: TimelineSpan
    start: int
    end: int


def render(d: Diagnosis, *, lang: Lang) -> str:
    """The trace as JSON. Raises InputError where there is no time to draw."""
    d = clean(d)
    timed = comparable(d.timeline)
    if not timed:
        raise InputError("there are no times in this diagnosis", "add the job's logs: `hanglens collect --pid PID --log FILE`")
    first = min(timed, key=lambda one: one.start)
    origin: dict[str, str | int] = {
        "tool": f"hanglens {d.tool_version}", "verdict": d.verdict, "summary": pick(d.summary, lang),
        "begins": first.span.start, "spans that cannot be compared": len(d.timeline) - len(timed),
    }  # fmt: skip
    events = _events([_mark(one, first.start) for one in timed], frozenset(d.culprit_ranks), lang)
    return msgspec.json.encode(Trace(trace_events=tuple(events), other_data=origin)).decode() + "\n"


def _mark(timed: Timed, zero: float) -> _Mark:
    start, end = (round((moment - zero) * 1_000_000) for moment in (timed.start, timed.end))
    return _Mark(timed.span, start, start if timed.span.kind in _MOMENTS else end)


def _events(marks: Sequence[_Mark], culprits: frozenset[int], lang: Lang) -> Iterator[Event]:
    """The ranks in their order; what belongs to none comes last, under a number that none has."""
    by_rank: dict[int | None, list[_Mark]] = {}
    for mark in marks:
        by_rank.setdefault(mark.span.rank, []).append(mark)
    free = (number for number in count() if number not in by_rank)
    job, job_name = next(free), say("job", lang)
    yield _described("process_name", job, job, job_name)
    places = count()
    for rank in sorted(by_rank, key=lambda rank: (rank is None, rank or 0)):
        name = job_name if rank is None else ("▶ " if rank in culprits else "") + those(str(rank), lang)
        for number, track in enumerate(_tracks(by_rank[rank])):
            tid = next(free) if number else job if rank is None else rank
            yield _described("thread_name", job, tid, name)
            yield _described("thread_sort_index", job, tid, next(places))
            yield from (_drawn(mark, job, tid, lang) for mark in track)


def _tracks(marks: Sequence[_Mark]) -> list[list[_Mark]]:
    """Marks that may share a track: Perfetto drops what begins inside of another and outlasts it, so that gets a further track."""
    tracks: list[tuple[list[_Mark], list[int]]] = []  # with the ends of what has not ended yet, the inner ones last
    for mark in sorted(marks, key=lambda mark: (mark.start, -mark.end)):
        for _, ends in tracks:
            while ends and ends[-1] <= mark.start:
                ends.pop()
        track, ends = next((one for one in tracks if not one[1] or mark.end <= one[1][-1]), ([], []))
        if not track:
            tracks.append((track, ends))
        track.append(mark)
        ends.append(mark.end)
    return [track for track, _ in tracks]


def _described(what: str, pid: int, tid: int, value: str | int) -> Event:
    return Event(name=what, ph="M", ts=0, pid=pid, tid=tid, args={"sort_index" if isinstance(value, int) else "name": value})


def _drawn(mark: _Mark, pid: int, tid: int, lang: Lang) -> Event:
    span, lasts = mark.span, mark.end > mark.start
    kind = say(KINDS[span.kind], lang)
    words = pick(span.title, lang) if span.title else span.label
    told = {"from": span.start, "to": span.end, "file": span.file, "line": span.line, "text": span.text}
    return Event(
        name=(words if span.kind == "stage" else f"{kind}: {words}") if words else kind,
        ph="X" if lasts else "i", ts=mark.start, dur=mark.end - mark.start if lasts else None, s="" if lasts else "t",
        pid=pid, tid=tid, cat=span.kind, args={key: value for key, value in told.items() if value not in ("", None)},
    )  # fmt: skip
