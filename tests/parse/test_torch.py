"""Lines of torch.distributed in the wordings of its versions."""

from __future__ import annotations

import io

import pytest

from hanglens.model import Event
from hanglens.parse.blocks import Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.text import read_text
from hanglens.parse.torch import PATTERNS

INDEX = PatternIndex(PATTERNS, ())
E = "[rank9]:[E321 02:07:08.408271257 ProcessGroupNCCL.cpp:607] "
CAUGHT = "Watchdog caught collective operation timeout: WorkNCCL("
PRINT = "CollectiveFingerPrint(SequenceNumber=5"


def read(text: str) -> dict[str, Event]:
    """The events of a text by name."""
    return {event.name: event for event in read_text(io.BytesIO(text.encode()), Place("a.log"), INDEX).events}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("[E ProcessGroupNCCL.cpp:1] [Rank 1] " + CAUGHT + "OpType=ALLREDUCE, Timeout(ms)=600) ran for 607 milliseconds before timing out.",
         {"group_rank": "1", "op": "ALLREDUCE", "limit": "600", "ran": "607"}),  # 1.12
        ("[E ProcessGroupNCCL.cpp:1] [Rank 1] " + CAUGHT + "SeqNum=12, OpType=BROADCAST, Timeout(ms)=600) ran for 607 milliseconds",
         {"seq": "12", "op": "BROADCAST"}),  # 1.13
        (E + "[Rank 1] " + CAUGHT + "SeqNum=12, OpType=ALLGATHER, NumelIn=4, NumelOut=8, Timeout(ms)=600000) ran for 600007 milliseconds",
         {"seq": "12", "numel": "4", "numel_out": "8", "limit": "600000"}),  # 2.1
        (E + "[PG ID 0 PG GUID 0 Rank 1] Process group watchdog thread terminated with exception: [Rank 1] " + CAUGHT + "SeqNum=2, OpType=X, Timeout(ms)=6)",  # noqa: E501
         {"seq": "2", "group_rank": "1"}),
        (E + "[Rank 1] " + CAUGHT + "SeqNum=12, OpType=ALLGATHER, Num\nelIn=4, NumelOut=8, Time\nout(ms)=600000) ran for 7 milliseconds",
         {"seq": "12", "numel_out": "8"}),  # torn by a terminal
    ],
)  # fmt: skip
def test_timeouts(line: str, fields: dict[str, str]) -> None:
    """The watchdog's line says group rank, sequence, operation and sizes as far as its version printed them."""
    event = read(line)["torch.timeout"]
    assert fields.items() <= event.fields.items()


def test_a_timeout_that_is_cut_off() -> None:
    """Of a line that ends early sequence and operation are still told."""
    events = read(E + "[Rank 1] " + CAUGHT + "SeqNum=12, OpType=ALLGATHER, Num")
    assert {name: event.fields for name, event in events.items()} == {"torch.timeout_torn": {"seq": "12", "op": "ALLGATHER"}}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("[PG 1 Rank 0] Timeout at NCCL work: 7, last enqueued NCCL work: 9, last completed NCCL work: -1.",
         {"pg": "1", "group_rank": "0", "seq": "7", "enqueued": "9", "completed": "-1"}),  # 2.3
        (("[PG ID 0 PG GUID 0(default_pg) Rank 1] Exception (either an error or timeout) detected by watchdog at work: 7,"
         " last enqueued NCCL work: 9, last completed NCCL work: 6."),
         {"group": "0", "description": "default_pg", "seq": "7", "completed": "6"}),  # 2.4 to 2.6
        (("[PG ID 2 PG GUID 37(TENSOR_MODEL_PARALLEL_GROUP) Rank 1]  failure detected by watchdog at work sequence id: 7 PG status:"
         " last enqueued work: 9, last completed work: 6"),
         {"pg": "2", "group": "37", "description": "TENSOR_MODEL_PARALLEL_GROUP", "seq": "7", "enqueued": "9"}),  # 2.7
        (("[PG ID 2 PG GUID 3(mesh:dp-0) Rank 1]  failure detected by watchdog at work sequence id: 7 PG status: last enqueued work: -1,"
         " last completed work: -1"), {"description": "mesh:dp-0", "enqueued": "-1"}),
    ],
)  # fmt: skip
def test_the_state_of_a_group(line: str, fields: dict[str, str]) -> None:
    """What was enqueued and completed last is told of the group, by its id, its name and its description."""
    assert fields.items() <= read(E + line)["torch.status"].fields.items()


@pytest.mark.parametrize(
    ("line", "name", "fields"),
    [
        (E + "Received a dump signal due to a collective timeout from  rank 7 and we will try our best to dump the debug info."
         " Last enqueued NCCL work: 9, last completed NCCL work: 6.", "torch.dump_signal", {"origin": "7", "enqueued": "9"}),
        (E + "Received a dump signal due to a collective timeout from this local rank and we will try our best to dump the debug info."
         " Last enqueued NCCL work: -1, last completed NCCL work: -1.", "torch.dump_signal", {"completed": "-1"}),
        (E + "Observed flight recorder dump signal from another rank via TCPStore.", "torch.dump_observed", {}),
        (E + "ProcessGroupNCCL's watchdog got stuck for 480 seconds without making progress", "torch.watchdog_stuck", {"seconds": "480"}),
        ("E0206 10:11:12.123000 1 torch/distributed/elastic/a.py:9] failed (exitcode: -9) local_rank: 1 (pid: 77) of binary: /p",
         "torch.exit", {"code": "-9", "local_rank": "1", "pid": "77"}),
        ("W0206 10:11:12.123000 1 torch/distributed/elastic/a.py:9] Sending process 77 closing signal SIGTERM",
         "torch.sigterm", {"pid": "77", "signal": "TERM"}),
        (f"[I ProcessGroupWrapper.cpp:562] [Rank 3] Running collective: {PRINT}, OpType=ALLREDUCE, TensorShape=[4])",
         "torch.running", {"seq": "5", "op": "ALLREDUCE"}),
        (f"[I ProcessGroupWrapper.cpp:562] [Rank 3] Running collective: {PRINT}OpType=BARRIER)", "torch.running", {"op": "BARRIER"}),
        ("world_size=8 rank=7 local_rank=7 distributed_init_method=env:// backend=nccl", "torch.world", {"world": "8", "rank": "7"}),
        ("store_based_barrier_key:1 (world_size=4, worker_count=1, timeout=0:30:0)", "torch.store_barrier", {"world": "4", "arrived": "1"}),
    ],
)  # fmt: skip
def test_other_lines(line: str, name: str, fields: dict[str, str]) -> None:
    """Dump signals, exits, running collectives and barriers are told with their numbers."""
    events = read(line)
    assert list(events) == [name]
    assert fields.items() <= events[name].fields.items()


@pytest.mark.parametrize(
    "line",
    [
        E + "[Rank 1] Watchdog is watching",
        E + "[PG 1 Rank 0] last enqueued NCCL work is known",
        "Rank 2 is running collective: CollectiveFingerPrint",
        "exitcode: 1 (pid: 3)",
        "my_world_size=8 rank=7",
        f"world_size={'9' * 5000} rank=1",
        f"Sending process {'9' * 5000} closing signal SIGTERM",
    ],
)
def test_near_misses(line: str) -> None:
    """Lines that look alike, and numbers that no job has, give nothing."""
    assert read(line) == {}
