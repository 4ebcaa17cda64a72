"""What the job ran in, for the report: versions, GPUs, links, memory, networks, switches; what is unlike the ordinary is marked."""

from __future__ import annotations

from collections.abc import Iterator

from hanglens import number
from hanglens.analyze.gpus import gpu_rows, parallel_rows
from hanglens.analyze.holders import Holders
from hanglens.analyze.surroundings import TRANSPORTS
from hanglens.analyze.switches import switch_rows
from hanglens.analyze.topology import topology_rows
from hanglens.analyze.versions import mixed, shown, version_rows
from hanglens.incident import Incident
from hanglens.verdict import Surrounding, Text

_MIB, _GIB = 1 << 20, 1 << 30
_SMALL, _NEARLY_FULL = _GIB, 64 * _MIB  # of /dev/shm; NCCL takes some ten MiB of it for each pair of ranks

_ONE_NETWORK = Text(en="ranks on different networks do not reach each other", zh="使用不同网络的 rank 之间无法互通")
_SMALL_SHM = Text(en="small (containers have 64 MiB unless told otherwise): NCCL's shared memory and data loaders may fill it",
                  zh="偏小（容器默认仅 64 MiB）：NCCL 共享内存和 data loader 可能将其写满")  # fmt: skip
_FULL_SHM = Text(en="nearly full: NCCL may not get the shared memory that it asks for", zh="几乎已满：NCCL 可能申请不到共享内存")


def environment(incident: Incident) -> tuple[Surrounding, ...]:
    """All rows, what an engineer asks for first before the rest."""
    holders, several = Holders(incident), _several_hosts(incident)
    return (
        *version_rows(incident, holders),
        *gpu_rows(incident, holders),
        *topology_rows(incident, holders),
        *parallel_rows(incident, holders, several_hosts=several),
        *_shared_memory(incident),
        *_network(incident, holders),
        *switch_rows(incident, holders, several_hosts=several),
    )


def _several_hosts(incident: Incident) -> bool:
    """Whether anything says that the job runs on more than one host."""
    events = incident.parsed.events
    hosts = {event.speaker.host for event in events if event.speaker.host} | {found.host for found in incident.parsed.collections}
    nodes = (event.number("nodes") or 0 for event in events if event.name == "nccl.topology")
    return bool(incident.hosts) or len(hosts) > 1 or any(count > 1 for count in nodes)


def _shared_memory(incident: Incident) -> Iterator[Surrounding]:
    """The smallest /dev/shm, since one of them is enough; its free space is on the same line."""
    settings = incident.parsed.settings
    sizes = [(size, s) for s in settings if s.name == "host.dev_shm_bytes" and (size := number.whole(s.value)) is not None]
    if not sizes:
        return
    size, told = min(sizes, key=lambda row: row[0])
    frees = (number.whole(s.value) for s in settings if s.name == "host.dev_shm_free_bytes" and s.ref == told.ref)
    free = next((value for value in frees if value is not None), None)
    unusual = _SMALL_SHM if size < _SMALL else _FULL_SHM if free is not None and free < _NEARLY_FULL else None
    value = _human(size) + ("" if free is None else f", {_human(free)} free")
    yield Surrounding(name="/dev/shm", value=value, unusual=unusual, file=told.ref.file, line=told.ref.line)


def _human(size: int) -> str:
    """Bytes in the unit that keeps the number short.

    >>> _human(64 << 20), _human(1536 << 20)
    ('64 MiB', '1.5 GiB')
    """
    unit, name = (_GIB, "GiB") if size >= _GIB else (_MIB, "MiB")
    return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"


def _network(incident: Incident, holders: Holders) -> Iterator[Surrounding]:
    """The network that NCCL chose, and the ways its channels go."""
    networks = [holders.of_event(e, e.fields["network"]) for e in incident.parsed.events if e.name == "nccl.network"]
    if networks:
        ranked = [one for one in networks if one.rank is not None]
        yield shown("NCCL network", networks, mixed(ranked, _ONE_NETWORK))
    ways = [(e, e.fields["transport"]) for e in incident.parsed.events if e.name == "nccl.channel"]
    if ways:
        yield shown("NCCL channels", [holders.of_event(e, TRANSPORTS.get(way, way)) for e, way in ways])
