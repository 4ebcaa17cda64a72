"""Who called us through sudo: what root makes for him in a folder of his may be his."""

from __future__ import annotations

import os
import pwd
import stat

from hanglens import number
from hanglens.collect.identity import Identity

_NO_ID = 2**32 - 1


def invoker() -> Identity | None:
    """The user that sudo names (SUDO_UID, SUDO_GID); None unless we are root, since only root could give him anything."""
    uid, gid = (number.whole(os.environ.get(name), _NO_ID - 1) for name in ("SUDO_UID", "SUDO_GID"))
    if os.geteuid() or not uid or gid is None:
        return None
    try:
        groups = os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        groups = [gid]
    return Identity(uid, gid, tuple(groups))


def may_write(user: Identity, folder: os.stat_result) -> bool:
    """Whether the mode of a folder lets him make files in it; of an access list only the mode is known, which may say less."""
    if folder.st_uid == user.uid:
        return bool(folder.st_mode & stat.S_IWUSR)
    return bool(folder.st_mode & (stat.S_IWGRP if folder.st_gid in (user.gid, *user.groups) else stat.S_IWOTH))
