"""The stacks as a file for speedscope (https://www.speedscope.app/file-format-schema.json): who stands where, as a flame graph.

The first profile has all ranks: a group of equal stacks is one sample, as heavy as the group is large, and its innermost frame is the
name of the group, so that the picture shows where ranks part. Then each group has a profile of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from hanglens.errors import InputError
from hanglens.ranges import ranges
from hanglens.report.i18n import Lang, pick, say, those
from hanglens.report.plain import clean, cut, line
from hanglens.verdict import Diagnosis, StackGroup

LONGEST_NAME = 60  # of a group; odd ranks of a thousand would fill the window
_PYTHON = re.compile(r'File "([^"]{1,500})", line ([0-9]{1,9}),? in (.+)')  # tracebacks, faulthandler
_NUMBERED = re.compile(r"#[0-9]{1,6}\s+(?:0x[0-9a-fA-F]{1,16} in )?(.+)")  # gdb; addresses and arguments differ where the place is one


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frame as speedscope knows it; two that are equal are one."""

    name: str
    file: str = ""
    line: int | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Samples that weigh as much as they stand for; a sample is indices of shared frames, outermost first."""

    type: Literal["sampled"] = "sampled"
    name: str
    unit: Literal["none"] = "none"
    start_value: int = 0
    end_value: int
    samples: list[list[int]]
    weights: list[int]


class Shared(msgspec.Struct, frozen=True):
    """What all profiles point to."""

    frames: list[Frame]


class File(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole file."""

    schema: str = msgspec.field(default="https://www.speedscope.app/file-format-schema.json", name="$schema")
    exporter: str
    name: str
    active_profile_index: int = 0
    shared: Shared
    profiles: list[Profile]


def render(d: Diagnosis, *, lang: Lang) -> str:
    """The file as JSON. Raises InputError where there is no stack, since speedscope opens no file without a profile."""
    d = clean(d)
    stacks = [stack for stack in d.stack_groups if stack.frames and _size(stack)]
    if not stacks:
        raise InputError("there are no stacks in this diagnosis", "collect some with `hanglens collect --pid PID`")
    index: dict[Frame, int] = {}
    samples = [[index.setdefault(frame, len(index)) for frame in map(frame_of, reversed(stack.frames))] for stack in stacks]
    names = [_name(stack, d.culprit_ranks, lang) for stack in stacks]
    ends = [index.setdefault(Frame(name), len(index)) for name in names]
    together = [[*sample, end] for sample, end in zip(samples, ends, strict=True)]
    sizes = list(map(_size, stacks))
    profiles = [_profile(say("All ranks", lang), together, sizes)]
    profiles += [_profile(name, [sample], [size]) for name, sample, size in zip(names, samples, sizes, strict=True)]
    made_by, title = f"hanglens {d.tool_version}", line(pick(d.summary, lang))
    return msgspec.json.encode(File(exporter=made_by, name=title, shared=Shared(list(index)), profiles=profiles)).decode() + "\n"


def frame_of(text: str) -> Frame:
    """The line of a dump as name, file and line, as far as it can be split.

    >>> frame_of("barrier (torch/distributed/distributed_c10d.py:4818)")
    Frame(name='barrier', file='torch/distributed/distributed_c10d.py', line=4818)
    """
    if found := _PYTHON.search(text):
        return Frame(found[3], found[1], int(found[2]))
    if found := _NUMBERED.match(text):
        return _native(found[1])
    name, bracket, place = text.removesuffix(")").rpartition(" (")
    return _placed(name, place) if bracket and text.endswith(")") and name and place else Frame(text or "?")


def _native(text: str) -> Frame:
    """`function (arguments) at file:line`, or `from` a library."""
    for word in (" at ", " from "):
        call, found, place = text.rpartition(word)
        if found:
            return _placed(call.partition(" (")[0], place)
    return Frame(text.partition(" (")[0])


def _placed(name: str, place: str) -> Frame:
    file, _, number = place.rpartition(":")
    return Frame(name, file, int(number)) if file and re.fullmatch("[0-9]{1,9}", number) else Frame(name, place)


def _size(stack: StackGroup) -> int:
    return len(stack.ranks) + len(stack.processes)


def _name(stack: StackGroup, culprits: Sequence[int], lang: Lang) -> str:
    who = ", ".join(part for part in (those(ranges(stack.ranks), lang), *stack.processes) if part)
    return cut(who if set(culprits).isdisjoint(stack.ranks) else f"▶ {who}", LONGEST_NAME)


def _profile(name: str, samples: list[list[int]], weights: list[int]) -> Profile:
    return Profile(name=name, end_value=sum(weights), samples=samples, weights=weights)
