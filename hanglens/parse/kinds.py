"""Every kind of file but the two of which large jobs have thousands: logs, documents, `/proc`, and what texts are searched for.

It loads all parsers; where flight recorders are all there is, other processes read them meanwhile.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from typing import BinaryIO

from hanglens.knowledge.tables import load_tracks
from hanglens.model import Gap, Parsed
from hanglens.parse import (
    engines,
    environment,
    gdb,
    host,
    kernel,
    lmdeploy,
    manifest,
    nccl,
    proc,
    pyspy,
    ras,
    smi,
    threads,
    torch,
    tracebacks,
)
from hanglens.parse.blocks import Place
from hanglens.parse.flight_recorder import HOW_TO_GET as HOW_TO_DUMP
from hanglens.parse.index import PatternIndex
from hanglens.parse.places import input_of, with_input
from hanglens.parse.ras import HOW_TO_GET as HOW_TO_ASK
from hanglens.parse.ras_json import is_ras_json, parse_ras_json
from hanglens.parse.text import read_text
from hanglens.scan import Pattern
from hanglens.streams import read_most

_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # as Windows redirects write it
_PRINTED = bytes(byte for byte in range(256) if 9 <= byte <= 13 or byte == 27 or byte >= 32)  # the bytes that a text may hold
_EMPTY = (  # files that mean something by being empty: how their name looks, what that means, how to get a full one
    (re.compile(r"(?i)(?:nccl|comm_lib|fr)_trace[^/\\]*$"),
     "empty: this rank began to write its flight recorder and ended, or was killed, before it had; its records are unknown",
     HOW_TO_DUMP),
    (re.compile(r"(?i)(?<![a-z])(?:nccl)?ras(?![a-z])[^/\\]*$"),
     "empty: the RAS port accepted the question and gave no answer, or nothing listened there", HOW_TO_ASK),
    (re.compile(r"(?i)py-?spy[^/\\]*$"), "empty: py-spy wrote no stack and no reason, as when it is killed or its disk is full",
     "py-spy dump --pid PID"),
)  # fmt: skip
LARGEST_DOCUMENT = 256 << 20  # a JSON document is read whole; a larger one is no dump of ours

_DOCUMENTS = (
    (pyspy.is_pyspy_json, pyspy.parse_pyspy_json, "py-spy JSON"),
    (manifest.is_manifest, manifest.parse_manifest, "bundle manifest"),
    (is_ras_json, parse_ras_json, "NCCL RAS JSON"),
)

_BLOCKS = (*pyspy.BLOCKS, *gdb.BLOCKS, *tracebacks.BLOCKS, *ras.BLOCKS, *smi.BLOCKS, *host.BLOCKS, *threads.BLOCKS, *environment.BLOCKS)
_PATTERNS = (*nccl.PATTERNS, *torch.PATTERNS, *lmdeploy.PATTERNS, *engines.PATTERNS, *kernel.PATTERNS)


def build_index(rule_patterns: Iterable[Pattern]) -> PatternIndex:
    """Everything that lines are searched for: the parsers' own patterns, the stages of all engines, and the rules'."""
    stages = [pattern for track in load_tracks() for pattern in (*track.marks, *(stage.pattern for stage in track.stages))]
    return PatternIndex([*_PATTERNS, *stages, *rule_patterns], _BLOCKS)


def read_kind(place: Place, size: int, head: bytes, stream: BinaryIO, index: Callable[[], PatternIndex]) -> Parsed:
    """Read a file by what its first bytes show. Raises only what the stream raises."""
    if gap := _empty(place, head):
        return Parsed(gaps=(gap,), inputs=(input_of(place, "unreadable", max(size, len(head))),))
    for is_one, parse, name in _DOCUMENTS:
        if is_one(head):
            data = read_most(stream, LARGEST_DOCUMENT + 1)
            if len(data) > LARGEST_DOCUMENT:
                return _too_large(place, name, max(size, len(data)))
            return with_input(parse(data, place), place, name, max(size, len(data)))
    kind = proc.sniff_proc(head, place.file)
    if kind:
        data = read_most(stream, proc.LONGEST)
        return with_input(proc.parse_proc(kind, data, place), place, f"/proc {kind}", max(size, len(data)))
    if head.startswith(_UTF16):
        stream = codecs.EncodedFile(stream, "utf-8", "utf-16", "replace")
    elif _is_binary(head):
        gap = Gap(place.file, "binary, and no kind that is known; nothing of it was read", "leave it out, or give it as text")
        return Parsed(gaps=(gap,), inputs=(input_of(place, "unknown", max(size, len(head))),))
    return read_text(stream, place, index())


def _too_large(place: Place, name: str, size: int) -> Parsed:
    gap = Gap(place.file, f"{name} of more than {LARGEST_DOCUMENT >> 20} MiB: not read", "give the part of it that matters")
    return Parsed(gaps=(gap,), inputs=(input_of(place, "unreadable", size),))


def _empty(place: Place, head: bytes) -> Gap | None:
    found = next(((why, how) for name, why, how in _EMPTY if name.search(place.file)), None)
    return Gap(place.file, *found) if found and not head.strip() else None


def _is_binary(head: bytes) -> bool:
    """More than a tenth of the bytes are control codes that no log prints.

    A log may hold some NULs, and begin or end with many: `logrotate` with copytruncate leaves a hole, and so does a crash.
    """
    head = head.strip(b"\0")
    return len(head.translate(None, _PRINTED)) > len(head) // 10
