from __future__ import annotations

import json
import unicodedata
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.errors import HangLensError
from hanglens.report.trace_event import render
from hanglens.verdict import Diagnosis, TimelineSpan
from tests.samples import HEALTHY, HOSTILE, HUNG, hostile, large, text

Event = dict[str, Any]


def span(
    rank: int | None, start: str, end: str, kind: Literal["stage", "progress", "silence", "error", "timeout"] = "stage", label: str = "load"
) -> TimelineSpan:
    """A span of a rank."""
    return TimelineSpan(rank=rank, start=start, end=end, kind=kind, label=label)


def of_spans(*spans: TimelineSpan, culprits: tuple[int, ...] = ()) -> Diagnosis:
    """A diagnosis that has a timeline and nothing else."""
    return Diagnosis(verdict="hung", summary=text("Hung.", "挂起。"), tool_version="0", timeline=spans, culprit_ranks=culprits)


def written(d: Diagnosis, lang: Literal["en", "zh"] = "en") -> list[Event]:
    """The events, each of which has what its kind must have."""
    file = json.loads(render(d, lang=lang))
    assert file.keys() == {"traceEvents", "displayTimeUnit", "otherData"}
    assert file["displayTimeUnit"] == "ms"
    events: list[Event] = file["traceEvents"]
    for event in events:
        assert {"name", "ph", "ts", "pid", "tid"} <= event.keys()
        assert event["ph"] in {"X", "i", "M"}
        assert event["ts"] >= 0
        assert ("dur" in event) == (event["ph"] == "X")
        assert event.get("dur", 0) >= 0
        assert event.get("s") == ("t" if event["ph"] == "i" else None)
    assert len({event["pid"] for event in events}) == 1
    return events


def drawn(events: list[Event]) -> list[Event]:
    """The events that are no description of a process or thread."""
    return [event for event in events if event["ph"] != "M"]


def described(events: list[Event], what: str) -> dict[int, Any]:
    """What is said of each track, in the order of the file."""
    return {event["tid"]: next(iter(event["args"].values())) for event in events if event["name"] == what and event["ph"] == "M"}


def test_a_track_for_each_rank_and_one_for_the_job() -> None:
    """A rank's track has its number, the culprit's the sign of the culprit, and the job's a number that no rank has."""
    events = written(HUNG)

    assert described(events, "thread_name") == {0: "rank 0", 1: "rank 1", 2: "rank 2", 3: "▶ rank 3", 4: "job"}
    assert described(events, "thread_sort_index") == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}
    assert described(events, "process_name") == {4: "job"}


def test_bands_last_and_errors_are_moments() -> None:
    """Stages and silence have a length in microseconds from the first moment; a time-out marks its track at one moment."""
    events = [event for event in drawn(written(HUNG)) if event["tid"] in (3, 4)]

    assert [(event["ph"], event["cat"], event["name"], event["ts"], event.get("dur")) for event in events] == [
        ("X", "stage", "load weights", 0, 56_000_000),
        ("X", "stage", "build extension", 56_000_000, 11_112_000),
        ("X", "silence", "silence: no line printed", 67_112_000, 1_800_888_000),
        ("i", "error", "error: probe failed: 503", 128_000_000, None),
    ]
    assert events[1]["args"] == {"from": "2026-03-01T02:10:58", "to": "2026-03-01T02:11:09.112"}


def test_the_line_behind_a_span_can_be_looked_up() -> None:
    """File, line and text of the evidence stand beside the times, where there are any."""
    told = TimelineSpan(rank=0, start="02:00:00", end="02:00:00", kind="timeout", label="", file="a.log", line=7, text="it timed out")
    (event,) = drawn(written(of_spans(told)))

    assert event["name"] == "time-out"
    assert event["args"] == {"from": "02:00:00", "to": "02:00:00", "file": "a.log", "line": 7, "text": "it timed out"}


def test_an_error_is_a_moment_however_long_and_a_stage_without_length_too() -> None:
    """What has no length could not be seen as a band, and an error is where it begins."""
    events = drawn(written(of_spans(span(0, "02:00:00", "02:00:09", "error"), span(0, "02:00:01", "02:00:01"))))

    assert [(event["ph"], event["ts"]) for event in events] == [("i", 0), ("i", 1_000_000)]


