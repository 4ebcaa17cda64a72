"""What lies on disk: the files of the evidence, out of folders and archives of any naming, without trust in any of them.

Nothing is ever written to a path that an archive names; what cannot be read is a Gap, and the other evidence is still read.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from tarfile import TarFile, TarInfo
from typing import IO, BinaryIO, cast
from zipfile import ZipFile, ZipInfo

from hanglens.archives import admit, printable, tar_members, tar_refusal, until_damage, zip_members, zip_refusal
from hanglens.errors import UsageError
from hanglens.limits import Budget, BundleError, Check, Limits, over
from hanglens.meter import Meter, distinct
from hanglens.model import Gap
from hanglens.streams import FAULTS, HEAD, Content, Stream, Window, damaged, inflate, recognise

__all__ = ["BundleError", "Item", "Limits", "holds_files", "open_evidence"]

SPOOL = 8 << 20  # bytes of a copy kept in memory; what is longer goes to an unnamed temporary file

Then = Callable[["_Blob", str, int], "Iterator[Item | Gap]"]


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the evidence. Open it before the next one is taken: a member of an archive is gone after that.

    `path` is POSIX and inside the folder or archive given, never absolute, never with `..`; what is not printable is escaped.
    `size` is in bytes, uncompressed; -1 where only reading tells. `open` gives a fresh stream of the uncompressed content;
    its reads give all good bytes, then raise BundleError if damage or a limit keeps the rest back.
    """

    path: str
    size: int
    open: Callable[[], BinaryIO]


def open_evidence(
    paths: Sequence[str], *, limits: Limits | None = None, stdin: BinaryIO | None = None, meter: Meter | None = None
) -> Iterator[Item | Gap]:
    """The files under `paths`, which are one incident; `-` is standard input (`stdin`, by default the process's own).

    With several paths, each one's items stand under its name, so that hosts stay apart. A path given twice is read once.
    Standard input is read to its end and closed. `meter` counts what is read.

    Raises:
        UsageError: a path does not exist. It is raised by this call, before anything is read.
    """
    given = distinct(paths)
    for path in given:
        if path != "-" and not os.path.exists(path):
            raise UsageError(f"{path}: there is no such file or folder", "check the path, or pass - to paste text on standard input")
    return _Reader(limits or Limits(), stdin, meter or Meter()).all(given)


def holds_files(path: str) -> bool:
    """Whether a path is a folder or an archive, compressed or not, and so may be all that a host gave."""
    if not os.path.isfile(path):
        return os.path.isdir(path)
    try:
        with open(path, "rb") as file:
            kind = recognise(file.read(HEAD))
            if kind in ("", "tar", "zip"):
                return bool(kind)
        with inflate(kind, open(path, "rb")) as unpacked:
            return bool(recognise(unpacked.read(HEAD)))
    except FAULTS:
        return False  # what is wrong with it is told when it is read


