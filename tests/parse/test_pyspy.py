"""py-spy dumps: text alone and inside logs, JSON, refusals, and fragments."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed, SourceRef, Stack
from hanglens.parse.blocks import Place
from hanglens.parse.dumps import MAX_FRAMES, MAX_LOCAL, MAX_LOCALS
from hanglens.parse.index import PatternIndex
from hanglens.parse.lines import Line
from hanglens.parse.pyspy import BLOCKS, is_pyspy_json, parse_pyspy_json
from hanglens.parse.text import read_text

PLACE = Place("rank3.pyspy.txt", group="rank3", pid=9, rank=3)
INDEX = PatternIndex([], BLOCKS)

DUMP = """Process 700: python3 serve.py --tp 2
Python v3.12.3 (/usr/bin/python3.12)
Parent Process 1: bash

Thread 700 (idle): "MainThread"
    0x7f14f402a1ca (libc.so.6)
    c10d::ProcessGroupNCCL::barrier (libtorch_cuda.so)
    barrier (torch/distributed/distributed_c10d.py:4818)
    <module> (<string>:1)
Thread 0x7F12AB (active+gil)
    spin (serve.py:7)
Thread 702 (idle): "pool (1)"
"""


def read(text: str, place: Place = PLACE) -> Parsed:
    """Parse a file that holds this text."""
    return read_text(io.BytesIO(text.encode()), place, INDEX)


def test_each_thread_is_a_stack() -> None:
    """Every thread, with or without name and frames, is one stack of the process that the head names, innermost frame first."""
    main, spinning, empty = read(DUMP).stacks
    assert (main.tool, main.pid, main.rank, main.group, main.command) == ("py-spy", 700, 3, "rank3", "python3 serve.py --tp 2")
    assert [(s.thread_id, s.thread, s.state, len(s.frames)) for s in (main, spinning, empty)] == [
        ("700", "MainThread", "idle", 4),
        ("0x7F12AB", "", "active+gil", 1),
        ("702", "pool (1)", "idle", 0),
    ]
    assert [(f.function, f.file, f.line) for f in main.frames] == [
        ("0x7f14f402a1ca", "libc.so.6", None),
        ("c10d::ProcessGroupNCCL::barrier", "libtorch_cuda.so", None),
        ("barrier", "torch/distributed/distributed_c10d.py", 4818),
        ("<module>", "<string>", 1),
    ]


def test_frames_cite_their_lines() -> None:
    """A frame's text is its line without the indentation, and its reference counts lines from 1."""
    main, *_ = read(DUMP).stacks
    assert main.ref == SourceRef("rank3.pyspy.txt", 5)
    assert main.frames[2].text == "barrier (torch/distributed/distributed_c10d.py:4818)"
    assert main.frames[2].ref(main.ref) == SourceRef("rank3.pyspy.txt", 8)


def test_head_names_the_process() -> None:
    """The head gives a process with its command, parent and group."""
    (process,) = read(DUMP).processes
    assert (process.pid, process.ppid, process.command, process.group) == (700, 1, "python3 serve.py --tp 2", "rank3")


def test_process_line_of_another_program_is_no_process() -> None:
    """`Process 5: …` in an ordinary log is not taken for a py-spy head, nor an error below it for a refusal."""
    parsed = read("Process 5: loading shard\nError: shard is empty\n")
    assert (parsed.processes, parsed.dump_failures) == ((), ())


def test_subprocesses_keep_their_own_pids() -> None:
    """With `--subprocesses` each thread belongs to the process named above it."""
    child = DUMP.replace("700", "800").replace("Parent Process 1", "Parent Process 700")
    parsed = read(f"{DUMP}\n------------------------\n{child}")
    assert [stack.pid for stack in parsed.stacks] == [700] * 3 + [800] * 3
    assert [(process.pid, process.ppid) for process in parsed.processes] == [(700, 1), (800, 700)]


