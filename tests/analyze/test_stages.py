"""Start-up stages: copies of each stage's line counted against the ranks that should print it."""

from __future__ import annotations

import pytest

from hanglens.analyze.stages import progress, stage_facts, stage_of_ranks, track_of
from hanglens.incident import Incident
from hanglens.model import Event
from hanglens.verdict import Fact
from tests.builders import event, facts, incident, log, parsed


def lines(track: str, *said: str) -> list[Event]:
    """Stage lines in order; `free-memory:2` is rank 2's, `block-num` nobody's."""
    events = [event(f"mark:{track}#0", file="job.log", line=1, source="lmdeploy")]
    for line, text in enumerate(said, 2):
        stage, _, rank = text.partition(":")
        fields = {"rank_": rank} if rank else {}
        events.append(event(f"stage:{track}/{stage}", text, file="job.log", line=line, source="lmdeploy", **fields))
    return events


def started(track: str, *said: str, world: int = 3, after: tuple[Event, ...] = ()) -> Incident:
    """A job whose log holds these stage lines, and these lines at its end."""
    events = lines(track, *said)
    return incident(world=world, evidence=parsed(*events, log(tail=(*events, *after))))


def short(about: Incident) -> list[tuple[object, tuple[int, ...], object]]:
    """Stage, ranks and number of copies of each shortness."""
    return [(fact.values["value"], fact.ranks, fact.values["have"]) for fact in facts(about, stage_facts).get("stage.short", [])]


def stuck(about: Incident) -> list[Fact]:
    """Where the start-up stands between two stages."""
    return facts(about, stage_facts).get("stage.stuck_between", [])


LEGACY, MP, SGLANG = "lmdeploy-legacy", "lmdeploy-mp", "sglang"


def test_copies_of_named_and_anonymous_lines() -> None:
    """A rank counts once however often it prints; a line that names no rank counts one each."""
    about = started(LEGACY, "build-model", "free-memory:0", "free-memory:0", "free-memory:1", "block-num", "block-num", "block-num")
    track = track_of(about)
    assert track
    rows = {row.stage.id: row for row in progress(about, track) if row.copies}
    assert {name: (row.copies, row.complete) for name, row in rows.items()} == {
        f"{LEGACY}/build-model": (1, True), f"{LEGACY}/free-memory": (2, False), f"{LEGACY}/block-num": (3, True),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (started(LEGACY, "build-model", "free-memory:0", "free-memory:2"), [(f"{LEGACY}/free-memory", (1,), 2)]),
        (started(LEGACY, "build-model", "free-memory:0", "free-memory:2", "block-num"), [(f"{LEGACY}/block-num", (1,), 1)]),
        (started(SGLANG, "distributed:0", "distributed:1", "distributed:2", "weights", "weights"), [("sglang/weights", (), 2)]),
        (started(LEGACY, "free-memory:0", "free-memory:2"), []),
        (started(LEGACY, "build-model", "free-memory:0", "block-num", "block-num", "block-num"), []),
        (started(MP, "executor", "load-weights:0", "configs"), []),
        (started(LEGACY, "build-model", "free-memory:0", world=0), []),
        (started(LEGACY, "build-model", "free-memory:0", world=1), []),
    ],
    ids="named two-stages anonymous first-in-the-log complete-afterwards passed-afterwards no-world one-rank".split(),
)
def test_short_of_a_stage(about: Incident, expected: list[object]) -> None:
    """Ranks that lack the last stage that others printed, named where the lines name ranks; never by the first stage of a cut log."""
    assert short(about) == expected


def test_stuck_between_two_stages() -> None:
    """Everybody printed a stage and nobody anything after it: the call between the two is where they are."""
    about = started(LEGACY, "build-model", "free-memory:0", "free-memory:1", "free-memory:2", "block-num", "block-num", "block-num")
    (fact,) = stuck(about)
    assert (fact.values["value"], fact.values["next"], fact.values["collective"]) == (f"{LEGACY}/block-num", f"{LEGACY}/cache-engine", True)
    assert fact.of_all
    assert [entry.line for entry in fact.evidence][-3:] == [6, 7, 8]


BLOCKS = ("build-model", "block-num", "block-num", "block-num")


@pytest.mark.parametrize(
    "about",
    [
        started(LEGACY, *BLOCKS[:-1]),
        started(LEGACY, *BLOCKS, after=(event("tail", "more", line=99, source="lmdeploy"),)),
        started(LEGACY, *BLOCKS, "serving"),
        started(MP, "executor"),
    ],
    ids="not-all lines-follow last-stage nothing-blocks".split(),
)
def test_not_stuck(about: Incident) -> None:
    """A missing copy, a later line of the same program, the last stage, a stage without a blocking call: not stuck there."""
    assert stuck(about) == []


def test_lines_of_other_programs_do_not_break_silence() -> None:
    """A line of NCCL below the last stage is no progress of the engine."""
    assert stuck(started(LEGACY, *BLOCKS, after=(event("tail", "NET/Plugin", line=99, source="nccl"),)))


def test_the_track_with_the_most_marks() -> None:
    """An executor's own mark decides; the older track's lines may occur beside it."""
    marks = [event(f"mark:{LEGACY}#{n}") for n in range(3)] + [event(f"mark:{MP}#0")]
    track = track_of(incident(evidence=parsed(*marks)))
    assert track
    assert track.name == MP
    assert track_of(incident()) is None


def test_stage_of_each_rank() -> None:
    """A stage printed by all, without names, is reached by every rank; a named one by that rank."""
    about = started(LEGACY, "build-model", "block-num", "block-num", "block-num")
    assert {rank: stage.id for rank, stage in stage_of_ranks(about).items()} == dict.fromkeys(range(3), f"{LEGACY}/block-num")
    assert {rank: stage.id for rank, stage in stage_of_ranks(started(MP, "load-weights:1")).items()} == {1: f"{MP}/load-weights"}
