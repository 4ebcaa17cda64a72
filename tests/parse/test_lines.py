"""One line of a log: source, level, time, speaker and message, in every prefix that programs and launchers put there."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import NOBODY, Speaker
from hanglens.parse.lines import Line, clean, read_line, states


def told(line: Line) -> tuple[str, str, str, str | None]:
    """Source, level, message and time."""
    return line.source, line.level, line.message, line.time.text if line.time else None


INIT = "comm 0x55d0 rank 1 nranks 2 cudaDev 1 busId 2 commId 0xc - Init START"
NCCL = [
    (f"n1:7:9 [1] NCCL INFO {INIT}", "INFO", INIT, None, Speaker("n1", 7), 1),
    ("gpu-7.cluster.local:7:9 [-1] NCCL INFO x", "INFO", "x", None, Speaker("gpu-7.cluster.local", 7), -1),
    (":166:1226 [0] NCCL WARN x", "WARN", "x", None, Speaker(pid=166), 0),
    ("n1:7:9 [0] misc/socket.cc:123 NCCL WARN x", "WARN", "x", None, Speaker("n1", 7), 0),
    (
        "[2026-06-04 10:11:12] n1:7:9 [0] transport/net_ib.cc:99 (ncclIbTest) NCCL WARN x",
        "WARN",
        "x",
        "2026-06-04T10:11:12",
        Speaker("n1", 7),
        0,
    ),
    ("n1:7:9 [0] 12345.678 ncclLaunch:123 NCCL TRACE x", "TRACE", "x", None, Speaker("n1", 7), 0),
    ("n1:7:9 NCCL CALL ncclAllReduce(1)", "CALL", "ncclAllReduce(1)", None, Speaker("n1", 7), None),
    ("n1:7:9 [0] NCCL INFO NCCL version 2.27.3+cuda12.9", "INFO", "NCCL version 2.27.3+cuda12.9", None, Speaker("n1", 7), 0),
    ("NCCL version 2.18.3+cuda12.1", "", "NCCL version 2.18.3+cuda12.1", None, NOBODY, None),
    ("10h11 my stamp n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7), 0),
    ("100%|####| 5/5 n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7), 0),
    ("[rank3]: n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7, 3), 0),
    ("[0] n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7), 0),
    ("node01: n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7), 0),
    ("[1,6]<stdout>: n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7, 6), 0),
    ("[6]<stderr>:n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7, 6), 0),
    ("(WorkerDict pid=40, ip=10.0.0.8) n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7, None, "WorkerDict"), 0),
    ("(Name[rank=8] pid=40) n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7, 8, "Name"), 0),
    (
        "2025-01-02 03:04:05.678 worker-9 >> n1:7:9 [0] NCCL INFO x",
        "INFO",
        "x",
        "2025-01-02T03:04:05.678",
        Speaker("n1", 7, None, "worker-9"),
        0,
    ),
    ("> > n1:7:9 [0] NCCL INFO x", "INFO", "x", None, Speaker("n1", 7), 0),
    ("n1:7:9 [0] **NCCL WARN x**", "WARN", "x**", None, Speaker("n1", 7), 0),
]


@pytest.mark.parametrize("case", NCCL, ids=lambda case: case[0])
def test_nccl(case: tuple[str, str, str, str | None, Speaker, int | None]) -> None:
    """NCCL's own prefix is found wherever it stands: any host, any thread, stamped or not, below any launcher."""
    raw, level, message, when, speaker, device = case
    line = read_line(raw, 1)
    assert told(line) == ("nccl", level, message, when)
    assert (line.speaker, line.device) == (speaker, device)


