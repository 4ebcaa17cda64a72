"""The environment as a whole: its order, /dev/shm, networks and channels."""

from __future__ import annotations

import pytest

from hanglens.analyze.environment import environment
from hanglens.model import GpuLink, SourceRef
from tests.builders import event, gpu, incident, parsed, setting, surroundings

MIB = 1 << 20


def rows(*values: object) -> dict[str, tuple[str, str]]:
    """The rows of these values."""
    return surroundings(incident(evidence=parsed(*values)))


def shm(size: int, free: int | None = None, file: str = "df.txt") -> list[object]:
    """/dev/shm in MiB, as `df` gives it."""
    frees = [] if free is None else [setting("host.dev_shm_free_bytes", str(free * MIB), file)]
    return [setting("host.dev_shm_bytes", str(size * MIB), file), *frees]


@pytest.mark.parametrize(
    ("size", "free", "value", "why"),
    [
        (64, 60, "64 MiB, 60 MiB free", "small"),
        (64, None, "64 MiB", "small"),
        (1023, 1023, "1023 MiB, 1023 MiB free", "small"),
        (1024, 1000, "1 GiB, 1000 MiB free", ""),
        (128 << 10, 63, "128 GiB, 63 MiB free", "nearly full"),
        (128 << 10, 64, "128 GiB, 64 MiB free", ""),
        (257523, 257523, "251.5 GiB, 251.5 GiB free", ""),
    ],
)
def test_shared_memory(size: int, free: int | None, value: str, why: str) -> None:
    """In units of people; below one GiB and nearly full are marked."""
    shown, unusual = rows(*shm(size, free))["/dev/shm"]
    assert shown == value
    assert unusual.split(" (")[0].split(":")[0] == why


def test_the_smallest_shared_memory_counts() -> None:
    """Of several containers, with the free space of its own line."""
    told = environment(incident(evidence=parsed(*shm(2048, 2000, "a.txt"), *shm(64, 10, "b.txt"))))
    assert [(row.value, row.file) for row in told] == [("64 MiB, 10 MiB free", "b.txt")]


def network(name: str, rank: int | None = None) -> object:
    """NCCL's line about the network that it chose."""
    return event("nccl.network", network=name, rank=rank)


def test_networks() -> None:
    """Ranks on two networks are marked, with who is on which; one rank with two, or lines of nobody, are listed."""
    assert rows(network("IB", 0), network("Socket", 1))["NCCL network"] == (
        "IB, Socket", "IB on rank 0, Socket on rank 1: ranks on different networks do not reach each other",
    )  # fmt: skip
    assert rows(network("IB", 0), network("Socket", 0))["NCCL network"][1] == ""
    assert rows(network("IB"), network("Socket"))["NCCL network"] == ("IB, Socket", "")


def test_channels() -> None:
    """Each transport once, under the name that NCCL has for it today."""
    lines = [event("nccl.channel", transport=way) for way in ("P2P", "direct shared memory", "SHM", "P2P")]
    assert rows(*lines) == {"NCCL channels": ("P2P, SHM", "")}


def test_order() -> None:
    """Versions, GPUs, links, memory, network, switches, each with its place; nothing without evidence."""
    values = [
        event("nccl.switch", name_="NCCL_P2P_DISABLE", value="1"), network("Socket"), *shm(2048), event("lmdeploy.start", tp=1),
        GpuLink(0, 1, "NV4", SourceRef("topo.txt", 3)), gpu(0), setting("torch.version", "2.8.0"),
    ]  # fmt: skip
    told = environment(incident(evidence=parsed(*values)))
    assert [row.name for row in told] == [
        "PyTorch", "GPUs", "GPU links", "tensor parallel size", "/dev/shm", "NCCL network", "NCCL_P2P_DISABLE",
    ]  # fmt: skip
    assert all(row.file and row.line for row in told)
    assert rows() == {}
