"""nvidia-smi: the main table (layouts before and since driver 530), `--query-gpu --format=csv`, `topo -m`, the fabric state of `-q`.

Format: NVIDIA driver 418 to 580. Each may stand in the middle of a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from hanglens import number
from hanglens.model import Gap, Gpu, GpuLink, Parsed, Setting, SourceRef
from hanglens.parse.blocks import BlockKind, Place
from hanglens.parse.lines import Line

_VERSIONS = re.compile(r"NVIDIA-SMI \S+ +Driver Version: (?P<driver>[\d.]+) +CUDA Version: (?P<cuda>[\d.]+)")
_FAILED = re.compile(r"NVIDIA-SMI has failed|Failed to initialize NVML|Unable to determine the device handle|No devices were found")
_GPU = re.compile(r"\| +(?P<index>\d+) +(?P<name>\S.{0,60}?) +(?:On|Off|N/A) +\| *[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d")
_POWER = re.compile(r"(?P<power>\d+)W +/ +(?P<cap>\d+)W")
_MEMORY = re.compile(r"(?P<used>\d+)MiB +/ +(?P<total>\d+)MiB")
_BUSY = re.compile(r"MiB +\| +(\d+)% ")
_PROCESS = re.compile(r"\| +(?P<gpu>\d+) +(?:\S+ +\S+ +)?(?P<pid>\d+) +(?:C|G|C\+G|M\+C) ")
_QUERY = re.compile(r"(?:index|name|uuid|timestamp|count|pstate|driver_version|[a-z_]+\.[a-z_.]+)(?: \[[^\]]{1,8}\])?$")
_AMOUNT = re.compile(r"\d+")
_TOPOLOGY = re.compile(r"\s*GPU0(?:\s+(?:GPU|NIC)\d+|\s+mlx\d_\d+)*(?:\s+CPU Affinity|\s*$)")
_LINKS = re.compile(r"\s*(?P<a>GPU\d+|NIC\d+|mlx\d_\d+)\s+(?P<cells>(?:NV\d+|X|PIX|PXB|PHB|NODE|SYS|SOC)\b.*)")
_LINK = re.compile(r"NV\d+|PIX|PXB|PHB|NODE|SYS|SOC")  # `topo -p2p` prints a matrix of the same form, of OK and NS
_FABRIC = re.compile(r"\s+(?P<name>State|Status)\s+: (?P<value>.{1,80})")


class _Table:
    """The main table, from its version line to the end of the processes."""

    def __init__(self, line: Line, place: Place) -> None:
        self._file, self._blank = place.file, False
        self._gpus: dict[int, Gpu] = {}
        self._last = -1
        self._settings = _version_settings(line, place)

    def feed(self, line: Line) -> bool:
        text = line.message.strip()
        if _VERSIONS.search(text) or (text and text[0] not in "|+") or (not text and self._blank):
            return False
        self._blank = not text
        if found := _GPU.match(text):
            self._last = _index(found["index"])
            if self._last < 0:
                return True
            self._gpus[self._last] = Gpu(self._last, found["name"].strip(), SourceRef(self._file, line.number), line.message)
        elif "MiB /" in text and self._last in self._gpus:
            self._gpus[self._last] = _with_load(self._gpus[self._last], line)
            self._last = -1
        elif found := _PROCESS.match(text):
            self._add_process(_index(found["gpu"]), number.pid(found["pid"]))
        return True

    def close(self) -> Parsed:
        return Parsed(gpus=tuple(self._gpus.values()), settings=self._settings)

    def _add_process(self, index: int, pid: int | None) -> None:
        if pid is not None and (gpu := self._gpus.get(index)):
            self._gpus[index] = replace(gpu, pids=(*gpu.pids, pid))


def _version_settings(line: Line, place: Place) -> tuple[Setting, ...]:
    found, ref = _VERSIONS.search(line.message), SourceRef(place.file, line.number)
    rows = (("driver.version", "driver"), ("driver.cuda_version", "cuda"))
    return tuple(Setting(name, found[group], ref, line.message) for name, group in rows) if found else ()


def _with_load(gpu: Gpu, line: Line) -> Gpu:
    """The GPU with the second line of its row, which is the one worth quoting."""
    power, memory, busy = _POWER.search(line.message), _MEMORY.search(line.message), _BUSY.search(line.message)
    return replace(
        gpu,
        ref=SourceRef(gpu.ref.file, line.number),
        text=line.message,
        utilisation=number.whole(busy[1]) if busy else None,
        power=number.whole(power["power"]) if power else None,
        power_cap=number.whole(power["cap"]) if power else None,
        memory_used=number.whole(memory["used"]) if memory else None,
        memory_total=number.whole(memory["total"]) if memory else None,
    )


class _Failure:
    """One line that says that nvidia-smi could not ask the driver."""

    def __init__(self, line: Line, place: Place) -> None:
        how = "run nvidia-smi on the host; if it fails there too, look into dmesg for NVRM lines"
        self._gap = Gap(f"nvidia-smi ({place.file}:{line.number})", line.message.strip()[:500], how)

    def feed(self, line: Line) -> bool:
        return False

    def close(self) -> Parsed:
        return Parsed(gaps=(self._gap,))


class _Query:
    """Rows of comma-separated values below a header that names them; any order, with or without units."""

    def __init__(self, header: list[str], place: Place) -> None:
        self._names = [name.split(" [")[0] for name in header]
        self._file = place.file
        self._gpus: list[Gpu] = []

    def feed(self, line: Line) -> bool:
        cells = [cell.strip() for cell in line.message.split(",")]
        if len(cells) != len(self._names) or cells[0].split(" [")[0] == self._names[0]:
            return False
        row = dict(zip(self._names, cells, strict=True))
        index = _amount(row.get("index"))
        self._gpus.append(
            Gpu(
                index=len(self._gpus) if index is None else index,
                name=row.get("name") or row.get("gpu_name") or "",
                ref=SourceRef(self._file, line.number),
                text=line.message,
                utilisation=_amount(row.get("utilization.gpu")),
                power=_amount(row.get("power.draw")),
                power_cap=_amount(row.get("power.limit")),
                memory_used=_amount(row.get("memory.used")),
                memory_total=_amount(row.get("memory.total")),
            )
        )
        return True

    def close(self) -> Parsed:
        return Parsed(gpus=tuple(self._gpus))


def _amount(cell: str | None) -> int | None:
    found = _AMOUNT.match(cell or "")
    return number.whole(found[0]) if found else None


class _Topology:
    """The matrix of links; each pair of GPUs once."""

    def __init__(self, line: Line, place: Place) -> None:
        self._file = place.file
        self._columns = line.message.split("CPU Affinity")[0].split()
        self._links: list[GpuLink] = []

    def feed(self, line: Line) -> bool:
        found = _LINKS.match(line.message)
        if not found:
            return False
        cells = zip(self._columns, found["cells"].split(), strict=False)
        ref, a = SourceRef(self._file, line.number), found["a"]
        pairs = ((_gpu(a), _gpu(b), kind) for b, kind in cells)
        self._links += [GpuLink(a, b, kind, ref, line.message) for a, b, kind in pairs if 0 <= a < b and _LINK.fullmatch(kind)]
        return True

    def close(self) -> Parsed:
        return Parsed(gpu_links=tuple(self._links))


def _index(text: str) -> int:
    """A GPU's index; -1 for one that no host has."""
    index = number.whole(text)
    return -1 if index is None else index


