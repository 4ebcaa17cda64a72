"""Versions and switches of a host: `lmdeploy check_env`, `sglang.check_env`, torch and vLLM `collect_env`, PCI ACS, the kernel's IOMMU.

Format: LMDeploy 0.6 to 0.18 `lmdeploy/cli/utils.py`, PyTorch 1.12 to 2.13 `torch/utils/collect_env.py`, pciutils 3,
Linux `Documentation/admin-guide/kernel-parameters.txt`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from hanglens.model import Parsed, Setting, SourceRef
from hanglens.parse.blocks import BlockKind, Place
from hanglens.parse.lines import Line

# The words before the colon, as the tools print them, and the name of the setting.
_LABELS = {
    "PyTorch": "torch.version",
    "PyTorch version": "torch.version",
    "LMDeploy": "lmdeploy.version",
    "lmdeploy": "lmdeploy.version",
    "vLLM Version": "vllm.version",
    "sglang": "sglang.version",
    "CUDA used to build PyTorch": "torch.cuda_version",
    "CUDA runtime version": "cuda.version",
    "CUDA Driver Version": "driver.version",
    "Nvidia driver version": "driver.version",
    "NCCL version": "nccl.version",
    "Python": "python.version",
    "Python version": "python.version",
    "transformers": "transformers.version",
    "triton": "triton.version",
    "ray": "ray.version",
}
_PACKAGES = {
    "torch": "torch.version",
    "nvidia-nccl-cu11": "nccl.version",
    "nvidia-nccl-cu12": "nccl.version",
    "nvidia-nccl-cu13": "nccl.version",
    "lmdeploy": "lmdeploy.version",
    "vllm": "vllm.version",
    "sglang": "sglang.version",
    "transformers": "transformers.version",
    "triton": "triton.version",
    "ray": "ray.version",
    "flashinfer-python": "flashinfer.version",
}
_LABEL = re.compile(r"(?P<label>[A-Za-z][A-Za-z ]{1,30}?) *: (?P<value>\d[\w.+-]{0,60})")
_PACKAGE = re.compile(r"(?:\[pip3?\] |\[conda\] )?(?P<name>[\w.-]{1,60}?)(?:==| {1,40})(?P<value>\d[\w.+-]{0,60})(?:\s|$)")
_NVCC = re.compile(r"NVCC: .{0,80}release (?P<value>\d+\.\d+)|Cuda compilation tools, release (?P<alone>\d+\.\d+)")
_GPU = re.compile(r"GPU (?P<index>\d+(?:,\d+){0,63}): (?P<name>(?:NVIDIA|Tesla|GeForce|Quadro|AMD|Instinct)\b[^(\n]{0,80})")
_ACS = re.compile(r"\s*ACSCtl:\s+SrcValid[+-] ")
_ACS_ON = re.compile(r"(?:SrcValid|ReqRedir|CmpltRedir|UpstreamFwd)\+")
_BOOT = re.compile(r"BOOT_IMAGE=|[Kk]ernel command line: |GRUB_CMDLINE_LINUX\w*=")
_IOMMU = re.compile(r"\b(?:intel_iommu|amd_iommu|iommu(?:\.\w{1,20})?)=[^\s\"']{1,40}")


@dataclass(slots=True)
class _One:
    """A setting that one line gives."""

    setting: Setting

    def feed(self, line: Line) -> bool:
        return False

    def close(self) -> Parsed:
        return Parsed(settings=(self.setting,))


@dataclass(slots=True)
class _Gpus:
    """Neighbouring lines that list the GPUs, one or several a line: their names, and how many there are."""

    place: Place
    names: Counter[str] = field(default_factory=Counter)
    first: tuple[SourceRef, str] | None = None

    def feed(self, line: Line) -> bool:
        found = _GPU.match(line.message)
        if found:
            self.names[found["name"].strip()] += found["index"].count(",") + 1
            self.first = self.first or (SourceRef(self.place.file, line.number), line.message)
        return bool(found)

    def close(self) -> Parsed:
        if self.first is None:
            return Parsed()
        ref, text = self.first
        rows = [*(("gpu.name", name) for name in self.names), ("gpu.count", str(self.names.total()))]
        return Parsed(settings=tuple(Setting(name, value, ref, text) for name, value in rows))


@dataclass(slots=True)
class _Acs:
    """Neighbouring `ACSCtl` lines of lspci: one switch that redirects peer traffic is enough to be on."""

    place: Place
    setting: Setting | None = None

    def feed(self, line: Line) -> bool:
        if not _ACS.match(line.message):
            return False
        if self.setting is None or (self.setting.value == "off" and _ACS_ON.search(line.message)):
            value = "on" if _ACS_ON.search(line.message) else "off"
            self.setting = Setting("pci.acs", value, SourceRef(self.place.file, line.number), line.message)
        return True

    def close(self) -> Parsed:
        return Parsed(settings=(self.setting,) if self.setting else ())


def _start_label(line: Line, place: Place) -> _One | None:
    found = _LABEL.match(line.message) or _NVCC.search(line.message[:300])
    if not found:
        return None
    groups = found.groupdict()
    name = _LABELS.get(groups["label"]) if "label" in groups else "cuda.version"
    return _one(name, groups.get("value") or groups.get("alone"), line, place)


def _start_package(line: Line, place: Place) -> _One | None:
    found = _PACKAGE.match(line.message)
    return _one(_PACKAGES.get(found["name"]), found["value"], line, place) if found else None


def _start_gpus(line: Line, place: Place) -> _Gpus | None:
    block = _Gpus(place)
    return block if block.feed(line) else None


def _start_acs(line: Line, place: Place) -> _Acs | None:
    block = _Acs(place)
    return block if block.feed(line) else None


def _start_boot(line: Line, place: Place) -> _One | None:
    switches = _IOMMU.findall(line.message[:4096]) if _BOOT.search(line.message[:4096]) else []
    return _one("kernel.iommu", " ".join(switches), line, place)


def _one(name: str | None, value: str | None, line: Line, place: Place) -> _One | None:
    if not name or not value:
        return None
    return _One(Setting(name, value, SourceRef(place.file, line.number), line.message[:500]))


BLOCKS = (
    BlockKind("version", (*(label + end for label in _LABELS for end in (": ", "  ")), "Cuda compilation tools"), _start_label),
    BlockKind("package", ("[conda] ", *(f"{name}==" for name in _PACKAGES)), _start_package),
    BlockKind("gpu-list", ("GPU 0: ", "GPU 0,"), _start_gpus),
    BlockKind("pci-acs", ("ACSCtl:",), _start_acs),
    BlockKind("kernel-command-line", ("iommu=",), _start_boot),
)
