"""What can be collected on this host before anything hangs, and the command that unlocks what cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hanglens.collect import ras
from hanglens.collect.commands import find_program, run
from hanglens.collect.gpu import DEADLINE, has_gpu
from hanglens.collect.host import read_kernel_log
from hanglens.collect.job import Job, Target
from hanglens.collect.logs import find_logs
from hanglens.collect.permissions import Permissions, permissions, unlock_tracing
from hanglens.collect.proctable import ProcTable, state_of
from hanglens.collect.stacks import STANDING

SMALL_SHM = 1 << 30  # bytes of /dev/shm below which NCCL and data loaders of several GPUs run out
LITTLE_ROOM = 1 << 30
_PREPARE = 'eval "$(hanglens prepare)" before the next start'

Health = Literal["ok", "limited", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a bundle holds: whether it can be had, in a sentence, and the command that unlocks it."""

    what: str
    health: Health
    says: str
    unlock: str = ""


def examine(table: ProcTable, job: Job | None = None) -> list[Check]:
    """All checks of this host, and of one job on it if that is given."""
    now = permissions()
    checks = [_stacks(), _tracing(now), _visible(now), *_gpus(), _kernel_log(), _access_control(now), _shm(), _room()]
    return [*checks, *(_job(job, table, now) if job else ())]


def _stacks() -> Check:
    """py-spy, tried on a process of our own."""
    program = find_program("py-spy")
    if program is None:
        return Check("stack dumps", "missing", "py-spy is not installed", "pip install py-spy")
    version = run([program, "--version"], deadline=5.0).output.decode("utf-8", "replace").strip()
    child = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(20)"], stdout=subprocess.PIPE)
    try:
        child.stdout.read(1) if child.stdout else None
        outcome = run([program, "dump", "--json", "--pid", str(child.pid)], deadline=10.0)
    finally:
        child.kill()
        child.communicate()
    if outcome.status == "ok":
        return Check("stack dumps", "ok", f"{version} dumps a process of this Python")
    return Check("stack dumps", "missing", f"{version} cannot dump even a child of ours: {outcome.reason}",
                 "pip install --upgrade py-spy; in a container: --cap-add SYS_PTRACE --security-opt seccomp=unconfined")  # fmt: skip


def _tracing(now: Permissions) -> Check:
    rule = f"kernel.yama.ptrace_scope={now.scope}" if now.scope is not None else "no Yama"
    says = {
        "all": "all processes of this host may be traced",
        "own": "your own processes may be traced, not those of other users",
        "children": f"only your own children may be traced ({rule}), and a job is none",
        "none": f"no process may be traced ({rule})",
    }[now.reach]
    health: Health = {"all": "ok", "own": "limited"}.get(now.reach, "missing")  # type: ignore[assignment]
    return Check("right to trace (ptrace)", health, says, "" if health == "ok" else unlock_tracing(now))


def _visible(now: Permissions) -> Check:
    if now.hidden:
        return Check(
            "processes",
            "limited",
            "/proc shows your own processes only (hidepid)",
            "run as root, or: sudo mount -o remount,hidepid=0 /proc",
        )
    if now.container:
        return Check(
            "processes",
            "limited",
            "this seems to be a container: only its own processes are seen",
            "collect on its host for those of others",
        )
    return Check("processes", "ok", "all processes of this host are seen")


def _gpus() -> Iterator[Check]:
    if not has_gpu():
        yield Check("GPUs", "ok", "there is no NVIDIA GPU here")
        return
    program = find_program("nvidia-smi")
    if program is None:
        yield Check(
            "GPUs",
            "limited",
            "there are GPUs, but no nvidia-smi; power and utilisation are read through NVML",
            "install nvidia-utils of the driver",
        )
        return
    outcome = run([program, "-L"], deadline=DEADLINE)
    number = outcome.output.count(b"GPU ")
    if outcome.status == "ok" and number:
        yield Check("GPUs", "ok", f"nvidia-smi answers in {outcome.seconds:.1f} s, {number} GPUs")
    else:
        yield Check("GPUs", "missing", f"nvidia-smi: {outcome.reason or 'it names no GPU'}", "sudo dmesg -T | grep -i NVRM")


