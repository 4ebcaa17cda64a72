"""Act on files with the rights of a job's user and no more, so that the kernel itself judges what may be read for him.

Root passes over permissions, and a check of our own would have to know of modes, access lists, groups and every folder above. So the
thread takes the user's uid, gid and groups for file access (`man 2 setfsuid`, made for servers that serve other users' files). Unlike a
process of that user, such a thread cannot be signalled or traced by him.

The system calls are made raw: those of libc change all threads, and would wait for ever for one that hangs in a driver.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PASS_OVER_PERMISSIONS = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH in CapEff of /proc/self/status (capability.h)
_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "loongarch64": 159, "ppc64le": 81, "s390x": 206}  # by machine (unistd.h)
_ASK = 0xFFFFFFFF  # as an id: change nothing, tell the present one


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the kernel takes somebody for when he opens a file."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@contextmanager
def acting_as(user: Identity) -> Iterator[None]:
    """What this thread does with files inside of it, it does with that user's rights. Without rights beyond our own nothing changes.

    Raises:
        PermissionError: we have rights that must not be used for him, and cannot lay them down.
    """
    if user.uid == os.geteuid() or not _may_pass_over_permissions():
        yield
        return
    ourselves = Identity(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    try:
        _become(user)
        yield
    finally:
        _become(ourselves)


@cache
def _may_pass_over_permissions() -> bool:
    found = re.search(r"^CapEff:\s+([0-9a-f]+)$", Path("/proc/self/status").read_text("ascii", "replace"), re.MULTILINE)
    return not found or bool(int(found[1], 16) & _PASS_OVER_PERMISSIONS)


def _become(user: Identity) -> None:
    libc = _libc()
    number = _SETGROUPS.get(os.uname().machine)
    groups = (ctypes.c_uint * len(user.groups))(*user.groups)
    if number is None or libc.syscall(ctypes.c_long(number), ctypes.c_size_t(len(groups)), groups):
        raise _cannot(user)
    libc.setfsgid(user.gid)
    libc.setfsuid(user.uid)  # with it go the capabilities that pass over permissions, and come back
    if (libc.setfsuid(_ASK), libc.setfsgid(_ASK)) != (user.uid, user.gid):
        raise _cannot(user)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (libc.setfsuid, libc.setfsgid):
        call.argtypes, call.restype = [ctypes.c_uint], ctypes.c_uint
    libc.syscall.restype = ctypes.c_long
    return libc


def _cannot(user: Identity) -> PermissionError:
    return PermissionError(errno.EPERM, f"we have more rights than uid {user.uid}, and may not lay them down (CAP_SETUID, CAP_SETGID)")
