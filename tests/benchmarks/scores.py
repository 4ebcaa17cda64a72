"""What was found of what was planted in logs."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from hanglens.knowledge.load import load_rules
from hanglens.parse.text import KEEP
from hanglens.reading import read_paths
from tests.benchmarks.measure import ANALYZE, measure
from tests.benchmarks.planted import Planted

JSON = ("--no-report", "--format", "json")
_PLAIN = "import sys; sys.modules['hyperscan'] = None; from hanglens.cli import main; main()"
_Place = tuple[str, int]  # file and line
_Spans = set[tuple[str, int, datetime, datetime]]


@dataclass(frozen=True)
class Score:
    """Of planted things, so many were wanted and found; others are extra. Of each pattern the first lines and the last are wanted."""

    wanted: int
    found: int
    extra: int

    def __str__(self) -> str:
        return f"{self.found}/{self.wanted} +{self.extra}"


def score_events(path: Path, answers: Mapping[str, Planted]) -> Score:
    """The lines that patterns recognise; extra are those at which nothing was planted."""
    found = defaultdict[str, set[_Place]](set)
    for event in (event for part in read_paths([str(path)], load_rules) for event in part.events):
        if event.name != "tail":
            found[event.name].add((Path(event.ref.file).name, event.ref.line or 0))
    wanted = {(name, place) for name, place in _wanted(answers)}
    planted = {(file, line) for file, answer in answers.items() for line in answer.markers}
    extra = sum(len(places - planted) for places in found.values())
    return Score(len(wanted), sum(place in found[name] for name, place in wanted), extra)


def _wanted(answers: Mapping[str, Planted]) -> Iterator[tuple[str, _Place]]:
    for file, answer in answers.items():
        for name, lines in answer.named.items():
            yield from ((name, (file, line)) for line in (*lines[:KEEP], *lines[-KEEP:]))


def score_silences(told: str, answers: Mapping[str, Planted]) -> Score:
    """The silences of a Diagnosis, with the lines before them and both stamps; that a rank ends before the others is none of them."""
    timeline = msgspec.json.decode(told)["timeline"] if told else []
    end = max(datetime.fromisoformat(answer.end) for answer in answers.values())
    found: _Spans = {
        (Path(span["file"]).name, span["line"], datetime.fromisoformat(span["from"]), datetime.fromisoformat(span["to"]))
        for span in timeline
        if span["kind"] == "silence" and span.get("line") and datetime.fromisoformat(span["to"]) != end
    }
    wanted: _Spans = {
        (file, silence.line, datetime.fromisoformat(silence.start), datetime.fromisoformat(silence.end))
        for file, answer in answers.items()
        for silence in answer.silences
    }
    return Score(len(wanted), len(found & wanted), len(found - wanted))


def same_without_hyperscan(path: Path) -> bool:
    """Whether the plain search leads to the same Diagnosis, byte for byte."""
    told = measure([*ANALYZE, *JSON, str(path)]).told
    return bool(told) and told == measure([sys.executable, "-c", _PLAIN, *ANALYZE[3:], *JSON, str(path)]).told
