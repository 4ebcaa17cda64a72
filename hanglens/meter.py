"""How much of the evidence has been read: counted where the files on disk are read, looked at by whoever shows it."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from hanglens.plainfile import PlainFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 16  # bytes read ahead of a consumer that asks for less; so often, at most, is something counted
SMALLEST = 1 << 12  # bytes of the same for a small file
COPYING = 0.25  # the share of a member that counts when it is copied out of its archive: to unpack is quicker than to read


def distinct(paths: Sequence[str]) -> list[str]:
    """The paths that are read: one that is given twice is read once."""
    return list({path if path == "-" else os.path.realpath(path): path for path in paths}.values())


class Meter:
    """Bytes on disk that are done with, compressed ones where they are compressed; one thread reads, others may look.

    `done` never falls: bytes that are read again do not count again, and what a file holds that nobody wants counts when the file
    is passed. `name` is the file or member that is read, printable. `over`: all has been read, or refused.
    """

    def __init__(self) -> None:
        self.name, self.over = "", False
        self._done, self._on_disk = 0, -1
        self._pipes = 0  # that were given
        self._ended, self._piped = 0, 0  # how many of them have come to their end, and what they gave
        self._end = 0  # of the file, counted as `_done` is
        self._place, self._first, self._each = 0, 0.0, 0.0  # read up to; what the first byte of that counts as, and each further one

    @property
    def total(self) -> int | None:
        """Bytes in all, once they have been measured; None where a pipe has not come to its end."""
        return None if self._on_disk < 0 or self._ended < self._pipes else self._on_disk + self._piped

    @property
    def done(self) -> int:
        """Bytes done with. A file that has grown since it was measured counts no more than it did."""
        total = self.total
        return self._done if total is None else min(self._done, total)

    def measure(self, paths: Sequence[str]) -> None:
        """Find the total by a walk that opens no file; as `open_evidence` does, it follows no link in a folder."""
        modes = {path: _status(path) for path in distinct(paths) if path != "-"}
        self._pipes = ("-" in paths) + sum(stat.S_ISFIFO(found.st_mode) for found in modes.values() if found)
        plain = sum(found.st_size for found in modes.values() if found and stat.S_ISREG(found.st_mode))
        self._on_disk = plain + sum(map(_size_of_folder, filter(os.path.isdir, modes)))

    def opened(self, path: str) -> tuple[BinaryIO, int]:
        """A regular file on disk, whose reading counts, and its bytes. Raises OSError."""
        file = _Counted(path, self.at)
        return cast(BinaryIO, io.BufferedReader(file, min(BUFFER, max(file.size, SMALLEST)))), file.size

    def at(self, place: int) -> None:
        """What is read now, a file or a copy, has been read up to this byte."""
        self._place = place
        self._done = max(self._done, int(min(self._first + self._each * place, self._end)))

    @contextmanager
    def file(self, size: int) -> Iterator[None]:
        """A file of so many bytes is read meanwhile; it is done when it is passed, whatever was read of it."""
        self._first, self._each, self._place, self._end = self._done, 1, 0, self._done + size
        try:
            yield
        finally:
            self._done, self._each = self._end, 0

    @contextmanager
    def pipe(self) -> Iterator[None]:
        """A pipe is read meanwhile; it is done when it is passed."""
        with self.file(sys.maxsize):
            try:
                yield
            finally:
                self._end = int(self._first) + self._place
                self._ended, self._piped = self._ended + 1, self._piped + self._place

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is read meanwhile, the list of members at the end of a file, does not count before what stands above it has been read."""
        counted = self._first, self._each
        self._first, self._each = 0, 0
        try:
            yield
        finally:
            self._first, self._each = counted

    @contextmanager
    def copying(self) -> Iterator[Callable[[int], None]]:
        """A part of what is read now is copied meanwhile; call what is given with the bytes of the copy, and then read that."""
        first, each, place = self._first, self._each, self._place
        begin, back = first + each * place, -1
        self._first, self._each = begin - COPYING * each * place, COPYING * each

        def copied(size: int) -> None:
            nonlocal back
            back, end = self._place, first + each * self._place
            half = begin + COPYING * (end - begin)
            self._first, self._each, self._place = half, (end - half) / max(size, 1), 0

        try:
            yield copied
        finally:
            self._first, self._each, self._place = first, each, self._place if back < 0 else back


class _Counted(PlainFile):
    """A file on disk that tells how far it has been read; nothing is copied for that."""

    def __init__(self, path: str, told: Callable[[int], None]) -> None:
        super().__init__(path)
        self._told, self._at = told, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As io.FileIO does."""
        self._at = super().seek(offset, whence)
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As io.FileIO does."""
        read = super().readinto(buffer)
        self._at += read
        self._told(self._at)
        return read

    def readall(self) -> bytes:
        """As io.FileIO does."""
        data = super().readall()
        self._at += len(data)
        self._told(self._at)
        return data


def _status(path: str) -> os.stat_result | None:
    with suppress(OSError):
        return os.stat(path)
    return None


def _size_of_folder(folder: str) -> int:
    """Bytes of the files in a folder and the folders below it; of what cannot be listed nothing is read."""
    total, pending = 0, [folder]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += _size(entry)
    return total


def _size(entry: os.DirEntry[str]) -> int:
    with suppress(OSError):
        return entry.stat(follow_symlinks=False).st_size
    return 0
