"""The tables of stages and frames, read from rules/stages.yaml and rules/frames.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from hanglens.knowledge.load import load_table
from hanglens.knowledge.schema import Plain
from hanglens.scan import Pattern
from hanglens.verdict import Text


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of an engine's start-up. `each`: every rank prints `pattern`; otherwise one process does.

    `call` is what runs after it; `collective` says that ranks meet there.
    """

    id: str
    pattern: Pattern
    each: bool
    title: Text
    call: str = ""
    collective: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One way through an engine's start-up; `marks` are lines that no other track prints."""

    name: str
    engine: str
    stages: tuple[Stage, ...]
    marks: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class FrameTable:
    """How frames are told apart; expressions are searched in `function (file)`."""

    kinds: tuple[tuple[str, re.Pattern[str]], ...]
    transparent: re.Pattern[str]
    landmarks: re.Pattern[str]
    slow_work: re.Pattern[str]
    helper_frames: re.Pattern[str]
    helper_threads: re.Pattern[str]
    helper_commands: re.Pattern[str]
    callers: tuple[tuple[str, str, re.Pattern[str]], ...]

    def kind(self, described: str) -> str:
        """collective, gpu-wait, idle, … ; `transparent`; or `own` for everything else."""
        if self.helper_frames.search(described):
            return "helper"
        found = next((kind for kind, expression in self.kinds if expression.search(described)), "")
        return found or ("transparent" if self.transparent.search(described) else "own")

    def turn(self, kind: str, caller: str) -> int | None:
        """The first of `callers` by which this one changes what a frame of that kind means, if any."""
        return next((n for n, (below, _, match) in enumerate(self.callers) if below == kind and match.search(caller)), None)

    def kind_below(self, kind: str, turns: Iterable[int | None]) -> str:
        """What a frame of that kind means by the turns of its callers: a collective of a worker that waits for requests is idle."""
        first = min((turn for turn in turns if turn is not None), default=None)
        return kind if first is None else self.callers[first][1]


_EXPRESSIONS = ("transparent", "landmarks", "slow_work", "helper_frames", "helper_threads", "helper_commands")


@lru_cache(maxsize=1)
def load_tracks() -> tuple[Track, ...]:
    """All tracks of rules/stages.yaml."""
    return tuple(_track(name, _record(entry)) for name, entry in load_table("stages.yaml").items())


@lru_cache(maxsize=1)
def load_frames() -> FrameTable:
    """The table of rules/frames.yaml."""
    data = load_table("frames.yaml")
    kinds, callers = ([_record(entry) for entry in cast(list[Plain], data[name])] for name in ("frames", "callers"))
    return FrameTable(
        kinds=tuple((str(entry["kind"]), re.compile(str(entry["match"]))) for entry in kinds),
        callers=tuple((str(entry["below"]), str(entry["kind"]), re.compile(str(entry["match"]))) for entry in callers),
        **{name: _any_of(data[name]) for name in _EXPRESSIONS},
    )


def _track(name: str, data: dict[str, Plain]) -> Track:
    source = data.get("source", [])
    sources = frozenset([source] if isinstance(source, str) else cast(list[str], source))
    stages = [_record(entry) for entry in cast(list[Plain], data["stages"])]
    return Track(
        name=name,
        engine=str(data["engine"]),
        marks=tuple(Pattern(f"mark:{name}#{n}", str(mark), sources) for n, mark in enumerate(cast(list[Plain], data["marks"]))),
        stages=tuple(_stage(name, sources, stage) for stage in stages),
    )


def _stage(track: str, sources: frozenset[str], data: dict[str, Plain]) -> Stage:
    after, title = _record(data.get("then") or {}), _record(data["title"])
    return Stage(
        id=f"{track}/{data['id']}",
        pattern=Pattern(f"stage:{track}/{data['id']}", str(data["pattern"]), sources),
        each=data["copies"] == "each",
        title=Text(en=str(title["en"]), zh=str(title["zh"])),
        call=str(after.get("call", "")),
        collective=bool(after.get("collective")),
    )


def _record(data: Plain) -> dict[str, Plain]:
    return cast(dict[str, Plain], data)


def _any_of(expressions: Plain) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{expression})" for expression in cast(list[str], expressions)))
