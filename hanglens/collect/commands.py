"""Run a program on the user's behalf with a deadline and a limit on its output.

It gets a session of its own, so that Ctrl+C at our terminal does not end it in the middle of what it does to another process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hanglens.manifest import Status

MOST_OUTPUT = 32 << 20  # bytes kept of what a program prints
PATIENCE = 1.0  # seconds that a killed program gets; one that hangs in the driver never ends, and is left behind


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a program. `output` is its standard output, `error` its standard error; `seconds` it took."""

    status: Status
    output: bytes
    error: str
    seconds: float
    reason: str = ""


def find_program(name: str) -> str | None:
    """The path of a program: beside our interpreter, where pip and pipx put py-spy, else on PATH, else where administrators' tools lie."""
    beside = Path(sys.executable).parent / name
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def run(command: Sequence[str], *, deadline: float) -> Outcome:
    """Run it without standard input, in the root folder, from which no program takes anything; it is killed after `deadline` seconds."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, cwd="/",
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        return Outcome("failed", b"", "", 0.0, f"{command[0]}: {error.strerror or error}")
    outputs = [_Output(pipe) for pipe in (process.stdout, process.stderr) if pipe]
    try:
        process.wait(timeout=deadline)
    except subprocess.TimeoutExpired:
        _end(process)
        return Outcome("timed-out", outputs[0].kept(), "", time.monotonic() - began, f"no end within {deadline:g} s")
    output, said = outputs[0].kept(), outputs[1].kept().decode("utf-8", "replace").strip()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what the program left behind
    seconds = time.monotonic() - began
    if process.returncode:
        last = said.splitlines()[-1] if said else ""
        return Outcome("failed", output, said, seconds, f"exit code {process.returncode}" + (f": {last[:300]}" if last else ""))
    return Outcome("ok", output, said, seconds)


class _Output:
    """Reads a pipe to its end in a thread of its own, and keeps no more than MOST_OUTPUT bytes of it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._parts = pipe, list[bytes]()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        kept = 0
        with suppress(OSError, ValueError):
            while part := self._pipe.read1(1 << 16):  # type: ignore[attr-defined]
                if kept < MOST_OUTPUT:
                    self._parts.append(part)
                    kept += len(part)

    def kept(self) -> bytes:
        """What came, once the pipe is closed, or after a moment if somebody who was left behind still holds it."""
        self._thread.join(PATIENCE)
        return b"".join(self._parts)[:MOST_OUTPUT]


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return
