"""From the bytes of one file to what was read of them: recognise the kind by content, then hand it to its parser."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from typing import BinaryIO

from hanglens.errors import HangLensError
from hanglens.knowledge.tables import load_tracks
from hanglens.model import Gap, Input, Parsed
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
from hanglens.parse.dump_readers import DumpReaders
from hanglens.parse.flight_recorder import HOW_TO_GET as HOW_TO_DUMP
from hanglens.parse.flight_recorder import is_flight_recorder, load_dump
from hanglens.parse.places import read_place
from hanglens.parse.pyspy_file import LARGEST, is_pyspy_file, read_pyspy_file
from hanglens.parse.ras import HOW_TO_GET as HOW_TO_ASK
from hanglens.parse.ras_json import is_ras_json, parse_ras_json
from hanglens.parse.text import PatternIndex, read_text
from hanglens.scan import Pattern

HEAD = 4096
_UTF8 = b"\xef\xbb\xbf"
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

_BLOCKS = (*pyspy.BLOCKS, *gdb.BLOCKS, *tracebacks.BLOCKS, *ras.BLOCKS, *smi.BLOCKS, *host.BLOCKS, *threads.BLOCKS, *environment.BLOCKS)
_PATTERNS = (*nccl.PATTERNS, *torch.PATTERNS, *lmdeploy.PATTERNS, *engines.PATTERNS, *kernel.PATTERNS)


def build_index(rule_patterns: Iterable[Pattern]) -> PatternIndex:
    """Everything that lines are searched for: the parsers' own patterns, the stages of all engines, and the rules'."""
    stages = [pattern for track in load_tracks() for pattern in (*track.marks, *(stage.pattern for stage in track.stages))]
    return PatternIndex([*_PATTERNS, *stages, *rule_patterns], _BLOCKS)


def read_item(
    path: str, size: int, opened: Callable[[], BinaryIO], index: Callable[[], PatternIndex], dumps: DumpReaders
) -> Callable[[], Parsed]:
    """Read one file of the evidence; what is returned gives what was read, at once or when `dumps` have read it.

    `index`, what texts are searched for, is asked for when the first text comes. What cannot be read is a Gap in the result; this never
    raises for bad input.
    """
    place = read_place(path)
    try:
        with opened() as stream:
            head = stream.read(HEAD)
            stacks = read_pyspy_file(head + stream.read(LARGEST), place, index()) if is_pyspy_file(head) else None
        if stacks:
            return lambda: stacks
        with opened() as stream:
            if head.startswith(_UTF8):
                head = head.removeprefix(stream.read(len(_UTF8)))
            if is_flight_recorder(head):
                reading = dumps.read(load_dump(stream, size), place, size)
                return lambda: _with_input(reading(), place, "flight recorder", size)
            parsed = _read(place, size, head, stream, index)
    except (HangLensError, OSError) as error:
        gap = Gap(path, str(error), "collect the file again, or unpack it and check it")
        parsed = Parsed(gaps=(gap,), inputs=(_input(place, "unreadable", size),))
    return lambda: parsed


def _read(place: Place, size: int, head: bytes, stream: BinaryIO, index: Callable[[], PatternIndex]) -> Parsed:
    if gap := _empty(place, head):
        return Parsed(gaps=(gap,), inputs=(_input(place, "unreadable", size),))
    if pyspy.is_pyspy_json(head):
        return _with_input(pyspy.parse_pyspy_json(stream.read(LARGEST_DOCUMENT), place), place, "py-spy JSON", size)
    if manifest.is_manifest(head):
        return _with_input(manifest.parse_manifest(stream.read(LARGEST_DOCUMENT), place), place, "bundle manifest", size)
    if is_ras_json(head):
        return _with_input(parse_ras_json(stream.read(LARGEST_DOCUMENT), place), place, "NCCL RAS JSON", size)
    kind = proc.sniff_proc(head, place.file)
    if kind:
        return _with_input(proc.parse_proc(kind, stream.read(proc.LONGEST), place), place, f"/proc {kind}", size)
    if head.startswith(_UTF16):
        stream = codecs.EncodedFile(stream, "utf-8", "utf-16", "replace")
    elif _is_binary(head):
        gap = Gap(place.file, "binary, and no kind that is known; nothing of it was read", "leave it out, or give it as text")
        return Parsed(gaps=(gap,), inputs=(_input(place, "unknown", size),))
    return read_text(stream, place, index())


def _with_input(parsed: Parsed, place: Place, kind: str, size: int) -> Parsed:
    return Parsed.total([Parsed(inputs=(_input(place, kind, size),)), parsed])


def _input(place: Place, kind: str, size: int) -> Input:
    return Input(file=place.file, kind=kind, bytes=size, group=place.group, pid=place.pid, rank=place.rank)


def _empty(place: Place, head: bytes) -> Gap | None:
    found = next(((why, how) for name, why, how in _EMPTY if name.search(place.file)), None)
    return Gap(place.file, *found) if found and not head.strip() else None


def _is_binary(head: bytes) -> bool:
    """More than a tenth of the bytes are control codes that no log prints.

    A log may hold some NULs, and begin or end with many: `logrotate` with copytruncate leaves a hole, and so does a crash.
    """
    head = head.strip(b"\0")
    return len(head.translate(None, _PRINTED)) > len(head) // 10
