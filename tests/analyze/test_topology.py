"""Links between GPUs, the fabric, and what reroutes their traffic."""

from __future__ import annotations

import pytest

from hanglens.model import GpuLink, SourceRef
from tests.builders import incident, joined, parsed, setting, surroundings

REF = SourceRef("topo.txt", 3)


def rows(*kinds: str, settings: tuple[object, ...] = ()) -> dict[str, tuple[str, str]]:
    """The rows of GPU 0 joined to the others by these links."""
    return surroundings(incident(evidence=parsed(*(GpuLink(0, n + 1, kind, REF) for n, kind in enumerate(kinds)), *settings)))


@pytest.mark.parametrize(
    ("kinds", "value", "why"),
    [
        (("NV18", "NV18"), "NV18", ""),
        (("NV2", "NV1"), "NV1, NV2", ""),
        (("PHB", "PIX"), "PIX, PHB", "no NVLink: "),
        (("SYS",), "SYS", "no NVLink: "),
        (("SYS", "PIX"), "PIX, SYS", "no NVLink: "),
        (("SYS", "NV4", "PIX"), "NV4, PIX, SYS", "mixed: 2 of 3 pairs have no NVLink (GPU0-GPU1, for one)"),
    ],
)
def test_links(kinds: tuple[str, ...], value: str, why: str) -> None:
    """From near to far; PCIe without NVLink and pairs that are joined otherwise are marked, NVLinks of several widths are not."""
    shown, unusual = rows(*kinds)["GPU links"]
    assert shown == value
    assert unusual.startswith(why)
    assert bool(unusual) is bool(why)


@pytest.mark.parametrize(("kinds", "mixed"), [(("SYS", "PIX"), True), (("SYS", "SYS"), False), (("PIX", "PHB"), False)])
def test_pairs_across_sockets(kinds: tuple[str, ...], mixed: bool) -> None:
    """SYS beside nearer links."""
    assert ("mixed: 1 of 2 pairs lie across CPU sockets" in rows(*kinds)["GPU links"][1]) is mixed


@pytest.mark.parametrize(
    ("states", "marked"), [(("Completed", "In Progress"), True), (("Completed", "Completed"), False), (("N/A",), False)]
)
def test_fabric(states: tuple[str, ...], marked: bool) -> None:
    """A GPU that the Fabric Manager has not set up is marked."""
    found = rows(settings=(*(setting("fabric.state", state) for state in states), setting("fabric.status", "Success")))
    assert (found["NVSwitch fabric"][1] != "") is marked


@pytest.mark.parametrize(
    ("name", "value", "label", "marked"),
    [
        ("kernel.iommu", "intel_iommu=on", "IOMMU", True),
        ("kernel.iommu", "amd_iommu=on iommu=pt", "IOMMU", False),
        ("kernel.iommu", "intel_iommu=off", "IOMMU", False),
        ("pci.acs", "on", "PCI ACS", True),
        ("pci.acs", "off", "PCI ACS", False),
    ],
)
def test_what_reroutes_peer_traffic(name: str, value: str, label: str, marked: bool) -> None:
    """IOMMU without passthrough and ACS; of neither does NVLink take notice."""
    told = setting(name, value)
    assert rows("PIX", settings=(told,))[label] == (value, rows(settings=(told,))[label][1])
    assert (rows(settings=(told,))[label][1] != "") is marked
    assert rows("NV18", settings=(told,))[label] == (value, "")


def test_one_host_of_several_is_enough() -> None:
    """ACS that is on somewhere is told, wherever it stands in the evidence."""
    assert rows(settings=(setting("pci.acs", "off"), setting("pci.acs", "on")))["PCI ACS"][0] == "on"


def test_hosts_are_not_pooled() -> None:
    """Each host has a GPU 0 and a GPU 1: what is unusual is that of one host, which is named."""
    links = [GpuLink(0, 1, kind, SourceRef(f"{host}/topo.txt", 3)) for host, kind in (("n1", "NV18"), ("n2", "PIX"))]
    value, why = surroundings(joined(*links, several_hosts=True))["GPU links"]
    assert value == "NV18, PIX"
    assert why.startswith("n2: no NVLink")
    assert surroundings(joined(*links))["GPU links"][1].startswith("mixed: 1 of 2 pairs")
