"""A job of gloo ranks that stalls, whose ranks then write their flight recorders: `python gloo_job.py FOLDER`.

Rank 2 never makes the last all_reduce, in which the others wait.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

RANKS = 3


def rank_of_job(rank: int, folder: str) -> None:
    """Three all_reduces, a barrier of two ranks in a group of their own, then the stall, and the dumps while it lasts."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    values = torch.ones(16)
    for _ in range(3):
        dist.all_reduce(values)
    pair = dist.new_group([0, 1])
    if rank in (0, 1):
        dist.barrier(group=pair)
    if rank != RANKS - 1:
        threading.Thread(target=dist.all_reduce, args=(values,), daemon=True).start()
    threading.Event().wait(1.0)
    recorder = torch._C._distributed_c10d
    Path(folder, f"comm_lib_trace_rank_{rank}").write_bytes(recorder._dump_fr_trace(True, True, False))
    Path(folder, f"json_trace_rank_{rank}.json").write_bytes(recorder._dump_fr_trace_json(True, False))
    while len(list(Path(folder).glob("json_trace_rank_*.json"))) < RANKS:  # a rank that left would end the others' wait
        threading.Event().wait(0.05)
    threading.Event().wait(0.5)
    os._exit(0)  # no exit of its own ends a rank that waits in a collective


if __name__ == "__main__":
    import torch.multiprocessing as mp

    mp.spawn(rank_of_job, (sys.argv[1],), nprocs=RANKS)
