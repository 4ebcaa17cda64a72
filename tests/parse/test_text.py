"""Texts of any kind: what a pattern wants becomes an Event, what a block kind starts becomes a block, and the end is kept."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import chunks
from hanglens.bundle import Item, open_evidence
from hanglens.model import Event, Gap, Parsed, Speaker
from hanglens.parse import text
from hanglens.parse.blocks import BlockKind, Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.lines import Line
from hanglens.parse.pyspy import BLOCKS
from hanglens.parse.text import KEEP, read_text
from hanglens.scan import Pattern

MARK = Pattern("mark", r"mark (?P<n>\d+)", literals=("mark",))
DUMP = """Process 12: python train.py
Python v3.10.0 (python3.10)

Thread 12 (idle): "MainThread"
    wait (threading.py:1)
    main (train.py:9)
"""


def read(data: bytes | str, *patterns: Pattern, kinds: tuple[BlockKind, ...] = ()) -> Parsed:
    """Read a file that holds this."""
    raw = data.encode() if isinstance(data, str) else data
    return read_text(io.BytesIO(raw), Place("a.log", rank=1), PatternIndex(patterns or (MARK,), kinds))


def found(parsed: Parsed) -> list[tuple[int | None, str]]:
    """Line number and text of each event."""
    return [(event.ref.line, event.text) for event in parsed.events]


def test_an_event_says_all_that_the_line_says() -> None:
    """Name, source, level, time, speaker, named groups, place, and two lines around it."""
    log = "a\nb\nc\n[rank2]: 2025-01-02 03:04:05,678 - lmdeploy - WARNING - a.py:1 - mark 7\nd\ne\nf\n"
    (event,) = read(log).events
    assert (event.name, event.source, event.level, event.fields) == ("mark", "lmdeploy", "WARN", {"n": "7"})
    assert event.time is not None
    assert (event.time.text, event.speaker, event.ref.file) == ("2025-01-02T03:04:05.678", Speaker(rank=2), "a.log")
    assert (event.ref.line, event.text) == (4, log.splitlines()[3])
    assert event.context == tuple(log.splitlines()[1:6])


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        (Pattern("p", "mark here"), [1, 2, 3]),
        (Pattern("p", "mark here", frozenset({"nccl"})), [1, 2]),
        (Pattern("p", "mark here", frozenset({"nccl"}), "WARN"), [2]),
        (Pattern("p", "mark here", frozenset({"nccl", "text"})), [1, 2, 3]),
        (Pattern("p", "^mark here"), [1, 2, 3]),
        (Pattern("p", "NCCL INFO mark"), []),  # a prefix is no part of the message
        (Pattern("p", "Mark here"), []),
    ],
)
def test_patterns_are_limited_to_programs_and_levels(pattern: Pattern, lines: list[int]) -> None:
    """A pattern is searched in the messages of its sources and its level only."""
    log = "n:1:2 [0] NCCL INFO mark here\nn:1:2 [0] a.cc:1 NCCL WARN mark here\nmark here\n"
    assert [event.ref.line for event in read(log, pattern).events] == lines


def test_many_events_keep_first_and_last() -> None:
    """Of one pattern the first and the last events of a file are kept, in order, and others are not counted in."""
    rare = Pattern("rare", "rare word")
    events = read("".join(f"mark {n}\n" for n in range(1000)) + "rare word\n", MARK, rare).events
    numbers = [int(event.fields["n"]) for event in events if event.name == "mark"]
    assert numbers == [*range(KEEP), *range(1000 - KEEP, 1000)]
    assert events[-1].name == "rare"


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"mark 1\r\nx\r\nmark 2\r\n", [(1, "mark 1"), (3, "mark 2")]),
        (b"x\nmark 1", [(2, "mark 1")]),
        (b"\0\0mark\0 1\n", [(1, "\0\0mark\0 1")]),
        (b"\xff\xfemark 1\x80\n", [(1, "\ufffd\ufffdmark 1\ufffd")]),
        (b"mark 1\rmark 2\rmark 3", [(1, "mark 1"), (2, "mark 2"), (3, "mark 3")]),
        (b"x\n 10%\r 20% mark 2\r30%\nmark 3\n", [(2, " 20% mark 2"), (3, "mark 3")]),
        (b"\xe2\x80\xa8mark 1\x0b\x0c\x1cmark 2\n", [(1, "\u2028mark 1\x0b\x0c\x1cmark 2")]),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_line_ends_and_bad_bytes(data: bytes, events: list[tuple[int, str]]) -> None:
    """Only line feeds count lines, unless there is none; bytes that are no UTF-8 are replaced; the text is as in the file."""
    parsed = read(data)
    assert found(parsed) == events
    assert parsed.inputs[0].lines == (data.count(b"\n") or data.count(b"\r")) + (not data.endswith(b"\n") and data != b"")


def test_the_last_of_many_are_those_of_the_whole_file() -> None:
    """Over several chunks the very last ones are kept, each with its own number and the lines around it."""
    lines = [f"mark {n} {'x' * 400}" for n in range(20_000)]
    about = read_text(io.BytesIO("\n".join(lines).encode()), Place("a.log"), PatternIndex([Pattern("mark", r"mark (?P<n>\d+)")], ()))
    numbers = [int(event.fields["n"]) for event in about.events]

    assert numbers == [*range(KEEP), *range(20_000 - KEEP, 20_000)]
    assert all(event.ref.line == int(event.fields["n"]) + 1 for event in about.events)
    assert all(event.text in event.context for event in about.events)
    assert [len(event.context) for event in about.events[-3:]] == [5, 4, 3]


def test_only_the_last_states_of_a_bar_are_looked_at() -> None:
    """A line that rewrote itself a hundred thousand times gives its last states, each an event of that line."""
    events = read("head\n" + "\r".join(f"mark {n}" for n in range(100_000)) + "\nmark 5\n").events
    assert {event.ref.line for event in events} == {2, 3}
    assert [int(event.fields["n"]) for event in events][-3:] == [99_998, 99_999, 5]
    assert len(events) < KEEP


def test_a_long_line_leaves_numbers_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line of megabytes the beginning is read, and lines after it have the numbers that an editor shows."""
    monkeypatch.setattr(chunks, "CHUNK", 1000)
    monkeypatch.setattr(chunks, "LONGEST_LINE", 2000)
    parsed = read("mark 1\nmark 2 " + "x" * 50_000 + " mark 9\nmark 3\n")
    assert [(event.ref.line, event.fields["n"]) for event in parsed.events] == [(1, "1"), (2, "2"), (3, "3")]
    assert (parsed.events[1].text[:6], len(parsed.events[1].text)) == ("mark 2", 500)
    assert parsed.inputs[0].lines == 3