def test_what_would_be_dropped_for_crossing_gets_a_further_track() -> None:
    """Bands of a rank that overlap stand on two tracks of one name; those that lie inside of others share one."""
    crossing, inside, after = span(0, "02:00:05", "02:00:15"), span(0, "02:00:01", "02:00:02"), span(0, "02:00:10", "02:00:20")
    events = written(of_spans(crossing, span(0, "02:00:00", "02:00:10"), inside, after, span(None, "02:00:00", "02:00:01")))

    assert [(event["tid"], event["ts"] // 1_000_000) for event in drawn(events)] == [(0, 0), (0, 1), (0, 10), (2, 5), (1, 0)]
    assert described(events, "thread_name") == {0: "rank 0", 2: "rank 0", 1: "job"}


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1, 5]), st.integers(0, 59), st.integers(0, 59)), min_size=1, max_size=12))
def test_bands_of_a_track_never_cross(given_spans: list[tuple[int | None, int, int]]) -> None:
    """Whatever overlaps in the timeline, each track is in order and has bands only that follow or hold each other; nothing is lost."""
    events = drawn(written(of_spans(*(span(rank, f"02:00:{a:02}", f"02:00:{b:02}") for rank, a, b in given_spans))))

    assert len(events) == len(given_spans)
    for tid in {event["tid"] for event in events}:
        track = [(event["ts"], event["ts"] + event.get("dur", 0)) for event in events if event["tid"] == tid]
        assert all(one[0] <= other[0] for one, other in pairwise(track))
        assert not [(a, b) for n, a in enumerate(track) for b in track[n:] if b[0] < a[1] < b[1]]


def test_the_file_says_what_it_is_made_of() -> None:
    """The stamp of time 0, and how many spans have times that cannot be compared, stand in the file."""
    file = json.loads(
        render(of_spans(span(0, "02:00:09", "02:00:10"), span(1, "02:00:00", "02:00:10"), span(2, "soon", "later")), lang="zh")
    )

    assert file["otherData"] == {
        "tool": "hanglens 0",
        "verdict": "hung",
        "summary": "挂起。",
        "begins": "02:00:00",
        "spans that cannot be compared": 1,
    }


@pytest.mark.parametrize("d", [HEALTHY, of_spans(span(0, "soon", "later"))])
def test_without_times_there_is_no_trace(d: Diagnosis) -> None:
    """An empty trace shows nothing, so the error says how to get times."""
    with pytest.raises(HangLensError, match=r"no times.*hanglens collect --pid PID --log FILE"):
        render(d, lang="en")


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_text_stays_text(payload: str) -> None:
    """No text of the evidence breaks the file, and no control character reaches the window."""
    told = TimelineSpan(
        rank=0, start="2026-03-01T00:00:00", end="2026-03-01T00:00:01", kind="error", label=payload, file=payload, text=payload
    )
    events = written(of_spans(told, *hostile(payload).timeline))
    texts = [value for event in events for value in (event["name"], *event.get("args", {}).values()) if isinstance(value, str)]

    assert len(drawn(events)) == 2
    assert not [c for value in texts for c in value if unicodedata.category(c) in {"Cc", "Cf", "Cs"}]


def test_many_ranks_have_a_track_each() -> None:
    """A viewer scrolls, so nothing is folded or left out."""
    events = written(large())

    assert len(drawn(events)) == 1024
    assert described(events, "thread_name")[77] == "▶ rank 77"


def test_names_are_in_the_language_asked_for() -> None:
    """Kinds, titles of stages and tracks follow --lang; `cat` stays, since tools ask for it."""
    stage = TimelineSpan(rank=None, start="02:00:01", end="02:00:02", kind="stage", label="a/load", title=text("Load", "加载"))
    events = written(of_spans(span(None, "02:00:00", "02:00:01", "silence", "a.log"), stage), "zh")

    assert described(events, "thread_name") == {0: "任务"}
    assert drawn(events)[0]["cat"] == "silence"
    assert drawn(events)[0]["name"].endswith(": a.log")
    assert not drawn(events)[0]["name"].startswith("silence")
    assert drawn(events)[1]["name"] == "加载"
