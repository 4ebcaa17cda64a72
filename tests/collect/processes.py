"""Small real processes for the tests of the collector, each in a session of its own, and ended by their own pids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hanglens.collect.job import Job, find_job
from hanglens.collect.proctable import Proc, ProcTable, state_of
from hanglens.collect.staging import Staging
from hanglens.manifest import SCHEMA_VERSION, Item, Manifest
from hanglens.privacy.redactor import Redactor

MAY_NOT_TRACE = "needs the right to trace processes: run the tests as root, in a container with --cap-add SYS_PTRACE"
NO_PID = 9_000_000  # beyond the kernel's largest, so that nobody has it
READY = "import os, time; print('ready', flush=True); "
SLEEP = READY + "time.sleep(60)"
HIM = 54321  # uid and gid of another user, whom nobody here has
SECRET = b"root:$6$not-for-him\n"
_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_OTHERS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "NCCL_DEBUG_FILE", "LMDEPLOY_LOG_FILE", "NCCL_RAS_ADDR")


def clean_environ(**more: str) -> dict[str, str]:
    """Our environment without what would make a rank of a process, and with `more`."""
    return {name: value for name, value in os.environ.items() if name not in _RANKS + _OTHERS} | more


class Processes:
    """Starts processes, and ends them and what they started."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def python(
        self, code: str = SLEEP, *arguments: str, environ: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.Popen[bytes]:
        """Python with this code; unless its output goes elsewhere it has printed a line."""
        return self.run([sys.executable, "-c", code, *arguments], environ=environ, **options)

    def run(self, command: Sequence[str], *, environ: Mapping[str, str] | None = None, **options: object) -> subprocess.Popen[bytes]:
        """A program; unless its output goes elsewhere it has printed a line."""
        # Our own standard error may be a terminal, or a file of pytest's: neither is a log of what we start.
        wanted = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
            "start_new_session": True,
            **options,
        }
        process = subprocess.Popen(command, env=clean_environ(**(environ or {})), **wanted)
        self._started.append(process)
        if process.stdout:
            assert process.stdout.readline(), f"{command} said nothing"
        return process

    def end(self) -> None:
        """End all of them; each is the head of its own group, with its children in it."""
        for process in reversed(self._started):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            if process.stdout:
                process.stdout.close()


def wait_until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something to come true."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.01)


def stop(pid: int) -> None:
    """Stop a process, and wait until it stands."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T")


def job_of(*pids: int) -> Job:
    """The job of these processes."""
    return find_job(ProcTable.now(), pids)


BECOME_HIM = f"""
import ctypes, os, sys, time
os.setgroups(GROUPS), os.setgid({HIM}), os.setuid({HIM})
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE, as of a program that he started
"""


@contextlib.contextmanager
def job(code: str = SLEEP, *, groups: Sequence[int] = (), **environ: str) -> Iterator[int]:
    """A process of the other user; he may not even enter the folder of our interpreter, so that it becomes his once it runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"GROUPS = {[*groups]}\n{BECOME_HIM}{code}"], env=clean_environ(**environ), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def fake(pid: int, ppid: int = 0, *command: str, name: str = "python3", state: str = "S") -> Proc:
    """A process that is only in the table: `pid` and `ppid` count from one that nobody has."""
    return Proc(NO_PID + pid, NO_PID + ppid, name, command or ("python3", "train.py"), state, "user", 1000.0)


def table_of(*procs: Proc) -> ProcTable:
    """A table of these."""
    return ProcTable({proc.pid: proc for proc in procs})


def staged(folder: Path) -> Staging:
    """A bundle that begins to grow in this folder."""
    return Staging(folder, Redactor())


def manifest_of(staging: Staging) -> Manifest:
    """A manifest of what was noted."""
    return Manifest(
        schema_version=SCHEMA_VERSION, tool_version="0", host="n1", clock={}, seconds=1.0, given_pids=[5], interrupted=False,
        names_redacted=False, redactions={}, processes=[], items=staging.close(),
    )  # fmt: skip


def items_of(staging: Staging, what: str) -> list[Item]:
    """What the bundle notes about these attempts."""
    return [item for item in staging.close() if item.what == what]


def program(folder: Path, name: str, script: str) -> str:
    """A program of that name that runs this shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
