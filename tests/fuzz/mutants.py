"""A mutant: evidence that nobody recorded, made of what somebody did. The same seed and number make the same mutant."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz import dumps, lines, octets, packs, rulefiles, trees
from tests.fuzz.evidence import Case

FORMATS = ("json", "text", "markdown", "html", "speedscope", "trace")
MOST_BYTES = 2 << 20  # of all files: a mutant is to be odd, not large


@dataclass(frozen=True)
class Mutant:
    """Files by their paths, and what `analyze` gets: these top names (`given`), or the folder that holds all files.

    `rules` are rule files that replace the packaged ones; `redact` hides names; `formats` are those that it is rendered in.
    `free`: it may be published.
    """

    files: Mapping[str, bytes]
    given: tuple[str, ...] = ()
    rules: Mapping[str, bytes] = field(default_factory=dict)
    redact: bool = False
    formats: tuple[str, ...] = FORMATS
    free: bool = True

    def write(self, folder: Path) -> list[Path]:
        """Write it into a folder that is emptied before; the paths that are to be analysed."""
        shutil.rmtree(folder, ignore_errors=True)
        for top, files in (("evidence", self.files), ("rules", self.rules)):
            (folder / top).mkdir(parents=True)
            for name, data in files.items():
                with contextlib.suppress(OSError):  # a name that is a file here and a folder there, or is too long
                    path = folder / top / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
        given = [folder / "evidence" / name for name in self.given]
        return [path for path in given if path.exists()] or [folder / "evidence"]


def make(seed: int, number: int, cases: Sequence[Case], rules: Mapping[str, bytes]) -> Mutant:
    """The mutant of this seed and number."""
    rng = Random(f"{seed}/{number}")
    case = rng.choice(cases)
    files, free = _chosen(rng, case), case.free
    if rng.random() < 0.12:
        other = rng.choice(cases)
        files, free = files | _chosen(rng, other), free and other.free
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        files = _mutated(rng, files)
    given = _tops(files) if rng.random() < 0.4 else ()
    if rng.random() < 0.13:
        files, given = packs.packed(rng, files), ()
    odd = rulefiles.mutated(rng, dict(rules)) if rng.random() < 0.05 else {}
    formats = tuple(name for name in FORMATS if name == "json" or rng.random() < 0.5)
    return Mutant(_bounded(files), given, odd, redact=rng.random() < 0.12, formats=formats, free=free)


def _chosen(rng: Random, case: Case) -> dict[str, bytes]:
    """All files of a case, or a few: then more of them are analysed in a second."""
    number = len(case.files) if rng.random() < 0.08 else min(rng.choice((1, 2, 2, 3, 5)), len(case.files))
    chosen = set(rng.sample(sorted(case.files), number))
    return {name: data for name, data in case.files.items() if name in chosen}


def _mutated(rng: Random, files: dict[str, bytes]) -> dict[str, bytes]:
    way = rng.random()
    if way < 0.2:
        return rng.choice(trees.MUTATIONS)(rng, files)
    structured = [name for name, data in files.items() if data[:1] in (b"{", b"[", b"\x80")]
    if way < 0.5 and structured:
        name = rng.choice(structured)
        return files | {name: dumps.structure(rng, files[name])}
    name = rng.choice(list(files))
    return files | {name: rng.choice(lines.MUTATIONS if way < 0.78 else octets.MUTATIONS)(rng, files[name])}


def _tops(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The top names, each to be given as a path: hosts, if they are folders."""
    tops = tuple(dict.fromkeys(name.partition("/")[0] for name in files))
    return tops if len(tops) <= 6 else ()


def _bounded(files: Mapping[str, bytes]) -> dict[str, bytes]:
    left, out = MOST_BYTES, {}
    for name, data in files.items():
        out[name] = data[:left]
        left -= len(out[name])
    return out
