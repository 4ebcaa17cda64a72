"""The recorded evidence that mutants are made of, cut down so that one is analysed in milliseconds."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
LARGEST = 64 << 10  # bytes of one file
_HEAD, _TAIL = 16 << 10, 24 << 10
_RECORDS = 40  # of a flight recorder
_TELLING = re.compile(rb"(?i)error|warn|traceback|rank|watchdog|time-?out|exit|signal|killed|comm 0x")
_OURS = ("cap-", "live-")  # labelled cases that we recorded; the others are the work of strangers


@dataclass(frozen=True)
class Case:
    """The files of one incident by their paths. `free`: what is made of it may be published."""

    name: str
    files: Mapping[str, bytes]
    free: bool = True


def fixtures() -> list[Case]:
    """The recorded hangs of this project."""
    return [Case(folder.parent.name, files) for folder in sorted(FIXTURES.glob("*/evidence")) if (files := read(folder))]


def labelled(folder: Path) -> list[Case]:
    """The cases below a folder of folders of cases; none where there is no such folder."""
    found = sorted(folder.glob("cases*/*/evidence"))
    return [Case(one.parent.name, files, free=one.parent.name.startswith(_OURS)) for one in found if (files := read(one))]


def read(folder: Path, *, whole: bool = False) -> dict[str, bytes]:
    """The files below a folder by their paths, each cut down unless it is wanted `whole`."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() if whole else trimmed(path.read_bytes()) for path in files}


def rule_files() -> dict[str, bytes]:
    """The rule files of the checkout as `<category>/<name>.yaml`."""
    return {path.relative_to(ROOT / "rules").as_posix(): path.read_bytes() for path in sorted((ROOT / "rules").glob("*/*.yaml"))}


def trimmed(data: bytes) -> bytes:
    """At most some LARGEST bytes: the last records of a recorder, and of a text the beginning, the end and the telling lines between."""
    if len(data) <= LARGEST:
        return data
    if data.startswith(b"\x80"):
        return _fewer_records(data)
    middle = b"".join(_until(LARGEST - _HEAD - _TAIL, data[_HEAD:-_TAIL].splitlines(keepends=True)))
    return data[:_HEAD] + middle + data[-_TAIL:]


def _until(most: int, lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        if _TELLING.search(line):
            most -= len(line)
            if most < 0:
                return
            yield line


def _fewer_records(data: bytes) -> bytes:
    try:
        dump = pickle.loads(data)  # a file of this project, or one that was looked through by hand
        return pickle.dumps(dump | {"entries": dump["entries"][-_RECORDS:]}, 2)
    except (pickle.UnpicklingError, ValueError, TypeError, KeyError, EOFError):
        return data[:LARGEST]
