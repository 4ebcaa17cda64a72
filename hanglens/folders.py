"""Folders, walked in the order in which a person counts: rank2 before rank10."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A folder that cannot be listed, and why."""

    path: str
    error: OSError


def walk(root: str) -> Iterator[os.DirEntry[str] | Unlisted]:
    """All that lies below a folder, each folder before what it holds; no link is followed.

    It keeps a stack of its own, since folders may be deeper than Python's.
    """
    pending = [_entries(root)]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        yield entry
        if isinstance(entry, os.DirEntry) and entry.is_dir(follow_symlinks=False):
            pending.append(_entries(entry.path))


def _entries(folder: str) -> Iterator[os.DirEntry[str] | Unlisted]:
    try:
        with os.scandir(folder) as found:
            listed = sorted(found, key=lambda entry: _natural(entry.name))
    except OSError as error:
        yield Unlisted(folder, error)
        return
    yield from listed


def _natural(name: str) -> list[str | int]:
    """Texts and numbers by turns."""
    return [int(part) if place % 2 else part for place, part in enumerate(_NUMBER.split(name))]
