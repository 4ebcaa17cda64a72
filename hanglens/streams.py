"""Streams over bytes that may be hostile: held to limits, and whole up to the damage."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from hanglens.damage import FAULTS, damaged
from hanglens.formats import HEAD
from hanglens.limits import BundleError, Check, over
from hanglens.model import Gap

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 17  # bytes of a large stream that are read ahead
PIECE = 1 << 20  # bytes asked for at once, where a limit is far more than there may be


class Content(io.RawIOBase):
    """The bytes of `source`, ending early at damage or at a limit; `fault` then says why. `given` counts them.

    `in_place`: it seeks cheaply. It does not raise: tarfile and io.BufferedReader would drop the good bytes that they hold.
    """

    def __init__(self, path: str, source: BinaryIO | io.RawIOBase, check: Check = lambda _read: None, *, in_place: bool = False) -> None:
        self.path, self.in_place = path, in_place
        self.fault: Gap | None = None
        self._source, self._check = source, check
        self._read = cast("Callable[[WriteableBuffer], int]", getattr(source, "readinto1", None) or cast(io.RawIOBase, source).readinto)
        self.given = self._most = 0

    def limit(self, most: int) -> None:
        """End after so many bytes."""
        self._most = most
        self._judge()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.in_place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer in part, but with HEAD bytes if they are there and fit."""
        view, filled = memoryview(buffer), 0
        while filled < min(HEAD, len(view)) and (read := self._some(view[filled:])):
            filled += read
        return filled

    def _some(self, buffer: WriteableBuffer) -> int:
        if self.fault:
            return 0
        try:
            read = self._read(buffer)
        except FAULTS as error:
            self.fault = damaged(self.path, error)
            return 0
        self.given += read
        self._judge()
        return 0 if self.fault else read

    def _judge(self) -> None:
        too_large = self._most and self.given > self._most
        self.fault = self.fault or (over(self.path, "member_bytes", self._most) if too_large else self._check(self.given))

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


class Stream(io.BufferedReader):
    """What a consumer reads: every good byte first, then BundleError if that was not all. `read()` of all raises at once.

    `quiet`: it ends there and does not raise, for those who would drop what they hold. `size` in bytes, where it is known (-1: it is not),
    saves small streams a large buffer. `told`: it has raised.
    """

    def __init__(self, content: Content, size: int = -1) -> None:
        super().__init__(content, BUFFER if size < 0 else min(BUFFER, max(size, HEAD) + 1))
        self.content, self.quiet, self.told = content, False, False

    def read(self, size: int | None = -1, /) -> bytes:
        whole = size is None or size < 0
        return self._whole(super().read, size, whole=whole)

    def read1(self, size: int = -1, /) -> bytes:
        return self._whole(super().read1, size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._whole(super().readline, size)

    def _whole(self, read: Callable[..., bytes], size: int | None, *, whole: bool = False) -> bytes:
        try:
            data = read(size)
        except MemoryError as error:
            self.content.fault, data = self.content.fault or damaged(self.content.path, error), b""
        if self.content.fault and not self.quiet and (whole or not data):
            self.told = True
            raise BundleError(self.content.fault)
        return data


def read_most(stream: BinaryIO, most: int) -> bytes:
    """At most so many bytes of a stream, asked for in pieces: no more memory is taken than there are bytes.

    Raises what the stream raises before its first byte. What it raises later ends the bytes, and is left to those who gave the stream.
    """
    pieces: list[bytes] = []
    left = most
    try:
        while left > 0 and (piece := stream.read(min(left, PIECE))):
            pieces.append(piece)
            left -= len(piece)
    except BundleError:
        if not pieces:
            raise
        if isinstance(stream, Stream):
            stream.told = False
    return b"".join(pieces)


class Window(io.RawIOBase):
    """`size` bytes of a shared file from `start` on, as a file of their own; closing it leaves the shared one open.

    `told` is called with how far it has been read.
    """

    def __init__(self, file: IO[bytes], start: int, size: int, told: Callable[[int], None] = lambda _place: None) -> None:
        self._file, self._start, self._size, self._at, self._told = file, start, size, 0, told

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        wanted = min(len(view), self._size - self._at)
        if wanted <= 0:
            return 0
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        if not data:
            raise EOFError(f"{self._size - self._at} bytes are missing")
        view[: len(data)] = data
        self._at += len(data)
        self._told(self._at)
        return len(data)


class Again(io.RawIOBase):
    """What was read of a stream once more, and then the rest of it."""

    def __init__(self, read: bytes, rest: BinaryIO) -> None:
        self._read, self._rest = memoryview(read), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._read[: len(view)] or self._rest.read(len(view))
        self._read = self._read[len(data) :]
        view[: len(data)] = data
        return len(data)
