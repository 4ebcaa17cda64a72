from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from hanglens.analyze.timeline import LAST_ERRORS, timeline
from hanglens.incident import HostFolders
from hanglens.model import Collection, Event, RecorderDump, Silence, SourceRef, Stamp
from hanglens.verdict import TimelineSpan
from tests.builders import event, incident, log, parsed, read

BEGAN = datetime(2026, 3, 1, 2, 0, 0, tzinfo=timezone.utc).timestamp()


def at(text: str, *, dated: bool = True) -> Stamp:
    """A stamp of the first of March."""
    moment = datetime.fromisoformat(text if dated else f"2000-{text}")
    return Stamp(text, moment.replace(tzinfo=timezone.utc).timestamp(), dated)


def said(seconds: int, rank: int | None = None, name: str = "tail", file: str = "job.log", **more: str) -> Event:
    """A line so many seconds after two o'clock."""
    return replace(
        event(name, f"line of {seconds}", file=file, line=seconds + 1, rank=rank, **more), time=at(f"2026-03-01T02:00:{seconds:02}")
    )


def shown(*values: object) -> list[TimelineSpan]:
    """The timeline of some evidence."""
    return list(timeline(incident(evidence=parsed(*values))))


def spans(*values: object) -> list[tuple[int | None, str, str, str]]:
    """Rank, beginning, end (without the day) and kind of each span."""
    return [(span.rank, span.start[-5:], span.end[-5:], span.kind) for span in shown(*values)]


def test_a_rank_whose_log_ends_first_is_silent_from_there() -> None:
    """Silence lasts to the last line of all, and cites the line before it."""
    logs = [log(f"{rank}.log", rank=rank, tail=(said(seconds, rank, file=f"{rank}.log"),)) for rank, seconds in ((0, 50), (1, 20))]
    (silence,) = shown(*logs)
    assert (silence.rank, silence.start, silence.end) == (1, "2026-03-01T02:00:20", "2026-03-01T02:00:50")
    assert (silence.kind, silence.file, silence.line, silence.text) == ("silence", "1.log", 21, "line of 20")


def test_a_line_that_names_nobody_may_be_anybodys() -> None:
    """In a log that all ranks share, no rank is silent while lines come that do not say whose they are."""
    assert spans(log(tail=(said(0, 0), said(5, 1), said(30), said(31, 1)))) == []
    assert spans(log(tail=(said(0, 0), said(30, 1)))) == [(0, "00:00", "00:30", "silence")]


def test_stamps_of_a_rarer_form_are_not_compared() -> None:
    """A clock without a date, or one with an offset, makes nobody silent on a dated log."""
    odd = replace(said(59, 1, file="1.log"), time=Stamp("02:00:01", 1.0, dated=False))
    assert spans(log("0.log", rank=0, tail=(said(50, 0, file="0.log"),)), log("1.log", rank=1, tail=(odd,))) == []


def test_a_stamp_without_a_year_gets_that_of_the_job() -> None:
    """glog lines (month and day only) stand on the same timeline as the dated lines of the same job."""
    glog = replace(said(40, 1, "torch.timeout", op="ALLREDUCE"), time=at("03-01T02:00:40.123456789"[:-3], dated=False))
    assert [(s.start, s.kind, s.label) for s in shown(log(tail=(said(41, 1),)), glog)] == [
        ("2026-03-01T02:00:40.123", "timeout", "ALLREDUCE")
    ]  # fmt: skip


def test_stages_are_bands() -> None:
    """A stage lasts to the next one, the last to the end of the log, each with its words in both languages and its line."""
    job_log = Path(__file__).parents[2] / "fixtures/lmdeploy-0.7-tp4-config-sync/evidence/lmdeploy.log"
    found = timeline(incident(evidence=read({"job.log": job_log.read_text(encoding="utf-8")})))
    assert all(span.kind == "stage" and span.title and span.title.zh and span.line for span in found)
    job = [span for span in found if span.rank is None]
    assert [span.label for span in job] == ["ranks being started", "model built", "weights loading", "KV-cache blocks computed"]
    assert [span.end for span in job] == [*(span.start for span in job[1:]), "2026-11-22T15:32:51.197"]


def test_progress_lasts_from_its_first_line_to_its_last() -> None:
    """A progress bar is one band whose line is its last state."""
    bars = [said(seconds, 0, "progress.bar") for seconds in (10, 20, 30)]
    (band,) = shown(log(tail=(said(30, 0),)), *bars)
    assert (band.kind, band.start[-5:], band.end[-5:], band.label) == ("progress", "00:10", "00:30", "line of 30")


