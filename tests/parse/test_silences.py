"""The silences of a log are those that a look at every line finds, though almost no line is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Silence
from hanglens.parse import silences as module
from hanglens.parse.lines import read_line
from hanglens.parse.silences import LOOK, Silences
from hanglens.parse.track import Clock, Piece, Spot, Track

BEGAN = datetime(2026, 1, 5, 22, 50)
FORMS = {
    "lmdeploy": "{0:%Y-%m-%d %H:%M:%S},{1:03} - lmdeploy - INFO - a.py:1 - words",
    "glog": "[rank3]:[E{0:%m%d %H:%M:%S}.{1:03} ProcessGroupNCCL.cpp:688] words",
    "vllm": "INFO {0:%m-%d %H:%M:%S} [core.py:12] words",
    "sglang": "[{0:%Y-%m-%d %H:%M:%S} TP0] Decode batch. #running-req: 1",
    "zone": "{0:%Y-%m-%dT%H:%M:%S}.{1:03}Z words",
    "clock": "[{0:%H:%M:%S} TP0] Decode batch. #running-req: 1",
}
UNSTAMPED = (
    "",
    "n:1:2 [0] NCCL INFO AllReduce: opCount 12:34:56 sendbuff 0x7f",
    "node0:4003:5003 [3] 495435.087092 ncclLaunchKernel:12 NCCL TRACE 0x1 -> 0",
    "said at 12:00:00 by nobody",
    "x" * 1500 + "2026-01-05 23:59:59,000",
    "Loading:  10%|#  | 1/10 [00:05<00:45]\r 20%|##",
    "\x1b[32m\0green\x1b[0m",
)


def stamped(seconds: float, form: str = "lmdeploy") -> str:
    """A line printed so many seconds after the beginning."""
    moment = BEGAN + timedelta(seconds=seconds)
    return FORMS[form].format(moment, moment.microsecond // 1000)


def heard(lines: Sequence[str], cuts: Sequence[int] = (), *, last: bool = False) -> tuple[Silences, tuple[Silence, ...]]:
    """What is found in lines that come in chunks, cut before these lines."""
    silences = Silences("a.log")
    for start, stop in pairwise(sorted({0, *(cut for cut in cuts if cut < len(lines)), len(lines)})):
        end = b"" if last and stop == len(lines) else b"\n"
        silences.feed("\n".join(lines[start:stop]).encode() + end, start + 1)
    return silences, silences.found()


def found(lines: Sequence[str], cuts: Sequence[int] = ()) -> list[tuple[int | None, int]]:
    """The line before each silence, and how many lines without a stamp stand in it."""
    return [(silence.before.ref.line, silence.unstamped) for silence in heard(lines, cuts)[1]]


def every_line(lines: Sequence[str], clock: Clock | None) -> tuple[Silence, ...]:
    """The same by a look at every line."""
    track, at, unsure = Track("a.log"), 0, False
    piece = Piece(0, "\n".join(lines).encode(), 1)
    for text in lines:
        line = read_line(text.encode()[:LOOK].decode("utf-8", "replace"), 0)
        end = at + len(text.encode()) + 1
        if clock and line.time:
            seconds = clock.seconds(line.time)
            if seconds is not None:
                track.step(Spot(at, end, seconds, line, piece), unsure=unsure and track.last is not None)
            unsure = seconds is None
        at = end
    return track.silences()


STEPS = st.sampled_from([0.0, 0.0, 0.01, 0.4, 1.0, 3.0, 9.0, 27.5, 28.0, 29.0, 30.0, 31.0, 600.0])
KINDS = st.sampled_from(["line"] * 12 + ["unstamped"] * 8 + ["late", "quotes", "other", "set back"])


@st.composite
def logs(draw: st.DrawFn, *, others: bool = True) -> list[str]:
    """Lines of one form, a second out of order at most, with lines of no and of another form, and times of the far future between them."""
    form = draw(st.sampled_from(sorted(FORMS)))
    other = "glog" if form == "clock" else "clock"
    now, lines, ahead, quotes = 0.0, [], 0, False
    for kind in draw(st.lists(KINDS, max_size=60)):
        now += draw(STEPS) - (40 * 86400 if kind == "set back" else 0)
        if kind == "unstamped":
            lines.append(draw(st.sampled_from(UNSTAMPED)))
        elif kind == "other" and others:
            lines.append(stamped(now, other))
        else:
            quotes = kind == "quotes" and not quotes and form != "clock"  # a time of day has no future
            ahead += 100_000 * quotes  # two in a row, or of one time, would be a clock
            lines.append(stamped(now + ahead if quotes else now - (kind == "late") * draw(st.floats(0, 0.9)), form))
    return lines


@given(logs(), st.lists(st.integers(1, 59), max_size=12))
def test_what_a_look_at_every_line_finds(lines: list[str], cuts: list[int]) -> None:
    """Wherever chunks are cut, the same silences are found as by reading every line."""
    silences, quick = heard(lines, cuts)
    assert quick == every_line(lines, silences.clock)


@given(logs(others=False), st.lists(st.integers(1, 59), max_size=12))
def test_chunks_without_a_stamp_are_let_go(lines: list[str], cuts: list[int]) -> None:
    """Where too many bytes have no stamp they are not kept, and the same is found."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "HELD", 100)
        silences, quick = heard(lines, cuts)
    assert quick == every_line(lines, silences.clock)