@pytest.mark.parametrize(
    ("raw", "rank", "message", "when"),
    [
        ("[E ProcessGroupNCCL.cpp:458] [Rank 7] x", None, "[Rank 7] x", None),
        ("[rank1]:[E ProcessGroupNCCL.cpp:563] [PG 1 Rank 0] x", 1, "[PG 1 Rank 0] x", None),
        ("[rank1]:[E321 02:07:08.408271257 ProcessGroupNCCL.cpp:607] [PG 1 Rank 0] x", 1, "[PG 1 Rank 0] x", "03-21T02:07:08.408271257"),
        ("[rank12]:[E1206 02:07:08.4 ProcessGroupNCCL.cpp:607] x", 12, "x", "12-06T02:07:08.4"),
        ("[E119 02:07:08.4 socket.cpp:1011] [c10d] x", None, "[c10d] x", "01-19T02:07:08.4"),
    ],
)
def test_torch(raw: str, rank: int | None, message: str, when: str | None) -> None:
    """The rank in front is the global one; `[Rank N]` behind the prefix is of the group and stays in the message."""
    line = read_line(raw, 1)
    assert told(line) == ("torch", "ERROR", message, when)
    assert line.speaker.rank == rank


@pytest.mark.parametrize(
    ("raw", "source", "level", "message", "when"),
    [
        ("2024-07-06 17:52:28,825 - lmdeploy - INFO - build model.", "lmdeploy", "INFO", "build model.", "2024-07-06T17:52:28.825"),
        (
            "2025-02-11 02:06:07,899 - lmdeploy - \x1b[33mWARNING\x1b[0m - op_backend.py:69 - Op x",
            "lmdeploy",
            "WARN",
            "Op x",
            "2025-02-11T02:06:07.899",
        ),
        (
            "2026-04-23 02:06:07,899 - lmdeploy - REQUEST - [pid=12 ppid=3] - a.py:6 - x",
            "lmdeploy",
            "REQUEST",
            "x",
            "2026-04-23T02:06:07.899",
        ),
        ("[TM][WARNING] x", "turbomind", "WARN", "x", None),
        ("[TM][INFO][1] x", "turbomind", "INFO", "x", None),
        ("[TM][FATAL][2026-04-10 01:02:03.456][comm.cc:12] x", "turbomind", "FATAL", "x", "2026-04-10T01:02:03.456"),
        ("INFO 07-22 07:59:47 multiproc_worker_utils.py:215] x", "vllm", "INFO", "x", "07-22T07:59:47"),
        ("DEBUG 05-16 13:08:58 [distributed/parallel_state.py:867] x", "vllm", "DEBUG", "x", "05-16T13:08:58"),
        ("[2026-01-29 13:12:36 PP1 TP0] x", "sglang", "", "x", "2026-01-29T13:12:36"),
        ("[2026-01-29 13:12:36] x", "sglang", "", "x", "2026-01-29T13:12:36"),
        (
            "W0206 10:11:12.123000 140 torch/distributed/elastic/a.py:99] Sending process 1 closing signal SIGTERM",
            "launcher",
            "WARN",
            "Sending process 1 closing signal SIGTERM",
            "02-06T10:11:12.123000",
        ),
        (
            "[2024-02-06 10:11:12,123] torch.distributed.elastic.api: [ERROR] failed (exitcode: -9)",
            "launcher",
            "ERROR",
            "failed (exitcode: -9)",
            "2024-02-06T10:11:12.123",
        ),
        ("2025-02-11 02:06:07,899\tINFO worker.py:1841 -- Started", "ray", "INFO", "Started", "2025-02-11T02:06:07.899"),
        ("[  123.456789] NVRM: Xid (PCI:0000:01:00): 79", "kernel", "", "NVRM: Xid (PCI:0000:01:00): 79", None),
        ("[Tue Sep  3 10:11:12 2024] x", "kernel", "", "x", "2024-09-03T10:11:12"),
        ("Sep  3 10:11:12 n1 kernel: [12.3] x", "kernel", "", "x", "09-03T10:11:12"),
        ("[2025-02-11 02:06:07,899][INFO] x", "text", "INFO", "x", "2025-02-11T02:06:07.899"),
        ("2025-02-11 02:06:07 ERROR [Gloo] x", "text", "ERROR", "[Gloo] x", "2025-02-11T02:06:07"),
        ("2025-02-11 02:06:07 ERROR gloo/transport/tcp x", "torch", "ERROR", "gloo/transport/tcp x", "2025-02-11T02:06:07"),
        ("Traceback (most recent call last):", "python", "", "Traceback (most recent call last):", None),
        ('  File "a.py", line 3, in f', "python", "", '  File "a.py", line 3, in f', None),
        ("RuntimeError: x", "python", "", "RuntimeError: x", None),
        ("Rank 2 failed to pass monitoredBarrier in 30 ms", "torch", "", "Rank 2 failed to pass monitoredBarrier in 30 ms", None),
        ("10:04:59 INFO step 3", "text", "INFO", "step 3", "10:04:59"),
        ("10:04:59,123 - ERROR - x", "text", "ERROR", "x", "10:04:59.123"),
        ("10:04:59 remains", "text", "", "10:04:59 remains", None),
        ("hello", "text", "", "hello", None),
        ("", "text", "", "", None),
    ],
)
def test_programs(raw: str, source: str, level: str, message: str, when: str | None) -> None:
    """Every program is told by its header, or by what it says where there is none."""
    assert told(read_line(raw, 1)) == (source, level, message, when)