def test_locals_are_collected() -> None:
    """`--locals` values go to the stack, cut in length and number, and are not mistaken for frames."""
    values = "".join(f"            v{n}: call (of.py:{n})\n" for n in range(MAX_LOCALS + 5))
    text = (
        'Thread 7 (idle): "MainThread"\n    recv (a.py:1)\n        Arguments:\n            rank: 3\n        Locals:\n'
        f"            blob: {'x' * 999}\n{values}    main (a.py:9)\n"
    )
    (stack,) = read(text).stacks
    assert [frame.function for frame in stack.frames] == ["recv", "main"]
    assert stack.locals["rank"] == "3"
    assert len(stack.locals["blob"]) == MAX_LOCAL
    assert len(stack.locals) == MAX_LOCALS


def test_dumps_inside_a_log() -> None:
    """Dumps that a watchdog wrote between log lines have the pid of their announcement, and its tag until a command is named."""
    text = (
        '[2026-01-02 03:04:05 TP0] Pyspy dump for PID 41:\nThread 41 (idle): "MainThread"\n    wait (threading.py:1)\n\n'
        "[2026-01-02 03:04:05 PP1 TP1] Scheduler watchdog timeout\n\n"
        "[2026-01-02 03:04:06 PP1 TP1] Pyspy dump for PID 42 (py-spy dump --native --pid 42)\nProcess 42: sglang::scheduler\n"
        'Python v3.12.3 (/usr/bin/python3)\n\nThread 42 (active): "MainThread"\n    forward (model.py:2)\nnext log line (x.py:3)\n'
    )
    stacks = read(text, Place("server.log")).stacks
    assert [(s.pid, s.rank, s.command, [f.function for f in s.frames]) for s in stacks] == [
        (41, None, "TP0", ["wait"]),
        (42, None, "sglang::scheduler", ["forward"]),
    ]


def test_dumps_of_several_actors_may_be_interleaved() -> None:
    """Lines of two actors that alternate give each actor its own stack, and a log line between them does no harm."""
    actors = [
        [f"(Worker pid={pid}) {line}" for line in (f'Thread {pid} (idle): "MainThread"', f"    f{pid} (a.py:1)", f"    g{pid} (b.py:2)")]
        for pid in (5, 6)
    ]
    mixed = [line for pair in zip(*actors, strict=True) for line in pair]
    mixed.insert(3, "n1:7:9 [0] NCCL INFO Channel 00 : 0[0] -> 1[1] via SHM/direct/direct")
    stacks = read("\n".join(mixed), Place("job.log")).stacks
    assert [(s.pid, [f.function for f in s.frames]) for s in stacks] == [(5, ["f5", "g5"]), (6, ["f6", "g6"])]


def test_fragment_without_head() -> None:
    """A paste that begins among the frames still gives them, of the process that the file's name says."""
    first, second = read(
        '    _recv_msg (torch/_inductor/x.py:47)\n    run (threading.py:1)\nThread 8 (idle): "T-2"\n    wait (threading.py:3)\n'
    ).stacks
    assert ([f.function for f in first.frames], first.pid, first.thread_id, first.ref.line) == (["_recv_msg", "run"], 9, "", 1)
    assert second.thread_id == "8"


def test_last_frame_may_be_cut_off() -> None:
    """A frame that the end of the paste cuts is kept, since the innermost frame may be just that one."""
    (stack,) = read('Thread 8 (active): "T-4"\n    replay (torch/cuda/').stacks
    assert [(f.function, f.file) for f in stack.frames] == [("replay", "torch/cuda/")]


@pytest.mark.parametrize(
    "line",
    [
        "    return foo (bar)",
        "INFO 10-02 12:00:00 [core.py:718] ready",
        "Thread 2 (Thread 0x7f (LWP 11)):",
        '  File "a.py", line 1, in f',
        "Thread pool (idle)",
    ],
)
def test_lookalikes_start_no_dump(line: str) -> None:
    """Source, log, gdb and traceback lines are no py-spy dump."""
    assert read(line + "\n").stacks == ()


