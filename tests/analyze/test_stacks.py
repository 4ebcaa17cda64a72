"""Where a process stands: its working thread, its samples, and threads that never count."""

from __future__ import annotations

import pytest

from hanglens.analyze.stacks import same_place, samples, stand, without_twins, working_thread
from hanglens.model import Stack
from tests.builders import ALL_REDUCE, BARRIER, FILE_LOCK, IDLE, INDUCTOR, JIT, READS, RPC, SYNC, TRACKER, stack

ACCEPT = "accept (socket.py:295)"
RAY_MAIN = "main_loop (ray/_private/worker.py:1020)"
SELECT = "select (selectors.py:469)"


def kind(frames: str, thread: str = "MainThread") -> str | None:
    """What one thread does."""
    standing = stand(stack(frames, thread=thread))
    return standing.kind if standing else None


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (BARRIER, "collective"),
        (f"wait (threading.py:320)\n{BARRIER}", "collective"),
        (f"wrapper (torch/distributed/c10d_logger.py:81)\n{ALL_REDUCE}", "collective"),
        ("gloo::transport::tcp::UnboundBuffer::waitRecv (libtorch_cpu.so)", "collective"),
        (f"{ALL_REDUCE}\nrecv_requests (sglang/srt/managers/scheduler.py:9)", "idle"),
        (SYNC, "gpu-wait"),
        ("ncclCommInitRank (libnccl.so.2)", "nccl-init"),
        ("_create_c10d_store (torch/distributed/rendezvous.py:189)", "rendezvous"),
        (RPC, "rpc-wait"),
        (IDLE, "idle"),
        (FILE_LOCK, "file-lock"),
        (JIT, "jit"),
        ("safe_open (safetensors/torch.py:8)", "weights"),
        (f"{READS}\n{BARRIER}", "own"),
        ("all_reduce (mylib/thing.py:3)", "own"),
        (f"{ACCEPT}\nwait (threading.py:320)", "waiting"),
    ],
)
def test_what_a_thread_does(frames: str, expected: str) -> None:
    """The innermost frame that says something decides; waits of the standard library are looked through."""
    assert kind(frames) == expected


@pytest.mark.parametrize(
    ("frames", "thread"),
    [
        (TRACKER, "MainThread"),
        (INDUCTOR, "Thread-3 (_read_thread)"),
        ("run (tqdm/_monitor.py:60)", "Thread-1"),
        ("wait (threading.py:320)", "tqdm_monitor"),
        ("_find_and_load (<frozen importlib._bootstrap>:1360)", "Dummy-4"),
        ("c10d::ProcessGroupNCCL::Watchdog::runLoop (libtorch_cuda.so)", "pt_nccl_watchdg"),
    ],
    ids="resource-tracker inductor tqdm tqdm-by-name import-thread watchdog".split(),
)
def test_helpers_never_count(frames: str, thread: str) -> None:
    """Trackers, compile pools, progress monitors, watchdogs and the import threads of a flight-recorder dump are no rank's work."""
    assert kind(frames, thread) is None


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        ({"MainThread": READS, "Thread-1": BARRIER}, READS),
        ({"MainThread": RAY_MAIN, "AsyncIO Thread: default": BARRIER}, BARRIER),
        ({"MainThread": RAY_MAIN, "AsyncIO Thread: default": READS}, READS),
        ({"MainThread": RAY_MAIN, "AsyncIO Thread: default": SELECT}, RAY_MAIN),
        ({"helper": TRACKER, "MainThread": BARRIER}, BARRIER),
        ({"MainThread": SELECT, "": READS}, SELECT),
        ({"MainThread": TRACKER}, None),
        ({"Thread-9": BARRIER}, BARRIER),
    ],
    ids="main ray-worker ray-own ray-idle main-not-first unnamed-own helper-process only-one".split(),
)
def test_the_working_thread(threads: dict[str, str], expected: str | None) -> None:
    """The main thread where it works itself, else the most telling other one, whatever the order of the dump."""
    standing = working_thread([stack(frames, thread=name) for name, frames in threads.items()])
    assert (standing.stack.frames[0].text if standing else None) == expected


def test_landmarks_place_the_wait() -> None:
    """Callers that the table knows are kept, innermost first."""
    standing = stand(stack(f"{BARRIER}\nhelper (a.py:1)\nwarmup (lmdeploy/x.py:5)\nbuild_model (lmdeploy/y.py:9)"))
    assert standing
    assert [frame.function for frame in standing.landmarks] == ["warmup", "build_model"]


@pytest.mark.parametrize(
    ("dumps", "number"),
    [
        ([stack(READS, file="a.txt"), stack(READS, file="b.txt")], 2),
        ([stack(READS, file="a.txt"), stack(READS, file="a.json")], 1),
        ([stack(READS, file="a.json"), stack(READS, file="b.json")], 2),
        ([stack(READS, file="a.txt"), stack(READS, file="a-native.txt")], 1),
        ([stack(READS, file="a-native.txt")], 1),
        ([stack(READS, file="a.txt", thread_id="1"), stack(SELECT, file="a.txt", thread_id="2")], 1),
        ([stack(READS, file="a.txt", thread_id="1"), stack(READS, file="a.txt", thread_id="1")], 2),
        ([stack(READS, file="a.txt"), stack(READS, file="g.txt", tool="gdb")], 1),
        ([], 0),
    ],
    ids="two-files json-twin two-json native native-only threads again gdb none".split(),
)
def test_samples(dumps: list[Stack], number: int) -> None:
    """The JSON twin of a text dump, a native dump beside a plain one and another dumper's dump are no second sample."""
    assert len(samples(dumps)) == number


def test_twins_are_left_out_of_what_rules_see() -> None:
    """Each stack once."""
    assert [s.ref.file for s in without_twins([stack(READS, file="a.json"), stack(READS, file="a.txt"), stack(READS, file="b.json")])] == [
        "a.txt", "b.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "same"),
    [(READS, True), (READS.replace("44", "45"), False), (f"{READS}\nfit (train.py:3)", False)],
    ids="same line depth".split(),
)
def test_same_place(frames: str, same: bool) -> None:
    """The same calls at the same lines."""
    a, b = stand(stack(READS)), stand(stack(frames, file="b.txt"))
    assert a
    assert b
    assert same_place(a, b) is same