@pytest.mark.parametrize(
    ("raw", "speaker", "message"),
    [
        ("[rank0]: x", Speaker(rank=0), "x"),
        ("[RANK 3] x", Speaker(rank=3), "x"),
        ("[default3]:x", Speaker(tag="default3"), "x"),  # a local rank is no rank
        ("(RayWorkerVllm pid=50) x", Speaker(pid=50, tag="RayWorkerVllm"), "x"),
        ("(RayWorkerWrapper pid=50, ip=10.41.0.8) x", Speaker("10.41.0.8", 50, None, "RayWorkerWrapper"), "x"),
        ("(VllmWorker rank=2 pid=249) x", Speaker(None, 249, 2, "VllmWorker"), "x"),
        ("(Worker_DP0_TP6_EP6 pid=27095) x", Speaker(pid=27095, tag="Worker_DP0_TP6_EP6"), "x"),
        ("(RayWorkerProc pid=5, ip=10.0.0.2) (Worker_DP2_TP0_EP4 pid=6) x", Speaker("10.0.0.2", 6, None, "Worker_DP2_TP0_EP4"), "x"),
        ("(pid=12) x", Speaker(pid=12), "x"),
        ("(raylet) x", Speaker(tag="raylet"), "x"),
        ("(raylet, ip=10.0.0.2) x", Speaker(tag="raylet"), "x"),
        ("vllm     | x", Speaker(tag="vllm"), "x"),
        ("vllm-1  | (APIServer pid=1) x", Speaker(pid=1, tag="APIServer"), "x"),
        ("2025-02-11T02:06:07.123456789Z [rank1]: x", Speaker(rank=1), "x"),
        ("2025-02-11T02:06:07.123456789Z stderr F [rank1]: x", Speaker(rank=1), "x"),
        ("Sep 13 10:11:12 n1 train@2.service[99]: [rank1]: x", Speaker("n1", None, 1), "x"),
        ("2024-10-07T22:54:54,595 [INFO ] W-9000-m_1.0-stdout MODEL_LOG - [rank1]: x", Speaker(rank=1), "x"),
        ("[2026-01-29 13:12:36 DP1 TP0 EP0] x", Speaker(tag="DP1 TP0 EP0"), "x"),
        ("ESC[36m(Worker pid=7)ESC[0m x", Speaker(pid=7, tag="Worker"), "x"),
        ("  indented", NOBODY, "  indented"),
        ("[rank0]:     indented", Speaker(rank=0), "    indented"),
    ],
)
def test_wrappers(raw: str, speaker: Speaker, message: str) -> None:
    """Launchers, Ray, containers and journals say who speaks; the inner prefix is the nearer one."""
    line = read_line(raw, 1)
    assert (line.speaker, line.message) == (speaker, message)


