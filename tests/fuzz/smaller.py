"""Makes a mutant that breaks something as small as it can be and still breaks it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.fuzz.mutants import FORMATS, Mutant

TRIES = 250
SECONDS = 60.0
_PLAIN = re.compile(r"[\w.+=-][\w.+= /-]*")

T = TypeVar("T")
Breaks = Callable[[Mutant], bool]


class _Search:
    """Counts what it tries, and finds nothing any more when that is enough."""

    def __init__(self, breaks: Breaks) -> None:
        self._breaks, self._left, self._end = breaks, TRIES, time.monotonic() + SECONDS

    def still(self, mutant: Mutant) -> bool:
        """Whether this one breaks, too."""
        self._left -= 1
        return self._left >= 0 and time.monotonic() < self._end and self._breaks(mutant)


def smaller(mutant: Mutant, breaks: Breaks, unpacked: Callable[[Mutant], Mutant] = lambda mutant: mutant) -> Mutant:
    """The smallest mutant that was found to break, too; `unpacked` makes one without archives."""
    search = _Search(breaks)
    plain = unpacked(mutant)
    mutant = plain if search.still(plain) else mutant
    for change in ({"formats": ("json",)}, {"redact": False}, {"given": ()}, {"rules": {}}):
        simpler = replace(mutant, **change)
        mutant = simpler if simpler != mutant and search.still(simpler) else mutant
    for field in ("rules", "files"):
        mutant = _fewer(mutant, field, search)
    mutant = _plainly_named(mutant, search)
    for name in mutant.files:
        mutant = _shorter(mutant, "files", name, search)
    for name in mutant.rules:
        mutant = _shorter(mutant, "rules", name, search)
    return replace(mutant, formats=FORMATS)


def _fewer(mutant: Mutant, field: str, search: _Search) -> Mutant:
    files: Mapping[str, bytes] = getattr(mutant, field)
    names = _shrunk(list(files), lambda some: search.still(replace(mutant, **{field: {name: files[name] for name in some}})))
    return replace(mutant, **{field: {name: files[name] for name in names}})


def _plainly_named(mutant: Mutant, search: _Search) -> Mutant:
    """Each file under a name that every system takes, where the fault is not in the name."""
    for number, name in enumerate(mutant.files):
        if not _PLAIN.fullmatch(name):
            renamed = {f"file{number}.log" if old == name else old: data for old, data in mutant.files.items()}
            plain = replace(mutant, files=renamed, given=())
            mutant = plain if search.still(plain) else mutant
    return mutant


def _shorter(mutant: Mutant, field: str, name: str, search: _Search) -> Mutant:
    """One file with fewer lines, and then, if it is short by then, with fewer bytes."""
    files: Mapping[str, bytes] = getattr(mutant, field)

    def with_data(parts: Sequence[bytes]) -> Mutant:
        return replace(mutant, **{field: {**files, name: b"".join(parts)}})

    lines = _shrunk(files[name].splitlines(keepends=True), lambda some: search.still(with_data(some)))
    single = [bytes([byte]) for byte in b"".join(lines)]
    return with_data(_shrunk(single, lambda some: search.still(with_data(some))) if len(single) < 6000 else lines)


def _shrunk(whole: list[T], enough: Callable[[list[T]], bool]) -> list[T]:
    """A part of a list that is enough: halves are left out, then quarters, and so on."""
    size = len(whole) // 2
    while size and len(whole) > 1:
        at = 0
        while at < len(whole):
            rest = whole[:at] + whole[at + size :]
            if rest and enough(rest):
                whole = rest
            else:
                at += size
        size //= 2
    return whole