REFUSED = """Error: Failed to get stack traces

Caused by:
    0: Failed to suspend process
    1: unexpected waitpid result PtraceEvent(Pid(1056), SIGSTOP, 128) to 1056

Stack backtrace:
   0: py_spy::dump::print_traces
             at ./src/dump.rs:12
   1: main
after
"""


def test_refusal_tells_its_causes() -> None:
    """A refusal is one failure with its causes in order, without py-spy's own backtrace, for the process it names."""
    (failure,) = read(REFUSED).dump_failures
    assert failure.reason == (
        "Failed to get stack traces; Failed to suspend process; unexpected waitpid result PtraceEvent(Pid(1056), SIGSTOP, 128) to 1056"
    )
    assert (failure.pid, failure.ref, failure.group) == (1056, SourceRef("rank3.pyspy.txt", 1), "rank3")


@pytest.mark.parametrize(
    ("text", "reason", "pid"),
    [
        (
            "Error: Failed to suspend process\nReason: EPERM: Operation not permitted\n",
            "Failed to suspend process; EPERM: Operation not permitted",
            9,
        ),
        (
            "Permission Denied: Try running again with elevated permissions by going 'sudo'\n",
            "Permission Denied: Try running again with",
            9,
        ),
        ("Error: Failed to find python version from target process\n", "Failed to find python version from target process", 9),
        (
            "Failed to copy Py_Version symbol\nPermission denied (os error 13)\n",
            "Failed to copy Py_Version symbol; Permission denied (os error 13)",
            9,
        ),
        (
            "[2026-01-02 03:04:05 TP4] Pyspy failed to dump PID 77. Error: /bin/sh: 1: py-spy: not found\n",
            "/bin/sh: 1: py-spy: not found",
            77,
        ),
        ("$ py-spy dump --pid 78\nError: something new\n", "something new", 78),
    ],
)
def test_every_refusal_is_kept(text: str, reason: str, pid: int) -> None:
    """Each way in which py-spy refuses is a failure in its own words, for the pid that is known."""
    (failure,) = read(text).dump_failures
    assert failure.reason.startswith(reason)
    assert failure.pid == pid


def test_frames_are_limited() -> None:
    """A thread keeps no more than the limit of frames, the innermost ones."""
    (stack,) = read('Thread 1 (idle): "M"\n' + "".join(f"    f{n} (a.py:{n + 1})\n" for n in range(MAX_FRAMES + 9))).stacks
    assert (len(stack.frames), stack.frames[0].function) == (MAX_FRAMES, "f0")


THREADS = [
    {
        "pid": 700, "thread_id": 140152, "thread_name": "MainThread", "os_thread_id": 701, "active": True, "owns_gil": True,
        "frames": [
            {"name": "barrier", "filename": "/x/torch/d.py", "short_filename": "torch/d.py", "line": 7,
             "locals": [{"name": "rank", "repr": "3", "arg": True}]},
            {"name": "start_thread", "filename": "libc.so.6", "module": "/lib/libc.so.6", "short_filename": None, "line": 0},
        ],
        "process_info": {"pid": 700, "ppid": 1, "command_line": "python3 serve.py"},
    },
    {"thread_id": 255, "active": False, "frames": None},
]  # fmt: skip


def test_json_threads() -> None:
    """Each object of the JSON list is a stack; frames are worded as in the text dump and cite the record."""
    parsed = parse_pyspy_json(json.dumps(THREADS).encode(), PLACE)
    main, other = parsed.stacks
    assert (main.pid, main.thread_id, main.state, main.command, main.locals) == (
        700,
        "701",
        "active+gil",
        "python3 serve.py",
        {"rank": "3"},
    )
    assert [(f.text, f.line) for f in main.frames] == [("barrier (torch/d.py:7)", 7), ("start_thread (libc.so.6)", None)]
    assert (other.pid, other.thread_id, other.state, other.frames, other.ref) == (9, "0xFF", "idle", (), SourceRef(PLACE.file, record=1))
    assert [(p.pid, p.ppid) for p in parsed.processes] == [(700, 1)]


