"""How long the flight recorders of a large job take: `python -m tests.benchmarks.recorders [RANKSxRECORDS …]` prints a table.

One rank of each job has made one call less than the others. Beside HangLens runs torchfrtrace, the analyser that torch brings along,
where torch is installed.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import ANALYZE, Run, measure

SIZES = ("256x500", "256x1000", "256x2000", "1024x500", "4096x500")
PEER_UP_TO = 600_000  # records; beyond these the peer takes minutes and gigabytes
OPS = ("all_reduce", "_all_gather_base", "_reduce_scatter_base")
FRAMES = [
    {"name": "all_reduce", "filename": "/venv/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py", "line": 3068},
    *({"name": f"step_{n}", "filename": f"/opt/train/part_{n}.py", "line": 10 * n + 3} for n in range(3)),
]


def entry(rank: int, number: int, *, last: bool) -> dict[str, object]:
    """A record as torch 2.9 keeps it."""
    created = 1_795_000_000_000_000_000 + 1_000_000 * number + rank
    return {
        "record_id": number, "pg_id": 0, "process_group": ("0", "default_pg"), "collective_seq_id": number + 1, "p2p_seq_id": 0,
        "op_id": number + 1, "profiling_name": f"nccl:{OPS[number % len(OPS)]}", "time_created_ns": created,
        "input_sizes": [[4096, 1024]], "input_dtypes": ["BFloat16"], "output_sizes": [[4096, 1024]], "output_dtypes": ["BFloat16"],
        "state": "scheduled" if last else "completed", "time_discovered_started_ns": None,
        "time_discovered_completed_ns": None if last else created + 500_000, "retired": not last, "timeout_ms": 600_000, "is_p2p": False,
        "frames": FRAMES,
    }  # fmt: skip


def write_job(folder: Path, ranks: int, records: int) -> None:
    """A dump for each rank; the rank at a third of the world lacks the call in which the others wait."""
    config = {"0": {"name": "0", "desc": "default_pg", "ranks": str(list(range(ranks)))}}
    for rank in range(ranks):
        made = records - (rank == ranks // 3)
        status = {"0": {"last_enqueued_collective": made, "last_started_collective": -1, "last_completed_collective": records - 1}}
        entries = [entry(rank, number, last=number == records - 1) for number in range(made)]
        dump = {"version": "2.9", "pg_config": config, "pg_status": status, "nccl_version": "2.27.5", "entries": entries}
        (folder / f"nccl_trace_rank_{rank}").write_bytes(pickle.dumps(dump, protocol=2))


def peer(folder: str) -> Run | None:
    """The same dumps by torchfrtrace; None where it is not installed."""
    program = Path(sys.executable).with_name("torchfrtrace")
    return measure([str(program), folder, "-p", "nccl_trace_rank_"]) if program.exists() else None


def main() -> None:
    """One row for each size: seconds and the most memory of all processes, and whom HangLens blames."""
    sizes = [tuple(map(int, size.split("x"))) for size in sys.argv[1:] or SIZES]
    print(f"{'ranks':>6} {'records':>8} {'s':>6} {'µs/record':>9} {'MiB':>5} {'torchfrtrace s':>15} {'MiB':>5}  to blame")
    for ranks, records in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_job(Path(folder), ranks, records)
            ours = measure([*ANALYZE, folder])
            theirs = peer(folder) if ranks * records <= PEER_UP_TO else None
        shown = f"{theirs.seconds:15.1f} {theirs.mib:5.0f}" if theirs else f"{'-':>15} {'-':>5}"
        each = 1e6 * ours.seconds / (ranks * records)
        print(f"{ranks:6} {ranks * records:8} {ours.seconds:6.1f} {each:9.2f} {ours.mib:5.0f} {shown}  {ours.blamed}")


if __name__ == "__main__":
    main()
