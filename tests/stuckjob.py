"""A training job on disk in which one rank is stuck in its own code while all others wait for it in all_reduce.

Of each rank there are a log with NCCL's Init lines, a dump of py-spy and a flight recorder.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.recorders import entry

CALLS = 7  # the last one is an all_reduce, as the stacks say
STEP = ("forward (train/model.py:88)", "train_step (train/loop.py:41)", "main (train/__main__.py:12)", "<module> (train/__main__.py:20)")


@dataclass(frozen=True)
class StuckJob:
    """How many ranks, which one is stuck, in what frame, the last words of its log, and how the group of all ranks is described."""

    ranks: int
    culprit: int
    frame: str = "next_batch (train/reader.py:44)"
    says: str = "reading batch 3"
    group: str = "default_pg"

    def write(self, folder: Path) -> None:
        """The evidence, as files in the folder."""
        for rank in range(self.ranks):
            (folder / f"rank{rank}.log").write_text(self._log(rank), encoding="utf-8")
            (folder / f"rank{rank}.pyspy.txt").write_text(self._stack(rank), encoding="utf-8")
            (folder / f"nccl_trace_rank_{rank}").write_bytes(self._recorder(rank))

    def _log(self, rank: int) -> str:
        host, pid, device = f"node{rank // 8:03}", 10_000 + rank, rank % 8
        nccl = f"{host}:{pid}:{pid} [{device}] NCCL INFO"
        init = f"{nccl} ncclCommInitRankConfig comm 0x2f{rank:04x} rank {rank} nranks {self.ranks} cudaDev {device} nvmlDev {device}"
        lines = [
            f"2026-11-22 15:15:{10 + rank % 5} [rank{rank}] process group ready {self.ranks}",
            f"{nccl} NCCL version 2.27.5+cuda12.9",
            *(f"{init} busId {device:x}b000 commId 0x902aa479fbf555ad - Init {state}" for state in ("START", "COMPLETE")),
            f"2026-11-22 15:16:{20 + rank % 7} [rank{rank}] step 1 loss 2.31",
            f"2026-11-22 15:17:{20 + rank % 7} [rank{rank}] {self.says if rank == self.culprit else 'step 2 loss 2.30'}",
        ]
        return "\n".join(lines) + "\n"

    def _stack(self, rank: int) -> str:
        innermost = self.frame if rank == self.culprit else "all_reduce (torch/distributed/distributed_c10d.py:3068)"
        head = f"Process {10_000 + rank}: python -m train\nPython v3.11.7 (/usr/bin/python3.11)\n\n"
        frames = "".join(f"    {frame}\n" for frame in (innermost, *STEP))
        return f'{head}Thread {10_000 + rank} (idle): "MainThread"\n{frames}'

    def _recorder(self, rank: int) -> bytes:
        made = CALLS - (rank == self.culprit)
        dump = {
            "version": "2.9",
            "nccl_version": "2.27.5",
            "pg_config": {"0": {"name": "0", "desc": self.group, "ranks": str(list(range(self.ranks)))}},
            "pg_status": {
                "0": {"last_enqueued_collective": made, "last_started_collective": -1, "last_completed_collective": CALLS - 1},
            },
            "entries": [entry(rank, number, last=number == CALLS - 1) for number in range(made)],
        }
        return pickle.dumps(dump, protocol=2)
