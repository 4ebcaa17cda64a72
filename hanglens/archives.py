"""The members of archives that may be hostile: which are read, which are refused, and where an archive breaks off.

Format: tar (POSIX ustar and pax, GNU), read by the standard library, whose known traps are closed here.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, TypeVar

from hanglens.damage import FAULTS, damaged
from hanglens.limits import UNPACKED
from hanglens.model import Gap
from hanglens.printable import printable

LONGEST_HEADER = 1 << 20  # bytes of a tar header of one of these types, which tarfile reads into memory
LONGEST_GLOBAL = 16 << 10  # bytes of one that speaks of all members behind it: tarfile copies what it says for each of them
READ_WHOLE = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
T = TypeVar("T")
_ROOTED, _SEPARATOR = re.compile(r"[/\\]|[A-Za-z]:[/\\]"), re.compile(r"[/\\]")


class _Header(tarfile.TarInfo):
    """tarfile takes a broken header after the first member for the end, and reads headers of any length into memory."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Header:
        """What newer Pythons refuse behind the header itself, such as a size below zero, they take for the end as well."""
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"{error}, in the header of a member") from None

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        if buf == bytes(tarfile.BLOCKSIZE):
            return super().frombuf(buf, encoding, errors)  # raises what tarfile knows as the end
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, where a member or the end mark should be") from None
        longest = LONGEST_GLOBAL if header.type == tarfile.XGLTYPE else LONGEST_HEADER
        if header.type in READ_WHOLE and not 0 <= header.size <= longest:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def tar_members(stream: BinaryIO, most: int, *, in_place: bool) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The members in the order of the archive; when not read `in_place`, each is readable until the next is taken.

    What follows a member of more than `most` bytes is given up then, since only reading leads past it.
    """
    mode = "r:" if in_place else "r|"
    with stream, tarfile.open(fileobj=stream, mode=mode, bufsize=1 << 16, tarinfo=_Header) as tar:  # type: ignore[call-overload]
        while (info := tar.next()) is not None:
            tar.members.clear()  # which it would keep to the end
            if info.size < 0:  # would lead backwards, for ever
                raise tarfile.ReadError(f"a member of {info.size} bytes")
            yield tar, info
            if info.size > most and not in_place:
                raise tarfile.ReadError(f"a member of {info.size} bytes in the way")


def tar_refusal(info: tarfile.TarInfo) -> str:
    """Why a tar member is not read, or nothing."""
    if info.issym() or info.islnk():
        return f"a link (to {info.linkname[:200]})"
    if info.issparse():
        return "a sparse file"
    return "" if info.isreg() else "not a regular file"


def until_damage(path: str, members: Iterator[T]) -> Iterator[T | Gap]:
    """The members up to where stepping to the next one fails; then a Gap."""
    while True:
        try:
            member = next(members)
        except StopIteration:
            return
        except FAULTS as error:
            yield damaged(path, error)
            return
        yield member


def _leads_out(name: str) -> bool:
    return bool(_ROOTED.match(name)) or (".." in name and ".." in _SEPARATOR.split(name))


def _inside(name: str) -> str:
    return printable("/".join(part for part in name.split("/") if part not in ("", "."))) or "unnamed"


def admit(inside: str, name: str, refusal: str) -> tuple[str, Gap | None]:
    """The path of an archive's member, and why it is not read."""
    if _leads_out(name):
        return inside + printable(name), Gap(inside + printable(name), "refused: its name leads out of the archive", UNPACKED)
    path = inside + _inside(name)
    return path, Gap(path, f"refused: {printable(refusal)}", UNPACKED) if refusal else None
