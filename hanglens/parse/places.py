"""What the name of a file hints at: which files are of one process, its rank, its pid. Content decides later.

Names: PyTorch `TORCH_NCCL_DEBUG_INFO_TEMP_FILE` (prefix + rank), NCCL `NCCL_DEBUG_FILE` (`%h.%p`), and what people and
`hanglens collect` call the files of one process (`rank0.pyspy.txt`, `pid419.proc-stat.txt`).
"""

from __future__ import annotations

import re

from hanglens import number
from hanglens.model import Input, Parsed
from hanglens.parse.blocks import Place

_SUFFIX = re.compile(r"(?i)\.(?:gz|zst|xz|bz2)$")
_KIND = re.compile(r"(?i)(?:py-?spy|gdb|proc|stack|traceback|faulthandler|log|out|err|stdout|stderr)(?:[-_.]|$)")
_PROCESS = re.compile(r"(?i)(?:rank|pid)[-_]?\d+$")
_RANK = re.compile(r"(?i)(?<!local)(?<![a-z])(?<!local[-_])rank[-_.]?(\d{1,6})(?!\d)")
_RECORDER = re.compile(r"(?i)(?:dump|trace)(?!back).*[-_.](\d{1,6})(?:\.(?:pkl|pickle|json|bin))?$")
_PID = re.compile(r"(?i)(?<![a-z])pid[-_.]?(\d{1,9})(?!\d)")
_NCCL_PID = re.compile(r"(?i)nccl.*\.(\d{2,9})(?:\.(?:log|txt|out))?$")


def read_place(path: str) -> Place:
    """Read a path inside the evidence.

    >>> read_place("evidence/rank0.pyspy.txt")
    Place(file='evidence/rank0.pyspy.txt', group='rank0', pid=None, rank=0)
    """
    name = _SUFFIX.sub("", re.split(r"[/\\]", path)[-1])
    rank, pid = _RANK.search(name) or _RECORDER.search(name), _PID.search(name) or _NCCL_PID.search(name)
    return Place(path, group=_group(name), pid=number.pid(pid[1]) if pid else None, rank=number.rank(rank[1]) if rank else None)


def _group(name: str) -> str:
    stem, _, rest = name.partition(".")
    return stem if _KIND.match(rest) or (rest and _PROCESS.match(stem)) else ""


def input_of(place: Place, kind: str, size: int) -> Input:
    """The row of a file that was recognised as a kind."""
    return Input(file=place.file, kind=kind, bytes=size, group=place.group, pid=place.pid, rank=place.rank)


def with_input(parsed: Parsed, place: Place, kind: str, size: int) -> Parsed:
    """What was read of a file, and its row."""
    return Parsed.total([Parsed(inputs=(input_of(place, kind, size),)), parsed])
