"""What a search through large ordinary logs must not find."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from tests.benchmarks.logs import healthy_lines, write_log

SIZE = 8 << 20  # bytes


@pytest.mark.parametrize("seed", [1, 2])
def test_ordinary_lines_are_no_cause(tmp_path: Path, seed: int) -> None:
    """In megabytes of NCCL traces and debug lines, with pointers that spell any word, no cause is found, not even a possible one."""
    write_log(tmp_path / "job.log", healthy_lines(seed), SIZE)
    diagnosis = diagnose([str(tmp_path)], load_rules())
    assert (diagnosis.verdict, diagnosis.root_cause) == ("unknown", None)
    assert {finding.role for finding in diagnosis.findings} <= {"observation"}