def test_what_matches_above_many_lines_that_do_not_is_found_in_a_short_log() -> None:
    """Lines that only look like it, below the last that matches, do not hide it."""
    log = "mark 1\n" * KEEP + "mark 2\n" * 5 + "mark none\n" * 6 * KEEP
    assert len(read(log).events) == KEEP + 5


def test_a_long_line_is_cut_around_the_match() -> None:
    """At most 500 characters of a line are cited, and what matched is among them; that the line began before is seen."""
    (event,) = read("a" * 3000 + " mark 7 " + "b" * 3000).events
    assert len(event.text) == 500
    assert event.text.startswith("…a")
    assert "mark 7" in event.text


@pytest.mark.parametrize("size", [40, 1 << 20])
def test_a_torn_line_is_joined(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that a terminal wrapped is joined with the next two for patterns that ask for it, across chunks too."""
    monkeypatch.setattr(chunks, "CHUNK", size)
    log = "Watchdog caught SeqNum=5, Op\nType=ALLREDUCE, Time\nout(ms)=600)\nnext\n"
    expression = r"caught SeqNum=5, OpType=(?P<op>\w+), Timeout"
    (event,) = read(log, Pattern("p", expression, literals=("caught",), wraps=True)).events
    assert (event.fields, event.ref.line, event.text) == ({"op": "ALLREDUCE"}, 1, "Watchdog caught SeqNum=5, Op")
    assert not read(log, Pattern("p", expression, literals=("caught",))).events


@given(st.integers(1, 200), st.sampled_from(["", "after\n", "mark 3\n", "Thread 9 (idle)\n"]))
def test_a_block_goes_on_across_chunks(size: int, end: str) -> None:
    """A stack dump is read whole wherever chunks are cut, and one that is open at the end of the file is closed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chunks, "CHUNK", size)
        parsed = read("mark 1\n" + DUMP + end, MARK, kinds=BLOCKS)
    assert [frame.function for frame in parsed.stacks[0].frames] == ["wait", "main"]
    assert [frame.ref(parsed.stacks[0].ref).line for frame in parsed.stacks[0].frames] == [6, 7]
    assert (parsed.stacks[0].pid, parsed.processes[0].command) == (12, "python train.py")
    assert [event.ref.line for event in parsed.events] == [1, 8][: 1 + end.startswith("mark")]


