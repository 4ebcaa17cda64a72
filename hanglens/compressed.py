"""Compressed streams, inflated while they are read: gzip, bzip2, xz, Zstandard, and the deflate and LZMA of zip members."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from isal import igzip_lib

from hanglens.damage import FAULTS, DecoderTooLarge
from hanglens.limits import BundleError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BITE = 256 << 10  # compressed bytes that a decoder gets at once: for each bite threads may have to wait for each other
SMALL_BITE = 2 << 10  # the same where there is damage: what a decoder made of the bite in which it is, is lost
SMALLEST_FEED = 64  # bytes
XZ_MEMORY = 256 << 20  # `xz -9` needs 65 MiB

_PADDING = re.compile(rb"\0*")


class _Decoder(Protocol):
    """One frame (gzip member, xz stream), as lzma in the standard library decodes it: at most so many bytes at a time."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: ReadableBuffer, max_length: int) -> bytes: ...


DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
    "zstd": zstd.ZstdDecompressor,
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=XZ_MEMORY),
    "deflate": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE),
}
_SINGLE = frozenset({"deflate", "lzma"})  # one frame, which begins with any byte


def inflate(kind: str, source: BinaryIO, frame: Callable[[], None] = lambda: None) -> BinaryIO:
    """The uncompressed bytes of a stream of one of DECODERS; closing it closes `source`. `frame` is called where a frame begins."""
    return cast(BinaryIO, (_Single if kind in _SINGLE else _Inflated)(DECODERS[kind], source, frame))


class _Feed:
    """The compressed bytes in pieces that suit frames as long as the last one: of many small ones none is copied again and again."""

    def __init__(self, source: BinaryIO, bite: int) -> None:
        self._source, self._most = source, bite
        self._bite, self._at = b"", 0
        self._next, self._frame = bite, 0  # bytes of the next piece, and of the frame so far

    def begins(self) -> bool:
        """Whether one more frame begins; padding between frames is allowed."""
        while self._fill():
            if self._bite[self._at]:
                return True
            self._at = cast("re.Match[bytes]", _PADDING.match(self._bite, self._at)).end()
        return False

    def piece(self) -> bytes | memoryview:
        """The next bytes of a frame; none at the end of the source."""
        if not self._fill():
            return b""
        piece = memoryview(self._bite)[self._at : self._at + self._next]
        self._at += len(piece)
        self._frame += len(piece)
        self._next = min(4 * self._next, self._most)
        return piece

    def ended(self, unused: int) -> None:
        """The frame has ended so many bytes before the end of the last piece."""
        self._at -= unused
        self._next = min(max(2 * (self._frame - unused), SMALLEST_FEED), self._most)
        self._frame = 0

    def _fill(self) -> bool:
        if self._at >= len(self._bite):
            self._bite, self._at = self._source.read(self._most), 0
        return bool(self._bite)


class _Inflated(io.RawIOBase):
    """All frames of a compressed stream, one after the other.

    The libraries' own file objects drop what they hold when they come to damage. A decoder drops what it made of the bite that is
    damaged: where the source can go back, all is inflated once more in small bites, and what stands before the damage is given.
    """

    def __init__(self, decoder: Callable[[], _Decoder], source: BinaryIO, frame: Callable[[], None]) -> None:
        self._decoder, self._source, self._told = decoder, source, frame
        self._frame: _Decoder | None = None
        self._begun = False
        self._feed, self._most = _Feed(source, BITE), 8 * BITE
        self._given, self._again = 0, -1  # of what was given, so many bytes come once more; -1 where it has not begun again
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
                data = self._decoded(min(most, self._most))
            except FAULTS as error:
                self._go_back(error)
                continue
            new = data[self._again :] if self._again > 0 else data
            self._again -= len(data) - len(new)
            self._given += len(new)
            if new or not data:
                return new

    def _go_back(self, error: Exception) -> None:
        """To the beginning, for the good bytes of the bite that is damaged; raises the error where that gives no more."""
        final = isinstance(error, (EOFError, BundleError, DecoderTooLarge, MemoryError))
        if self._again >= 0 or final or not self._source.seekable():
            raise error
        self._source.seek(0)
        self._frame, self._begun, self._again = None, False, self._given
        self._feed, self._most = _Feed(self._source, SMALL_BITE), 8 * SMALL_BITE

    def _decoded(self, most: int) -> bytes:
        while self._frame or self._begins():
            frame, piece = cast(_Decoder, self._frame), cast("bytes | memoryview", b"")
            if frame.needs_input:
                piece = self._feed.piece()
                if not piece:
                    raise EOFError("its end is missing")
            data = _decompressed(frame, piece, most)
            if frame.eof:
                self._feed.ended(len(frame.unused_data))
                self._frame = None
            if data:
                return data
        return b""

    def _begins(self) -> bool:
        """Whether one more frame begins."""
        if not self._feed.begins():
            return False
        if self._again <= 0:
            self._told()
        self._frame, self._begun = self._decoder(), True
        return True

    def close(self) -> None:
        self._source.close()
        super().close()


class _Single(_Inflated):
    """The only frame of a stream; what stands behind it is of no concern."""

    def _begins(self) -> bool:
        if self._begun:
            return False
        self._frame, self._begun = self._decoder(), True
        return True


def _decompressed(frame: _Decoder, piece: bytes | memoryview, most: int) -> bytes:
    try:
        return frame.decompress(piece, most)
    except (lzma.LZMAError, zstd.ZstdError) as error:
        if "memory" in str(error).lower():  # liblzma's memory limit, zstd's largest window
            raise DecoderTooLarge("to unpack it takes more memory than a decoder gets here") from error
        raise
