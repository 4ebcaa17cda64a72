"""Flight recorders of a real job on gloo: states that never change, an empty pg_config, and a rank that is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from tests.parse.test_flight_recorder import read, records

pytestmark = pytest.mark.slow  # it starts a job of PyTorch


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which a real job wrote its dumps."""
    recorder = pytest.importorskip("torch._C._distributed_c10d", reason="needs PyTorch (a CPU build will do): .venv/bin/pip install torch")
    if not hasattr(recorder, "_dump_fr_trace"):
        pytest.skip("this torch records nothing of gloo")
    folder = tmp_path_factory.mktemp("gloo")
    script = Path(__file__).with_name("gloo_job.py")
    command = [sys.executable, str(script), str(folder)]
    subprocess.run(command, env={**os.environ, "TORCH_FR_BUFFER_SIZE": "2000"}, check=True, timeout=300, capture_output=True)
    (folder / "store").unlink(missing_ok=True)
    return folder


def test_calls_of_gloo_end_when_they_are_retired(dumps: Path) -> None:
    """gloo leaves every state at scheduled: what is retired has ended, and only the last all_reduce has not."""
    parsed = read((dumps / "comm_lib_trace_rank_0").read_bytes(), "comm_lib_trace_rank_0")
    assert parsed.gaps == ()
    found = [(record.group, record.seq, record.call.op, record.state) for record in records(parsed)]
    ended = [("0", seq, "all_reduce", "completed") for seq in (1, 2, 3)]
    assert [row for row in found if row[0] == "0"] == [*ended, ("0", 4, "all_reduce", "scheduled")]
    assert [row[3] for row in found if row[0] != "0"] == ["completed"]
    assert all("gloo_job.py" in record.call.site for record in records(parsed)[:3])


@pytest.mark.parametrize("kind", ["comm_lib_trace_rank_*", "json_trace_rank_*.json"])
def test_the_rank_that_did_not_come_is_named(dumps: Path, kind: str) -> None:
    """Rank 2 lacks the call that the others wait in, by the pickles as by the JSON form."""
    found = diagnose(sorted(map(str, dumps.glob(kind))), load_rules([]))
    assert (found.verdict, found.culprit_ranks) == ("hung", (2,))
    assert found.root_cause
    assert found.root_cause.category == "missing-rank"