@dataclass
class _Pair:
    """A block of two lines, that refuses the third."""

    lines: list[str] = field(default_factory=list)

    def feed(self, line: Line) -> bool:
        """Take one more line."""
        self.lines.append(line.message)
        return len(self.lines) < 3

    def close(self) -> Parsed:
        """Tell what was taken."""
        return Parsed(gaps=(Gap("pair", "+".join(self.lines[:2]), ""),))


def test_the_line_that_ends_a_block_is_looked_at_afresh() -> None:
    """It may hold an event, or open the next block; a line inside a block may be an event, too."""

    def start(line: Line, _place: Place) -> _Pair | None:
        return _Pair([line.message]) if line.message.startswith("begin") else None

    parsed = read("begin a\nmark 1\nbegin b\nx\nmark 2\nbegin? no: begin\n", MARK, kinds=(BlockKind("pair", ("begin",), start),))
    assert [gap.why for gap in parsed.gaps] == ["begin a+mark 1", "begin b+x", "begin? no: begin"]
    assert [event.ref.line for event in parsed.events] == [2, 5]


def test_the_end_of_a_text_is_kept() -> None:
    """The last lines, blank ones left out, with numbers, and the first and last time."""
    log = "2025-01-01 00:00:00 x\n" + "line\n" * 100_000 + "2025-01-01 00:00:09 y\n\nlast\n"
    (about,) = read(log).inputs
    assert [(event.ref.line, event.text) for event in about.tail[-2:]] == [(100_002, "2025-01-01 00:00:09 y"), (100_004, "last")]
    assert len(about.tail) == 300
    assert about.first_time is not None
    assert about.last_time is not None
    assert (about.first_time.text[-2:], about.last_time.text[-2:], about.bytes, about.lines) == ("00", "09", len(log), 100_004)


def test_a_long_last_line_is_told_with_its_beginning() -> None:
    """Where the last line is longer than what is kept of the end of a file, its number, its stamp and its last state are told."""
    head = "2026-01-05 09:00:00,000 - lmdeploy - INFO - a.py:1 - words\n" * 50
    (about,) = read(head + "2026-01-05 09:00:01,000 - lmdeploy - INFO - a.py:1 - prompt " + "x" * 110_000).inputs
    assert (about.tail[-1].ref.line, about.kind) == (51, "lmdeploy log")
    assert about.last_time is not None
    assert about.last_time.text == "2026-01-05T09:00:01.000"
    (about,) = read(head + "".join(f"\rLoading: {n}%|##" for n in range(9000)) + "\n").inputs
    assert [line.ref.line for line in about.tail] == [51]


def test_the_last_matches_are_kept_among_lines_that_do_not_match() -> None:
    """Where a literal is commoner than what matches, the last matches of a long file are kept all the same."""
    log = "mark 1\n" * KEEP + "x" * (3 << 20) + "\nmark 777\n" + "mark none\n" * KEEP
    assert read(log).events[-1].text == "mark 777"


