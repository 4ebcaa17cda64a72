"""Holds a piece of work to a time and a memory, and says what broke and where."""

from __future__ import annotations

import re
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hanglens
from tests.fuzz.invariants import Fault

SECONDS = 5.0  # of the processor, for one mutant
MEBIBYTES = 512  # more than before
_PACKAGE = str(Path(hanglens.__file__).parent)
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class RunAway(BaseException):
    """It took too long. No Exception, so that nothing that mends faults on its way swallows it."""


def fault_of(error: BaseException) -> Fault:
    """The fault that an exception is, by its type and the innermost function of ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_PACKAGE)]
    where = f"{frames[-1].filename[len(_PACKAGE) + 1 :]}:{frames[-1].name}" if frames else "no frame of ours"
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__)[-14:])
    return Fault((type(error).__name__, where), " ".join(str(error).split())[:300], stack)


@contextmanager
def bounded(faults: list[Fault], seconds: float = SECONDS) -> Iterator[None]:
    """Ends the work when it takes too long; that, another exception, and too much memory become faults."""
    before, began = _resident(), time.process_time()
    _arm(seconds)
    try:
        yield
    except (Exception, RunAway) as error:  # noqa: BLE001  that is what is looked for
        faults.append(fault_of(error))
    finally:
        _arm(0)
    used = time.process_time() - began
    if used > seconds and not any(fault.kind[0] == "RunAway" for fault in faults):
        faults.append(Fault(("RunAway", "code that no signal reached"), f"{used:.1f} s"))
    if (more := _peak() - before) > MEBIBYTES:
        faults.append(Fault(("memory", "one mutant"), f"{more:.0f} MiB more"))


def _arm(seconds: float) -> None:
    """Start the clock, or stop it with 0."""
    if not hasattr(signal, "setitimer"):
        return
    signal.signal(signal.SIGPROF, _ended if seconds else signal.SIG_IGN)
    signal.setitimer(
        signal.ITIMER_PROF, seconds, 1.0 if seconds else 0
    )  # again each second: the first may fall where nothing can be raised


def _ended(_signal: int, frame: FrameType | None) -> None:
    raise RunAway(f"more than {SECONDS:g} s of the processor")


def _resident() -> float:
    """MiB in use now, from where on the peak is measured."""
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return 0
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) / 1024 if found else 0
