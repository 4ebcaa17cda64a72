"""The job's own logs: where its output goes, which logs it holds open, and which its environment names.

Files are read through /proc, so that a deleted one, and one inside of a container, is read as well; of the job's files only what its user
may read (`hanglens.collect.foreign`).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hanglens.collect.foreign import Place, found
from hanglens.collect.job import Job, Target
from hanglens.collect.proctable import Proc, ProcTable
from hanglens.collect.staging import About, Attempt, Staging
from hanglens.manifest import Cut, Status

HEAD = 1 << 20  # bytes from the beginning of a log that is cut: versions and start-up stand there
MOST_FILES = 256
LONGEST_NAME = 60  # characters; a file system takes 255 bytes
_LOG_NAME = re.compile(r"(?i)\.(?:log|out|err|txt)(?:\.\d{1,3})?(?: \(deleted\))?$|nccl[^/]*$|^(?:stdout|stderr)$")
_NO_LOG = re.compile(r"/(?:site|dist)-packages/|^/(?:dev|proc|sys|memfd:)")
_MARK = b"\n[hanglens: %d bytes are left out here]\n"


@dataclass(slots=True)
class Log:
    """A log file, which the process `pid` has at `place`, or which is named to us where `pid` is None; `writers` hold it open.

    `shown` is the path that the job knows it by. `key`, its device and inode, says that it is still the same file.
    """

    pid: int | None
    place: Place
    shown: str
    key: tuple[int, int]
    writers: list[Target] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """How logs are copied: `extra` ones too, at most `limit` bytes of each."""

    extra: Sequence[Path]
    limit: int


def collect_logs(job: Job, table: ProcTable, staging: Staging, copying: Copying) -> None:
    """Copy every log once; say of output that no file holds where it went."""
    logs = find_logs(job, table, copying.extra)
    for log, name in zip(logs, _names([log.shown for log in logs]), strict=True):
        _copy(log, name, staging, copying)
    for target, why, how in _unreadable_outputs(job, table):
        staging.miss(Attempt(what="output of the process", pid=target.pid, rank=target.rank), "failed", why, how)


def find_logs(job: Job, table: ProcTable, extra: Sequence[Path] = ()) -> list[Log]:
    """The logs of the job, each once, in the order in which they were found, and no more than MOST_FILES."""
    logs: dict[tuple[int, int], Log] = {}
    for target in (t for t in job.targets if t.alive):
        writer = None if target.role == "helper" else _writer(target, job)
        for number, link in _written(target.pid):
            if number in (1, 2) or _LOG_NAME.search(os.path.basename(link)):
                _add_held(logs, target.pid, number, link, writer)
        for path in _told(target):
            _add_held(logs, target.pid, path, path, writer)
    for reader in _readers(job, table):
        for number, link in _received(table.procs[reader]):
            _add_held(logs, reader, number, link, None)
    for given in extra:
        with suppress(OSError):
            _add(logs, Log(None, str(given), str(given), _key(about := os.stat(given))), about)
    return list(logs.values())


def _add_held(logs: dict[tuple[int, int], Log], pid: int, place: Place, shown: str, writer: Target | None) -> None:
    """Add what a process has open; or what its environment names, which may be any file of this host, if it belongs to its user."""
    with suppress(OSError), found(pid, place) as it:
        if isinstance(place, int) or it.own:
            log = _add(logs, Log(pid, place, shown.removesuffix(" (deleted)"), it.key), it.about)
            if log is not None and writer is not None and writer not in log.writers:
                log.writers.append(writer)


def _add(logs: dict[tuple[int, int], Log], log: Log, about: os.stat_result) -> Log | None:
    if not stat.S_ISREG(about.st_mode) or _NO_LOG.search(log.shown) or len(logs) >= MOST_FILES:
        return None
    return logs.setdefault(log.key, log)


def _key(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _received(reader: Proc) -> Iterator[tuple[int, str]]:
    """Where tee writes the job's output. What another program has open may be of other jobs, too."""
    if reader.name == "tee":
        yield from ((number, link) for number, link in _written(reader.pid) if link.startswith("/") and not _NO_LOG.search(link))


def _writer(target: Target, job: Job) -> Target:
    """The process, or the rank that started it: what a data loader's worker writes is its rank's."""
    ours = {t.pid: t for t in job.targets}
    above: Target | None = target
    for _ in ours:
        if above is None or above.rank is not None:
            return above or target
        above = ours.get(above.proc.ppid)
    return target


def _written(pid: int) -> Iterator[tuple[int, str]]:
    """The descriptors that a process has open for writing, and what they lead to."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        numbers = sorted(map(int, os.listdir(folder)))
    except OSError:
        return
    for number in numbers:
        try:
            link = os.readlink(folder / str(number))
            if (folder / str(number)).lstat().st_mode & stat.S_IWUSR:
                yield number, link
        except OSError:
            continue


def _told(target: Target) -> Iterator[str]:
    """Logs that the environment names, as absolute paths inside of the process's own root."""
    try:
        here = os.readlink(f"/proc/{target.pid}/cwd")
    except OSError:
        return
    host = os.uname().nodename.split(".")[0]
    pid = target.namespace_pid or target.pid
    for name in ("NCCL_DEBUG_FILE", "LMDEPLOY_LOG_FILE"):
        path = target.environ.get(name, "")
        if path:
            yield os.path.join(here, path.replace("%h", host).replace("%p", str(pid)).replace("%%", "%"))


