"""Real jobs for the live tests, started on loopback and ended by the pids of their own processes."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

TRAIN = Path(__file__).with_name("train.py")
PATIENCE = 180.0  # seconds that a job gets to begin


class LiveJob:
    """A job of four ranks. `pid` is its launcher's; `log` where its output goes, if to a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, ranks: dict[int, int]) -> None:
        self.pid, self.log, self.ranks = process.pid, log, ranks
        self._process = process

    def processes(self) -> list[psutil.Process]:
        """All of it that runs."""
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return [p for pid in self.ranks.values() if psutil.pid_exists(pid) for p in [psutil.Process(pid)]]

    def end(self) -> None:
        """End just its processes."""
        for process in reversed(self.processes()):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.wait(10)


@contextlib.contextmanager
def started(folder: Path, fault: str, launcher: str, *, output: str = "file") -> Iterator[LiveJob]:
    """A job that has come to its fault. `launcher` is torchrun, spawn or plain; `output` is file, pipe or terminal."""
    pytest.importorskip("torch", reason="needs PyTorch (a CPU build will do): .venv/bin/pip install torch")
    log, port = folder / "job.log", _free_port()
    os.mkfifo(folder / "batches")
    environ = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    environ |= {"FAULT": fault, "PORT": str(port), "BATCHES": str(folder / "batches"), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = {
        "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "4", "--master-port", str(port), str(TRAIN)],
        "spawn": [sys.executable, str(TRAIN)],
    }[launcher]
    process = _start(command, environ, log, output)
    job = LiveJob(process, log, {})
    try:
        _wait_for(job, fault)
        job.ranks.update({n: p.pid for n, p in enumerate(_ranks(job))})
        yield job
    finally:
        job.end()


def _start(command: list[str], environ: dict[str, str], log: Path, output: str) -> subprocess.Popen[bytes]:
    """The output comes to `log` in any case, so that the test knows how far the job is: by tee, or by a reader of the terminal."""
    if output == "file":
        with log.open("wb") as file:
            return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    reader, writer = os.pipe() if output == "pipe" else pty.openpty()
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True)
    os.close(writer)
    if output == "pipe":
        subprocess.Popen(["tee", str(log)], stdin=reader, stdout=subprocess.DEVNULL, start_new_session=True)
    else:
        copier = "import os\nwhile data := os.read(0, 65536): os.write(1, data)"
        with log.open("wb") as file:
            subprocess.Popen([sys.executable, "-c", copier], stdin=reader, stdout=file, stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(reader)
    return process


def _wait_for(job: LiveJob, fault: str) -> None:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if job.log.exists() and job.log.read_bytes().count(b"warm-up steps done") == 4 and (fault != "stopped" or _stopped(job)):
            time.sleep(0.7)  # the others come to their wait
            return
        time.sleep(0.1)
    raise AssertionError(f"the job did not begin: {job.log.read_text('utf-8', 'replace')[-2000:]}")


def _stopped(job: LiveJob) -> bool:
    return any(p.status() == psutil.STATUS_STOPPED for p in job.processes())


def _ranks(job: LiveJob) -> list[psutil.Process]:
    """The four ranks in their order, which is the order in which they were started."""
    launcher = psutil.Process(job.pid)
    children = [p for p in launcher.children() if "resource_tracker" not in " ".join(p.cmdline())]
    return sorted(children, key=lambda p: p.pid)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