def test_errors_are_moments() -> None:
    """An error is told once, also if several patterns know its line; of a rank that repeats itself the first and the last are told."""
    errors = [said(seconds, 1, name, level="ERROR") for seconds in range(1, 9) for name in ("tail", "torch.error")]
    found = spans(log(tail=tuple(errors[::2])), *errors[1::2])
    assert found == [(1, f"00:0{n}", f"00:0{n}", "error") for n in (1, *range(9 - LAST_ERRORS, 9))]


def test_an_error_is_told_by_its_words() -> None:
    """Rank, stamp and source before them are left out of the label; a dump that was asked for is no error."""
    glog = "[rank0]:[E1122 15:16:26.071339254 ProcessGroupNCCL.cpp:688] [Rank 0] Watchdog caught collective operation timeout"
    asked = "[rank0]:[E1122 15:16:27.071339254 ProcessGroupNCCL.cpp:1682] ProcessGroupNCCL preparing to dump debug info"
    told = [replace(said(n, 0, level="ERROR"), text=text) for n, text in enumerate((glog, asked))]
    assert [span.label for span in shown(log(tail=tuple(told)))] == ["Watchdog caught collective operation timeout"]


def test_hosts_are_not_compared() -> None:
    """A host whose clock is hours behind is not silent for hours."""
    here = [replace(said(n, 0, file="a/0.log"), time=at(f"2026-03-01T02:0{n}:00")) for n in range(3)]
    there = [replace(said(n, 1, file="b/1.log"), time=at(f"2026-03-01T10:0{n}:00")) for n in range(3)]
    about = parsed(log("a/0.log", rank=0, tail=tuple(here)), log("b/1.log", rank=1, tail=tuple(there)))
    assert timeline(replace(incident(evidence=about), hosts=HostFolders(several=True))) == ()
    assert [span.kind for span in timeline(incident(evidence=about))] == ["silence"]


def test_lines_without_a_time_may_go_on() -> None:
    """Where such lines follow, the silence is said to be one of lines with a time."""
    untimed = replace(said(59, 0, file="0.log"), time=None)
    logs = log("0.log", rank=0, tail=(said(10, 0, file="0.log"), untimed)), log("1.log", rank=1, tail=(said(50, 1, file="1.log"),))
    (silence,) = shown(*logs)
    assert silence.label == "no line with a time"


def test_stamps_with_any_offset_are_compared() -> None:
    """Two zones are one clock where the lines say which zone is theirs."""
    stamps = {0: "2026-03-01T10:00:00+08:00", 1: "2026-03-01T02:00:30Z"}
    seconds = {0: 0, 1: 30}
    told = [
        replace(said(0, rank, file=f"{rank}.log"), time=Stamp(text, BEGAN + seconds[rank])) for rank, text in stamps.items()
    ]  # fmt: skip
    (silence,) = shown(*(log(f"{rank}.log", rank=rank, tail=(told[rank],)) for rank in stamps))
    assert (silence.rank, silence.start[-9:], silence.end[-4:]) == (0, "00:00.000Z"[-9:], ":30Z")


def test_a_stage_ends_where_anybody_passed_the_next_one() -> None:
    """In a shared log a later stage that names nobody may be this rank's: its own stage is drawn no further."""
    job_log = Path(__file__).parents[2] / "fixtures/lmdeploy-0.7-tp4-config-sync/evidence/lmdeploy.log"
    found = timeline(incident(evidence=read({"job.log": job_log.read_text(encoding="utf-8")})))
    (first,) = [span for span in found if span.rank == 0]
    assert (first.label, first.end) == ("weights loaded", "2026-11-22T15:32:39.999")


def test_no_rank_of_thousands_is_left_out() -> None:
    """Where there is too much to draw, each rank keeps its last spans."""
    ranks = range(30_000)
    errors = [replace(said(n, rank, level="ERROR"), ref=SourceRef(f"{rank}.log", n)) for rank in ranks for n in (1, 2)]
    found = shown(*errors)
    assert len(found) == len(ranks)
    assert {span.start[-2:] for span in found} == {"02"}


@pytest.mark.parametrize(
    ("began", "ended", "expected"),
    [
        (BEGAN - 5, BEGAN + 40, [(0, "00:10", "0.000", "silence")]),
        (BEGAN + 8 * 3600, BEGAN + 8 * 3600 + 40, []),
        (BEGAN - 5, BEGAN - 1, []),
        (None, BEGAN + 40, []),
    ],
    ids=["looked at later", "the log has another zone", "the log's clock is ahead", "nobody knows"],
)
def test_when_the_job_was_looked_at_is_the_end(began: float | None, ended: float, expected: list[object]) -> None:
    """What collect saw after the last line makes the silence visible, if the log has the host's clock."""
    about = parsed(log("0.log", rank=0, tail=(said(0, 0, file="0.log"), said(10, 0, file="0.log"))))
    about = replace(about, collections=(Collection(SourceRef("manifest.json"), "n1", began, ended=ended),))
    assert [(s.rank, s.start[-5:], s.end[-5:], s.kind) for s in timeline(incident(evidence=about))] == expected


