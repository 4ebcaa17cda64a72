"""From paths to what was read of the evidence under them. Light to import: dumps are being read while the reasoning is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from hanglens.bundle import Item, open_evidence
from hanglens.compressed import inflate
from hanglens.damage import FAULTS
from hanglens.errors import InputError
from hanglens.formats import HEAD, recognise
from hanglens.limits import Limits
from hanglens.meter import Meter, distinct
from hanglens.model import Gap, Parsed
from hanglens.parse.dump_readers import DumpReaders
from hanglens.parse.files import read_item
from hanglens.plainfile import PlainFile

if TYPE_CHECKING:
    from hanglens.knowledge.load import RulePack
    from hanglens.parse.index import PatternIndex
    from hanglens.privacy.redactor import Redactor


def read_paths(  # noqa: PLR0913  all but two have defaults
    paths: Sequence[str],
    pack: Callable[[], RulePack],
    *,
    limits: Limits | None = None,
    stdin: BinaryIO | None = None,
    meter: Meter | None = None,
    redactor: Redactor | None = None,
) -> tuple[Parsed, ...]:
    """Read the evidence under `paths`, file by file.

    The rules, which say what texts are searched for, are asked for when the first text comes. `meter` counts what is read.
    With a `redactor`, what must not leave is taken out before anything is looked at.

    Raises:
        UsageError: a path does not exist.
        InputError: nothing in them could be read.
    """
    items = open_evidence(paths, limits=limits, stdin=stdin, meter=meter)
    if redactor:
        from hanglens.privacy.evidence import redacted_items  # and with it all that secrets are searched by

        items = redacted_items(items, redactor)
    parts = read_evidence(items, lambda: search_index(pack()))
    if not any(about.kind not in ("unknown", "unreadable") for part in parts for about in part.inputs):
        gaps = [gap for part in parts for gap in part.gaps]
        why = "; ".join(f"{gap.what}: {gap.why}" for gap in gaps[:3]) or "no file in it"
        raise InputError(f"nothing readable in the input ({why})", "give log files, stack dumps, a folder or an archive of them")
    return parts


def search_index(pack: RulePack) -> PatternIndex:
    """What the lines of texts are searched for."""
    from hanglens.parse.kinds import build_index  # and with it all parsers

    return build_index(pattern for rule in pack.rules for pattern in rule.patterns())


def read_evidence(items: Iterable[Item | Gap], index: Callable[[], PatternIndex]) -> tuple[Parsed, ...]:
    """Read every file; each item is read, or given to another process, before the next one is taken."""

    @cache
    def begun() -> PatternIndex:
        found = index()
        found.searches.reset()
        return found

    parts: list[Callable[[], Parsed]] = []
    with closing(DumpReaders()) as dumps:
        for item in items:
            if isinstance(item, Gap):
                parts.append(partial(Parsed, gaps=(item,)))
            else:
                parts.append(read_item(item.path, item.size, item.stream, begun, dumps))
        return tuple(part() for part in parts)


def of_several_hosts(paths: Sequence[str]) -> bool:
    """Several folders or archives come from several hosts; several plain files are one host's."""
    return sum(path != "-" and _holds_files(path) for path in distinct(paths)) > 1


def _holds_files(path: str) -> bool:
    """Whether a path is a folder or an archive, compressed or not, and so may be all that a host gave."""
    if not Path(path).is_file():
        return Path(path).is_dir()
    try:
        with PlainFile(path) as file:
            kind = recognise(file.read(HEAD))
            if kind in ("", "tar", "zip"):
                return bool(kind)
            file.seek(0)
            with inflate(kind, cast(BinaryIO, file)) as unpacked:
                return bool(recognise(unpacked.read(HEAD)))
    except FAULTS:
        return False  # what is wrong with it is said when it is read
