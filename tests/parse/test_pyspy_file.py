"""Files of nothing but py-spy dumps: read as the reader of texts reads them, or left to it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed, SourceRef
from hanglens.parse.blocks import Place
from hanglens.parse.dump_readers import DumpReaders
from hanglens.parse.dumps import MAX_FRAMES
from hanglens.parse.files import read_item
from hanglens.parse.kinds import build_index
from hanglens.parse.pyspy_file import LARGEST, is_pyspy_file, read_pyspy_file
from hanglens.parse.text import read_text
from hanglens.scan import Pattern

PLACE = Place("rank3.pyspy.txt", group="rank3", pid=9, rank=3)
INDEX = build_index([Pattern("loads", r"load_shard \(", level=""), Pattern("ends", r"<module> \(serve\.py:\d+\)$")])
HEAD = "Process 700: python3 serve.py --tp 2\nPython v3.12.3 (/usr/bin/python3.12)\nParent Process 1: bash\n\n"
CALLS = """    0x7f14f402a1ca (libc.so.6)
    c10d::ProcessGroupNCCL::barrier (libtorch_cuda.so)
    at::native::copy_(at::Tensor&, bool) (libtorch_cpu.so)
    load_shard (loader.py:4)
    barrier (torch/distributed/distributed_c10d.py:4818)
    barrier (torch/distributed/distributed_c10d.py:4818)
    wait_for (C:\\x\\train.py:7)
    <module> (serve.py:7)
"""
DUMP = f'{HEAD}Thread 700 (idle): "MainThread"\n{CALLS}Thread 0x7F12AB (active+gil)\n{CALLS}\nThread 702 (idle): "pool (1)"\n'
LOCALS = '    step (train.py:3)\n        Arguments:\n            n: 2\n        Locals:\n            x: "a"\n    main (train.py:9)\n'


def whole(text: str) -> Parsed | None:
    """The text as a file of dumps, if it is one."""
    return read_pyspy_file(text.encode(), PLACE, INDEX)


def by_lines(text: str) -> Parsed:
    """The text as the reader of all texts has it, less what it says of files that may be logs."""
    parsed = read_text(io.BytesIO(text.encode()), PLACE, INDEX)
    return replace(parsed, inputs=tuple(replace(about, kind="stack dump", tail=()) for about in parsed.inputs))


def test_a_file_of_dumps_is_read_whole() -> None:
    """Threads, the process and recognised lines are those that a reader of lines finds, several processes in one file too."""
    text = DUMP + HEAD.replace("700", "800") + DUMP.removeprefix(HEAD)
    found = whole(text)
    assert found == by_lines(text)
    assert found is not None
    assert [(stack.pid, len(stack.frames)) for stack in found.stacks] == [(700, 8), (700, 8), (700, 0), (800, 8), (800, 8), (800, 0)]
    assert {event.name for event in found.events} == {"loads", "ends"}


def test_frames_of_ranks_are_one_value() -> None:
    """The same call of two ranks is one frame, and its reference still is the line of each one's own file."""
    longer = DUMP.replace("Parent Process 1: bash\n", "")
    (one, *_), (other, *_) = (found.stacks for text in (DUMP, longer) if (found := whole(text)))
    assert all(a is b for a, b in zip(one.frames, other.frames, strict=True))
    assert [one.frames[3].ref(one.ref), other.frames[3].ref(other.ref)] == [SourceRef(PLACE.file, 9), SourceRef(PLACE.file, 8)]


def test_frames_below_variables_cite_their_lines() -> None:
    """Variables between frames are left to the reader of lines, which cites the lines where the frames stand."""
    text = f'{HEAD}Thread 7 (idle): "MainThread"\n{LOCALS}'
    assert whole(text) is None
    (stack,) = read_item(PLACE.file, len(text), io.BufferedReader(io.BytesIO(text.encode())), lambda: INDEX, DumpReaders(1))().stacks
    assert [(frame.function, frame.ref(stack.ref).line) for frame in stack.frames] == [("step", 6), ("main", 11)]
    assert stack.locals == {"n": "2", "x": '"a"'}


@pytest.mark.parametrize(
    "text",
    [
        DUMP + "INFO 01-02 03:04:05 server is up\n",
        DUMP.replace("    load_shard", "    [rank1]: load_shard"),
        DUMP.replace("    load_shard", "\x1b[31m    load_shard"),
        DUMP.replace("\n", "\r\n"),
        DUMP.replace("python3 serve.py", "n1:7:8 [0] NCCL INFO x"),
        HEAD + CALLS,
        DUMP + "\n    late (train.py:3)\n",
        HEAD + "Error: Failed to suspend process\n",
        DUMP.replace("Thread 700", "Thread: 700"),
    ],
    ids="log prefix colour carriage-return nccl frames-without-thread late-frame refusal other-header".split(),
)
def test_anything_else_is_left_to_the_reader_of_lines(text: str) -> None:
    """A file with one line that is not plainly py-spy's is no file of dumps."""
    assert whole(text) is None


def test_limits_hold() -> None:
    """Of a thread without end the first frames are kept, and a file too large for a dump is not looked at."""
    deep = f'{HEAD}Thread 7 (idle): "MainThread"\n' + "".join(f"    f{n} (x.py:{n})\n" for n in range(MAX_FRAMES + 5))
    found = whole(deep)
    assert found is not None
    assert found == by_lines(deep)
    assert len(found.stacks[0].frames) == MAX_FRAMES
    assert whole(DUMP + "\n" * LARGEST) is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (DUMP, True),
        ("\n" + DUMP, True),
        (DUMP.removeprefix(HEAD), True),
        ("Process 5 started\n", False),
        ("Threads: 4\n", False),
        ("", False),
    ],
)
def test_the_first_line_tells(head: str, expected: bool) -> None:
    """A file may hold nothing but dumps if it begins with the head of a process or of a thread."""
    assert is_pyspy_file(head.encode()) is expected


LINES = st.sampled_from(
    [*DUMP.splitlines(), *LOCALS.splitlines(), "", "   ", "    ", "    cut (torch/dist", "    f(x) (a:b:3)", "    g (:3)"]
)
FRAME = st.builds("    {} ({}:{})".format, st.text("ab_.<>:|-[]> ", min_size=1, max_size=8), st.text("a./:-", max_size=5), st.integers(0))


@given(st.lists(FRAME, max_size=12) | st.lists(LINES | FRAME | st.text(max_size=30).map(lambda text: text.replace("\n", "")), max_size=12))
def test_both_readers_agree(lines: list[str]) -> None:
    """Whatever stands below the head of a dump: what the reader of files makes of it is what the reader of lines makes of it."""
    text = "\n".join([*DUMP.splitlines()[:6], *lines])
    found = whole(text)
    assert found is None or found == by_lines(text)
