"""`hanglens collect` interrupted at random moments by SIGINT, SIGTERM and SIGKILL: what it leaves behind.

    python -m tests.collect.interrupted 1000

A job of two sleeping processes is collected so often. Counted are processes that were left stopped, bundles that are not whole, and drafts
that lie there behind the last run, which nobody interrupts. tests/collect/test_interrupted.py does ten rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import hanglens.cli.collect
import hanglens.collect.collector  # noqa: F401  loaded once, and not in each child
from hanglens.cli import main as command_line
from hanglens.collect.proctable import ProcTable, state_of
from hanglens.manifest import NAME, decode
from tests.collect.processes import Processes

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass(slots=True)
class Left:
    """What so many rounds left behind; `ends` counts how they ended, by signal and exit code."""

    rounds: int = 0
    stopped: int = 0
    broken: int = 0
    drafts: int = 0
    bundles: int = 0
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __str__(self) -> str:
        ends = ", ".join(f"{name} → {code}: {number}" for (name, code), number in sorted(self.ends.items()))
        return (
            f"{self.rounds} rounds: {self.stopped} left a process stopped, {self.broken} bundles of {self.bundles} are broken, "
            f"{self.drafts} drafts are left ({ends})"
        )


def interrupted(rounds: int, folder: Path) -> Left:
    """Collect a job into `folder` so often, each time interrupted at a moment of its own."""
    left = Left(rounds)
    with ExitStack() as stack:
        processes = Processes()
        stack.callback(processes.end)
        together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20000 + os.getpid() % 20000)}
        pids = [processes.python(environ=together | {"RANK": str(rank)}).pid for rank in range(2)]
        whole = _run(pids[0], folder, None, left)
        for _ in range(rounds):
            _run(pids[0], folder, random.uniform(0, whole), left)
            left.stopped += _stand(pids)
        _run(pids[0], folder, None, left)
    left.drafts = sum(".hanglens-" in path.name for path in folder.iterdir())
    bundles = list(folder.glob("*.tar.gz"))
    left.bundles, left.broken = len(bundles), sum(not _is_whole(path) for path in bundles)
    return left


def _run(pid: int, folder: Path, after: float | None, left: Left) -> float:
    """Collect, with a signal after so many seconds; how long it took."""
    number, began = random.choice(SIGNALS), time.monotonic()
    run = os.fork()
    if not run:
        _collect(pid, folder)
    if after is not None:
        time.sleep(after)
        os.kill(run, number)
    code = os.waitstatus_to_exitcode(os.waitpid(run, 0)[1])
    left.ends["none" if after is None else number.name, code] += 1
    return time.monotonic() - began


def _collect(pid: int, folder: Path) -> NoReturn:
    """The command, in a child of ours: an interpreter of its own would take most of the time, and leaves nothing behind while it starts."""
    code = 99
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        sys.argv = ["hanglens", "-q", "collect", "--pid", str(pid), "--samples", "1", "-o", str(folder)]
        command_line()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


def _stand(pids: list[int]) -> bool:
    """Whether one of them stands still when the dumpers of a killed run have had the time to end; it is continued then."""
    ends = time.monotonic() + 10
    while any(state_of(pid) in ("T", "t") for pid in pids) and (time.monotonic() < ends or _dumped(pids)):
        time.sleep(0.01)
    standing = [pid for pid in pids if state_of(pid) in ("T", "t")]
    for pid in standing:
        os.kill(pid, signal.SIGCONT)
    return bool(standing)


def _dumped(pids: list[int]) -> bool:
    lines = [proc.line for proc in ProcTable.now().procs.values() if proc.name == "py-spy"]
    return any(line.endswith(f"--pid {pid}") for line in lines for pid in pids)


def _is_whole(bundle: Path) -> bool:
    try:
        with tarfile.open(bundle) as archive:
            (name,) = (member for member in archive.getnames() if member.endswith(f"/{NAME}"))
            manifest = decode(archive.extractfile(name).read())  # type: ignore[union-attr]
            files = {member.split("/", 1)[1] for member in archive.getnames()}
    except (OSError, tarfile.TarError, ValueError, EOFError):
        return False
    return {item.file for item in manifest.items if item.file} <= files


def main() -> None:
    """Print what is left; exit code 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", type=int, nargs="?", default=100)
    with tempfile.TemporaryDirectory() as folder:
        left = interrupted(parser.parse_args().rounds, Path(folder))
    print(left)  # noqa: T201  this is what it is for
    sys.exit(bool(left.stopped or left.broken or left.drafts))


if __name__ == "__main__":
    main()
