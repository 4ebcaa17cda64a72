"""What lies on disk: the files of the evidence, out of folders and archives of any naming, without trust in any of them.

Nothing is ever written to a path that an archive names; what cannot be read is a Gap, and the other evidence is still read.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from tarfile import TarFile, TarInfo
from typing import BinaryIO, cast

from hanglens.archives import admit, tar_members, tar_refusal, until_damage
from hanglens.compressed import inflate
from hanglens.damage import FAULTS, damaged
from hanglens.errors import UsageError
from hanglens.folders import Unlisted, walk
from hanglens.formats import HEAD, foreign, recognise
from hanglens.limits import UNPACKED, Budget, BundleError, Limits, over
from hanglens.meter import Meter, distinct
from hanglens.model import Gap
from hanglens.pipes import NobodyWrites, open_pipe
from hanglens.plainfile import NO_FILE, NoFile
from hanglens.printable import printable
from hanglens.streams import Again, Content, Stream, Window
from hanglens.zips import Member, open_member, zip_members, zip_refusal

__all__ = ["BundleError", "Item", "Limits", "open_evidence"]

SPOOL = 8 << 20  # bytes of a copy kept in memory; what is longer goes to an unnamed temporary file


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the evidence. Read it before the next one is taken, which closes it.

    `path` is POSIX and inside the folder or archive given, never absolute, never with `..`; what is not printable is escaped.
    `size` is in bytes, uncompressed; -1 where only reading tells. `stream` gives the uncompressed content once, and its first bytes
    to `peek`; its reads give all good bytes, then raise BundleError if damage or a limit keeps the rest back.
    """

    path: str
    size: int
    stream: io.BufferedReader


def open_evidence(
    paths: Sequence[str], *, limits: Limits | None = None, stdin: BinaryIO | None = None, meter: Meter | None = None
) -> Iterator[Item | Gap]:
    """The files under `paths`, which are one incident; `-` is standard input (`stdin`, by default the process's own).

    With several paths, each one's items stand under its name, so that hosts stay apart. A path given twice is read once.
    Standard input is closed when it has been read. `meter` counts what is read.

    Raises:
        UsageError: a path does not exist, or standard input is closed. It is raised by this call, before anything is read.
    """
    given = distinct(paths)
    for path in given:
        if path != "-" and not os.path.exists(path):
            raise UsageError(
                f"{printable(path)}: there is no such file or folder", "check the path, or pass - to paste text on standard input"
            )
    if "-" in given and stdin is None and sys.stdin is None:
        raise UsageError("-: standard input is closed", "pipe the text into it, or give the path of a file")
    return _Reader(limits or Limits(), stdin, meter or Meter()).all(given)