def test_wrappers_stack_above_a_header() -> None:
    """A stamp, a container's name, a worker and the program's own header come off one by one; the nearest time counts."""
    line = read_line("2025-02-11T02:06:07Z web | (Worker_TP1 pid=7) INFO 07-22 07:59:47 [a.py:1] x", 5)
    assert told(line) == ("vllm", "INFO", "x", "07-22T07:59:47")
    assert (line.speaker, line.number) == (Speaker(pid=7, tag="Worker_TP1"), 5)


@pytest.mark.parametrize(
    "raw",
    [
        "[rank]: x",
        "(some words) x",
        "a: b: NCCL",
        "NCCL INFOX",
        "12:30 lunch",
        "| table | row |",
        "[INFO] x",
        "(ipv6 pid=x) y",
        "> ",
        ":::",
    ],
)
def test_what_only_looks_like_a_prefix(raw: str) -> None:
    """Near misses name nobody and no time."""
    line = read_line(raw, 1)
    assert (line.speaker, line.time, line.source) == (NOBODY, None, "text")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("#033[33mx#033[0m", "x"),
        ("a\0b", "ab"),
        ("line\r\n", "line"),
        ("\r10%\r20%\r", "20%"),
        ("10%\r \r\x1b[K", "10%"),
        ("\r\r", ""),
        ("[not a code]", "[not a code]"),
    ],
)
def test_clean(raw: str, text: str) -> None:
    """Colours, NULs and line ends go, and of a bar that rewrites itself the last state is left."""
    assert clean(raw) == text


def test_states_are_bounded() -> None:
    """Of a line that rewrote itself a thousand times only the last states are looked at."""
    found = states("\r".join(map(str, range(1000))))
    assert (found[-1], len(found)) == ("999", 48)


@pytest.mark.parametrize(
    "raw",
    [
        "n1:{0}:{0} [{0}] NCCL INFO x",
        "[rank{0}]: x",
        "(a pid={0}) x",
        "[TM][INFO][{0}] x",
        "[{0},{0}]<stdout>:x",
        "2025-01-01 00:00:00 rank{0} x",
    ],
)
def test_absurd_numbers(raw: str) -> None:
    """A number of ten thousand digits is no pid and no rank, and nothing raises."""
    speaker = read_line(raw.format("9" * 10_000), 1).speaker
    assert (speaker.pid, speaker.rank) == (None, None)


@pytest.mark.parametrize("before", ["", "[", "(a pid=1, ip=", "NCCL INFO ", "2024-01-01 10:00:00 ", "kernel: ", "[E "])
@pytest.mark.parametrize(
    "unit", ["a", "1", ":", "1:", "a:1:2 ", "[0] ", "NCCL ", "NCCL INFO ", " ", "> ", "a.", "x/", "\r", "\0", "\x1b[", "[1m", '"']
)
def test_a_line_of_a_mebibyte_is_fast(before: str, unit: str) -> None:
    """No line, however made, takes long: prefixes are sought where they can stand."""
    raw = before + unit * ((1 << 20) // len(unit))
    start = time.process_time()
    read_line(raw, 1)
    assert time.process_time() - start < 0.5  # it takes milliseconds; a search that is quadratic takes hours


def test_a_header_far_to_the_right() -> None:
    """NCCL's header is found behind a long remainder of another program's line."""
    assert read_line("x" * 5000 + " n1:7:9 [0] NCCL WARN y", 1).message == "y"


@given(st.text() | st.lists(st.sampled_from([raw for raw, *_ in NCCL] + ["\r", "\x1b[", " ", "[rank1]:", "(", "\0"])).map("".join))
def test_never_raises(raw: str) -> None:
    """Any text is a line, whose raw form is kept."""
    line = read_line(raw, 3)
    assert (line.raw, line.number) == (raw, 3)
