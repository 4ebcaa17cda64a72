"""How long the stacks of a large job take: `python -m tests.benchmarks.stacks [DUMPS …]` prints a table.

Each size is analyzed by a process of its own, as a user does it, start-up and report included.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import ANALYZE, measure

FRAMES = 64


def dump(rank: int, odd: int) -> str:
    """The text of `py-spy dump` of one rank: all wait in one collective, and one does not."""
    calls = [f"layer_{n} (model/block_{n % 7}.py:{100 + n})" for n in range(FRAMES - 2)]
    frames = [
        "next_batch (reader.py:44)" if rank == odd else "all_reduce (torch/distributed/distributed_c10d.py:3068)",
        *(calls[5:] if rank == odd else calls),
        "<module> (train.py:9)",
    ]
    head = (
        f'Process {10_000 + rank}: python train.py\nPython v3.11.7 (/usr/bin/python3.11)\n\nThread {10_000 + rank} (idle): "MainThread"\n'
    )
    return head + "".join(f"    {frame}\n" for frame in frames)


def write_dumps(folder: Path, number: int) -> None:
    """One file for each rank; the rank in the middle is the odd one."""
    for rank in range(number):
        (folder / f"rank{rank}.pyspy.txt").write_text(dump(rank, number // 2), encoding="utf-8")


def main() -> None:
    """One row for each size: seconds and the most memory of the whole process, and whom it blames."""
    sizes = [int(size) for size in sys.argv[1:]] or [1_250, 2_500, 5_000, 10_000]
    print(f"{'dumps':>6} {'s':>6} {'ms/dump':>8} {'MiB':>5}  to blame")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_dumps(Path(folder), size)
            run = measure([*ANALYZE, folder])
        print(f"{size:6} {run.seconds:6.1f} {1000 * run.seconds / size:8.2f} {run.mib:5.0f}  {run.blamed}")


if __name__ == "__main__":
    main()
