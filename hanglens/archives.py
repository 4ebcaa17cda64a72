"""The members of tar and zip archives that may be hostile: which are read, which are refused, and where an archive breaks off.

Formats: tar (POSIX ustar and pax, GNU), zip (APPNOTE 6.3); read by the standard library, whose known traps are closed here.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import BinaryIO, TypeVar

from hanglens.limits import UNPACKED
from hanglens.model import Gap
from hanglens.printable import printable
from hanglens.streams import FAULTS, damaged

LONGEST_HEADER = 1 << 20  # bytes of a tar header of one of these types, which tarfile reads into memory
READ_WHOLE = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
T = TypeVar("T")


class _Header(tarfile.TarInfo):
    """tarfile takes a broken header after the first member for the end, and reads headers of any length into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        if buf == bytes(tarfile.BLOCKSIZE):
            return super().frombuf(buf, encoding, errors)  # raises what tarfile knows as the end
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, where a member or the end mark should be") from None
        if header.type in READ_WHOLE and not 0 <= header.size <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def tar_members(stream: BinaryIO, most: int, *, in_place: bool) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The members in the order of the archive; when not read `in_place`, each is readable until the next is taken.

    What follows a member of more than `most` bytes is given up then, since only reading leads past it.
    """
    mode = "r:" if in_place else "r|"
    with stream, tarfile.open(fileobj=stream, mode=mode, bufsize=1 << 16, tarinfo=_Header) as tar:  # type: ignore[call-overload]
        for info in tar:
            if info.size < 0:  # would lead backwards, for ever
                raise tarfile.ReadError(f"a member of {info.size} bytes")
            yield tar, info
            if info.size > most and not in_place:
                raise tarfile.ReadError(f"a member of {info.size} bytes in the way")


def zip_members(stream: BinaryIO, listing: AbstractContextManager[None]) -> Iterator[tuple[zipfile.ZipFile, zipfile.ZipInfo]]:
    """The members in the order of the archive; `listing` is open while their list is read, which stands at its end."""
    with stream, ExitStack() as opened:
        with listing:
            archive = opened.enter_context(zipfile.ZipFile(stream))
        for info in archive.infolist():
            yield archive, info


def tar_refusal(info: tarfile.TarInfo) -> str:
    """Why a tar member is not read, or nothing."""
    if info.issym() or info.islnk():
        return f"a link (to {info.linkname[:200]})"
    if info.issparse():
        return "a sparse file"
    return "" if info.isreg() else "not a regular file"


def zip_refusal(info: zipfile.ZipInfo) -> str:
    """Why a zip member is not read, or nothing."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG):
        return "not a regular file"
    return "encrypted" if info.flag_bits & 1 else ""


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
    return bool(re.match(r"[/\\]|[A-Za-z]:[/\\]", name)) or ".." in re.split(r"[/\\]", name)


def _inside(name: str) -> str:
    return printable("/".join(part for part in name.split("/") if part not in ("", "."))) or "unnamed"


def admit(inside: str, name: str, refusal: str) -> tuple[str, Gap | None]:
    """The path of an archive's member, and why it is not read."""
    if _leads_out(name):
        return inside + printable(name), Gap(inside + printable(name), "refused: its name leads out of the archive", UNPACKED)
    path = inside + _inside(name)
    return path, Gap(path, f"refused: {printable(refusal)}", UNPACKED) if refusal else None
