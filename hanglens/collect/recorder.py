"""Flight-recorder dumps: those that lie there already, and those that a live rank writes when its pipe is told to.

Format of names and pipes: PyTorch `ProcessGroupNCCL.cpp` and `FlightRecorder.cpp`, 2.4 to 2.13: prefix + rank, prefix + rank + `.pipe`.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hanglens.collect.beside import Stop
from hanglens.collect.gpu import has_gpu
from hanglens.collect.job import Job, Target
from hanglens.collect.proctable import state_of
from hanglens.collect.stacks import STANDING
from hanglens.collect.staging import Attempt, Staging, utc

PATIENCE = 4.0  # seconds without a further dump after which the others are not waited for
DEADLINE = 20.0  # seconds until a dump that was asked for must be there; it takes several
SETTLED = 1.0  # seconds without growth after which a dump is whole
LARGEST = 64 << 20
_PREFIXES = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
_PIPE = "TORCH_NCCL_DEBUG_INFO_PIPE_FILE"
_NEXT_TIME = 'start the next run with what `hanglens prepare` prints: eval "$(hanglens prepare)"'


def collect_recorder(job: Job, staging: Staging, stop: Stop) -> None:
    """Ask every rank that has a pipe, and copy what they write; if none can be asked, what they wrote before, as on a time-out.

    A dump from before the question is not mixed with those that answer it: they would be of different moments.
    """
    ranks = job.pythons
    began = time.time()
    told = _ask(ranks, staging)
    if told:
        _await(ranks, began, len(told), stop)
        fresh = _dumps(ranks, began)
        for path in _dumps(ranks, _start_of(ranks)):
            if path not in fresh:
                _say_old(path, staging)
    elif ranks:
        fresh = _dumps(ranks, _start_of(ranks))
        if not fresh and has_gpu():
            why = f"no rank of the job can be asked: {_PIPE} was not set when it started, or its ranks are gone"
            staging.miss(Attempt(what="flight recorder"), "failed", why, _NEXT_TIME)
    else:
        return
    for path in fresh:
        _copy(path, staging)


def _start_of(ranks: Sequence[Target]) -> float:
    return min(target.proc.started for target in ranks)


def _await(ranks: Sequence[Target], began: float, expected: int, stop: Stop) -> None:
    """Until as many dumps are there as were asked for, or no further one comes: a stopped rank writes none."""
    ends = last = time.monotonic()
    ends, found = ends + DEADLINE, 0
    while found < expected and time.monotonic() < ends and not stop.wait(0.25):
        now = len(_dumps(ranks, began))
        last = time.monotonic() if now > found else last
        found = now
        if found and time.monotonic() - last > PATIENCE:
            return


def _ask(ranks: Sequence[Target], staging: Staging) -> set[tuple[int, int]]:
    """Tell each pipe once to dump; device and inode of those that were told. A process whose rank is not known may own any of them."""
    told: set[tuple[int, int]] = set()
    refused: set[str] = set()
    for target in ranks:
        for pipe in _pipes(target):
            about = os.lstat(pipe)
            if (about.st_dev, about.st_ino) in told or pipe.rpartition("/")[2] in refused:
                continue
            if state_of(target.pid) in STANDING and target.rank is not None:
                refused.add(pipe.rpartition("/")[2])
                attempt = Attempt(what="flight-recorder pipe", pid=target.pid, rank=target.rank)
                staging.miss(attempt, "failed", "its process does not run (state T or D), and so cannot answer")
                continue
            attempt = Attempt(what="flight-recorder pipe", rank=target.rank, command=f"echo 1 > {pipe.partition('/root')[2]}")
            try:
                _tell(pipe)
                told.add((about.st_dev, about.st_ino))
            except OSError as error:
                refused.add(pipe.rpartition("/")[2])
                gone = error.errno == errno.ENXIO
                why = "nothing reads it: its rank is gone, or has no process group yet" if gone else str(error.strerror)
                staging.miss(attempt, "refused" if isinstance(error, PermissionError) else "failed", f"{pipe.rpartition('/')[2]}: {why}")
    return told


def _pipes(target: Target) -> list[str]:
    prefix = target.environ.get(_PIPE)
    if not prefix:
        return []
    number = str(target.rank) if target.rank is not None else "*"
    return sorted(glob.glob(f"/proc/{target.pid}/root{glob.escape(_absolute(target, prefix))}{number}.pipe"))


def _say_old(path: Path, staging: Staging) -> None:
    written = utc(path.lstat().st_mtime)
    why = f"its rank did not answer; the {path.name} that lies there is of {written}, before this collection"
    staging.miss(Attempt(what="flight-recorder dump"), "timed-out", why, f"copy it yourself if that moment matters: {path.name}")


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


def _dumps(ranks: Iterable[Target], since: float) -> list[Path]:
    """Dumps that were written to their end after that time, by the user of the job; a link may lead anywhere, and is none."""
    prefixes = {(t.pid, _absolute(t, t.environ[name])) for t in ranks for name in _PREFIXES if t.environ.get(name)}
    if not prefixes:
        prefixes = {
            (t.pid, f"{t.environ.get('TMPDIR', '/tmp')}/{stem}") for t in ranks for stem in ("nccl_trace_rank_", "comm_lib_trace_rank_")
        }
    found: dict[tuple[int, int], Path] = {}
    for pid, prefix in sorted(prefixes):
        for name in glob.glob(f"/proc/{pid}/root{glob.escape(prefix)}*"):
            about = _whole_file(name, pid)
            if about is not None and about.st_mtime >= since:
                found[about.st_dev, about.st_ino] = Path(name)
    return list(found.values())


def _whole_file(name: str, pid: int) -> os.stat_result | None:
    """What there is to know of a file of that process's user which does not grow any more; None for everything else."""
    try:
        about, owner = os.lstat(name), os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    settled = time.time() - about.st_mtime > SETTLED
    return about if stat.S_ISREG(about.st_mode) and about.st_uid == owner and about.st_size and settled else None


def _copy(path: Path, staging: Staging) -> None:
    attempt = Attempt(what="flight-recorder dump", command=f"cat {path.name}")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        staging.miss(attempt, "failed", f"{path.name}: {error.strerror or error}")
        return
    if len(data) > LARGEST:
        staging.miss(attempt, "failed", f"{path.name} has more than {LARGEST >> 20} MiB", f"copy {path.name} yourself")
    else:
        staging.keep_binary(attempt, f"flight-recorder/{path.name}", data)
