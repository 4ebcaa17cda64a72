"""Streams over bytes that may be hostile: inflated while read, held to limits, and whole up to the damage.

Formats: gzip (RFC 1952), bzip2, xz, Zstandard (RFC 8878).
"""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from isal import igzip_lib

from hanglens.limits import BundleError, Check, over
from hanglens.model import Gap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD = 4096  # the first bytes of a file, which io.BufferedReader.peek of a Stream shows; enough for every magic number
BITE = 256 << 10  # compressed bytes that a decoder gets at once: for each bite threads may have to wait for each other
SMALL_BITE = 2 << 10  # the same where there is damage: what a decoder made of the bite in which it is, is lost
XZ_MEMORY = 256 << 20  # `xz -9` needs 65 MiB

MAGIC = ((0, b"\x1f\x8b\x08", "gzip"), (0, b"\xfd7zXZ\x00", "xz"), (0, b"\x28\xb5\x2f\xfd", "zstd"), (0, b"BZh", "bzip2"),
         (0, b"PK\x03\x04", "zip"), (0, b"PK\x05\x06", "zip"), (257, b"ustar", "tar"))  # fmt: skip

# What the standard parsers raise on bad bytes is not documented and differs by version.
FAULTS: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, RuntimeError, ArithmeticError, LookupError, MemoryError, struct.error, zlib.error,
    cast("type[Exception]", igzip_lib.error), lzma.LZMAError, zstd.ZstdError, tarfile.TarError, zipfile.BadZipFile, BundleError,
)  # fmt: skip


def recognise(head: bytes) -> str:
    """The format that the first HEAD bytes show: gzip, bzip2, xz, zstd, zip, tar, or nothing for a plain file."""
    return next((kind for at, magic, kind in MAGIC if head.startswith(magic, at)), "")


def damaged(path: str, error: BaseException) -> Gap:
    """The Gap for bytes that a parser refused, or that the system or what they are packed in did not give."""
    if isinstance(error, BundleError):
        return error.gap
    if isinstance(error, OSError) and error.errno:
        return Gap(path, f"cannot be read: {error.strerror}", "make it readable for this user, then analyze again")
    reason = str(error) or type(error).__name__
    return Gap(path, f"cut off or damaged ({reason}); what stands before that is read", "copy it again from where it was collected")


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

    `quiet`: it ends there and does not raise, for those who would drop what they hold.
    """

    def __init__(self, content: Content) -> None:
        super().__init__(content, 1 << 17)
        self.content, self.quiet = content, False

    def read(self, size: int | None = -1, /) -> bytes:
        whole = size is None or size < 0
        return self._told(super().read(size), whole=whole)

    def read1(self, size: int = -1, /) -> bytes:
        return self._told(super().read1(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._told(super().readline(size))

    def _told(self, data: bytes, *, whole: bool = False) -> bytes:
        if self.content.fault and not self.quiet and (whole or not data):
            raise BundleError(self.content.fault)
        return data


def inflate(kind: str, source: BinaryIO) -> BinaryIO:
    """The uncompressed bytes of a gzip, bzip2, xz or zstd stream; closing it closes `source`."""
    return cast(BinaryIO, _Inflated(DECODERS[kind], source))


class _Decoder(Protocol):
    """One frame (gzip member, xz stream), as lzma in the standard library decodes it: at most so many bytes at a time."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
    "zstd": zstd.ZstdDecompressor,
}


class _Inflated(io.RawIOBase):
    """All frames of a compressed stream, one after the other.

    The libraries' own file objects drop what they hold when they come to damage. A decoder drops what it made of the bite that is
    damaged: where the source can go back, all is inflated once more in small bites, and what stands before the damage is given.
    """

    def __init__(self, decoder: Callable[[], _Decoder], source: BinaryIO) -> None:
        self._decoder, self._source = decoder, source
        self._frame: _Decoder | None = None
        self._rest = b""  # compressed, behind the last frame
        self._bite, self._given, self._again = BITE, 0, 0  # of what was given, so many bytes come once more
        self._error: Exception | None = None  # met behind good bytes, which are given first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view, filled = memoryview(buffer), 0
        try:
            while filled < len(view) and (data := self._some(len(view) - filled)):
                view[filled : filled + len(data)] = data
                filled += len(data)
        except FAULTS as error:
            self._error = error
            if not filled:
                raise
        return filled

    def _some(self, most: int) -> bytes:
        """At most so many bytes that were not given yet; none at the end."""
        if self._error:
            raise self._error
        while True:
            try:
                data = self._decoded(min(most, 8 * self._bite))
            except FAULTS as error:
                if self._bite == SMALL_BITE or isinstance(error, (EOFError, BundleError)) or not self._source.seekable():
                    raise
                self._source.seek(0)
                self._frame, self._rest, self._bite, self._again = None, b"", SMALL_BITE, self._given
                continue
            new = data[self._again :]
            self._again -= len(data) - len(new)
            self._given += len(new)
            if new or not data:
                return new

    def _decoded(self, most: int) -> bytes:
        while self._frame or self._begins():
            frame, bite = cast(_Decoder, self._frame), b""
            if frame.needs_input:
                bite, self._rest = self._rest or self._source.read(self._bite), b""
                if not bite:
                    raise EOFError("its end is missing")
            data = frame.decompress(bite, most)
            if frame.eof:
                self._rest, self._frame = frame.unused_data, None
            if data:
                return data
        return b""

    def _begins(self) -> bool:
        """Whether one more frame begins."""
        while bite := self._rest or self._source.read(self._bite):
            self._rest = bite.lstrip(b"\0")  # padding between frames is allowed
            if self._rest:
                self._frame = self._decoder()
                return True
        return False

    def close(self) -> None:
        self._source.close()
        super().close()


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
