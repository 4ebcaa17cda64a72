"""Files that hold nothing but py-spy dumps: the ranks of a job stand in much the same calls, so that each frame is read once for all.

What a line means is told by the parser of dumps that stand inside of logs. A file with any line of another kind is left to the
reader of texts, which would read this one to the same values, many times slower.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hanglens.model import Input, Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.dumps import MAX_FRAMES
from hanglens.parse.index import PatternIndex
from hanglens.parse.lines import Line
from hanglens.parse.pyspy import Dump, plain_frames
from hanglens.parse.text import read_events

LARGEST = 1 << 20  # bytes; the dump of one process is far smaller
_BEGIN = re.compile(rb"\s{0,80}(?:Process \d{1,9}:|Thread (?:0x[0-9A-Fa-f]{1,16}|\d{1,16}) \()")
_SECTIONS = re.compile(r"\n(?! )")  # a line of its own, and those indented below it
_HEAD = re.compile(r"(?:Parent )?Process \d|Python v\d|Thread [0\d]")
_PREFIXES = ("ESC[", "#033[", "NCCL ")  # what a reader of lines would take off from the middle of one


def is_pyspy_file(head: bytes) -> bool:
    """Whether a file that begins so may hold nothing but dumps."""
    return _BEGIN.match(head) is not None


def read_pyspy_file(data: bytes, place: Place, index: PatternIndex) -> Parsed | None:
    """The stacks and processes of a file, and the lines of it that some pattern wants; None where it holds anything else."""
    text = data.decode("utf-8", "replace")
    if len(data) >= LARGEST or not text.replace("\n", "").isprintable() or any(sign in text for sign in _PREFIXES):
        return None
    dump = _dump(text, place)
    if dump is None:
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    about = Input(place.file, "stack dump", len(data), lines, place.group, place.pid, place.rank)
    return replace(dump.close(), inputs=(about,), events=read_events(data, place, index))


def _dump(text: str, place: Place) -> Dump | None:
    """The dump that is read to its end; None at the first line that only a reader of texts understands."""
    dump, number = Dump(place), 1
    for section in _SECTIONS.split(text):
        head, _, below = section.partition("\n")
        if head.strip() and not (_HEAD.match(head) and dump.feed(Line(number, head, head, head))):
            return None
        if below:
            thread, frames = dump.thread, plain_frames(below)
            if frames is None or thread is None or thread.first.number != number:
                return None
            thread.frames.extend(frames[:MAX_FRAMES])
        number += section.count("\n") + 1
    return dump
