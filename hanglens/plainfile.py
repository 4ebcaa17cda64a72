"""Regular files, opened without waiting for anybody: a FIFO, a device or a socket of that name is refused."""

from __future__ import annotations

import errno
import io
import os
import stat

NO_FILE = "a device, pipe or socket, not a file"
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class NoFile(OSError):
    """A name stands for a device, a pipe or a socket."""


def at_once(path: str, flags: int) -> int:
    """An opener for `open` and io.FileIO that waits for no writer, no reader and no lease, and takes no terminal."""
    return os.open(path, flags | _AT_ONCE)


class PlainFile(io.FileIO):
    """A regular file, read only; `size` is in bytes, as it was when it was opened.

    What the name stands for is looked at before it is opened, since to open a device may do something, and again when it is open,
    since the name may stand for something else by then. Raises OSError, NoFile among them.
    """

    def __init__(self, path: str) -> None:
        _refuse(path, os.stat(path).st_mode)
        super().__init__(path, opener=at_once)
        found = os.fstat(self.fileno())
        self.size = found.st_size
        try:
            _refuse(path, found.st_mode)
        except OSError:
            self.close()
            raise


def _refuse(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise NoFile(NO_FILE)