def test_without_logs_the_flight_recorders_tell_when() -> None:
    """The last call of each rank, and the silence of one that stopped calling before the others."""
    made = int(BEGAN * 1e9)
    dumps = (RecorderDump(0, SourceRef("d0"), 5, newest_ns=made + 20_000_000_000), RecorderDump(1, SourceRef("d1"), 5, newest_ns=made))
    found = timeline(incident(evidence=replace(parsed(), recorder_dumps=dumps)))
    assert [(s.rank, s.start, s.end[-8:], s.kind) for s in found] == [
        (0, "2026-03-01T02:00:20.000Z", ":20.000Z", "progress"),
        (1, "2026-03-01T02:00:00.000Z", ":00.000Z", "progress"),
        (1, "2026-03-01T02:00:00.000Z", ":20.000Z", "silence"),
    ]


def test_a_time_beyond_the_calendar_is_no_fault() -> None:
    """A dump may claim any number of nanoseconds."""
    dump = RecorderDump(0, SourceRef("d0"), 5, newest_ns=2**63 - 1)
    assert timeline(incident(evidence=replace(parsed(), recorder_dumps=(dump,))))[0].start.startswith("2262-")


def paused(since: Event, until: int, unstamped: int = 0) -> Silence:
    """A silence from a line until so many seconds after two o'clock."""
    return Silence(since, at(f"2026-03-01T02:{until // 60:02}:{until % 60:02}"), unstamped)


def test_a_silence_within_a_log_is_told() -> None:
    """From the line before it to the stamp after it, with the words of that line; the silence after the last line stays."""
    quiet = log("0.log", rank=0, tail=(said(45, 0, file="0.log"),), silences=(paused(said(10, 0, file="0.log"), 41),))
    other = log("1.log", rank=1, tail=(said(59, 1, file="1.log"),))
    within, after = shown(quiet, other)
    assert (within.rank, within.start[-5:], within.end[-5:], within.kind) == (0, "00:10", "00:41", "silence")
    assert (within.label, within.file, within.line, within.text, within.title) == ("line of 10", "0.log", 11, "line of 10", None)
    assert (after.rank, after.start[-5:], after.end[-5:], after.kind) == (0, "00:45", "00:59", "silence")


def test_the_longest_silence_comes_last() -> None:
    """A report that has room for one tells of that."""
    silences = (paused(said(0, 0), 40), paused(said(50, 0), 350), paused(said(0, 0), 35))
    last = replace(said(59, 0), time=at("2026-03-01T02:06:00"))
    assert [end for _, _, end, _ in spans(log(rank=0, tail=(last,), silences=silences))] == ["00:35", "00:40", "05:50"]


def test_the_silence_of_a_log_that_several_write_is_nobodys() -> None:
    """Whose line the last one before it is does not matter, unless all lines of the log are that rank's."""
    silences = (paused(said(10, 1), 50),)
    assert spans(log(tail=(said(52, 0), said(53, 1)), silences=silences)) == [(None, "00:10", "00:50", "silence")]
    assert spans(log(tail=(said(52, 1), said(53, 1)), silences=silences)) == [(1, "00:10", "00:50", "silence")]


def test_lines_without_a_time_within_a_silence_are_counted() -> None:
    """They may have been printed at any time in it."""
    (silence,) = shown(log(rank=0, tail=(said(52, 0),), silences=(paused(said(10, 0), 50, unstamped=12),)))
    assert silence.title is not None
    assert (silence.title.en, silence.title.zh) == ("no line with a time, 12 without", "没有带时间的行，另有 12 行不带时间")


def test_a_silence_has_the_clock_of_the_other_lines() -> None:
    """A stamp without a year gets that of the job; a silence whose clock cannot be compared is left out."""
    glog = replace(paused(said(10, 0), 50), after=at("03-01T02:00:50.071339", dated=False))
    odd = Silence(replace(said(10, 0), time=Stamp("02:00:01", 1.0, dated=False)), Stamp("02:00:51", 51.0, dated=False))
    assert [end for _, _, end, _ in spans(log(rank=0, tail=(said(52, 0),), silences=(glog, odd)))] == ["0.071"]


def test_a_kernel_is_silent_for_hours() -> None:
    """Its silences are not those of the job."""
    kernel = log("dmesg.txt", kind="kernel log", tail=(said(52),), silences=(paused(said(10), 50),))
    assert spans(kernel) == []
