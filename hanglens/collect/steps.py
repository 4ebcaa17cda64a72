"""Open a path step by step, each step by the descriptor of the one before: whoever renames or links meanwhile leads us nowhere else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection

MOST_LINKS = 40  # as the kernel
MOST_STEPS = 256  # folders of a path; each is a descriptor while it is walked


def walk(start: int, path: str, *, links_of: Collection[int] | None, to_the_end: bool = False) -> int:
    """A descriptor (O_PATH) of what lies at `path` below the folder `start`, which is its root: no link and no `..` leads above it.

    Links are followed only if they belong to one of the uids `links_of` (None: whosever they are), and one that is the last part of the
    path only if it is walked `to_the_end`.
    Whoever calls closes the descriptor.

    Raises:
        OSError: it is not there, or may not be reached, or a link of somebody else stands in the way.
    """
    way = [os.dup(start)]
    try:
        _walk(way, path, links_of, to_the_end=to_the_end)
        return way.pop()
    finally:
        _back(way, 0)


def _walk(way: list[int], path: str, links_of: Collection[int] | None, *, to_the_end: bool) -> None:
    pending, links = path.split("/")[::-1], 0
    while pending:
        part = pending.pop()
        if part == "..":
            _back(way, max(1, len(way) - 1))
        elif part not in ("", "."):
            way.append(os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=way[-1]))
            about = os.fstat(way[-1])
            if stat.S_ISLNK(about.st_mode) and (to_the_end or any(pending)):
                links += 1
                target = _target(way[-1], about, links, links_of)
                _back(way, 1 if target.startswith("/") else len(way) - 1)
                pending += target.split("/")[::-1]
        if len(way) > MOST_STEPS:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def _back(way: list[int], length: int) -> None:
    while len(way) > length:
        os.close(way.pop())


def _target(link: int, about: os.stat_result, links: int, links_of: Collection[int] | None) -> str:
    if links_of is not None and about.st_uid not in links_of:
        raise PermissionError(errno.EPERM, f"a link of another user (uid {about.st_uid}) leads there")
    if links > MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return os.readlink("", dir_fd=link)


def opened_again(descriptor: int, flags: int) -> int:
    """The file behind an O_PATH descriptor, opened: that very one, whatever its name leads to by now. It is never waited for."""
    return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_NOCTTY)
