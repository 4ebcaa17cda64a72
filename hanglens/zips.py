"""The members of zip archives that may be hostile, one after the other: neither their list nor their content is held in memory.

Format: APPNOTE 6.3 with zip64. The standard library's reader makes an object for each member before the first one can be looked at,
and drops all that it holds of a member whose checksum is wrong.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast
from zipfile import BadZipFile

from hanglens.compressed import inflate
from hanglens.streams import Again, Window

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_END, _END64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_ENTRY, _LOCAL = struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s5H3I2H")
_LONGEST_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF  # stands where the number itself is in the zip64 field
_BLOCK = 256 << 10  # bytes of the list that are read at once
_STORED, _LZMA = 0, 14
_METHODS = {8: "deflate", 12: "bzip2", _LZMA: "lzma", 93: "zstd", 95: "xz"}


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the list describes it: sizes in bytes, `at` the place of its own header, `mode` as in stat(2), 0 where it has none."""

    name: str
    size: int
    packed: int
    at: int
    crc: int
    method: int
    flags: int
    mode: int


def zip_members(stream: BinaryIO, listing: Callable[[], AbstractContextManager[None]]) -> Iterator[Member]:
    """The members in the order of the list, which stands at the end; `listing` is open while a part of it is read.

    Raises BadZipFile and what the stream raises.
    """
    with listing():
        begin, size, before = _find_list(stream)
    place, rest = begin, b""
    while place < begin + size or rest:
        with listing():
            stream.seek(place)
            block = stream.read(min(_BLOCK, begin + size - place))
        place += len(block)
        data, at = rest + block, 0
        while (found := _entry(data, at, before)) is not None:
            member, at = found
            yield member
        rest = data[at:]
        if not block and (rest or place < begin + size):
            raise BadZipFile("its list of members is cut off")


def zip_refusal(member: Member) -> str:
    """Why a member is not read, or nothing."""
    kind = stat.S_IFMT(member.mode)
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG):
        return "not a regular file"
    if member.flags & 1:
        return "encrypted"
    return "" if member.method == _STORED or member.method in _METHODS else f"compressed by method {member.method}, which is not read"


def open_member(stream: BinaryIO, member: Member) -> BinaryIO:
    """The content of a member that is not refused; it ends with BadZipFile where it is not what the list says."""
    stream.seek(member.at)
    header = stream.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise BadZipFile("it does not begin where the list of members says")
    begin = member.at + _LOCAL.size + sum(_LOCAL.unpack(header)[-2:])
    packed = cast(BinaryIO, Window(stream, begin, member.packed))
    if member.method == _LZMA:
        packed = _with_header(packed, member)
    return cast(BinaryIO, _Checked(packed if member.method == _STORED else inflate(_METHODS[member.method], packed), member))


def _find_list(stream: BinaryIO) -> tuple[int, int, int]:
    """Where the list begins, how long it is, and how many bytes stand before the archive, as in one that unpacks itself."""
    end = stream.seek(0, io.SEEK_END)
    start = stream.seek(max(0, end - _END.size - _LONGEST_COMMENT))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06", 0, len(tail) - _END.size + 4)
    if at < 0:
        raise BadZipFile("the list of its members, at its end, is missing")
    size, offset = _END.unpack_from(tail, at)[5:7]
    end = start + at
    if (found := _zip64(stream, end)) is not None:
        size, offset, end = found
    if end < size + offset:
        raise BadZipFile("the list of its members does not stand where its end says")
    return end - size, size, end - size - offset


def _zip64(stream: BinaryIO, end: int) -> tuple[int, int, int] | None:
    """Length and offset of the list of a large archive, and where the list ends."""
    stream.seek(max(0, end - _LOCATOR.size))
    locator = stream.read(_LOCATOR.size)
    if len(locator) < _LOCATOR.size or not locator.startswith(b"PK\x06\x07"):
        return None
    for at in (end - _LOCATOR.size - _END64.size, _LOCATOR.unpack(locator)[2]):
        stream.seek(max(0, at))
        record = stream.read(_END64.size)
        if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
            size, offset = _END64.unpack(record)[8:10]
            return size, offset, max(0, at)
    raise BadZipFile("the end of a large archive is damaged")


def _entry(data: bytes, at: int, before: int) -> tuple[Member, int] | None:
    """The entry of the list at a place, and the place behind it; None where it is not there as a whole."""
    if len(data) - at < _ENTRY.size:
        return None
    sign, _, _, flags, method, _, _, crc, packed, size, of_name, of_extra, of_comment, _, _, mode, offset = _ENTRY.unpack_from(data, at)
    if sign != b"PK\x01\x02":
        raise BadZipFile("its list of members is damaged")
    name_at = at + _ENTRY.size
    extra_at = name_at + of_name
    end = extra_at + of_extra + of_comment
    if end > len(data):
        return None
    if _IN_EXTRA in (size, packed, offset):
        size, packed, offset = _large(data[extra_at : extra_at + of_extra], (size, packed, offset))
    name = data[name_at:extra_at].partition(b"\0")[0]
    text = name.decode("utf-8", "surrogateescape") if flags & 0x800 else name.decode("cp437")
    return Member(text, size, packed, offset + before, crc, method, flags, mode >> 16), end


def _large(extra: bytes, numbers: tuple[int, int, int]) -> tuple[int, int, int]:
    """The numbers that do not fit into 32 bits, from the zip64 field (type 1)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            size, packed, offset = (next(field, number) if number == _IN_EXTRA else number for number in numbers)
            return size, packed, offset
        at += 4 + length
    return numbers


def _with_header(packed: BinaryIO, member: Member) -> BinaryIO:
    """LZMA with the header of an .lzma file: the archive keeps the properties behind four bytes, and the size in its list."""
    properties = packed.read(9)[4:]
    size = 0xFFFFFFFFFFFFFFFF if member.flags & 2 else member.size  # with the flag an end mark tells the end
    return cast(BinaryIO, Again(properties + size.to_bytes(8, "little"), packed))


class _Checked(io.RawIOBase):
    """The bytes of a member, all of them; then BadZipFile if they are not as many, or not those, that the list names."""

    def __init__(self, source: BinaryIO, member: Member) -> None:
        self._source, self._member = source, member
        self._given = self._crc = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view, left = memoryview(buffer), self._member.size - self._given
        data = self._source.read(min(len(view), max(left, 1)))
        if data and left <= 0:
            raise BadZipFile("it is longer than the list of members says")
        if not data and left > 0:
            raise BadZipFile(f"it ends after {self._given} of {self._member.size} bytes")
        if not data and self._crc != self._member.crc:
            raise BadZipFile("its checksum is wrong")
        view[: len(data)] = data
        self._given += len(data)
        self._crc = zlib.crc32(data, self._crc)
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()
