"""Stack dumps by py-spy, all processes of one sample as close together in time as can be.

A process is stopped once a sample, for some milliseconds, and never left stopped: one that stood before (SIGSTOP) is read as it stands,
without being touched, and one that stands after an attempt that was broken off is continued. If we are killed, py-spy, which has a session
of its own, ends its dump by itself; and if it is killed too, the kernel lets go of what it held (`man 2 ptrace`: a tracer that ends).
"""

from __future__ import annotations

import glob
import os
import re
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from hanglens.collect.beside import Stop
from hanglens.collect.commands import Outcome, find_program, run
from hanglens.collect.job import Target
from hanglens.collect.procfs import as_owner
from hanglens.collect.proctable import state_of, thread_state
from hanglens.collect.pyspy_text import as_json, as_text, rank_of, read_dump
from hanglens.collect.staging import Attempt, Staging
from hanglens.manifest import Status

DEADLINE, NATIVE_DEADLINE = 5.0, 90.0  # seconds; a dump takes hundredths, --native reads the symbols of all libraries first
STANDING = ("T", "t", "D")  # these do not run, so that they can be read without being stopped; and D could not be stopped

_REFUSED = re.compile(r"Permission [Dd]enied|Operation not permitted|SYS_PTRACE|os error (?:1|13)\b")
_GONE = re.compile(r"Failed to open process|Failed to get process executable name|No such process|os error 3\b")
_TOO_OLD = re.compile(r"Failed to find python version|Failed to copy Py_Version|Failed to copy PyRuntime|Unsupported version of Python")
_INSTALL = "pip install --upgrade py-spy"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to call py-spy. `suffix` names its files, `deadline` is in seconds."""

    command: list[str]
    suffix: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Dumper:
    """py-spy, and how it is to be used."""

    program: str
    native: bool = False

    def ways(self, pid: int, *, touch: bool, variables: bool) -> list[Way]:
        """The calls for one process, the most telling first; each further one is for where that before it fails.

        `touch`: it may be stopped while it is read; native frames are to be had only then. `variables`: look for its rank in them.
        """
        plain = [*["--nonblocking"] * (not touch), "--pid", str(pid)]
        telling = ["--locals"] * variables
        options = [telling, []] if variables else [[]]
        ways = [Way([self.program, "dump", "--json", *more, *plain], "pyspy", DEADLINE) for more in options]
        if touch:  # a thread that hangs in the kernel cannot be stopped, and then only reading without stopping is left
            ways.append(Way([self.program, "dump", "--json", "--nonblocking", *plain], "pyspy", DEADLINE))
        if self.native and touch:
            ways.insert(0, Way([self.program, "dump", "--json", "--native", *telling, *plain], "pyspy-native", NATIVE_DEADLINE))
        return ways


def find_dumper(*, native: bool) -> Dumper | None:
    """py-spy, if it is installed."""
    program = find_program("py-spy")
    return Dumper(program, native) if program else None


Ranks = dict[int, tuple[int, str]]
"""Ranks by pid, each with how it is known."""


def sample_stacks(targets: Sequence[Target], dumper: Dumper | None, staging: Staging, number: int, stop: Stop) -> Ranks:
    """One dump of every process, in parallel; the ranks that its variables name.

    Once `stop` is set no further dump is begun, and those that run are waited for.
    """
    if dumper is None:
        for target in targets:
            staging.miss(_attempt(target, ()), "failed", "py-spy is not installed", _INSTALL)
        return {}
    at_once = max(4, min(64, 2 * (os.cpu_count() or 1)))
    with ThreadPoolExecutor(at_once, thread_name_prefix="py-spy") as pool:
        found = pool.map(lambda target: None if stop.is_set() else _dump(target, dumper, staging, number), targets)
        return {target.pid: rank for target, rank in zip(targets, found, strict=True) if rank}


def _attempt(target: Target, command: Sequence[str]) -> Attempt:
    return Attempt(what="py-spy dump", pid=target.pid, rank=target.rank, command=" ".join(["py-spy", *command[1:]]) if command else "")


def _dump(target: Target, dumper: Dumper, staging: Staging, number: int) -> tuple[int, str] | None:
    before = state_of(target.pid)
    if before in ("", "Z", "X"):
        why = "it is a zombie: it ended, and its parent has not taken notice" if before else "the process ended meanwhile"
        staging.miss(_attempt(target, ()), "failed", why)
        return None
    hangs = before in STANDING or _hangs_inside(target.pid)
    for way in dumper.ways(target.pid, touch=not hangs, variables=number == 1):
        attempt = _attempt(target, way.command)
        outcome = _careful(target.pid, way.command, before, deadline=way.deadline)
        if outcome.status == "ok":
            return _keep(target, outcome, f"processes/pid{target.pid}.sample{number}.{way.suffix}", attempt, staging)
        if way.suffix == "pyspy-native" and not _REFUSED.search(outcome.error):
            staging.miss(replace(attempt, what="native frames"), *explain(outcome, target))
        elif _REFUSED.search(outcome.error) or _GONE.search(outcome.error):
            break
    staging.miss(attempt, *explain(outcome, target))
    return None


def _hangs_inside(pid: int) -> bool:
    """Whether one of its threads is in state D at two looks: to stop the process, py-spy would have to wait for that thread."""

    def stuck() -> set[str]:
        return {path for path in glob.glob(f"/proc/{pid}/task/*/stat") if thread_state(path) == "D"}

    first = stuck()
    if not first:
        return False
    time.sleep(0.05)
    return bool(first & stuck())


def _careful(pid: int, command: Sequence[str], before: str, *, deadline: float) -> Outcome:
    """Run py-spy; a process that it left standing, because it was ended in the middle, is continued."""
    outcome = run(command, deadline=deadline)
    if outcome.status != "ok" and before not in STANDING and state_of(pid) in ("T", "t"):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGCONT)
    return outcome


def _keep(target: Target, outcome: Outcome, base: str, attempt: Attempt, staging: Staging) -> tuple[int, str] | None:
    try:
        threads = read_dump(outcome.output)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        staging.miss(attempt, "failed", f"py-spy gave no dump: {error}", _INSTALL)
        return None
    staging.keep(attempt, f"{base}.json", as_json(threads))
    staging.keep(attempt, f"{base}.txt", as_text(threads, target.pid, target.proc.line).encode("utf-8", "surrogateescape"))
    return rank_of(threads)


def explain(outcome: Outcome, target: Target) -> tuple[Status, str, str]:
    """Why py-spy gave no dump, in a sentence, and what would unlock it."""
    said = outcome.error
    if outcome.status == "timed-out":
        return "timed-out", f"py-spy: {outcome.reason}", f"py-spy dump --nonblocking --pid {target.pid}"
    if _REFUSED.search(said):
        return "refused", "the kernel refuses to trace it (ptrace)", f"{as_owner(target)}; `hanglens doctor` says which rule refuses"
    if _GONE.search(said) or not state_of(target.pid):
        return "failed", "the process ended meanwhile", ""
    if _TOO_OLD.search(said):
        return "failed", "py-spy does not know its Python, or it is no Python", _INSTALL
    causes = [line.strip() for line in said.split("Stack backtrace:")[0].splitlines() if line.strip()]
    return "failed", "py-spy: " + "; ".join(causes)[:500], f"py-spy dump --nonblocking --pid {target.pid}"