def _names(paths: Sequence[str]) -> list[str]:
    """The base name of each path, with as many folders before it as tell it from the others."""
    parts = [("-", "stdin") if path == "-" else PurePath(os.path.abspath(path)).parts for path in paths]

    def tail(of: tuple[str, ...], length: int) -> str:
        return "/".join(printable(part.strip("\\/:")) for part in of[-length:]).strip("/") or "root"

    def alone(of: tuple[str, ...], length: int) -> bool:
        return sum(tail(other, length) == tail(of, length) for other in parts) == 1

    return [tail(of, next((n for n in range(1, len(of)) if alone(of, n)), len(of))) for of in parts]


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
                yield from self._fifo(path, name, inside)
            else:
                yield from self._file(path, name, inside)
        except FAULTS as error:
            yield damaged(name, error)

    def _fifo(self, path: str, name: str, inside: str) -> Iterator[Item | Gap]:
        try:
            pipe, begun = open_pipe(path)
        except NobodyWrites as error:
            yield Gap(name, str(error), "start what writes to it first, or save what it gives to a file")
            return
        with pipe:
            yield from self._piped(name, cast(BinaryIO, Again(begun, pipe)), inside)

    def _piped(self, name: str, pipe: BinaryIO, inside: str) -> Iterator[Item | Gap]:
        metered = self._budget.metered(name)

        def check(read: int) -> Gap | None:
            self._meter.at(read)
            return metered(read)

        with self._meter.pipe():
            yield from self._read(Content(name, pipe, check), -1, inside, 0)

    def _folder(self, root: str, inside: str) -> Iterator[Item | Gap]:
        for entry in walk(root):
            path = inside + printable(entry.path[len(root) :].strip(os.sep).replace(os.sep, "/") or ".")
            if isinstance(entry, Unlisted):
                yield damaged(path, entry.error)
            elif entry.is_symlink():
                self._budget.count(path)
                yield from self._link(entry.path, root, path)
            elif entry.is_dir():
                self._budget.count(path)
            elif entry.is_file():
                yield from self._file(entry.path, path, f"{path}/")
            else:
                yield self._no_file(path)

    def _link(self, link: str, root: str, path: str) -> Iterator[Gap]:
        target, home = os.path.realpath(link), os.path.realpath(root)
        if target != home and not target.startswith(os.path.join(home, "")):  # what is inside is read where it lies
            yield Gap(path, f"a link out of the folder, to {printable(target)}", "analyze its target as one more path")
        elif not os.path.exists(target):
            yield Gap(path, f"a link to {printable(target)}, which is not there", "collect its target too")

    def _no_file(self, path: str) -> Gap:
        self._budget.count(path)
        return Gap(path, NO_FILE, "save what it gives to a file")

    def _file(self, file: str, path: str, inside: str) -> Iterator[Item | Gap]:
        try:
            source, size = self._meter.opened(file)
        except NoFile:
            yield self._no_file(path)
            return
        except OSError as error:
            yield damaged(path, error)
            return
        with source, self._meter.file(size):
            self._budget.count(path, size)
            yield from self._read(Content(path, source, in_place=True), size, inside, 0)

    def _read(self, content: Content, size: int, inside: str, depth: int) -> Iterator[Item | Gap]:
        """One file: the item that it is, or the items in it, whose paths then start with `inside`."""
        self._meter.name = content.path
        try:
            with Stream(content, size) as stream:
                yield from self._recognised(stream, size, inside, depth)
        except BundleError:
            raise  # a limit that all files share
        except FAULTS as error:
            yield damaged(content.path, error)

    def _recognised(self, stream: Stream, size: int, inside: str, depth: int) -> Iterator[Item | Gap]:
        content = stream.content
        head = stream.peek(HEAD)
        kind = recognise(head)
        if not head:
            yield content.fault or Gap(content.path, "empty", "nothing was written to it, or it was collected too early")
        elif not kind:
            yield from self._plain(stream, size, foreign(head))
        elif depth == self._budget.limits.nesting:
            yield over(content.path, "nesting", self._budget.limits.nesting)
        elif kind == "tar":
            yield from self._tar(stream, inside, depth + 1)
        elif kind == "zip":
            yield from (self._zip if content.in_place else self._copied_zip)(stream, size, inside, depth + 1)
        else:
            yield from self._compressed(kind, stream, size, inside, depth + 1)

    def _plain(self, stream: Stream, size: int, unread: str) -> Iterator[Item | Gap]:
        content, limits = stream.content, self._budget.limits
        if unread:
            yield Gap(content.path, f"packed as {unread}, which HangLens does not read", UNPACKED)
            return
        content.limit(limits.member_bytes)
        yield self._budget.too_large(content.path, size) or Item(content.path, size, stream)
        if content.fault and not stream.told:  # who read it took what was good for all
            yield content.fault

    def _compressed(self, kind: str, stream: Stream, size: int, inside: str, depth: int) -> Iterator[Item | Gap]:
        path = stream.content.path
        check = self._budget.metered(path, lambda: stream.content.given if size < 0 else size)
        unpacked = inflate(kind, stream, lambda: self._budget.frame(path))
        yield from self._read(Content(path, unpacked, check), -1, inside, depth)

    def _admit(self, inside: str, name: str, size: int, why_not: str) -> tuple[str, Gap | None]:
        path, refusal = admit(inside, name, why_not)
        refusal = refusal or self._budget.too_large(path, size)
        self._budget.count(path, 0 if refusal else size)
        return path, refusal

    def _tar(self, stream: Stream, inside: str, depth: int) -> Iterator[Item | Gap]:
        content, stream.quiet = stream.content, True
        members = tar_members(stream, self._budget.limits.member_bytes, in_place=content.in_place)
        for found in until_damage(content.path, members):
            if isinstance(found, Gap):
                yield content.fault or found
            else:
                yield from self._tar_member(*found, inside, depth, in_place=content.in_place)

    def _tar_member(self, tar: TarFile, info: TarInfo, inside: str, depth: int, *, in_place: bool) -> Iterator[Item | Gap]:
        if info.isdir():
            self._budget.count(inside)
            return
        path, refusal = self._admit(inside, info.name, info.size, tar_refusal(info))
        if refusal:
            yield refusal
            return
        member = Window(cast(BinaryIO, tar.fileobj), info.offset_data, info.size)
        yield from self._read(Content(path, member, in_place=in_place), info.size, f"{path}/", depth)

    def _zip(self, stream: Stream, size: int, inside: str, depth: int) -> Iterator[Item | Gap]:
        path, output = stream.content.path, 0
        for found in until_damage(path, zip_members(stream, self._meter.aside)):
            if isinstance(found, Gap):
                yield found
                return
            output += found.size
            bomb = self._budget.over_ratio(path, output, size)
            if bomb:
                yield bomb
                return
            yield from self._zip_member(stream, found, inside, depth)

    def _zip_member(self, stream: Stream, found: Member, inside: str, depth: int) -> Iterator[Item | Gap]:
        if found.name.endswith("/"):
            self._budget.count(inside)
            return
        path, refusal = self._admit(inside, found.name, found.size, zip_refusal(found))
        if refusal:
            yield refusal
            return
        try:
            member = open_member(stream, found)
        except FAULTS as error:
            yield damaged(path, error)
            return
        yield from self._read(Content(path, member), found.size, f"{path}/", depth)

    def _copied_zip(self, stream: Stream, _size: int, inside: str, depth: int) -> Iterator[Item | Gap]:
        """A zip that cannot be read in any order, by a copy that can."""
        content, stream.quiet = stream.content, True
        content.limit(self._budget.limits.member_bytes)
        with tempfile.SpooledTemporaryFile(max_size=SPOOL) as copy, self._meter.copying() as copied:
            try:
                shutil.copyfileobj(stream, copy, 1 << 16)
            except OSError as error:
                yield Gap(content.path, f"no room to unpack it: {error.strerror}", "set TMPDIR to a folder with more room")
                return
            size = copy.tell()
            copied(size)
            if content.fault:
                yield content.fault  # and no list of members, which stands at the end
                return
            whole = Window(cast(BinaryIO, copy), 0, size, self._meter.at)
            yield from self._zip(Stream(Content(content.path, whole, in_place=True)), size, inside, depth)