def test_what_stands_before_damage_is_read() -> None:
    """Of a log that is cut off the lines are told, and that it is cut off."""
    packed = gzip.compress("".join(f"mark {n}\n" for n in range(200_000)).encode())[:-2000]
    (parsed,) = [
        read_text(item.stream, Place("a.log"), PatternIndex((MARK,), ()))
        for item in open_evidence(["-"], stdin=io.BytesIO(packed))
        if isinstance(item, Item)
    ]
    assert parsed.inputs[0].lines is not None
    assert parsed.inputs[0].lines > 100_000
    assert parsed.events[0].text == "mark 0"
    assert ["cut off" in gap.why for gap in parsed.gaps] == [True]


@given(st.lists(st.sampled_from(["", "x", "line " * 30, "mark 1"]), max_size=40), st.integers(1, 300), st.booleans())
def test_the_tail_does_not_depend_on_chunks(lines: list[str], size: int, end: bool) -> None:
    """Events, the last lines and their numbers are the same for any size of chunks."""
    data = "\n".join(lines) + "\n" * end
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(text, "TAIL_BYTES", 100)
        whole = read(data)
        patched.setattr(chunks, "CHUNK", size)
        parts = read(data)
    assert (parts.inputs, found(parts)) == (whole.inputs, found(whole))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (DUMP, "stack dump"),
        ("n:1:2 [0] NCCL INFO x\n" * 3 + "y\n", "nccl log"),
        ("n:1:2 [0] NCCL INFO x\n" * 100 + DUMP, "log with stack dumps"),
        ("just words\n", "text"),
        ("", "text"),
    ],
)
def test_what_a_text_mostly_is(text: str, kind: str) -> None:
    """The table of inputs names the program that most lines are of, or the block."""
    assert read(text, kinds=BLOCKS).inputs[0].kind == kind


def test_a_pattern_of_two_names_fires_once_a_line() -> None:
    """A line that holds several literals of a pattern, or one twice, is one event."""
    events: tuple[Event, ...] = read("alpha beta alpha\n", Pattern("p", "alpha|beta"), Pattern("q", "alpha")).events
    assert sorted(event.name for event in events) == ["p", "q"]


@given(st.binary(max_size=300))
def test_never_raises(data: bytes) -> None:
    """Any bytes are a text of some kind."""
    assert len(read(data, kinds=BLOCKS).inputs) == 1


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-05 01:00:00,000 - lmdeploy - INFO - mark 7",
        "\x1b[32mmark\x1b[0m 7",
        "[rank0]: begins mark 7",
        "old state\rmark 7",
        "tab\tmark 7",
    ],
)
def test_the_quick_look_loses_nothing(line: str) -> None:
    """Whatever stands before a message, patterns with and without anchors find what they find in the message alone."""
    anchored = Pattern("anchored", r"^(?:begins )?mark (?P<n>\d)$", literals=("mark",))
    for pattern in (MARK, anchored):
        slow = replace(pattern, wraps=True)  # what a terminal may have wrapped is always taken apart
        assert found(read(line, pattern)) == found(read(line, slow))
    assert found(read(line, MARK, anchored))


def test_what_users_typed_is_not_what_the_program_says() -> None:
    """A line that logs a request quotes its prompt, which may hold any log line."""
    assert found(read("INFO 01-05 01:00:00 logger.py:42] Received request c-1: prompt: 'why NCCL mark 7', params: x")) == []


def test_silences_of_a_text_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a log that went on after minutes without a line, the line before and the stamp after stand in the table of inputs."""
    monkeypatch.setattr(chunks, "CHUNK", 100)
    log = "".join(f"2026-01-05 0{n // 60}:{n % 60:02}:00,000 - lmdeploy - INFO - a.py:1 - words\n" for n in (0, 10, 75))
    (about,) = read(log.replace("00:10:00", "00:00:10")).inputs
    assert [(silence.before.ref.line, silence.after.text) for silence in about.silences] == [(2, "2026-01-05T01:15:00.000")]
