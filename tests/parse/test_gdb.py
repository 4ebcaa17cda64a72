"""Stacks of gdb, lldb, pystack and UCX."""

from __future__ import annotations

import io
from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed, SourceRef, Stack
from hanglens.parse.blocks import Place
from hanglens.parse.gdb import BLOCKS
from hanglens.parse.index import PatternIndex
from hanglens.parse.lines import Line
from hanglens.parse.text import read_text

PLACE = Place("pid12.gdb.txt", group="pid12", pid=12)
INDEX = PatternIndex([], BLOCKS)

GDB = """Thread 2 (Thread 0x7f08a050d8a0 (LWP 13) "executionLoop"):
#0  0x00007f0100000001 in pthread_cond_wait@@GLIBC_2.3.2 ()
    from /lib64/libpthread.so.0
#1  0x00007f0100000002 in std::function<void (int)>::operator()(int) const (this=0x7f01, a=1,
    b=2) at /src/loop.cc:12
#2  <signal handler called>
#3  0x00007f0100000003 in (anonymous namespace)::run (arg=<optimized out>) at ./nptl/run.c:447
        local = 3

Thread 1 (LWP 12):
#0  __GI___poll (fds=0x1) at ../sysdeps/poll.c:29
#1  0x00007f0100000004 in ncclCommAbort () from /lib/libnccl.so.2
(More stack frames follow...)
"""
PYSTACK = """Traceback for thread 112 (python) [Has the GIL] (most recent call last):
    (Python) File "/x/a.py", line 10, in <module>
        main()
    (Python) File "/x/a.py", line 5, in main
    (C) File "???", line 0, in clock_nanosleep (libc.so.6)
    (C) File "../sysdeps/sleep.c", line 48, in __clock_nanosleep (libc.so.6)
"""
LLDB = """(lldb) thread backtrace all
* thread #1, name = 'python', stop reason = signal SIGSTOP
  * frame #0: 0x00007fff00000001 libc.so.6`__poll + 79 at poll.c:29:10
    frame #1: 0x00007fff00000002 libtorch.so`gloo::transport::wait() + 12
  thread #2: tid = 44, 0x0000, name = 'w'
    frame #0: 0x00007fff00000003 libc.so.6`futex_wait + 79
"""
UCX = """==== backtrace (tid:   5704) ====
 0 0x00002cb6d1568297 killpg()  ???:0
 1 0x0000e96bc40aa8e6 ncclGroupEnd()  /src/group.cc:12
=================================
==== backtrace (tid:     12) ====
0  /opt/lib/libucs.so.0(ucs_handle_error+0x2e4) [0x7f5a01]
1  /lib/libc.so.6(+0x42520) [0x7f5b02]
=================================
"""
PYTHON_LIST = """(gdb) py-bt
Traceback (most recent call first):
  File "/x/queue.py", line 171, in get
    self.not_empty.wait()
  File "/x/a.py", line 3, in main
    q.get()
"""


def read(text: str) -> Parsed:
    """Parse a file that holds this text."""
    return read_text(io.BytesIO(text.encode()), PLACE, INDEX)


def frames(stack: Stack) -> list[tuple[str, str, int | None]]:
    """Function, file and line of each frame."""
    return [(frame.function, frame.file, frame.line) for frame in stack.frames]


def test_gdb_threads() -> None:
    """Each gdb thread is a stack with its LWP and name; wrapped lines are joined, arguments and locals left out."""
    loop, main = read(GDB).stacks
    assert (loop.tool, loop.pid, loop.thread_id, loop.thread, loop.group) == ("gdb", 12, "13", "executionLoop", "pid12")
    assert frames(loop) == [
        ("pthread_cond_wait@@GLIBC_2.3.2", "/lib64/libpthread.so.0", None),
        ("std::function<void (int)>::operator()(int) const", "/src/loop.cc", 12),
        ("<signal handler called>", "", None),
        ("(anonymous namespace)::run", "./nptl/run.c", 447),
    ]
    assert frames(main) == [("__GI___poll", "../sysdeps/poll.c", 29), ("ncclCommAbort", "/lib/libnccl.so.2", None)]


def test_frames_cite_their_first_line() -> None:
    """A wrapped frame cites and quotes the line that it begins on."""
    loop, _ = read(GDB).stacks
    assert loop.frames[1].ref(loop.ref) == SourceRef("pid12.gdb.txt", 4)
    assert loop.frames[1].text.startswith("#1  0x00007f0100000002 in std::function")


def test_bare_backtraces() -> None:
    """A list without a thread line is a stack too, and a number that starts again begins the next one."""
    first, second = read("#0  0x01 in a () from XXX\n#1  0x02 in b(c*) () from XXX\n#0  main () at m.c:1\n").stacks
    assert frames(first) == [("a", "XXX", None), ("b(c*)", "XXX", None)]
    assert frames(second) == [("main", "m.c", 1)]


