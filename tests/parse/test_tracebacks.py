"""Stacks that Python prints: tracebacks, faulthandler, lists of threads, and torch's failed collective."""

from __future__ import annotations

import io
from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed, SourceRef, Stack, Traceback
from hanglens.parse.blocks import Place
from hanglens.parse.dumps import MAX_TEXT
from hanglens.parse.index import PatternIndex
from hanglens.parse.lines import Line
from hanglens.parse.text import read_text
from hanglens.parse.tracebacks import BLOCKS

PLACE = Place("rank1.log", group="rank1", pid=9, rank=1)
INDEX = PatternIndex([], BLOCKS)

TRACEBACK = """Traceback (most recent call last):
  File "/x/train.py", line 82, in <module>
    main()
  File "/x/train.py", line 28, in main
    step(i)
    ~~~~^^^
  [Previous line repeated 3 more times]
ValueError: bad step
"""
FAULT = """Fatal Python error: Aborted

Thread 0x00007f01 [pool] (most recent call first):
  File "/x/threading.py", line 324 in wait
  File "/x/pool.py", line ??? in run
  ...

Current thread 0x00007f02 (most recent call first):
  <no Python frame>

Extension modules: numpy.core (total: 1)
Timeout (0:02:00)!
Thread 0x00007f03 (most recent call first):
File "/x/serve.py", line 1 in <module>
"""
COLLECTIVE = """[rank3]:[E508 07:35:59.440171617 ProcessGroupNCCL.cpp:733] Stack trace of the failed collective: \n\
#0 broadcast from /x/torch/distributed/distributed_c10d.py:2968
#1 <module> from <string>:1

[rank3]:[E508 07:36:00.440171617 ProcessGroupNCCL.cpp:2636] First PG on this rank to signal dumping.
"""
THREADS = """-- Stack for thread 2320 ---
  File "/x/threading.py", line 973, in _bootstrap
    self._bootstrap_inner()
  File "/x/engine.py", line 108, in forward
    outputs = self.model.forward(inputs)
-- Stack for thread 2321 ---
  File "/x/other.py", line 5, in spin
"""


def read(text: str, place: Place = PLACE) -> Parsed:
    """Parse a file that holds this text."""
    return read_text(io.BytesIO(text.encode()), place, INDEX)


def prefixed(prefix: str, text: str) -> str:
    """The text with a prefix before each line."""
    return "".join(f"{prefix}{line}\n" for line in text.splitlines())


def frames(stack: Stack) -> list[tuple[str, str, int | None]]:
    """Function, file and line of each frame."""
    return [(frame.function, frame.file, frame.line) for frame in stack.frames]


def test_traceback() -> None:
    """A traceback has its frames outermost first, and its error with the line it stands on."""
    (found,) = read(f"starting\n{TRACEBACK}done\n").tracebacks
    assert [(f.function, f.file, f.line, f.ref(found.ref)) for f in found.frames] == [
        ("<module>", "/x/train.py", 82, SourceRef("rank1.log", 3)),
        ("main", "/x/train.py", 28, SourceRef("rank1.log", 5)),
    ]
    assert found.frames[0].text == 'File "/x/train.py", line 82, in <module>'
    assert (found.error, found.error_text, found.ref.line) == ("ValueError: bad step", "ValueError: bad step", 2)
    assert found.error_ref == SourceRef("rank1.log", 9)


@pytest.mark.parametrize(
    ("prefix", "rank", "pid"),
    [
        ("[rank1]: ", 1, None),
        ("(WorkerDict pid=336) ", None, 336),
        ("(EngineCore_DP0 pid=12) ERROR 10-02 12:00:00 [core.py:718] ", None, 12),
        ("  ", None, None),
    ],
)
def test_prefixed_traceback(prefix: str, rank: int | None, pid: int | None) -> None:
    """A prefix on each line is taken off, and says whose traceback it is."""
    (found,) = read(prefixed(prefix, TRACEBACK)).tracebacks
    assert ([f.function for f in found.frames], found.error) == (["<module>", "main"], "ValueError: bad step")
    assert (found.speaker.rank, found.speaker.pid) == (rank, pid)


@pytest.mark.parametrize(
    ("head", "tag"),
    [
        ("Running tokenizer:  88%|███ | 383/433 [29:55<03:25, 2432.70 examples/s]", ""),
        ("[2026-01-02 03:04:05 TP14] Scheduler hit an exception: ", "TP14"),
    ],
)
def test_glued_heading(head: str, tag: str) -> None:
    """The heading may stand behind a progress bar or a message, on lines that have no prefix further down."""
    (found,) = read(head + TRACEBACK).tracebacks
    assert (len(found.frames), found.error, found.ref.line, found.speaker.tag) == (2, "ValueError: bad step", 1, tag)


