"""Flight-recorder dumps: those that lie there already, and those that a live rank writes when its pipe is told to.

Format of names and pipes: PyTorch `ProcessGroupNCCL.cpp` and `FlightRecorder.cpp`, 2.4 to 2.13: prefix + rank, prefix + rank + `.pipe`.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hanglens.collect.gpu import has_gpu
from hanglens.collect.job import Job, Target
from hanglens.collect.staging import Attempt, Staging

DEADLINE = 20.0  # seconds until a dump that was asked for must be there; it takes several
SETTLED = 1.0  # seconds without growth after which a dump is whole
LARGEST = 64 << 20
_PREFIXES = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
_PIPE = "TORCH_NCCL_DEBUG_INFO_PIPE_FILE"
_NEXT_TIME = 'start the next run with what `hanglens prepare` prints: eval "$(hanglens prepare)"'


def collect_recorder(job: Job, staging: Staging, stop: threading.Event) -> None:
    """Ask every rank that has a pipe, wait for what they write, and copy all dumps that are younger than the job."""
    ranks = [t for t in job.pythons if t.role != "launcher"]
    if not ranks:
        return
    began = time.time()
    asked = [pipe for target in ranks if target.environ.get(_PIPE) for pipe in _ask(target, staging)]
    if not any(target.environ.get(_PIPE) for target in ranks) and has_gpu():
        why = f"{_PIPE} was not set when the job started, so that a live rank cannot be asked"
        staging.miss(Attempt(what="flight recorder"), "failed", why, _NEXT_TIME)
    ends = time.monotonic() + DEADLINE
    while asked and time.monotonic() < ends and not stop.is_set() and len(_fresh(ranks, began)) < len(asked):
        stop.wait(0.25)
    for path in _fresh(ranks, min(t.proc.started for t in ranks)):
        _copy(path, staging)


def _ask(target: Target, staging: Staging) -> list[str]:
    """Tell the pipes of one process to dump; those that were told."""
    prefix = target.environ[_PIPE]
    attempt = Attempt(what="flight-recorder pipe", pid=target.pid, rank=target.rank, command=f"echo 1 > {prefix}RANK.pipe")
    number = str(target.rank) if target.rank is not None else "*"
    told = []
    for pipe in glob.glob(f"/proc/{target.pid}/root{glob.escape(_absolute(target, prefix))}{number}.pipe"):
        try:
            _tell(pipe)
            told.append(pipe)
        except OSError as error:
            gone = error.errno == errno.ENXIO
            why = "nothing reads its pipe: the process group is gone or not made yet" if gone else str(error.strerror)
            staging.miss(attempt, "refused" if isinstance(error, PermissionError) else "failed", why)
    return told


def _tell(pipe: str) -> None:
    """Write to a named pipe without ever waiting for its reader."""
    descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.write(descriptor, b"1\n")
    finally:
        os.close(descriptor)


def _absolute(target: Target, path: str) -> str:
    try:
        return os.path.join(os.readlink(f"/proc/{target.pid}/cwd"), path)
    except OSError:
        return path


def _fresh(ranks: Iterable[Target], since: float) -> list[Path]:
    """Dumps that were written to their end after that time."""
    prefixes = {(t.pid, _absolute(t, t.environ[name])) for t in ranks for name in _PREFIXES if t.environ.get(name)}
    if not prefixes:
        prefixes = {
            (t.pid, f"{t.environ.get('TMPDIR', '/tmp')}/{stem}") for t in ranks for stem in ("nccl_trace_rank_", "comm_lib_trace_rank_")
        }
    found: dict[tuple[int, int], Path] = {}
    for pid, prefix in sorted(prefixes):
        for name in glob.glob(f"/proc/{pid}/root{glob.escape(prefix)}*"):
            path = Path(name)
            about = path.stat()
            settled = time.time() - about.st_mtime > SETTLED
            if path.is_file() and not name.endswith(".pipe") and about.st_mtime >= since and about.st_size and settled:
                found[about.st_dev, about.st_ino] = path
    return list(found.values())


def _copy(path: Path, staging: Staging) -> None:
    attempt = Attempt(what="flight-recorder dump", command=f"cat {path.name}")
    try:
        if path.stat().st_size > LARGEST:
            staging.miss(attempt, "failed", f"{path.name} has more than {LARGEST >> 20} MiB", f"copy {path.name} yourself")
            return
        staging.keep_binary(attempt, f"flight-recorder/{path.name}", path.read_bytes())
    except OSError as error:
        staging.miss(attempt, "failed", f"{path.name}: {error.strerror or error}")