def _names(paths: Sequence[str]) -> list[str]:
    """The base name of each path, with as many folders before it as tell it from the others."""
    parts = [("-", "stdin") if path == "-" else PurePath(os.path.abspath(path)).parts for path in paths]

    def tail(of: tuple[str, ...], length: int) -> str:
        return "/".join(printable(part.strip("\\/:")) for part in of[-length:]).strip("/") or "root"

    def alone(of: tuple[str, ...], length: int) -> bool:
        return sum(tail(other, length) == tail(of, length) for other in parts) == 1

    return [tail(of, next((n for n in range(1, len(of)) if alone(of, n)), len(of))) for of in parts]


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file before it is known what it holds. `in_place`: its stream seeks cheaply. `check` is asked while it is read."""

    path: str
    size: int
    open: Callable[[], BinaryIO]
    in_place: bool = True
    check: Check = lambda _read: None

    def content(self, most: int = 0) -> Content:
        try:
            return Content(self.path, self.open(), self.check, most)
        except FAULTS as error:
            raise BundleError(damaged(self.path, error)) from error

    def stream(self, most: int = 0) -> BinaryIO:
        return cast(BinaryIO, Stream(self.content(most)))


def _window(file: IO[bytes], start: int, size: int, told: Callable[[int], None] = lambda _place: None) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(Window(file, start, size, told)))


class _Reader:
    """Goes through the evidence and keeps count of what it costs."""

    def __init__(self, limits: Limits, stdin: BinaryIO | None, meter: Meter) -> None:
        self._budget, self._stdin, self._meter = Budget(limits), stdin, meter

    def all(self, paths: Sequence[str]) -> Iterator[Item | Gap]:
        """What the paths of the command line hold."""
        for path, name in zip(paths, _names(paths), strict=True):
            yield from self.given(path, name, alone=len(paths) == 1)
        self._meter.over = True

    def given(self, path: str, name: str, *, alone: bool) -> Iterator[Item | Gap]:
        """What one path of the command line holds; a shared limit that is passed ends it."""
        inside = "" if alone else f"{name}/"
        try:
            if path == "-":
                yield from self._piped(name, self._stdin or sys.stdin.buffer, inside)
            elif os.path.isdir(path):
                yield from self._folder(path, inside)
            elif stat.S_ISFIFO(os.stat(path).st_mode):  # `<(zcat log)` of a shell
                with open(path, "rb") as pipe:
                    yield from self._piped(name, pipe, inside)
            else:
                yield from self._file(path, name, inside)
        except BundleError as error:
            yield error.gap
        except OSError as error:
            yield damaged(name, error)

    def _piped(self, name: str, pipe: BinaryIO, inside: str) -> Iterator[Item | Gap]:
        metered = self._budget.metered(name, 0)

        def check(read: int) -> Gap | None:
            self._meter.received = read
            return metered(read)

        yield from self._spooled(_Blob(name, -1, lambda: pipe, check=check), self._received, inside, 0)
        self._meter.received = 0

    def _received(self, blob: _Blob, inside: str, depth: int) -> Iterator[Item | Gap]:
        with self._meter.pipe(blob.size):
            yield from self._read(blob, inside, depth)

    def _folder(self, root: str, inside: str) -> Iterator[Item | Gap]:
        """All files below `root`, in natural order; a stack of our own, since folders may be deeper than Python's."""
        pending = [iter([root])]
        while pending:
            entry = next(pending[-1], None)
            if entry is None:
                pending.pop()
                continue
            path = inside + printable(entry[len(root) :].strip(os.sep).replace(os.sep, "/") or ".")
            if entry != root and os.path.islink(entry):
                yield from self._link(entry, root, path)
            elif os.path.isdir(entry):
                try:
                    pending.append(iter([os.path.join(entry, name) for name in sorted(os.listdir(entry), key=_natural)]))
                except OSError as error:
                    yield damaged(path, error)
            else:
                yield from self._file(entry, path, f"{path}/")

    def _link(self, link: str, root: str, path: str) -> Iterator[Gap]:
        target, home = os.path.realpath(link), os.path.realpath(root)
        if target != home and not target.startswith(os.path.join(home, "")):  # what is inside is read where it lies
            yield Gap(path, f"a link out of the folder, to {printable(target)}", "analyze its target as one more path")
        elif not os.path.exists(target):
            yield Gap(path, f"a link to {printable(target)}, which is not there", "collect its target too")

    def _file(self, file: str, path: str, inside: str) -> Iterator[Item | Gap]:
        try:
            found = os.stat(file)
        except OSError as error:
            yield damaged(path, error)
            return
        if not stat.S_ISREG(found.st_mode):
            yield Gap(path, "a device, pipe or socket, not a file", "save what it gives to a file")
            return
        with self._meter.file(found.st_size):
            self._budget.count(path, found.st_size)
            yield from self._read(_Blob(path, found.st_size, lambda: self._meter.opened(file)), inside, 0)

    def _read(self, blob: _Blob, inside: str, depth: int) -> Iterator[Item | Gap]:
        """One file: the item that it is, or the items in it, whose paths then start with `inside`."""
        self._meter.name = blob.path
        try:
            with blob.stream() as stream:
                head = stream.read(HEAD)
        except BundleError as error:
            yield error.gap
            return
        kind = recognise(head)
        if not head:
            yield Gap(blob.path, "empty", "nothing was written to it, or it was collected too early")
        elif not kind:
            most = self._budget.limits.member_bytes
            yield self._budget.too_large(blob.path, blob.size) or Item(blob.path, blob.size, lambda: blob.stream(most))
        elif depth == self._budget.limits.nesting:
            yield over(blob.path, "nesting", self._budget.limits.nesting)
        elif kind == "tar":
            yield from self._tar(blob, inside, depth + 1)
        elif kind == "zip":
            yield from self._zip(blob, inside, depth + 1) if blob.in_place else self._spooled(blob, self._zip, inside, depth + 1)
        else:
            yield from self._read(self._inflated(blob, kind), inside, depth + 1)

    def _inflated(self, blob: _Blob, kind: str) -> _Blob:
        return _Blob(blob.path, -1, lambda: inflate(kind, blob.open()), in_place=False, check=self._budget.metered(blob.path, blob.size))

    def _admit(self, inside: str, name: str, size: int, why_not: str) -> tuple[str, Gap | None]:
        path, refusal = admit(inside, name, why_not)
        refusal = refusal or self._budget.too_large(path, size)
        self._budget.count(path, 0 if refusal else size)
        return path, refusal

    def _tar(self, blob: _Blob, inside: str, depth: int) -> Iterator[Item | Gap]:
        stream = blob.open() if blob.in_place else cast(BinaryIO, blob.content())
        for found in until_damage(blob.path, tar_members(stream, self._budget.limits.member_bytes, in_place=blob.in_place)):
            if isinstance(found, Gap):
                yield getattr(stream, "fault", None) or found
            else:
                yield from self._tar_member(*found, inside, depth, in_place=blob.in_place)

    def _tar_member(self, tar: TarFile, info: TarInfo, inside: str, depth: int, *, in_place: bool) -> Iterator[Item | Gap]:
        if info.isdir():
            return
        path, refusal = self._admit(inside, info.name, info.size, tar_refusal(info))
        if refusal:
            yield refusal
            return
        shared = cast(BinaryIO, tar.fileobj)
        blob = _Blob(path, info.size, lambda: _window(shared, info.offset_data, info.size), in_place)
        yield from self._read(blob, f"{path}/", depth) if in_place else self._spooled(blob, self._read, f"{path}/", depth)

    def _zip(self, blob: _Blob, inside: str, depth: int) -> Iterator[Item | Gap]:
        output = 0
        for found in until_damage(blob.path, zip_members(blob.open(), self._meter.aside())):
            if isinstance(found, Gap):
                yield found
                return
            output += found[1].file_size
            bomb = self._budget.over_ratio(blob.path, output, blob.size)
            if bomb:
                yield bomb
                return
            yield from self._zip_member(*found, inside, depth)

    def _zip_member(self, archive: ZipFile, info: ZipInfo, inside: str, depth: int) -> Iterator[Item | Gap]:
        if info.filename.endswith("/"):
            return
        path, refusal = self._admit(inside, info.filename, info.file_size, zip_refusal(info))
        if refusal:
            yield refusal
            return
        blob = _Blob(path, info.file_size, lambda: cast(BinaryIO, archive.open(info)), in_place=False)
        yield from self._read(blob, f"{path}/", depth)

    def _spooled(self, blob: _Blob, then: Then, inside: str, depth: int) -> Iterator[Item | Gap]:
        """Go on with a copy that can be read in any order; it lives until the next item is taken."""
        content = blob.content(self._budget.limits.member_bytes)
        self._meter.name = blob.path
        with content, tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool, self._meter.copying() as copied:
            try:
                shutil.copyfileobj(content, spool, 1 << 16)
            except OSError as error:
                yield Gap(blob.path, f"no room to unpack it: {error.strerror}", "set TMPDIR to a folder with more room")
                return
            size = spool.tell()
            copied(size)
            if size or not content.fault:
                yield from then(_Blob(blob.path, size, lambda: _window(spool, 0, size, self._meter.at)), inside, depth)
            if content.fault:
                yield content.fault