def test_a_silence_says_what_stands_around_it() -> None:
    """The line before with all that it says, the stamp of the line after, and how many lines without a stamp stand between them."""
    lines = ["[rank2]: " + stamped(0), stamped(1), "no stamp", "nor here", stamped(601), stamped(602)]
    ((silence,),) = (heard(lines)[1],)
    assert (silence.before.ref.file, silence.before.ref.line, silence.before.text) == ("a.log", 2, lines[1])
    assert (silence.before.name, silence.before.source, silence.before.level) == ("silence", "lmdeploy", "INFO")
    assert silence.before.time is not None
    assert (silence.before.time.text, silence.after.text) == ("2026-01-05T22:50:01.000", "2026-01-05T23:00:01.000")
    assert silence.unstamped == 2


@pytest.mark.parametrize(("gap", "silent"), [(29, False), (29.9, False), (30, True), (31, True)])
def test_half_a_minute_is_a_silence(gap: float, silent: bool) -> None:
    """Thirty seconds count, less do not."""
    assert bool(found([stamped(0), stamped(gap), stamped(gap + 1)])) is silent


def test_the_longest_are_kept_in_the_order_of_the_file() -> None:
    """Of many silences the longest are kept, of equally long ones the last."""
    moments = [sum(60 + 100 * (n % 10 == 0) for n in range(1, end)) for end in range(101)]
    numbers = [line for line, _ in found([stamped(moment) for moment in moments])]
    assert numbers == [21, 31, 41, 51, 61, 71, 81, 91]


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [
        ((0, 1, 700, 2, 3), []),  # quoted
        ((0, 1, 9000, 700, 701), [2]),
        ((0, 1, 700, 701, 2, 3), []),  # two lines are quoted: somebody did print in between
        ((0, 1, 700, 699.5, 701), [2]),
        ((1000, 1001, 0, 1, 601, 602), [4]),  # the clock was set back
        ((1000, 1001, 0, 1002, 1003), []),  # an old time is quoted
        ((1000, 1001, 999, 1601, 1602), [3]),  # the clock was corrected
        ((0, 28800, 28801, 60, 61, 28920, 28921, 180), []),  # two clocks
        ((1000, 1001, 0, 1, 28801, 28802), []),  # the first clock again
    ],
)
def test_clocks_go_wrong(seconds: tuple[float, ...], lines: list[int]) -> None:
    """A line that quotes another time, a clock that is set, and two clocks in one log make no silence, and hide none."""
    assert [line for line, _ in found([stamped(moment) for moment in seconds])] == lines


def test_two_clocks_that_print_by_turns_are_no_silences() -> None:
    """Of two processes whose clocks are 40 seconds apart nobody is silent, though only some lines are looked at; then both are."""
    turns = [stamped(n / 10 + ahead) for n in range(3000) for ahead in (0, 40)]
    assert found(turns, range(0, 6000, 700)) == []
    assert found([*turns, stamped(700), stamped(701)], range(0, 6000, 700)) == [(6000, 0)]


