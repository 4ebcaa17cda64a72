"""The processes of this host, as /proc and psutil show them to us."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

_LETTERS = {
    psutil.STATUS_RUNNING: "R", psutil.STATUS_SLEEPING: "S", psutil.STATUS_DISK_SLEEP: "D", psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t", psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_DEAD: "X", psutil.STATUS_IDLE: "I",
}  # fmt: skip
PATIENCE = 1.0  # seconds for a read that may hang with the process
_NAMESPACES = re.compile(r"^NSpid:\s+(?:\d+\s+)+?(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Proc:
    """One process. `started` is seconds since the epoch; `state` the letter of /proc/PID/stat."""

    pid: int
    ppid: int
    name: str
    command: tuple[str, ...]
    state: str
    user: str
    started: float

    @property
    def line(self) -> str:
        """Its command line; for a process without one its name in brackets, as ps shows it."""
        return " ".join(self.command).strip() or f"[{self.name}]"


@dataclass(frozen=True)
class ProcTable:
    """All processes at one moment, by pid."""

    procs: Mapping[int, Proc] = field(default_factory=dict)

    @staticmethod
    def now() -> ProcTable:
        """What runs now; processes that end meanwhile are left out."""
        wanted = ["pid", "ppid", "name", "status", "username", "create_time"]
        return ProcTable({info["pid"]: _proc(info) for info in (p.info for p in psutil.process_iter(wanted))})

    @cached_property
    def children(self) -> Mapping[int, list[int]]:
        """The pids of each process's children."""
        found: dict[int, list[int]] = defaultdict(list)
        for proc in self.procs.values():
            found[proc.ppid].append(proc.pid)
        return found

    def below(self, pid: int) -> Iterator[int]:
        """A process and all its descendants, parents first."""
        pending, seen = [pid], set[int]()
        while pending:
            one = pending.pop(0)
            if one in self.procs and one not in seen:
                seen.add(one)
                yield one
                pending += sorted(self.children.get(one, ()))

    def above(self, pid: int) -> Iterator[Proc]:
        """The ancestors of a process, the nearest first."""
        seen = {pid}
        proc = self.procs.get(pid)
        while proc and proc.ppid in self.procs and proc.ppid not in seen:
            seen.add(proc.ppid)
            proc = self.procs[proc.ppid]
            yield proc


def _proc(info: dict[str, object]) -> Proc:
    pid, started = int(str(info["pid"])), info["create_time"]
    return Proc(
        pid=pid, ppid=int(str(info["ppid"] or 0)), name=_readable(str(info["name"] or "")), command=command_of(pid),
        state=_LETTERS.get(str(info["status"]), ""), user=str(info["username"] or ""),
        started=started if isinstance(started, float) else 0.0,
    )  # fmt: skip


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_memory_of(pid: int, name: str) -> bytes:
    """A file of /proc/PID that the kernel makes out of the process's memory: cmdline, environ, maps.

    Any of its threads that hangs in a driver may hold the lock that this takes, and then the reader hangs too. So it is read by a thread
    that can be left behind.

    Raises:
        OSError: it may not be read, or is gone, or did not answer.
    """
    box: list[bytes | OSError] = []

    def read() -> None:
        try:
            box.append(Path(f"/proc/{pid}/{name}").read_bytes())
        except OSError as error:
            box.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(PATIENCE)
    found = box[0] if box else TimeoutError(errno.ETIMEDOUT, "the process hangs in the kernel, and reading this hangs with it")
    if isinstance(found, OSError):
        raise found
    return found


def command_of(pid: int) -> tuple[str, ...]:
    """The words of a command line; none where there is none, as of a zombie and of the kernel's own threads."""
    try:
        line = read_memory_of(pid, "cmdline").decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(line.rstrip("\0").split("\0")) if line else ()


def environ_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty where we may not read it, or it is gone."""
    try:
        raw = read_memory_of(pid, "environ")
    except OSError:
        return {}
    pairs = (part.decode("utf-8", "replace").partition("=") for part in raw.split(b"\0") if b"=" in part)
    return {name: value for name, _, value in pairs}


def namespace_pid(pid: int) -> int | None:
    """The pid that a process has inside of its own pid namespace, where that is another one than here."""
    try:
        found = _NAMESPACES.search(Path(f"/proc/{pid}/status").read_text("utf-8", "replace"))
    except OSError:
        return None
    return int(found[1]) if found else None


def state_of(pid: int) -> str:
    """The letter of /proc/PID/stat; empty for a process that is gone."""
    return thread_state(f"/proc/{pid}/stat")


def thread_state(path: str) -> str:
    """The letter in a `stat` file of a process or of one of its threads; empty for one that is gone."""
    try:
        return Path(path).read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def executable_of(pid: int) -> str:
    """The program that a process runs; empty where we may not know."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def libraries_of(pid: int) -> list[str]:
    """The files that a process has mapped as code or data, each once, in order of address; empty where we may not know."""
    try:
        lines = read_memory_of(pid, "maps").decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    paths = (line.split(None, 5)[5] for line in lines if line.count("/"))
    return list(dict.fromkeys(path for path in paths if path.startswith("/")))
