"""Lines of LMDeploy that analyses need."""

from __future__ import annotations

import io

import pytest

from hanglens.model import Event
from hanglens.parse.blocks import Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.lmdeploy import PATTERNS
from hanglens.parse.text import read_text

INDEX = PatternIndex(PATTERNS, ())
OLD, NEW = "2024-07-06 17:52:28,825 - lmdeploy - INFO - ", "2025-07-06 17:52:28,825 - lmdeploy - DEBUG - agent.py:69 - "


def read(line: str) -> dict[str, Event]:
    """The events of one line by name."""
    return {event.name: event for event in read_text(io.BytesIO(line.encode()), Place("a.log"), INDEX).events}


@pytest.mark.parametrize("prefix", [OLD, NEW, "(RayWorkerWrapper pid=7) " + NEW])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("input backend=pytorch, backend_config=PytorchEngineConfig(dtype='auto', tp=4, dp=1)",
         {"lmdeploy.start": {"backend": "pytorch", "tp": "4"}}),
        ("input backend=turbomind, backend_config=TurbomindEngineConfig(dtype='auto', model_format=None, tp=2)",
         {"lmdeploy.start": {"backend": "turbomind", "tp": "2"}}),
        ("rank[3] - loading weights.", {"lmdeploy.rank": {"rank": "3"}}),
        ("<ForwardTask> rank[1]: batch_size=1", {"lmdeploy.rank": {"rank": "1"}}),
        ("proc[2] call method: <build_model>.", {"lmdeploy.rank": {"proc": "2"}}),
        ('session 5 finished, reason "stop", input_tokens 12', {"lmdeploy.finished": {"session": "5"}}),
        ("session=5, input_tokens=12", {"lmdeploy.accepted": {"session": "5"}}),
    ],
)  # fmt: skip
def test_wordings(prefix: str, line: str, expected: dict[str, dict[str, str]]) -> None:
    """Lines are recognised below the logger's formats of all versions, with their numbers and names."""
    assert {name: dict(event.fields) for name, event in read(prefix + line).items()} == expected


@pytest.mark.parametrize(
    "line",
    [
        NEW + "Op Linear fallback to default implementation.",
        NEW + "ranks[3] - loading weights.",
        NEW + "proc[2] called",
        NEW + "input backend=pytorch, backend_config=None",
        NEW + f"rank[{'9' * 5000}] - loading weights.",
        "rank[3] - loading weights.",  # of another program
    ],
)
def test_near_misses(line: str) -> None:
    """Lines that look alike, of other programs, or with numbers that no job has, give nothing."""
    assert read(line) == {}