def test_json_is_known_by_its_head() -> None:
    """The JSON of py-spy is told from other JSON, and from text, by the first bytes."""
    assert is_pyspy_json(json.dumps(THREADS, indent=2).encode()[:4096])
    assert not is_pyspy_json(b'[{"frames": []}]')
    assert not is_pyspy_json(DUMP.encode())


def test_json_file_that_holds_an_error() -> None:
    """An error text where JSON was asked for is a refusal; whatever the words, they are the reason."""
    assert parse_pyspy_json(REFUSED.encode(), PLACE).dump_failures[0].pid == 1056
    assert parse_pyspy_json(b"sudo: a password is required\n", PLACE).dump_failures[0].reason == "sudo: a password is required"


def test_json_that_is_cut_off() -> None:
    """JSON that ends early is a gap that says how to get it whole."""
    (gap,) = parse_pyspy_json(json.dumps(THREADS).encode()[:-9], PLACE).gaps
    assert "py-spy dump --json" in gap.how_to_collect


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pid", "frames", "name", "line", "locals", "repr", "active", "process_info", "os_thread_id"]), inner
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4))
def test_any_json_is_borne(threads: list[object]) -> None:
    """Objects of any shape never raise, and every stack cites a record of the list."""
    parsed = parse_pyspy_json(json.dumps(threads).encode(), PLACE)
    assert all(stack.ref.record in range(len(threads)) for stack in parsed.stacks)


@given(st.binary(max_size=200))
def test_any_bytes_are_borne(data: bytes) -> None:
    """Bytes that are no JSON never raise."""
    parse_pyspy_json(data, PLACE)


LINES = st.sampled_from(
    [*DUMP.splitlines(), *REFUSED.splitlines(), "        Locals:", "            a: 1", "(W pid=4)     f (threading.py:1)"]
)


@given(st.lists(LINES | st.text(max_size=40).map(lambda text: text.replace("\n", "")), max_size=40))
def test_any_lines_are_borne(lines: list[str]) -> None:
    """Lines in any order never raise, and every reference is a line of the file."""
    parsed = read("\n".join(lines))
    refs = [
        *(s.ref for s in parsed.stacks),
        *(f.ref(s.ref) for s in parsed.stacks for f in s.frames),
        *(f.ref for f in parsed.dump_failures),
    ]
    assert all(ref is not None and ref.line in range(1, len(lines) + 1) for ref in refs)


def test_text_and_json_of_one_process_agree(fixtures_dir: Path) -> None:
    """The two dumps that were taken of a live process one after the other show the same threads."""
    folder = fixtures_dir / "lmdeploy-0.7-tp4-config-sync" / "evidence"
    text, data = sorted(folder.glob("pid477.pyspy.txt")), sorted(folder.glob("pid477.pyspy.json"))
    of_text, of_json = read(text[0].read_text()).stacks, parse_pyspy_json(data[0].read_bytes(), PLACE).stacks

    def told(stacks: tuple[Stack, ...]) -> dict[str, object]:
        return {s.thread_id: (s.pid, s.thread, s.state, [(f.text, f.function, f.file, f.line) for f in s.frames]) for s in stacks}

    assert told(of_text) == told(of_json)


@pytest.mark.parametrize("filling", ["(", " ", '"', " (", ")", ": ", "py-spy dump ", "a.", "1"])
@pytest.mark.parametrize("head", ["    f (", "Process 1: ", 'Thread 1 (idle): "', "Error: ", "py-spy dump ", "    lib.so"])
def test_long_lines_take_no_time(head: str, filling: str) -> None:
    """A line of a hundred thousand odd characters is looked at in a moment, first or later in a dump."""
    text = f"{head}{filling * 100_000})"
    line = Line(number=1, raw=text, text=text, message=text)
    start = process_time()
    BLOCKS[0].start(line, PLACE)
    dump = BLOCKS[0].start(replace(line, message="Thread 1 (idle)"), PLACE)
    assert dump is not None
    dump.feed(line)
    assert process_time() - start < 2