def _kernel_log() -> Check:
    command, outcome = read_kernel_log()
    if outcome.status == "ok":
        return Check("kernel messages (Xid, OOM)", "ok", f"{command.split()[0]} shows them")
    return Check(
        "kernel messages (Xid, OOM)",
        "missing",
        outcome.reason or "there are none",
        "sudo sysctl kernel.dmesg_restrict=0, or collect as root",
    )


def _access_control(now: Permissions) -> Check:
    what = "PCI access control"
    if not has_gpu():
        return Check(what, "ok", "not needed without GPUs")
    if find_program("lspci") is None:
        return Check(what, "limited", "lspci is not installed", "sudo apt-get install pciutils")
    return Check(what, "ok", "lspci shows it") if now.root else Check(what, "limited", "only root sees it", "collect as root")


def _shm() -> Check:
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return Check("/dev/shm", "limited", "there is none", "docker run --shm-size=8g …")
    total = room.f_blocks * room.f_frsize
    size = f"{total / (1 << 30):.1f} GiB, {room.f_bavail * room.f_frsize / (1 << 30):.1f} GiB free"
    if total < SMALL_SHM:
        return Check("/dev/shm", "limited", f"{size}: little for NCCL on several GPUs", "docker run --shm-size=8g …")
    return Check("/dev/shm", "ok", size)


def _room() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    says = f"{free / (1 << 30):.1f} GiB free here for a bundle"
    return Check("room", "ok", says) if free > LITTLE_ROOM else Check("room", "limited", says, "hanglens collect -o /other/place")


def _job(job: Job, table: ProcTable, now: Permissions) -> Iterator[Check]:
    """What this job lets us have."""
    ranks = [t for t in job.working if t.rank is not None] or list(job.pythons)
    yield Check(
        "job", "ok", f"{len(job.working)} processes, {len([t for t in job.working if t.rank is not None])} of them with a known rank"
    )
    yield from _refused(job, now)
    standing = [t for t in job.pythons if state_of(t.pid) in STANDING]
    if standing:
        pids = ", ".join(str(t.pid) for t in standing)
        yield Check(
            "stopped processes",
            "limited",
            f"pid {pids} does not run (state T or D); it is read as it stands",
            "kill -CONT PID, if nobody wants it stopped",
        )
    logs = find_logs(job, table)
    if logs:
        yield Check("logs", "ok", ", ".join(log.shown for log in logs[:4]))
    else:
        yield Check(
            "logs",
            "missing",
            "its output goes to no file that can be found",
            "hanglens collect --log FILE; next time: … 2>&1 | tee job.log",
        )
    yield from _told_before(ranks, job)


def _refused(job: Job, now: Permissions) -> Iterator[Check]:
    refused = [t for t in job.pythons if not os.access(f"/proc/{t.pid}/mem", os.R_OK)]
    if refused:
        pids = ", ".join(str(t.pid) for t in refused[:6])
        yield Check(
            "stacks of the job",
            "missing",
            f"{len(refused)} of {len(job.pythons)} processes refuse to be traced: pid {pids}",
            unlock_tracing(now),
        )
    else:
        yield Check("stacks of the job", "ok", "every process may be traced")


def _told_before(ranks: list[Target], job: Job) -> Iterator[Check]:
    """What can only be set before a start."""
    told = {name for t in ranks for name in t.environ}
    if not has_gpu():
        return
    debug = next((t.environ["NCCL_DEBUG"] for t in ranks if t.environ.get("NCCL_DEBUG")), "")
    yield (
        Check("NCCL log", "ok", f"NCCL_DEBUG={debug}")
        if debug.upper() in ("INFO", "TRACE")
        else Check("NCCL log", "missing", "NCCL_DEBUG is not INFO", _PREPARE)
    )
    recording = told & {"TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE"}
    piped = "TORCH_NCCL_DEBUG_INFO_PIPE_FILE" in told
    says = "on, and can be asked" if recording and piped else "on, but a live rank cannot be asked" if recording else "off"
    yield Check(
        "flight recorder",
        "ok" if recording and piped else "limited" if recording else "missing",
        says,
        "" if recording and piped else _PREPARE,
    )
    host, port = ras.address(job)
    yield (
        Check("NCCL RAS", "ok", f"{host}:{port} answers")
        if ras.answers(host, port)
        else Check("NCCL RAS", "limited", f"nothing listens on {host}:{port}", "NCCL 2.24 or newer, once a communicator is made")
    )
