"""GPUs: state, links, processes, and power and utilisation while the samples are taken.

All through programs of their own with a deadline, because the driver's library can hang for ever on a lost GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hanglens.collect.commands import find_program, run
from hanglens.collect.staging import About, Attempt, Staging

DEADLINE = 20.0
LOAD_PERIOD = 0.5  # seconds between two readings of power and utilisation
_QUERIES = (
    ("nvidia-smi", "gpu/nvidia-smi.txt", ()),
    ("GPU topology", "gpu/topology.txt", ("topo", "-m")),
    ("GPU peer-to-peer matrix", "gpu/p2p.txt", ("topo", "-p2p", "rw")),
    ("GPU details", "gpu/nvidia-smi-q.txt", ("-q",)),
    ("GPU processes", "gpu/processes.csv", ("--query-compute-apps=pid,gpu_uuid,used_memory,name", "--format=csv")),
)


def has_gpu() -> bool:
    """Whether this host has an NVIDIA GPU, also one whose driver no longer answers."""
    return Path("/proc/driver/nvidia").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def collect_gpus(staging: Staging) -> None:
    """What nvidia-smi says; on a host without NVIDIA GPUs nothing is said."""
    program = find_program("nvidia-smi")
    if program is None:
        if has_gpu():
            staging.miss(
                Attempt(what="nvidia-smi"),
                "failed",
                "there are GPUs here, but no nvidia-smi",
                "run it where it is: nvidia-smi > nvidia-smi.txt",
            )
        return
    for what, file, arguments in _QUERIES:
        attempt = Attempt(what=what, command=" ".join(["nvidia-smi", *arguments]))
        outcome = run([program, *arguments], deadline=DEADLINE)
        if outcome.output.strip():
            staging.keep(attempt, file, outcome.output, About(status=outcome.status, reason=outcome.reason))
        else:
            how = "look into dmesg for NVRM lines; a driver that does not answer needs a reset of the GPU or a reboot"
            staging.miss(attempt, outcome.status, outcome.reason or "it printed nothing", how)
        if outcome.status == "timed-out":
            return  # the others would hang as well


def sample_load(staging: Staging, seconds: float) -> None:
    """Power and utilisation of all GPUs for as long as the samples take."""
    if not has_gpu():
        return
    readings = max(2, round(seconds / LOAD_PERIOD))
    attempt = Attempt(what="GPU load", command="nvidia-smi --query-gpu=timestamp,index,utilization.gpu,power.draw,… --format=csv -lms 500")
    command = [sys.executable, "-m", "hanglens.collect.nvml", str(readings), str(LOAD_PERIOD)]
    outcome = run(command, deadline=seconds + DEADLINE)
    if outcome.output.count(b"\n") > 1:
        staging.keep(attempt, "gpu/load.csv", outcome.output, About(status=outcome.status, reason=outcome.reason))
    else:
        staging.miss(
            attempt, outcome.status if outcome.status != "ok" else "failed", outcome.reason or "NVML gave no reading", "nvidia-smi"
        )
