"""A bundle's folder while it grows, which only we can reach, and the way from there to its place.

It lies beside that place, hidden, and is reached by its descriptor alone: whoever owns the folder around it may rename it, or lay a link in
its place, and nothing of ours follows. What is published is made inside of it, and never replaces what somebody put there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2s
from pathlib import Path
from typing import BinaryIO

from hanglens.collect.invoker import invoker, may_write
from hanglens.collect.steps import opened_again, walk

_MARK = ".draft"  # a file of ours in each: nobody else can make of another folder of ours one that a later run removes
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_TRIES = 100


class Draft:
    """The folder. `path` is for people to read: nothing is reached by it."""

    def __init__(self, folder: Path) -> None:
        """Make it in `folder`, and remove those that runs left there which ended before they could.

        Raises:
            OSError: nothing can be made there, or a link of somebody else leads there.
        """
        self._parent = _opened(folder)
        try:
            _remove_left(self._parent)
            self._name, self._folder = _made(self._parent)
        except BaseException:
            os.close(self._parent)
            raise
        self.path = folder / self._name

    def write(self, file: str, data: bytes) -> None:
        """Make one file, at most one folder deep; of one that cannot be written whole nothing is left.

        Raises:
            OSError: as of `open` and `write`; FileExistsError for a name that is taken.
        """
        if "/" in file:
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(file), 0o700, dir_fd=self._folder)
        with self._new(file) as out:
            out.write(data)

    @contextmanager
    def _new(self, file: str) -> Iterator[BinaryIO]:
        descriptor = os.open(file, _NEW, 0o600, dir_fd=self._folder)
        try:
            with open(descriptor, "w+b") as out:
                yield out
        except BaseException:
            os.unlink(file, dir_fd=self._folder)
            raise

    def publish_file(self, name: str, data: bytes) -> None:
        """Put a file beside the draft under this name.

        Raises:
            OSError: it cannot be written; FileExistsError if something lies there.
        """
        with self._placed(name) as out:
            out.write(data)

    def publish_archive(self, name: str, top: str) -> os.stat_result:
        """Put all files beside the draft as one .tar.gz of this name, below a folder `top`; the draft is gone then. What it is now.

        Raises:
            OSError: as `publish_file`.
        """
        files = sorted(_files(self._folder))
        with self._placed(name) as out, tarfile.open(fileobj=out, mode="w:gz", compresslevel=3) as archive:
            for file in files:
                with open(os.open(file, os.O_RDONLY, dir_fd=self._folder), "rb") as source:
                    archive.addfile(_anonymous(archive.gettarinfo(arcname=f"{top}/{file}", fileobj=source)), source)
            about = os.fstat(out.fileno())
        self.remove()
        return about

    def publish_folder(self, name: str) -> os.stat_result:
        """Give the draft itself this name. What it is now.

        Raises:
            OSError: it cannot be renamed, or somebody has put something else in its place.
        """
        self._rename(name)
        os.unlink(_MARK, dir_fd=self._folder)
        for _, _, files, folder in os.fwalk(".", topdown=False, dir_fd=self._folder):  # what lies inside first, while it is out of reach
            for file in files:
                with open(os.open(file, os.O_RDONLY, dir_fd=folder), "rb") as made:
                    self._give(made.fileno())
            self._give(folder)
        about = os.fstat(self._folder)
        self._close()
        return about

    def leave(self) -> Path:
        """Keep it under a name that no later run takes for a draft that was left; where it lies now."""
        name = self._name.removeprefix(".").removesuffix(_suffix())
        with suppress(OSError):
            self._rename(name)
        self._close()
        return self.path

    def remove(self) -> None:
        """Leave nothing behind."""
        _emptied(self._folder)
        with suppress(OSError):
            os.rmdir(self._name, dir_fd=self._parent)
        self._close()

    def _rename(self, name: str) -> None:
        os.rename(self._name, name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        if not _lies_at(self._folder, name, self._parent):
            raise OSError(errno.EPERM, "somebody else has put something into its place")
        self._name, self.path = name, self.path.with_name(name)

    @contextmanager
    def _placed(self, name: str) -> Iterator[BinaryIO]:
        """A new file inside of the draft, where nobody else can reach it, which goes to its place once it is whole."""
        draft = f".{name}"
        with self._new(draft) as out:
            yield out
            out.flush()
            self._give(out.fileno())
            _put(draft, self._folder, name, self._parent)

    def _give(self, descriptor: int) -> None:
        """To who called us through sudo, if he could have made it there himself."""
        user = invoker()
        if user and may_write(user, os.fstat(self._parent)):
            os.fchown(descriptor, user.uid, user.gid)

    def _close(self) -> None:
        os.close(self._folder)
        os.close(self._parent)


@contextmanager
def held(bundle: Path, about: os.stat_result | None) -> Iterator[str]:
    """A path to what was published, which leads there whatever somebody puts into its place meanwhile. `about`: what it was then.

    Raises:
        OSError: something else lies there already, or nothing.
    """
    descriptor = os.open(bundle, os.O_PATH | os.O_NOFOLLOW)
    try:
        if about and not os.path.samestat(os.fstat(descriptor), about):
            raise OSError(errno.ESTALE, "somebody has put something else into its place")
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    """The folder that is meant. On root's way a link is followed if it is root's, or of who called us through sudo."""
    if os.geteuid():
        return os.open(folder, os.O_PATH | os.O_DIRECTORY)
    user = invoker()
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        return walk(root, os.path.join(os.getcwd(), folder), links_of={0, *([user.uid] if user else ())}, to_the_end=True)
    finally:
        os.close(root)


def _suffix() -> str:
    """Behind the name of a draft: by whom on which host, since the folder may be one that several hosts share."""
    try:
        machine = Path("/etc/machine-id").read_bytes()
    except OSError:
        machine = b""
    host = blake2s(socket.gethostname().encode() + b"\0" + machine, digest_size=4).hexdigest()
    return f".{host}.partial"


def _made(parent: int) -> tuple[str, int]:
    """A new draft, locked for as long as we live; its name and its descriptor."""
    for _ in range(_TRIES):
        name = f".hanglens-{secrets.token_hex(4)}{_suffix()}"
        os.mkdir(name, 0o700, dir_fd=parent)
        try:
            folder = os.open(name, _FOLDER, dir_fd=parent)
        except OSError:  # somebody has put a link in its place; or another run of ours took it for one that was left, before it was locked
            continue
        if os.fstat(folder).st_uid == os.geteuid():
            os.fchmod(folder, 0o700)  # whatever it is: nobody else gets into it from here on
            if not os.listdir(folder) and _locked(folder) and _lies_at(folder, name, parent):
                os.close(os.open(_MARK, _NEW, 0o600, dir_fd=folder))
                return name, folder
        os.close(folder)
    raise OSError(errno.EPERM, "what is made there becomes somebody else's, as where NFS takes root for nobody")


def _locked(folder: int) -> bool:
    """Whether nobody else holds it; where there are no locks it is not locked, and no later run will remove it."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _lies_at(folder: int, name: str, parent: int) -> bool:
    try:
        return os.path.samestat(os.fstat(folder), os.stat(name, dir_fd=parent, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _remove_left(parent: int) -> None:
    """The drafts of runs on this host that were killed: real folders of ours that nobody holds locked."""
    with suppress(OSError):
        listed = opened_again(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            names = [name for name in os.listdir(listed) if name.startswith(".hanglens-") and name.endswith(_suffix())]
        finally:
            os.close(listed)
        for name in names:
            with suppress(OSError):
                _remove_if_left(name, parent)


def _remove_if_left(name: str, parent: int) -> None:
    folder = os.open(name, _FOLDER, dir_fd=parent)
    try:
        if _was_a_draft(folder):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _lies_at(folder, name, parent):
                _emptied(folder)
                os.rmdir(name, dir_fd=parent)
    finally:
        os.close(folder)


def _was_a_draft(folder: int) -> bool:
    if os.fstat(folder).st_uid != os.geteuid():
        return False
    try:
        return os.stat(_MARK, dir_fd=folder, follow_symlinks=False).st_uid == os.geteuid()
    except FileNotFoundError:
        return not os.listdir(folder)


def _emptied(folder: int) -> None:
    """Its mark goes last: what is killed now is still known for a draft."""
    for _, folders, files, here in os.fwalk(".", topdown=False, dir_fd=folder, follow_symlinks=False):
        for name in (*folders, *sorted(files, key=_MARK.__eq__)):
            with suppress(OSError):
                _remove(name, here)


def _remove(name: str, here: int) -> None:
    try:
        os.unlink(name, dir_fd=here)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=here)


def _files(folder: int) -> Iterator[str]:
    for place, _, files, _ in os.fwalk(".", dir_fd=folder):
        yield from (os.path.normpath(os.path.join(place, file)) for file in files if file != _MARK)


def _put(draft: str, folder: int, name: str, parent: int) -> None:
    """Move a file into its place, unless something lies there; a file system without links has the place taken first."""
    try:
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(name, _NEW, 0o600, dir_fd=parent))
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=parent)
    else:
        os.unlink(draft, dir_fd=folder)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names of the user and the group who collected."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
