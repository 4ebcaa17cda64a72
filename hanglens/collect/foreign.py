"""Files of a job's process: looked up inside of its own root, and opened with the rights of its user and no more.

Whoever runs the job may lay a link, a pipe or another file in the place of each, at any moment. So what lies there is taken hold of first
(O_PATH, which neither reads nor waits), then looked at, and only that very file is opened.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from hanglens.collect.identity import Identity, acting_as
from hanglens.collect.steps import opened_again, walk

Place = int | str
"""Where a process has a file: the number of a descriptor, or an absolute path inside of its root."""

MOST_NAMES = 200_000  # of a folder: whoever fills it does not fill our memory
_IDS = re.compile(r"^(Uid|Gid|Groups):[ \t]*([\d \t]*)$", re.MULTILINE)
_AT_SECURE = 23  # in /proc/PID/auxv: the program that was executed gave more rights than its starter had (`man 3 getauxval`)


@dataclass(frozen=True, slots=True)
class Found:
    """What lies at a place: a descriptor that cannot read, and what there is to know of it."""

    descriptor: int
    about: os.stat_result
    user: Identity

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode: two places with one key are one file."""
        return self.about.st_dev, self.about.st_ino

    @property
    def own(self) -> bool:
        """Whether it belongs to the user of the process."""
        return self.about.st_uid == self.user.uid

    def read(self) -> BinaryIO:
        """Open a regular file for reading.

        Raises:
            OSError: it is none, or the user of the process may not read it.
        """
        if not stat.S_ISREG(self.about.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        with acting_as(self.user):
            return open(opened_again(self.descriptor, os.O_RDONLY), "rb")

    def write(self, data: bytes) -> None:
        """Write to a named pipe, if somebody reads it.

        Raises:
            OSError: it is none, nobody reads it, or the user of the process may not write to it.
        """
        if not stat.S_ISFIFO(self.about.st_mode):
            raise OSError(errno.EINVAL, "it is no pipe")
        with acting_as(self.user):
            descriptor = opened_again(self.descriptor, os.O_WRONLY)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


@contextmanager
def found(pid: int, place: Place) -> Iterator[Found]:
    """What a process has at a place now; of a path the last part is not followed if it is a link.

    Raises:
        OSError: it is gone, or may not be reached, by us or by the user of the process.
    """
    with _process(pid) as (process, user):
        held = isinstance(place, int)
        descriptor = os.open(f"fd/{place}", os.O_PATH, dir_fd=process) if held else _reached(process, user, str(place))
        try:
            if _user(process) != user:  # it was root's when we asked, and may have handed itself over before we looked
                raise PermissionError(errno.EPERM, "it has become another user's meanwhile")
            yield Found(descriptor, os.fstat(descriptor), user)
        finally:
            os.close(descriptor)


def names_in(pid: int, folder: str) -> list[str]:
    """The names in a folder of a process, in order, and no more than MOST_NAMES.

    Raises:
        OSError: as `found`; or it may not be listed.
    """
    with _process(pid) as (process, user):
        descriptor = _reached(process, user, folder, to_the_end=True)
        try:
            with acting_as(user):
                listed = opened_again(descriptor, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(descriptor)
    try:
        with os.scandir(listed) as entries:
            return sorted(entry.name for entry in islice(entries, MOST_NAMES))
    finally:
        os.close(listed)


@contextmanager
def _process(pid: int) -> Iterator[tuple[int, Identity]]:
    """A descriptor of its folder in /proc, which never becomes that of another process with this pid, and its user."""
    folder = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder, _user(folder)
    finally:
        os.close(folder)


def _reached(process: int, user: Identity, path: str, *, to_the_end: bool = False) -> int:
    """What lies at a path inside of the root of a process, as far as its user may go.

    Root follows only links of that user and of who owns that root; who is not root goes where the job itself would go.
    """
    root = os.open("root", os.O_PATH | os.O_DIRECTORY, dir_fd=process)
    try:
        links_of = None if os.geteuid() else {0, user.uid, os.fstat(root).st_uid}
        with acting_as(user):
            return walk(root, path, links_of=links_of, to_the_end=to_the_end)
    finally:
        os.close(root)


def _user(process: int) -> Identity:
    """Who started it: the real user, whatever a setuid program may do.

    A program that became root by being executed got its environment and its descriptors from somebody who is not; the kernel marks it.
    """
    ids = {name: [int(word) for word in words.split()] for name, words in _IDS.findall(_text(process, "status").decode("utf-8", "replace"))}
    user = Identity(ids["Uid"][0], ids["Gid"][0], tuple(ids.get("Groups", ())))
    if user.uid == 0 and _gained_rights(_text(process, "auxv")):
        raise PermissionError(errno.EPERM, "it is a setuid program, and what it was given may be somebody else's")
    return user


def _gained_rights(vector: bytes) -> bool:
    """Of a program of 64 or 32 bits."""
    pairs = (pair for shape in ("QQ", "II") for pair in struct.iter_unpack(shape, vector[: len(vector) // 16 * 16]))
    return any(kind == _AT_SECURE and value for kind, value in pairs)


def _text(process: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=process), "rb") as file:
        return file.read()
