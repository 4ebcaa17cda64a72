"""Run a program on the user's behalf with a deadline and a limit on its output.

It gets a session of its own, so that Ctrl+C at our terminal does not end it in the middle of what it does to another process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Run it without standard input; it is killed after `deadline` seconds."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        return Outcome("failed", b"", "", 0.0, f"{command[0]}: {error.strerror or error}")
    try:
        output, complaint = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired as late:
        _end(process)
        return Outcome("timed-out", (late.output or b"")[:MOST_OUTPUT], "", time.monotonic() - began, f"no end within {deadline:g} s")
    said = complaint.decode("utf-8", "replace").strip()
    seconds = time.monotonic() - began
    if process.returncode:
        last = said.splitlines()[-1] if said else ""
        return Outcome(
            "failed", output[:MOST_OUTPUT], said, seconds, f"exit code {process.returncode}" + (f": {last[:300]}" if last else "")
        )
    return Outcome("ok", output[:MOST_OUTPUT], said, seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return
