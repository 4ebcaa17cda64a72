"""How the GPUs are joined, for the report: their links, the NVSwitch fabric, and what of the host reroutes traffic over PCIe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hanglens.analyze.holders import Holders
from hanglens.incident import Incident
from hanglens.model import GpuLink, Setting, SourceRef
from hanglens.verdict import Surrounding, Text

_NEAR_TO_FAR = ("PIX", "PXB", "PHB", "NODE", "SYS", "SOC")
_FAR = ("SYS", "SOC")  # over the link between CPU sockets; SOC is what old drivers call it
_NOT_READY = ("Not Started", "In Progress")
_MOST = 3  # different states that a cell shows

_PCIE_ONLY = Text(en="no NVLink: the GPUs reach each other over PCIe alone, where ACS or the IOMMU may break peer access",
                  zh="没有 NVLink：GPU 之间只能走 PCIe，ACS 或 IOMMU 可能使 P2P 失效")  # fmt: skip
_FABRIC = Text(en="the Fabric Manager has not set up every GPU: one without it reaches no peer over NVSwitch",
               zh="Fabric Manager 尚未完成所有 GPU 的配置：未完成的卡无法经 NVSwitch 互通")  # fmt: skip
_ACS = Text(en="peer traffic over PCIe may be sent through the CPU, and be slow or fail", zh="PCIe P2P 流量可能绕经 CPU，变慢或失效")
_IOMMU = Text(en="on without passthrough: peer access over PCIe may be slow or fail", zh="已开启且未设直通：PCIe P2P 可能变慢或失效")


def topology_rows(incident: Incident, holders: Holders) -> Iterator[Surrounding]:
    """The kinds of links from near to far, the state of the fabric, IOMMU and ACS."""
    links, settings = incident.parsed.gpu_links, incident.parsed.settings
    if links:
        kinds = sorted({link.kind for link in links}, key=_distance)
        yield _row("GPU links", ", ".join(kinds), _unusual_links(links, holders), links[0].ref)
    states = [s for s in settings if s.name in ("fabric.state", "fabric.status")]
    if states:
        values = list(dict.fromkeys(s.value for s in states))
        waits = next((s for s in states if s.name == "fabric.state" and s.value in _NOT_READY), None)
        yield _row("NVSwitch fabric", ", ".join(values[:_MOST]), _FABRIC if waits else None, (waits or states[0]).ref)
    # NVLink goes past both, so they are of no concern where it joins all GPUs.
    pcie = not links or any(not _is_nvlink(link) for link in links)
    for setting in _told(settings, "kernel.iommu"):
        yield _row("IOMMU", setting.value, _IOMMU if pcie and _unusual(setting) else None, setting.ref)
    for setting in _told(settings, "pci.acs"):
        yield _row("PCI ACS", setting.value, _ACS if pcie and _unusual(setting) else None, setting.ref)


def _row(name: str, value: str, unusual: Text | None, ref: SourceRef) -> Surrounding:
    return Surrounding(name=name, value=value, unusual=unusual, file=ref.file, line=ref.line)


def _is_nvlink(link: GpuLink) -> bool:
    return link.kind.startswith("NV")


def _distance(kind: str) -> tuple[int, str]:
    return (_NEAR_TO_FAR.index(kind) + 1 if kind in _NEAR_TO_FAR else 0, kind)


def _unusual_links(links: Sequence[GpuLink], holders: Holders) -> Text | None:
    """What is unusual on the first host on which anything is: GPUs of two hosts have the same numbers."""
    of_host: dict[str, list[GpuLink]] = {}
    for link in links:
        of_host.setdefault(holders.host(link.ref.file), []).append(link)
    found = ((host, unusual) for host, own in of_host.items() if (unusual := _of_links(own)))
    host, unusual = next(found, ("", None))
    return Text(en=f"{host}: {unusual.en}", zh=f"{host}：{unusual.zh}") if unusual and len(of_host) > 1 else unusual


def _of_links(links: Sequence[GpuLink]) -> Text | None:
    """PCIe without NVLink, or pairs of which some are joined otherwise than the rest."""
    without = [link for link in links if not _is_nvlink(link)]
    far = [link for link in without if link.kind in _FAR]
    if not without:
        return None
    if len(without) < len(links):
        link = (far or without)[0]
        counted, pair = f"{len(without)} of {len(links)}", f"GPU{link.a}-GPU{link.b}"
        return Text(en=f"mixed: {counted} pairs have no NVLink ({pair}, for one); peer access may work in one pair and not in another",
                    zh=f"链路混合：{len(links)} 对中有 {len(without)} 对没有 NVLink（如 {pair}），各对之间 P2P 的表现可能不同")  # fmt: skip
    if far and len(far) < len(links):
        return Text(en=f"{_PCIE_ONLY.en}; mixed: {len(far)} of {len(links)} pairs lie across CPU sockets",
                    zh=f"{_PCIE_ONLY.zh}；链路混合：{len(links)} 对中有 {len(far)} 对跨 CPU 插槽")  # fmt: skip
    return _PCIE_ONLY


def _told(settings: Sequence[Setting], name: str) -> Iterator[Setting]:
    """The one worth telling of several hosts': one that is unusual."""
    found = [s for s in settings if s.name == name]
    yield from ([s for s in found if _unusual(s)] or found)[:1]


def _unusual(setting: Setting) -> bool:
    words = set(setting.value.split())
    translates = {"intel_iommu=on", "amd_iommu=on", "iommu=force"} & words and not {"iommu=pt", "iommu.passthrough=1", "iommu=off"} & words
    return bool(translates) or (setting.name == "pci.acs" and setting.value == "on")