def test_python_frames_of_gdb() -> None:
    """`py-bt` lists the innermost frame first, unlike Python, and is read so."""
    (stack,) = read(PYTHON_LIST).stacks
    assert (stack.tool, frames(stack)) == ("gdb", [("get", "/x/queue.py", 171), ("main", "/x/a.py", 3)])


def test_pystack_is_turned_round() -> None:
    """pystack lists the innermost frame last; the stack has it first, with the library of a frame without source."""
    (stack,) = read(PYSTACK).stacks
    assert (stack.tool, stack.thread_id, stack.thread, stack.state) == ("pystack", "112", "python", "active+gil")
    assert frames(stack) == [
        ("__clock_nanosleep", "../sysdeps/sleep.c", 48),
        ("clock_nanosleep", "libc.so.6", None),
        ("main", "/x/a.py", 5),
        ("<module>", "/x/a.py", 10),
    ]


def test_lldb_threads() -> None:
    """lldb frames lose their offsets and columns; one without source names its library."""
    main, worker = read(LLDB).stacks
    assert (main.tool, main.thread_id, main.thread, frames(main)) == (
        "lldb", "1", "python", [("__poll", "poll.c", 29), ("gloo::transport::wait()", "libtorch.so", None)],
    )  # fmt: skip
    assert (worker.thread_id, worker.thread, frames(worker)) == ("44", "w", [("futex_wait", "libc.so.6", None)])


def test_ucx_backtraces() -> None:
    """Both forms of UCX's crash handler are stacks; what it does not know stays empty."""
    crash, other = read(UCX).stacks
    assert (crash.tool, crash.thread_id, frames(crash)) == (
        "backtrace",
        "5704",
        [("killpg()", "", None), ("ncclGroupEnd()", "/src/group.cc", 12)],
    )
    assert (other.thread_id, frames(other)) == ("12", [("ucs_handle_error", "/opt/lib/libucs.so.0", None), ("??", "/lib/libc.so.6", None)])


@pytest.mark.parametrize(
    "line",
    [
        "frame #0: c10::Error::Error(c10::SourceLocation, std::string) + 0x57 (0x7f63 in /x/libc10.so)",
        "#0 all_reduce from /x/torch/distributed/distributed_c10d.py:3068",
        "#1  a heading of a page",
        "Thread 7 (idle)",
    ],
)
def test_lookalikes_are_no_stack(line: str) -> None:
    """C++ traces of torch errors, torch's list of a collective, headings and py-spy headers are not taken for a debugger's."""
    assert read(line + "\n").stacks == ()


def test_log_goes_on_after_a_stack() -> None:
    """A log line ends the stack, and a second backtrace after it is a stack of its own."""
    text = "#0  0x01 in a () from XXX\nINFO 10-02 12:00:00 [core.py:718] ready\n#1  0x02 in b () from XXX\n"
    assert [frames(stack) for stack in read(text).stacks] == [[("a", "XXX", None)], [("b", "XXX", None)]]


LINES = st.sampled_from([line for text in (GDB, PYSTACK, LLDB, UCX, PYTHON_LIST) for line in text.splitlines()])


@given(st.lists(LINES | st.text(max_size=40).map(lambda text: text.replace("\n", "")), max_size=40))
def test_any_lines_are_borne(lines: list[str]) -> None:
    """Lines in any order never raise, and every reference is a line of the file."""
    stacks = read("\n".join(lines)).stacks
    refs = [*(stack.ref for stack in stacks), *(frame.ref(stack.ref) for stack in stacks for frame in stack.frames)]
    assert all(ref is not None and ref.line in range(1, len(lines) + 1) for ref in refs)


@pytest.mark.parametrize("filling", ["(", "<", ") ", " at ", " from ", " (", "> (", '"', "`a", "[0x"])
@pytest.mark.parametrize("head", ["#0  0x01 in f", "Thread 1 (LWP 2", "frame #0: 0x01 l`", '    (C) File "', " 0 0x01 "])
def test_long_lines_take_no_time(head: str, filling: str) -> None:
    """A line of a hundred thousand odd characters is looked at in a moment, first or later in a block."""
    text = f"{head}{filling * 100_000}"
    line = Line(number=1, raw=text, text=text, message=text)
    start = process_time()
    for kind in BLOCKS:
        kind.start(line, PLACE)
    stack = BLOCKS[0].start(replace(line, message="#0  0x01 in a ("), PLACE)
    assert stack is not None
    stack.feed(line)
    assert process_time() - start < 2
