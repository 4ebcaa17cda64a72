"""Named pipes, whose writer may come late or never."""

from __future__ import annotations

import io
import os
import select
import time
from typing import BinaryIO, cast

from hanglens.plainfile import at_once

PATIENCE = 5.0  # seconds for a writer to come: a shell starts the one of `<(zcat log)` at the same moment as us
_EVERY = 0.1  # seconds between two looks


class NobodyWrites(OSError):
    """A pipe has no writer."""


def open_pipe(path: str) -> tuple[BinaryIO, bytes]:
    """A named pipe that has a writer, or what one left in it, and the bytes that were read to find that out.

    Raises NobodyWrites where none comes within PATIENCE, OSError where the pipe cannot be opened.
    """
    pipe = io.FileIO(path, opener=at_once)
    try:
        begun = _begun(pipe.fileno())
        os.set_blocking(pipe.fileno(), True)
    except BaseException:
        pipe.close()
        raise
    return cast(BinaryIO, pipe), begun


def _begun(pipe: int) -> bytes:
    """A pipe without a writer reads as ended; one whose writer has written nothing yet would block."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            data = os.read(pipe, 1)
        except BlockingIOError:
            return b""
        if data:
            return data
        if time.monotonic() > end:
            raise NobodyWrites(f"nobody writes to this pipe: waited {PATIENCE:.0f} s")
        select.select([], [], [], _EVERY)
