"""The bundle while it grows: what the probes bring, redacted, and what each of them came to; then moved into its place whole.

A probe that was given up on may still be running; what it brings after the bundle is closed is thrown away.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import msgspec

from hanglens.collect.draft import Draft
from hanglens.errors import HangLensError
from hanglens.manifest import NAME, Cut, Item, Manifest, Status, encode
from hanglens.printable import printable
from hanglens.privacy.dumps import redacted_dump
from hanglens.privacy.redactor import Redactor

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

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        """`folder` is where the bundle will lie, as a folder or an archive.

        Raises:
            HangLensError: nothing can be written there.
        """
        try:
            self._draft = Draft(folder)
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._redactor, self._redacting = redactor, threading.Lock()
        self._lock, self._closed = threading.Lock(), False
        self._items: list[Item] = []
        self._names: set[str] = set()
        self._origin = time.time() - time.monotonic()

    @property
    def folder(self) -> Path:
        """Where it lies meanwhile."""
        return self._draft.path

    def keep(self, attempt: Attempt, file: str, data: bytes, about: About | None = None) -> None:
        """Redact and write one file of text. If there is no space for it, that is noted and the others go on."""
        with self._redacting:
            before = sum(self._redactor.counts.values())
            data = self._redactor.bytes(data)
            changed = sum(self._redactor.counts.values()) - before
        self._write(attempt, file, data, replace(about or About(), redactions=changed))

    def keep_dump(self, attempt: Attempt, file: str, data: bytes) -> None:
        """Redact the strings of a flight-recorder dump and write it; where names must go, one that cannot be read is left out."""
        with self._redacting:
            before = sum(self._redactor.counts.values())
            try:
                data = redacted_dump(data, self._redactor)
            except ValueError as error:
                if self._redactor.names:
                    why = f"{file} is left out, since no name in it can be replaced: it {error}"
                    self.miss(attempt, "failed", why, "hanglens collect without --redact")
                    return
            changed = sum(self._redactor.counts.values()) - before
        self._write(attempt, file, data, About(redactions=changed))

    def _write(self, attempt: Attempt, file: str, data: bytes, about: About) -> None:
        with self._lock:
            if self._closed:
                return
            file = self._free(printable(self._redactor.text(file)))
            try:
                self._draft.write(file, data)
            except OSError as error:
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
        while str(path) in self._names:
            number += 1
            path = PurePosixPath(file).with_name(f"{PurePosixPath(file).stem}-{number}{PurePosixPath(file).suffix}")
        self._names.add(str(path))
        return str(path)

    def close(self) -> list[Item]:
        """Take nothing more; what was noted so far."""
        with self._lock:
            self._closed = True
            return list(self._items)

    def publish(self, manifest: Manifest, name: str, top: str, *, table: str = "") -> os.stat_result:
        """Write the manifest and give everything its name, whole: an archive if the name says so, with a folder `top` in it, else a folder.

        `table`, which is not for others' eyes, goes into a file beside it. Nothing that lies there is replaced.

        Raises:
            HangLensError: it cannot be written there; what was collected then stays in a folder, which the message names.
        """
        try:
            self._draft.write(NAME, encode(manifest))
            if table:
                self._draft.publish_file(table_of(name), table.encode("utf-8", "replace"))
            archive = name.endswith(ARCHIVE_SUFFIXES)
            return self._draft.publish_archive(name, top) if archive else self._draft.publish_folder(name)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            why, kept = getattr(error, "strerror", None) or error, self._draft.leave()
            raise HangLensError(
                f"cannot write {kept.with_name(name)}: {why}", f"what was collected lies in {kept}: analyze or pack it from there"
            ) from None

    def discard(self) -> None:
        """Leave nothing behind."""
        self.close()
        self._draft.remove()


def table_of(name: str) -> str:
    """The name of the file beside a bundle that says what each pseudonym in it stands for."""
    return f"{name}.names.txt"


def _readable(text: str) -> str:
    """Without bytes that are no UTF-8, which names of files may hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unwritable(folder: Path, error: OSError) -> HangLensError:
    return HangLensError(f"cannot write to {folder}: {error.strerror or error}", "choose another place with -o")
