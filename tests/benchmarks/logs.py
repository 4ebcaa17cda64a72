"""Logs that look like those of real jobs, of any size, with nothing wrong in them: what a search must not find anything in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

_OPS = ("AllReduce", "AllGather", "ReduceScatter", "Broadcast", "Reduce", "Send", "Recv")
_LMDEPLOY = (
    "agent.py:{n} - <ForwardTask> rank[{rank}]: model forward. batch_size={n} num_tokens={n} is_dummy=False",
    "agent.py:{n} - <ForwardTask> rank[{rank}]: Sampling.",
    "engine_loop.py:{n} - Response sessions: [{n}]",
    "engine_loop.py:{n} - Response: num_outputs={n}.",
    "inputs_maker.py:{n} - Make forward inputs with prefill=False, enable_empty=True",
    "mp_executor.py:{n} - proc[{rank}] call method: <forward_async>.",
    "op_backend.py:{n} - Op OpType.Linear fallback to default implementation.",
    "engine_instance.py:{n} - session[{n}] success: num_out_ids={n}.",
)


def nccl_trace(random_numbers: random.Random, rank: int) -> str:
    """A line of NCCL_DEBUG=TRACE (NCCL 2.28), with pointers in which any word may be spelled."""
    pointer = f"0x{random_numbers.getrandbits(48):012x}"
    other = f"0x{random_numbers.getrandbits(48):012x}"
    head = f"node{rank // 8}:{4000 + rank}:{5000 + rank} [{rank % 8}]"
    if random_numbers.random() < 0.7:
        op, count = random_numbers.choice(_OPS), random_numbers.getrandbits(20)
        return (
            f"{head} NCCL INFO {op}: opCount {random_numbers.getrandbits(24):x} sendbuff {pointer} recvbuff {other} count {count}"
            f" datatype 7 op 0 root 0 comm 0x{random_numbers.getrandbits(40):x} [nranks=8] stream {pointer}"
        )
    if random_numbers.random() < 0.5:
        at, line = random_numbers.random() * 1e6, random_numbers.randrange(2000)
        return f"{head} {at:.6f} ncclLaunchKernel:{line} NCCL TRACE {pointer} {other} -> 0"
    channel, peer = random_numbers.randrange(64), (rank + 1) % 8
    return f"{head} NCCL INFO Channel {channel:02d}/0 : {rank}[{rank % 8}] -> {peer}[{peer}] via P2P/CUMEM/read"


def lmdeploy_debug(random_numbers: random.Random, rank: int, second: int) -> str:
    """A line of LMDeploy's log at level DEBUG (0.18)."""
    text = random_numbers.choice(_LMDEPLOY).format(n=random_numbers.randrange(1, 2000), rank=rank)
    clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d},{random_numbers.randrange(1000):03d}"
    return f"2026-01-05 {clock} - lmdeploy - DEBUG - {text}"


def healthy_lines(seed: int) -> Iterator[str]:
    """Endless output of a job of eight ranks that runs."""
    random_numbers = random.Random(seed)
    for n in range(1 << 62):
        rank = random_numbers.randrange(8)
        yield nccl_trace(random_numbers, rank) if random_numbers.random() < 0.6 else lmdeploy_debug(random_numbers, rank, n // 200)


def write_log(path: Path, lines: Iterator[str], size: int) -> None:
    """Fill a file with so many bytes of lines."""
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < size:
            block = "\n".join(next(lines) for _ in range(20_000)) + "\n"
            file.write(block)
            written += len(block)