def _readers(job: Job, table: ProcTable) -> list[int]:
    """Processes outside of the job that read its output through a pipe: `| tee job.log` writes it to a file."""
    ours = {t.pid for t in job.targets}
    pipes = {link for t in job.working for number, link in _written(t.pid) if number in (1, 2) and link.startswith("pipe:")}
    return [pid for pid in table.procs if pid not in ours and pipes & set(_read_pipes(pid))] if pipes else []


def _read_pipes(pid: int) -> Iterator[str]:
    folder = Path(f"/proc/{pid}/fd")
    try:
        for name in os.listdir(folder):
            link = os.readlink(folder / name)
            if link.startswith("pipe:") and (folder / name).lstat().st_mode & stat.S_IRUSR:
                yield link
    except OSError:
        return


def _unreadable_outputs(job: Job, table: ProcTable) -> Iterator[tuple[Target, str, str]]:
    """Output that no file holds: each place once, with how to get it now or have it next time."""
    seen: set[str] = set()
    readers = {link: pid for pid in _readers(job, table) for link in _read_pipes(pid)}
    for target in job.working:
        for number, link in _written(target.pid):
            if number not in (1, 2) or link in seen:
                continue
            seen.add(link)
            reader = table.procs.get(readers.get(link, -1))
            if link.startswith("/dev/pts/") or link in ("/dev/tty", "/dev/console"):
                yield target, f"its output goes to a terminal ({link}), and cannot be read from elsewhere", _FROM_TERMINAL
            elif link == "/dev/null":
                yield target, "its output is thrown away (/dev/null)", _NEXT_TIME
            elif link.startswith("socket:"):
                yield (
                    target,
                    "its output goes to a socket, as under systemd",
                    f"journalctl _PID={target.pid} > job.log; add it with --log job.log",
                )
            elif link.startswith("pipe:") and reader and not any(_received(reader)):
                yield (
                    target,
                    f"its output goes through a pipe to {reader.line[:80]} (pid {reader.pid}), which keeps it where it likes",
                    _FROM_PIPE,
                )


_FROM_TERMINAL = (
    "copy the terminal's text into a file and add it: hanglens collect --log FILE …; next time start with: … 2>&1 | tee job.log"
)
_FROM_PIPE = "save what that program received, `docker logs NAME > job.log` say, and add it with --log job.log"
_NEXT_TIME = "next time start with: … 2>&1 | tee job.log"


def _names(paths: Sequence[str]) -> list[str]:
    """For each path its last folders, as many as tell it from the others."""
    parts = [Path(path).parts[1:] for path in paths]
    return ["_".join(_told_apart(part, parts))[-LONGEST_NAME:] for part in parts]


def _told_apart(part: Sequence[str], parts: Iterable[Sequence[str]]) -> Sequence[str]:
    others = [other for other in parts if other is not part]
    length = next((n for n in range(1, len(part)) if all(other[-n:] != part[-n:] for other in others)), len(part))
    return part[-length:]


def _copy(log: Log, name: str, staging: Staging, copying: Copying) -> None:
    """One that a single rank writes is named for it, so that its lines are that rank's."""
    only = _sole_writer(log)
    prefix = f"pid{only.pid}." if only and not name.startswith(f"pid{only.pid}") else ""
    attempt = Attempt(what="log", pid=only.pid if only else None, rank=only.rank if only else None, command=f"cat {log.shown}")
    try:
        with _opened(log) as file:
            data, cut = read_ends(file, copying.limit)
    except OSError as error:
        status: Status = "refused" if isinstance(error, PermissionError) else "failed"
        staging.miss(attempt, status, f"{log.shown}: {error.strerror or error}", "copy it yourself, and add it with --log FILE")
        return
    if data:
        staging.keep(attempt, f"logs/{prefix}{name}", data, About(cut=cut))
    else:
        staging.miss(attempt, "ok", f"{log.shown} is empty")


def _sole_writer(log: Log) -> Target | None:
    return log.writers[0] if len(log.writers) == 1 and log.writers[0].rank is not None else None


@contextmanager
def _opened(log: Log) -> Iterator[IO[bytes]]:
    """The file that was found, and no other that has come into its place meanwhile."""
    if log.pid is None:
        with open(os.open(str(log.place), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as given:
            _demand_same(_key(os.fstat(given.fileno())), log)
            yield given
        return
    with found(log.pid, log.place) as it:
        _demand_same(it.key, log)
        with it.read() as file:
            yield file


def _demand_same(key: tuple[int, int], log: Log) -> None:
    if key != log.key:
        raise OSError(errno.ESTALE, "another file has come into its place meanwhile")


def read_ends(file: IO[bytes], limit: int) -> tuple[bytes, Cut | None]:
    """A file; if it has more than `limit` bytes its beginning and its end, whole lines, and a line between that says what is missing."""
    size = os.fstat(file.fileno()).st_size
    if size <= limit:
        return file.read(limit), None
    head = _whole_lines(file.read(min(HEAD, limit // 4))).rstrip(b"\n")
    file.seek(size - (limit - len(head)))
    tail = file.read(limit - len(head)).partition(b"\n")[2]
    left_out = size - len(head) - len(tail)
    return head + _MARK % left_out + tail, Cut(size, left_out, head.count(b"\n") + 1)


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1] or data
