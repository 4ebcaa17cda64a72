"""Evidence without what must not leave, before anything of it is cut or quoted: texts line by line, dumps by the strings in them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, cast

from hanglens.bundle import Item
from hanglens.chunks import LONGEST_LINE, pieces
from hanglens.errors import HangLensError
from hanglens.formats import HEAD
from hanglens.model import Gap
from hanglens.pickles import is_pickle
from hanglens.privacy.dumps import redacted_dump
from hanglens.privacy.redactor import Redactor
from hanglens.streams import Content, Stream, read_most

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BORDER = 48 << 10  # bytes above and below a piece that are read with it: no secret or prompt that is known spans more lines
PIECE = 1 << 20  # bytes that are redacted at once, at the least
LARGEST_DOCUMENT = 256 << 20  # bytes of a line that is, or may be, a whole JSON document
LARGEST_DUMP = 1 << 30  # bytes; no larger one is read
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def redacted_items(items: Iterable[Item | Gap], redactor: Redactor) -> Iterator[Item | Gap]:
    """The same items with their content redacted. Lines keep their numbers, names of files stay; both are as they were for who reads on."""
    for item in items:
        yield item if isinstance(item, Gap) else replace(item, stream=_stream(item, redactor))


def redacted_lines(lines: Iterable[bytes], redactor: Redactor) -> Iterator[bytes]:
    """Pieces of whole lines, redacted; what begins in one and ends in another is found, if both are no further apart than BORDER."""
    above, ahead, fault = b"", b"", None
    try:
        for piece in lines:
            ahead += piece
            cut = ahead.rfind(b"\n", 0, max(0, len(ahead) - BORDER)) + 1
            if cut >= PIECE:
                yield _between(above, ahead[:cut], ahead[cut:], redactor)
                above, ahead = _last_lines(above + ahead[:cut]), ahead[cut:]
    except (HangLensError, OSError) as error:  # of the stream; what stands before it comes first
        fault = error
    if ahead:
        yield _between(above, ahead, b"", redactor)
    if fault:
        raise fault


def _last_lines(data: bytes) -> bytes:
    """BORDER bytes of whole lines at most."""
    return data[data.find(b"\n", len(data) - BORDER - 1) + 1 :] if len(data) > BORDER else data


def _between(above: bytes, lines: bytes, below: bytes, redactor: Redactor) -> bytes:
    """The lines, redacted as they stand between others: redaction keeps the number of lines, by which they are found again."""
    whole = redactor.bytes(above + lines + below)
    start, end = 0, len(whole)
    for _ in range(above.count(b"\n")):
        start = whole.index(b"\n", start) + 1
    for _ in range(below.count(b"\n") + 1 if below else 0):
        end = whole.rindex(b"\n", 0, end)
    return whole[start : end + 1] if below else whole[start:]


class _Redacted(io.RawIOBase):
    """The pieces as a stream; whatever the source raises it raises, behind what stands before."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """The next bytes, as io.RawIOBase says."""
        view = memoryview(buffer)
        self._rest = self._rest or memoryview(next(self._parts, b""))
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)


def _stream(item: Item, redactor: Redactor) -> Stream:
    source: BinaryIO = item.stream
    head = item.stream.peek(HEAD)[:HEAD]
    if is_pickle(head):
        parts = _dump(source, redactor)
    else:
        if head.startswith(_UTF16):
            source = cast(BinaryIO, codecs.EncodedFile(source, "utf-8", "utf-16", "replace"))
        longest = LARGEST_DOCUMENT if head.lstrip()[:1] in (b"{", b"[") else LONGEST_LINE
        parts = redacted_lines(pieces(source, longest), redactor)
    return Stream(Content(item.path, _Redacted(parts)))


def _dump(source: BinaryIO, redactor: Redactor) -> Iterator[bytes]:
    """A dump that cannot be read is not read by its parser either, which says why."""
    data = read_most(source, LARGEST_DUMP + 1)
    try:
        yield redacted_dump(data, redactor) if len(data) <= LARGEST_DUMP else data
    except ValueError:
        yield data