def test_cut_off_tracebacks() -> None:
    """Frames without a heading are a traceback, and so are frames without an error; a heading alone is none."""
    without_head, without_end, alone = TRACEBACK.split("\n", 1)[1], TRACEBACK.rsplit("\n", 2)[0], TRACEBACK.split("\n", 1)[0]
    assert [(len(t.frames), t.error) for t in read(without_head).tracebacks] == [(2, "ValueError: bad step")]
    assert [(len(t.frames), t.error, t.error_ref) for t in read(without_end).tracebacks] == [(2, "", None)]
    assert read(alone).tracebacks == ()


def test_chained_tracebacks() -> None:
    """The cause and the exception raised while it was handled are two tracebacks."""
    text = (
        TRACEBACK
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + TRACEBACK.replace("ValueError", "x.KeyError")
    )
    assert [(t.ref.line, t.error) for t in read(text).tracebacks] == [(1, "ValueError: bad step"), (12, "x.KeyError: bad step")]


def test_interleaved_tracebacks() -> None:
    """Two ranks whose lines alternate give two tracebacks, each with its own frames and error; other lines between do no harm."""
    ranks = [prefixed(f"[rank{rank}]: ", TRACEBACK.replace("step", f"step{rank}")).splitlines() for rank in (0, 1)]
    mixed = [line for pair in zip(*ranks, strict=True) for line in pair]
    mixed.insert(5, "n1:7:9 [0] NCCL INFO Channel 00 : 0[0] -> 1[1] via SHM/direct/direct")
    found = read("\n".join(mixed)).tracebacks
    assert sorted((t.speaker.rank, len(t.frames), t.error) for t in found) == [
        (0, 2, "ValueError: bad step0"),
        (1, 2, "ValueError: bad step1"),
    ]


def test_log_line_is_no_error() -> None:
    """What a logger says after the frames is not the error that the frames lack."""
    text = (
        TRACEBACK.rsplit("\n", 2)[0] + "\n2026-01-02 03:04:05,678 - lmdeploy - ERROR - engine.py:3 - RuntimeError: other\nINFO: 1.2.3.4\n"
    )
    assert [t.error for t in read(text).tracebacks] == [""]


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit: 1", "queue.Empty", "torch.cuda.OutOfMemoryError: CUDA out of memory."])
def test_kinds_of_errors(error: str) -> None:
    """Errors with and without a message, with and without a module, end a traceback."""
    assert [t.error for t in read(TRACEBACK.replace("ValueError: bad step", error)).tracebacks] == [error]


def test_nccl_error_goes_on() -> None:
    """The last error that NCCL adds on lines of its own belongs to the message."""
    text = (
        TRACEBACK + "ncclInvalidUsage: This usually reflects invalid usage.\nLast error:\nDuplicate GPU detected\nException raised from x\n"
    )
    (found,) = read(text).tracebacks
    assert found.error.endswith("bad step ncclInvalidUsage: This usually reflects invalid usage. Last error: Duplicate GPU detected")


def test_long_errors_are_cut() -> None:
    """Error and quoted line are at most five hundred characters long."""
    (found,) = read(TRACEBACK.replace("bad step", "x " * 999)).tracebacks
    assert (len(found.error), len(found.error_text)) == (MAX_TEXT, MAX_TEXT)


def test_remote_traceback_of_ray() -> None:
    """The frames that Ray lists below its error are those of the remote process, which the error line names."""
    text = (
        'Traceback (most recent call last):\n  File "/x/d.py", line 1, in <module>\n    ray.get(x)\n'
        "ray.exceptions.RayTaskError(RuntimeError): ray::W.warmup() (pid=285, ip=198.51.100.11, actor_id=64)\n"
        '  File "/x/r.py", line 9, in warmup\n    boom()\nRuntimeError: CUDA error\n'
    )
    driver, worker = read(text).tracebacks
    assert driver.error.startswith("ray.exceptions.RayTaskError(RuntimeError): ray::W.warmup()")
    assert (worker.speaker.pid, worker.speaker.host, worker.error) == (285, "198.51.100.11", "RuntimeError: CUDA error")
    assert [f.function for f in worker.frames] == ["warmup"]


def test_traceback_without_line_ends() -> None:
    """A traceback that was pasted as one line keeps its frames, all on that line, and its error."""
    text = "ray::W.f() (pid=285) " + " ".join(line.strip() for line in TRACEBACK.splitlines())
    (found,) = read(text).tracebacks
    assert [(f.function, f.ref(found.ref)) for f in found.frames] == [
        ("<module>", SourceRef("rank1.log", 1)),
        ("main", SourceRef("rank1.log", 1)),
    ]
    assert (found.error, found.speaker.pid) == ("ValueError: bad step", 285)