def _gpu(name: str) -> int:
    return _index(name[3:]) if re.fullmatch(r"GPU\d{1,4}", name) else -1


@dataclass(slots=True)
class _Fabric:
    """`Fabric` of `nvidia-smi -q`, and the indented lines below it."""

    file: str
    settings: list[Setting] = field(default_factory=list)

    def feed(self, line: Line) -> bool:
        found = _FABRIC.match(line.message)
        if found:
            name, value = f"fabric.{found['name'].lower()}", found["value"].strip()
            self.settings.append(Setting(name, value, SourceRef(self.file, line.number), line.message))
        return bool(found)

    def close(self) -> Parsed:
        return Parsed(settings=tuple(self.settings))


def _start_table(line: Line, place: Place) -> _Table | _Failure | None:
    if _FAILED.match(line.message.strip()):
        return _Failure(line, place)
    return _Table(line, place) if _VERSIONS.search(line.message) else None


def _start_query(line: Line, place: Place) -> _Query | None:
    header = [cell.strip() for cell in line.message[:2000].split(",")]
    known = len(header) > 1 and all(_QUERY.match(cell) for cell in header) and any("." in cell or "_version" in cell for cell in header)
    return _Query(header, place) if known else None


def _start_topology(line: Line, place: Place) -> _Topology | None:
    return _Topology(line, place) if _TOPOLOGY.match(line.message) else None


def _start_fabric(line: Line, place: Place) -> _Fabric | None:
    return _Fabric(place.file) if line.message.strip() == "Fabric" else None


BLOCKS = (
    BlockKind(
        "nvidia-smi", ("NVIDIA-SMI", "Failed to initialize NVML", "determine the device handle", "No devices were found"), _start_table
    ),
    BlockKind("nvidia-smi-query", ("utilization.", "memory.used", "memory.total", "power.draw"), _start_query),
    BlockKind("nvidia-smi-topology", ("GPU0",), _start_topology),
    BlockKind("nvidia-smi-fabric", ("Fabric",), _start_fabric),
)