@pytest.mark.parametrize("late", [1, 3])
def test_lines_that_were_flushed_late_hide_no_silence(late: int) -> None:
    """What was printed before a silence comes out after the first line that follows it: the silence is told, below them."""
    flushed = [stamped(2 + n) for n in range(late)]
    assert found([stamped(0), stamped(1), stamped(600), *flushed, stamped(601), stamped(602)]) == [(3 + late, 0)]


def test_midnight_is_no_gap() -> None:
    """A time of day starts anew at midnight; what was silent before and after it is known."""
    lines = [stamped(moment, "clock") for moment in (4000, 4060, 4199, 4201, 4300)]
    assert [line for line, _ in found(lines)] == [1, 2, 4]


def test_stamps_of_another_form_are_not_compared() -> None:
    """Nobody knows when a line with a clock of another form was printed, so no silence is told around it."""
    lines = [stamped(0), stamped(1), stamped(300, "zone"), stamped(600), stamped(601), stamped(1201)]
    assert found(lines) == [(5, 0)]


def test_a_line_that_lacks_the_year_ends_a_silence() -> None:
    """PyTorch's watchdog prints month and day: the year is that of the other lines."""
    (silence,) = heard([stamped(0), stamped(1), stamped(601, "glog"), "words"])[1]
    assert (silence.before.ref.line, silence.after.text) == (2, "01-05T23:00:01.000")


def test_a_dump_without_stamps_hides_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes without a stamp are not kept, and yet the silence in which they were printed is told, with their number."""
    monkeypatch.setattr(module, "HELD", 2000)
    lines = [stamped(0), stamped(1), *["n:1:2 [0] NCCL INFO words"] * 1000, stamped(601), stamped(602)]
    assert found(lines, range(0, 1004, 50)) == [(2, 1000)]


def test_another_program_may_write_from_some_line_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stamps of the first form come no more, those of another one are compared from there on."""
    monkeypatch.setattr(module, "HELD", 2000)
    lines = [stamped(n) for n in range(20)] + [stamped(n + 400 * (n > 80), "clock") for n in range(20, 100)]
    assert found(lines, range(0, 100, 10)) == [(81, 0)]


def test_what_was_not_looked_at_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is too much to look at nothing is claimed, and the end of the file is still looked at."""
    monkeypatch.setattr(module, "START", 0)
    lines = [stamped(0), *["said at 12:00:00"] * 1000, stamped(600), stamped(601)]
    assert found(lines, range(0, 1003, 50)) == []


def test_work_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a log with a clock in every line that is no stamp, a part of the lines is read."""
    read = []
    monkeypatch.setattr(module, "START", 100 * module.READ)
    monkeypatch.setattr(module, "read_line", lambda text, number: read.append(text) or read_line(text, number))
    heard(["said at 12:00:00 by nobody"] * 50_000, range(0, 50_000, 1000))
    assert len(read) < 300


@given(st.binary(max_size=300), st.integers(0, 300), st.booleans())
def test_never_raises(data: bytes, cut: int, stamp: bool) -> None:
    """Any bytes, cut anywhere, are lines of a log; no silence is found outside of the file."""
    silences = Silences("a.log")
    data = b"\n".join([stamped(0).encode(), data, stamped(100).encode()]) if stamp else data
    silences.feed(data[:cut], 1)
    silences.feed(data[cut:], 1 + data.count(b"\n", 0, cut))
    assert all(1 <= (silence.before.ref.line or 0) <= data.count(b"\n") + 1 for silence in silences.found())


def test_states_of_a_bar_are_lines() -> None:
    """Where carriage returns separate stamped states, nobody is silent, and a silence between two of them is found."""
    stamped = [f"2026-01-05 09:{n // 60:02}:{n % 60:02},000 - lmdeploy - INFO - a.py:1 - step {n}" for n in (*range(300), *range(400, 600))]
    silences = Silences("a.log")
    silences.feed("\r".join(stamped).encode(), 1)
    assert [(told.before.time and told.before.time.text[-9:], told.after.text[-9:]) for told in silences.found()] == [
        ("04:59.000", "06:40.000")
    ]