def test_exception_group() -> None:
    """The members of an exception group are tracebacks like any other, without the margin."""
    text = (
        '  + Exception Group Traceback (most recent call last):\n  |   File "/x/g.py", line 3, in g\n'
        "  | ExceptionGroup: eg (1 sub-exception)\n"
        '  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File "/x/h.py", line 4, in h\n'
        "    | ValueError: inner\n    +------------------------------------\n"
    )
    assert [([f.function for f in t.frames], t.error) for t in read(text).tracebacks] == [
        (["g"], "ExceptionGroup: eg (1 sub-exception)"),
        (["h"], "ValueError: inner"),
    ]


def test_faulthandler() -> None:
    """Each thread of faulthandler is a stack, innermost frame first, also where the frames lost their indentation."""
    parsed = read(FAULT)
    assert [(s.tool, s.thread_id, s.thread, s.pid, s.rank) for s in parsed.stacks] == [
        ("faulthandler", "0x00007f01", "pool", 9, 1),
        ("faulthandler", "0x00007f02", "", 9, 1),
        ("faulthandler", "0x00007f03", "", 9, 1),
    ]
    assert [frames(s) for s in parsed.stacks] == [
        [("wait", "/x/threading.py", 324), ("run", "/x/pool.py", None)], [], [("<module>", "/x/serve.py", 1)],
    ]  # fmt: skip
    assert parsed.tracebacks == ()


def test_failed_collective() -> None:
    """Torch's list of a failed collective is a stack of the rank that prints it."""
    (stack,) = read(COLLECTIVE, Place("job.log")).stacks
    assert (stack.tool, stack.rank, stack.ref.line) == ("torch", 3, 1)
    assert frames(stack) == [("broadcast", "/x/torch/distributed/distributed_c10d.py", 2968), ("<module>", "<string>", 1)]


def test_failed_collective_cut_off() -> None:
    """The list may begin in its middle, and a heading that says there is none gives no stack."""
    (stack,) = read("#8 worker_main from /x/executor.py:861\n#9 run from /x/process.py:108\n").stacks
    assert [f.function for f in stack.frames] == ["worker_main", "run"]
    assert read("[rank0]:[E1 x.cpp:1] Stack trace of the failed collective not found, potentially because\n").stacks == ()


def test_list_of_threads() -> None:
    """Stacks printed for each thread list the innermost frame last; they are turned round."""
    first, second = read(THREADS).stacks
    assert (first.tool, first.thread_id, frames(first)) == (
        "python",
        "2320",
        [("forward", "/x/engine.py", 108), ("_bootstrap", "/x/threading.py", 973)],
    )
    assert (second.thread_id, frames(second)) == ("2321", [("spin", "/x/other.py", 5)])


def test_cpp_trace_is_no_stack() -> None:
    """The C++ trace that torch adds to an error is where the error was made, not where a thread stands."""
    assert read("Exception raised from doWait at /x/TCPStore.cpp:550 (most recent call first):\nframe #0: c10::Error + 0x57\n").stacks == ()


LINES = st.sampled_from(
    [line for text in (TRACEBACK, FAULT, COLLECTIVE, THREADS, prefixed("(W pid=4) ", TRACEBACK)) for line in text.splitlines()]
)


@given(st.lists(LINES | st.text(max_size=40).map(lambda text: text.replace("\n", "")), max_size=40))
def test_any_lines_are_borne(lines: list[str]) -> None:
    """Lines in any order never raise, and every reference is a line of the file."""
    parsed = read("\n".join(lines))
    owners: tuple[Stack | Traceback, ...] = (*parsed.stacks, *parsed.tracebacks)
    refs = [*(owner.ref for owner in owners), *(frame.ref(owner.ref) for owner in owners for frame in owner.frames)]
    assert all(ref is not None and ref.line in range(1, len(lines) + 1) for ref in refs)


@pytest.mark.parametrize("filling", ["(", " ", '"', " from ", ":", '", line 1', "ray::", 'File "', "|", "a."])
@pytest.mark.parametrize("head", ["ray::", '  File "', "#0 a", "  | ", "Error", "Stack for thread "])
def test_long_lines_take_no_time(head: str, filling: str) -> None:
    """A line of a hundred thousand odd characters is looked at in a moment, first or later in a block."""
    text = f"{head}{filling * 100_000}"
    line = Line(number=1, raw=text, text=text, message=text)
    start = process_time()
    for kind in BLOCKS:
        kind.start(line, PLACE)
    traceback = BLOCKS[-1].start(replace(line, message='  File "/x/a.py", line 1, in f'), PLACE)
    assert traceback is not None
    traceback.feed(line)
    assert process_time() - start < 2
