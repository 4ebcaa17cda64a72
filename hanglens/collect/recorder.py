"""Flight-recorder dumps: those that lie there already, and those that a live rank writes when its pipe is told to.

Format of names and pipes: PyTorch `ProcessGroupNCCL.cpp` and `FlightRecorder.cpp`, 2.4 to 2.13: prefix + rank, prefix + rank + `.pipe`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hanglens.collect.beside import Stop
from hanglens.collect.foreign import found, names_in
from hanglens.collect.gpu import has_gpu
from hanglens.collect.job import Job, Target
from hanglens.collect.proctable import state_of
from hanglens.collect.stacks import STANDING
from hanglens.collect.staging import Attempt, Staging, utc

PATIENCE = 4.0  # seconds without a further dump after which the others are not waited for
DEADLINE = 20.0  # seconds until a dump that was asked for must be there; it takes several
SETTLED = 1.0  # seconds without growth after which a dump is whole
LARGEST = 64 << 20
MOST_DUMPS = 1024
_PREFIXES = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
_PIPE = "TORCH_NCCL_DEBUG_INFO_PIPE_FILE"
_NEXT_TIME = 'start the next run with what `hanglens prepare` prints: eval "$(hanglens prepare)"'


@dataclass(frozen=True, slots=True)
class _Dump:
    """A dump that the process `pid` sees at `path`; `key` is its device and inode, `written` its time."""

    pid: int
    path: Path
    key: tuple[int, int]
    written: float


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
        for dump in _dumps(ranks, _start_of(ranks)):
            if dump.key not in {one.key for one in fresh}:
                _say_old(dump, staging)
    elif ranks:
        fresh = _dumps(ranks, _start_of(ranks))
        if not fresh and has_gpu():
            why = f"no rank of the job can be asked: {_PIPE} was not set when it started, or its ranks are gone"
            staging.miss(Attempt(what="flight recorder"), "failed", why, _NEXT_TIME)
    else:
        return
    for dump in fresh:
        _copy(dump, staging)


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
            name = os.path.basename(pipe)
            if name in refused:
                continue
            if state_of(target.pid) in STANDING and target.rank is not None:
                refused.add(name)
                attempt = Attempt(what="flight-recorder pipe", pid=target.pid, rank=target.rank)
                staging.miss(attempt, "failed", "its process does not run (state T or D), and so cannot answer")
                continue
            attempt = Attempt(what="flight-recorder pipe", rank=target.rank, command=f"echo 1 > {pipe}")
            try:
                _tell(target.pid, pipe, told)
            except OSError as error:
                refused.add(name)
                gone = error.errno == errno.ENXIO
                why = "nothing reads it: its rank is gone, or has no process group yet" if gone else str(error.strerror)
                staging.miss(attempt, "refused" if isinstance(error, PermissionError) else "failed", f"{name}: {why}")
    return told


def _tell(pid: int, pipe: str, told: set[tuple[int, int]]) -> None:
    """Write to a named pipe, once, without ever waiting for its reader."""
    with found(pid, pipe) as it:
        if it.key not in told:
            it.write(b"1\n")
            told.add(it.key)


def _pipes(target: Target) -> list[str]:
    prefix = target.environ.get(_PIPE)
    if not prefix:
        return []
    if target.rank is not None:
        wanted = f"{_absolute(target, prefix)}{target.rank}.pipe"
        return [path for path in _beginning_with(target.pid, wanted) if path == wanted]
    return [path for path in _beginning_with(target.pid, _absolute(target, prefix)) if path.endswith(".pipe")]


def _beginning_with(pid: int, prefix: str) -> list[str]:
    """The paths of a process that begin so, in order; hidden files only if they are asked for."""
    folder, stem = os.path.split(prefix)
    try:
        names = names_in(pid, folder)
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if name.startswith(stem) and (stem or not name.startswith("."))]


def _say_old(dump: _Dump, staging: Staging) -> None:
    written, name = utc(dump.written), dump.path.name
    why = f"its rank did not answer; the {name} that lies there is of {written}, before this collection"
    staging.miss(Attempt(what="flight-recorder dump"), "timed-out", why, f"copy it yourself if that moment matters: {name}")


def _absolute(target: Target, path: str) -> str:
    try:
        return os.path.join(os.readlink(f"/proc/{target.pid}/cwd"), path)
    except OSError:
        return path


def _dumps(ranks: Iterable[Target], since: float) -> list[_Dump]:
    """Dumps that were written to their end after that time, by the user of the job; a link may lead anywhere, and is none."""
    prefixes = {(t.pid, _absolute(t, t.environ[name])) for t in ranks for name in _PREFIXES if t.environ.get(name)}
    if not prefixes:
        prefixes = {
            (t.pid, f"{t.environ.get('TMPDIR', '/tmp')}/{stem}") for t in ranks for stem in ("nccl_trace_rank_", "comm_lib_trace_rank_")
        }
    dumps: dict[tuple[int, int], _Dump] = {}
    for pid, prefix in sorted(prefixes):
        for path in _beginning_with(pid, prefix):
            dump = _whole_file(pid, path)
            if dump is not None and dump.written >= since and len(dumps) < MOST_DUMPS:
                dumps[dump.key] = dump
    return list(dumps.values())


def _whole_file(pid: int, path: str) -> _Dump | None:
    """A file of that process's user which does not grow any more; None for everything else."""
    with suppress(OSError), found(pid, path) as it:
        settled = time.time() - it.about.st_mtime > SETTLED
        if stat.S_ISREG(it.about.st_mode) and it.own and it.about.st_size and settled:
            return _Dump(pid, Path(path), it.key, it.about.st_mtime)
    return None


def _bytes(dump: _Dump) -> bytes:
    """The beginning of the file that was found, and of no other that has come into its place meanwhile."""
    with found(dump.pid, str(dump.path)) as it:
        if it.key != dump.key:
            raise OSError(errno.ESTALE, "another file has come into its place meanwhile")
        with it.read() as file:
            return file.read(LARGEST + 1)


def _copy(dump: _Dump, staging: Staging) -> None:
    path = dump.path
    attempt = Attempt(what="flight-recorder dump", command=f"cat {path.name}")
    try:
        data = _bytes(dump)
    except OSError as error:
        staging.miss(attempt, "failed", f"{path.name}: {error.strerror or error}")
        return
    if len(data) > LARGEST:
        staging.miss(attempt, "failed", f"{path.name} has more than {LARGEST >> 20} MiB", f"copy {path.name} yourself")
    else:
        staging.keep_dump(attempt, f"flight-recorder/{path.name}", data)
