"""Versions, topology and transports as facts, and GPUs of which one idles."""

from __future__ import annotations

import pytest

from hanglens.analyze.surroundings import surrounding_facts
from hanglens.incident import Member
from hanglens.model import Gpu, GpuLink, Setting, SourceRef
from hanglens.verdict import Fact
from tests.builders import event, facts, incident, member, parsed

REF = SourceRef("smi.txt", 3)


def gpus(*load: int | None, pids: tuple[int, ...] = ()) -> list[Gpu]:
    """GPUs at these percentages; each runs the process of its own in `pids`."""
    return [Gpu(n, "H100", REF, utilisation=used, pids=pids[n : n + 1]) for n, used in enumerate(load)]


def told(*values: object, members: tuple[Member, ...] = ()) -> dict[str, list[Fact]]:
    """The facts of these values."""
    return facts(incident(*members, evidence=parsed(*values)), surrounding_facts)


@pytest.mark.parametrize(
    ("load", "idle"),
    [
        ((100, 100, 0), 2),
        ((100, 0), None),
        ((0, 0, 100), None),
        ((100, 100, 50), None),
        ((100, 70, 0), None),
        ((100, 100, 100), None),
        ((100, 100, None, 0), 3),
    ],
)
def test_one_idle_gpu(load: tuple[int | None, ...], idle: int | None) -> None:
    """One GPU idles while at least two others, and all of them, are busy."""
    assert [fact.values["index"] for fact in told(*gpus(*load)).get("gpu.one_idle", [])] == ([] if idle is None else [idle])


@pytest.mark.parametrize(("pids", "expected"), [((100, 101, 102), True), ((100, 101, 999), False), ((), True)])
def test_foreign_processes_forbid_the_triangulation(pids: tuple[int, ...], expected: bool) -> None:
    """Load says nothing of this job where processes of others are on its GPUs."""
    members = tuple(member(rank, collected=True) for rank in range(3))
    assert ("gpu.one_idle" in told(*gpus(100, 100, 0, pids=pids), members=members)) is expected


@pytest.mark.parametrize(
    ("kinds", "name"),
    [(("SYS", "PIX"), "topology.pcie_only"), (("NV12", "NV12"), "topology.nvlink"), (("NV4", "PHB"), "topology.mixed_links"), ((), None)],
)
def test_topology(kinds: tuple[str, ...], name: str | None) -> None:
    """NVLink between all, some or no pairs of GPUs; nothing is said where no table was collected."""
    links = [GpuLink(0, n + 1, kind, REF, f"GPU0 {kind}") for n, kind in enumerate(kinds)]
    assert [key for key in told(*links) if key.startswith("topology.")] == ([name] if name else [])


def test_versions_hosts_and_transports() -> None:
    """Each value once, with the line it stands on; sizes are numbers."""
    channels = [event("nccl.channel", transport=t, host="n1", pid=1, line=n) for n, t in enumerate(("P2P", "P2P", "direct shared memory"))]
    settings = [Setting("host.dev_shm_bytes", "67108864", REF, "shm 64M"), Setting("torch.version", "2.4.0", REF, "torch 2.4.0")]
    found = told(*channels, *settings, event("nccl.version", version="2.20.5"), event("x", host="n2"))
    assert [fact.values["value"] for fact in found["nccl.transport"]] == ["P2P", "SHM"]
    assert [found[name][0].values["value"] for name in ("host.dev_shm_bytes", "torch.version", "nccl.version", "job.hosts")] == [
        67108864.0, "2.4.0", "2.20.5", 2,
    ]  # fmt: skip
    assert found["torch.version"][0].evidence[0].line == 3


def test_the_engines_version_is_the_version_of_the_engine_seen() -> None:
    """A version of vLLM in the environment of an LMDeploy job is not the engine's."""
    values = [Setting("lmdeploy.version", "0.7.1", REF), Setting("vllm.version", "0.9.0", REF), event("x", source="lmdeploy")]
    found = told(*values)
    assert (found["engine.name"][0].values["value"], [fact.values["value"] for fact in found["engine.version"]]) == ("lmdeploy", ["0.7.1"])
