"""GPUs, by an nvidia-smi of our own making."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanglens.collect import gpu
from hanglens.collect.commands import Outcome
from hanglens.collect.gpu import collect_gpus, sample_load
from hanglens.collect.staging import Staging
from tests.collect.processes import program


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes nvidia-smi a shell script, or takes it away; there is a GPU."""

    def become(script: str | None) -> None:
        path = program(tmp_path / "bin", "nvidia-smi", script) if script is not None else None
        monkeypatch.setattr(gpu, "find_program", lambda _: path)
        monkeypatch.setattr(gpu, "has_gpu", lambda: True)

    return become


def test_each_answer_is_a_file(smi, staging: Staging) -> None:
    """State, links, details and processes are asked one by one, each with its command in the manifest."""
    smi('echo "asked: $*"')
    collect_gpus(staging)
    items = staging.close()
    assert {i.status for i in items} == {"ok"}
    assert [i.file for i in items] == ["gpu/nvidia-smi.txt", "gpu/topology.txt", "gpu/p2p.txt", "gpu/nvidia-smi-q.txt", "gpu/processes.csv"]
    assert (staging.folder / "gpu" / "topology.txt").read_text() == "asked: topo -m\n"
    assert items[1].command == "nvidia-smi topo -m"


def test_one_that_hangs_is_asked_once(smi, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that does not answer costs one deadline and not five; what it said before is kept."""
    monkeypatch.setattr(gpu, "DEADLINE", 0.3)
    smi("exec sleep 60")
    collect_gpus(staging)
    (item,) = staging.close()
    assert (item.what, item.status) == ("nvidia-smi", "timed-out")
    assert "dmesg" in item.how_to_collect


def test_what_fails_does_not_cost_the_others(smi, staging: Staging) -> None:
    """A question that an old driver does not know is noted, and the next one asked; what a failing one printed is kept."""
    smi('case "$*" in "topo -p2p rw") exit 6;; "") echo "GPU is lost"; exit 15;; *) echo fine;; esac')
    collect_gpus(staging)
    found = {i.what: (i.status, i.file) for i in staging.close()}
    assert found["nvidia-smi"] == ("failed", "gpu/nvidia-smi.txt")
    assert found["GPU peer-to-peer matrix"] == ("failed", "")
    assert found["GPU topology"] == ("ok", "gpu/topology.txt")


def test_gpus_without_nvidia_smi(smi, staging: Staging) -> None:
    """Where there are GPUs but no nvidia-smi, as in a slim container, that is said."""
    smi(None)
    collect_gpus(staging)
    (item,) = staging.close()
    assert (item.status, item.file) == ("failed", "")
    assert "no nvidia-smi" in item.reason


def test_a_host_without_gpus_says_nothing(smi, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU there is nothing that could be missing."""
    smi(None)
    monkeypatch.setattr(gpu, "has_gpu", lambda: False)
    collect_gpus(staging)
    sample_load(staging, 1.0)
    assert staging.close() == []


@pytest.mark.parametrize(
    ("outcome", "status", "file"),
    [
        (Outcome("ok", b"timestamp\n1, 0\n", "", 1.0), "ok", "gpu/load.csv"),
        (Outcome("timed-out", b"timestamp\n1, 0\n", "", 1.0, "no end"), "timed-out", "gpu/load.csv"),
        (Outcome("ok", b"timestamp\n", "", 1.0), "failed", ""),
        (Outcome("failed", b"", "", 1.0, "exit code 1: NVML"), "failed", ""),
    ],
)
def test_load(smi, staging: Staging, monkeypatch: pytest.MonkeyPatch, *, outcome: Outcome, status: str, file: str) -> None:
    """Readings are kept, also where the driver stopped to answer on the way; a table without a row is none."""
    smi(None)
    asked: list[list[str]] = []
    monkeypatch.setattr(gpu, "run", lambda command, **_: asked.append(command) or outcome)
    sample_load(staging, 5.0)
    (item,) = staging.close()
    assert (item.status, item.file) == (status, file)
    assert asked[0][-2:] == ["10", "0.5"]
