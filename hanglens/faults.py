"""Faults in HangLens itself that one file brings out: the file is left out and named, and the others are still analysed."""

from __future__ import annotations

import logging

from hanglens.errors import OUR_FAULT
from hanglens.model import Gap

_log = logging.getLogger(__name__)


def left_out(file: str, error: Exception) -> Gap:
    """The gap that a file leaves; a warning says the same at once, and at level DEBUG shows the traceback."""
    fault = f"{OUR_FAULT}: {type(error).__name__}: {str(error)[:200]}"
    _log.warning("%s: %s; the file is left out", file, fault, exc_info=error if _log.isEnabledFor(logging.DEBUG) else None)
    return Gap(file, f"{fault}; it is left out", "run again with -vv, and report what it prints")
