"""The bundle while it grows: files in a hidden folder beside where it will lie, then moved into its place whole.

A probe that was given up on may still be running; what it brings after the bundle is closed is thrown away.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import msgspec

from hanglens.errors import HangLensError
from hanglens.manifest import NAME, Cut, Item, Manifest, Status, encode
from hanglens.redact import Redactor

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a probe is about to try: what, of which process, by which command; `began` is the monotonic clock's."""

    what: str
    pid: int | None = None
    rank: int | None = None
    command: str = ""
    began: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What came of an attempt, in the words of `hanglens.manifest.Item`."""

    status: Status = "ok"
    file: str = ""
    reason: str = ""
    how_to_collect: str = ""
    bytes: int = 0
    cut: Cut | None = None
    redactions: int = 0


def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


class Staging:
    """Takes what the probes bring, redacts it, and writes down what each of them came to."""

    def __init__(self, folder: Path, redactor: Redactor, *, names_replaced: bool = False) -> None:
        """`folder` is where the bundle will lie, as a folder or an archive.

        Raises:
            HangLensError: nothing can be written there.
        """
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=".hanglens-", suffix=".partial", dir=folder))
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._redactor, self._redacting = redactor, threading.Lock()
        self._lock, self._closed = threading.Lock(), False
        self.names_replaced = names_replaced
        self._items: list[Item] = []
        self._origin = time.time() - time.monotonic()

    def keep(self, attempt: Attempt, file: str, data: bytes, about: About | None = None) -> None:
        """Redact and write one file of text. If there is no space for it, that is noted and the others go on."""
        with self._redacting:
            before = sum(self._redactor.counts.values())
            data = self._redactor.bytes(data)
            changed = sum(self._redactor.counts.values()) - before
        self._write(attempt, file, data, replace(about or About(), redactions=changed))

    def keep_binary(self, attempt: Attempt, file: str, data: bytes) -> None:
        """Write one file as it is. One that cannot be searched for names is left out where names are to be replaced."""
        if self.names_replaced:
            self.miss(
                attempt, "failed", f"{file} is left out: it is binary, and holds the paths of sources", "hanglens collect without --redact"
            )
        else:
            self._write(attempt, file, data, About())

    def _write(self, attempt: Attempt, file: str, data: bytes, about: About) -> None:
        with self._lock:
            if self._closed:
                return
            file = self._free(_readable(self._redactor.text(file)))
            target = self.folder / file
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            except OSError as error:
                target.unlink(missing_ok=True)
                why = f"could not be written: {error.strerror or error}"
                self._note(attempt, About(status="failed", reason=why, how_to_collect="make room, or choose another place with -o"))
                return
            self._note(attempt, replace(about, file=file, bytes=len(data)))

    def miss(self, attempt: Attempt, status: Status, reason: str, how_to_collect: str = "") -> None:
        """Note what could not be had, and what would unlock it."""
        with self._lock:
            if not self._closed:
                self._note(attempt, About(status=status, reason=reason, how_to_collect=how_to_collect))

    def _note(self, attempt: Attempt, about: About) -> None:
        def text(told: str) -> str:
            return _readable(self._redactor.text(told))

        self._items.append(
            Item(
                what=attempt.what,
                status=about.status,
                start=utc(self._origin + attempt.began),
                seconds=round(time.monotonic() - attempt.began, 3),
                file=about.file,
                pid=attempt.pid,
                rank=attempt.rank,
                command=text(attempt.command),
                reason=text(about.reason),
                how_to_collect=text(about.how_to_collect),
                bytes=about.bytes,
                cut=about.cut,
                redactions=about.redactions,
            )
        )

    def _free(self, file: str) -> str:
        """The name, or one like it if it is taken."""
        path, number = PurePosixPath(file), 1
        while (self.folder / path).exists():
            number += 1
            path = PurePosixPath(file).with_name(f"{PurePosixPath(file).stem}-{number}{PurePosixPath(file).suffix}")
        return str(path)

    def close(self) -> list[Item]:
        """Take nothing more; what was noted so far."""
        with self._lock:
            self._closed = True
            return list(self._items)

    def publish(self, manifest: Manifest, target: Path, name: str) -> None:
        """Write the manifest and move everything into its place, whole: an archive if the name of `target` says so, else a folder.

        Raises:
            HangLensError: it cannot be written there; what was collected then stays in the hidden folder, which the message names.
        """
        try:
            (self.folder / NAME).write_bytes(encode(manifest))
            if target.name.endswith(ARCHIVE_SUFFIXES):
                _pack(self.folder, target, name)
                shutil.rmtree(self.folder, ignore_errors=True)
            else:
                self.folder.chmod(0o700)  # as private as an archive
                self.folder.replace(target)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise HangLensError(
                f"cannot write {target}: {getattr(error, 'strerror', None) or error}",
                f"what was collected lies in {self.folder}: analyze or pack it from there",
            ) from None

    def discard(self) -> None:
        """Leave nothing behind."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _readable(text: str) -> str:
    """Without bytes that are no UTF-8, which names of files may hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _pack(folder: Path, target: Path, name: str) -> None:
    """Into a draft of a random name: nobody can have laid a link there, and only its owner reads what the job printed."""
    descriptor, draft = tempfile.mkstemp(prefix=".hanglens-", suffix=".partial", dir=target.parent)
    try:
        with open(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
            archive.add(folder, arcname=name, filter=_anonymous)
        Path(draft).replace(target)
    finally:
        Path(draft).unlink(missing_ok=True)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names of the user and the group who collected."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _unwritable(folder: Path, error: OSError) -> HangLensError:
    return HangLensError(f"cannot write to {folder}: {error.strerror or error}", "choose another place with -o")
