"""The logs that benchmarks plant answers in: what they say is in them is in them, and nothing else."""

from __future__ import annotations

import itertools
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from hanglens.chunks import chunks
from hanglens.expressions import search
from hanglens.knowledge.load import load_rules
from hanglens.parse.index import PatternIndex
from hanglens.parse.lines import read_line
from hanglens.pipeline import diagnose
from hanglens.reading import search_index
from hanglens.scan import Pattern
from hanglens.serialize import to_json
from tests.benchmarks.markers import FLOODS, RARE, Marker
from tests.benchmarks.planted import OFTEN, RARELY, Mix, Planted, Silence, write_planted
from tests.benchmarks.scores import Score, score_events, score_silences

SIZE = 3_000_000  # bytes
OF_EACH_KIND = Mix(0.02, 0.1)
STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - lmdeploy")
LINE = dict.fromkeys("pid thread gpu peer rank number small pointer other".split(), 3)


@pytest.fixture(scope="module")
def index() -> PatternIndex:
    """What lines are searched for."""
    return search_index(load_rules())


def written(folder: Path, mix: Mix, seed: int = 1) -> tuple[Path, Planted]:
    """A small log and its answers."""
    path = folder / "job.log"
    return path, write_planted(path, SIZE, mix, seed)


@pytest.mark.parametrize("marker", FLOODS + RARE, ids=lambda marker: marker.names[0])
def test_markers_name_the_patterns_that_recognise_them(marker: Marker, index: PatternIndex) -> None:
    """A marker holds a literal of the pack, and of all patterns that markers name just its own recognise it."""
    told = {name for each in FLOODS + RARE for name in each.names}
    stamps = {"stamp": "2026-01-05 09:00:00,123", "second": "2026-01-05 09:00:00", "glog": "105 09:00:00.123456"}
    line = read_line(marker.text.format(host="node0", **LINE, **stamps), 1)
    hits = index.scanner.hits(line.raw.encode())
    wanted = [one for literal in hits.ends for one in index.wanted(literal)]
    fitting = [p for p in wanted if isinstance(p, Pattern) and (not p.sources or line.source in p.sources)]
    assert hits.ends
    assert {p.name for p in fitting if p.name in told and search(p.expression, line.message)} == set(marker.names)


@pytest.mark.parametrize("mix", [RARELY, OFTEN, OF_EACH_KIND])
def test_only_markers_hold_literals(tmp_path: Path, mix: Mix, index: PatternIndex) -> None:
    """The lines that hold a literal of the pack are the markers."""
    path, planted = written(tmp_path, mix)
    with path.open("rb") as file:
        held = {
            chunk.number(end)
            for chunk in chunks(file, index.scanner)
            for ends in index.scanner.places(chunk.data, chunk.hits, chunk.hits.ends).values()
            for end in ends
        }
    assert sorted(held) == planted.markers
    assert planted.lines == path.read_bytes().count(b"\n")


@pytest.mark.parametrize("mix", [RARELY, OFTEN, OF_EACH_KIND])
def test_every_marker_is_found(tmp_path: Path, mix: Mix) -> None:
    """Of each pattern the first markers and the last become events, and no other line does."""
    path, planted = written(tmp_path, mix)
    score = score_events(path, {path.name: planted})
    assert score.wanted >= len(planted.named)
    assert (score.found, score.extra) == (score.wanted, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_silences_are_where_they_are_said_to_be(tmp_path: Path, seed: int) -> None:
    """A look at each stamp finds the silences and no other one; all other stamps are near each other, or some seconds apart."""
    path, planted = written(tmp_path, OF_EACH_KIND, seed)
    stamped = [(number, found[1]) for number, line in enumerate(path.open(), 1) if (found := STAMP.match(line))]
    times = [(number, datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")) for number, text in stamped]  # noqa: DTZ007  (a log has no zone)
    steps = {(line, a, b): (b - a).total_seconds() for (line, a), (_, b) in itertools.pairwise(times)}
    assert [Silence(line, iso(a), iso(b)) for (line, a, b), step in steps.items() if step > 30] == planted.silences
    assert all(step < 1 or 5 <= step <= 10 or step >= 45 for step in steps.values())
    assert -1 < min(steps.values()) < 0
    assert planted.end == iso(times[-1][1])


def iso(moment: datetime) -> str:
    """As a Diagnosis tells it."""
    return moment.isoformat(timespec="milliseconds")


def test_what_is_missing_and_what_is_extra_shows(tmp_path: Path) -> None:
    """An event at a line at which nothing is said to be planted is extra, and one that is not there is missing."""
    path, planted = written(tmp_path, OF_EACH_KIND)
    whole = score_events(path, {path.name: planted})
    line = planted.named["kernel.xid"][0]
    planted.markers.remove(line)
    planted.named["kernel.xid"][0] = line - 1
    score = score_events(path, {path.name: planted})
    assert (score.wanted, score.found) == (whole.wanted, whole.found - 1)
    assert score.extra >= 1


def test_silences_count_with_their_line_and_both_stamps() -> None:
    """Of a timeline with one silence that is right, one that is not and the one at the end, the first is found and the second is extra."""
    right, wrong = (
        Silence(7, "2026-01-05T09:00:00.001", "2026-01-05T09:01:00.000"),
        Silence(8, "2026-01-05T10:00:00", "2026-01-05T10:01:00"),
    )
    end = "2026-01-05T11:00:00.000"
    spans = [(7, right.start, "2026-01-05T09:01:00"), (9, wrong.start, wrong.end), (9, wrong.end, end)]
    told = json.dumps({"timeline": [{"kind": "silence", "file": "a.log", "line": n, "from": a, "to": b} for n, a, b in spans]})
    assert score_silences(told, {"a.log": Planted(silences=[right, wrong], end=end)}) == Score(wanted=2, found=1, extra=1)


def test_a_seed_gives_one_log(tmp_path: Path) -> None:
    """The same seed gives the same bytes and answers, another one others."""
    made = []
    for number, seed in enumerate((1, 1, 2)):
        (tmp_path / str(number)).mkdir()
        path, planted = written(tmp_path / str(number), OFTEN, seed)
        made.append((path.read_bytes(), planted))
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]


@pytest.mark.parametrize("mix", [RARELY, OFTEN, OF_EACH_KIND])
def test_every_silence_is_told(tmp_path: Path, mix: Mix) -> None:
    """The timeline has each planted silence, with the line before it and both stamps, and no jump that is shorter."""
    path, planted = written(tmp_path, mix)
    told = to_json(diagnose([str(path)], load_rules())).decode()
    assert score_silences(told, {path.name: planted}) == Score(wanted=5, found=5, extra=0)
