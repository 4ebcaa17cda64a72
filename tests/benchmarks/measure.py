"""Run a command as a user does, and say how long it took and how much memory it and its helpers held."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil

ANALYZE = (sys.executable, "-m", "hanglens", "--quiet", "analyze")
_EVERY = 0.02  # seconds between two looks at the memory
_HELPERS = 10  # looks between two searches for helpers: these go through all processes of the machine, and so slow down what is measured


@dataclass(frozen=True)
class Run:
    """Seconds from start to end, the most MiB that all its processes held together, and what it printed."""

    seconds: float
    mib: float
    told: str

    @property
    def blamed(self) -> str:
        """Whom the summary names."""
        return next((line.removeprefix("To blame").strip() for line in self.told.splitlines() if line.startswith("To blame")), "nobody")


def measure(command: Sequence[str], *, output: Path | None = None, environment: Mapping[str, str] | None = None) -> Run:
    """Run it in an empty folder, in which its report is left to vanish. What it prints goes into `output` if that is given."""
    surroundings = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory() as home, output.open("wb") if output else nullcontext(subprocess.PIPE) as printed:
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=printed, stderr=subprocess.DEVNULL, text=True, cwd=home, env=surroundings) as process:
            peak = _Peak(process.pid)
            told = process.communicate()[0] or ""
            seconds = time.perf_counter() - begin
            return Run(seconds, peak.end(), told)


class _Peak:
    """The most memory that a process and its children hold together, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._most, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        helpers: list[psutil.Process] = []
        for look in itertools.count():
            try:
                helpers = helpers if look % _HELPERS else self._process.children(recursive=True)
                self._most = max(self._most, sum(map(_held, [self._process, *helpers])))
            except psutil.Error:
                return
            if self._over.wait(_EVERY):
                return

    def end(self) -> float:
        """Stop looking; MiB."""
        self._over.set()
        self._thread.join()
        return self._most / (1 << 20)


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
