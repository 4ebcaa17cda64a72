"""The environment as facts that rules may ask for: versions, GPUs and how they are joined, transports."""

from __future__ import annotations

from collections.abc import Iterator

from hanglens import number
from hanglens.analyze.cite import cite, cite_event
from hanglens.analyze.stages import track_of
from hanglens.incident import Incident
from hanglens.verdict import Fact

TRANSPORTS = {"direct shared memory": "SHM"}
_BUSY, _IDLE = 95, 5  # percent of utilisation


def surrounding_facts(incident: Incident) -> Iterator[Fact]:
    """Everything a rule may ask of the environment."""
    parsed = incident.parsed
    if incident.world_size:
        yield Fact(name="job.world_size", values={"value": incident.world_size})
    hosts = {event.speaker.host for event in parsed.events if event.speaker.host}
    if hosts:
        yield Fact(name="job.hosts", values={"value": len(hosts)})
    track = track_of(incident)
    engine = track.engine if track else next((e.source for e in parsed.events if e.source in ("lmdeploy", "vllm", "sglang")), "")
    if engine:
        yield Fact(name="engine.name", values={"value": engine})
    for setting in parsed.settings:
        name = "engine.version" if setting.name == f"{engine}.version" else setting.name
        size = number.whole(setting.value) if setting.name.endswith("_bytes") else None
        value: str | float = setting.value if size is None else float(size)
        yield Fact(name=name, values={"value": value}, evidence=(cite(setting.ref, setting.text),))
    seen: set[tuple[str, str]] = set()
    for event in parsed.events:
        name, value = {"nccl.version": ("nccl.version", event.fields.get("version", "")),
                       "nccl.channel": ("nccl.transport", event.fields.get("transport", ""))}.get(event.name, ("", ""))  # fmt: skip
        value = TRANSPORTS.get(value, value)
        if name and (name, value) not in seen:
            seen.add((name, value))
            yield Fact(name=name, values={"value": value}, evidence=(cite_event(event),))
    yield from _topology(incident)
    yield from _one_idle_gpu(incident)


def _topology(incident: Incident) -> Iterator[Fact]:
    links = incident.parsed.gpu_links
    if not links:
        return
    kinds = sorted({link.kind for link in links})
    nvlink = [kind for kind in kinds if kind.startswith("NV")]
    name = "topology.pcie_only" if not nvlink else "topology.nvlink" if len(nvlink) == len(kinds) else "topology.mixed_links"
    yield Fact(name=name, values={"links": ", ".join(kinds)}, evidence=tuple(cite(link.ref, link.text) for link in links[:1]))


def _one_idle_gpu(incident: Incident) -> Iterator[Fact]:
    gpus = [gpu for gpu in incident.parsed.gpus if gpu.utilisation is not None]
    ours = {member.pid for member in (*incident.members, *incident.others) if member.pid is not None}
    if any(pid not in ours for gpu in gpus for pid in gpu.pids) and ours:
        return
    idle = [gpu for gpu in gpus if (gpu.utilisation or 0) <= _IDLE]
    busy = [gpu for gpu in gpus if (gpu.utilisation or 0) >= _BUSY]
    if len(idle) == 1 and len(busy) == len(gpus) - 1 and len(busy) >= 2:
        cited = tuple(cite(gpu.ref, gpu.text) for gpu in (*idle, *busy[:2]))
        yield Fact(name="gpu.one_idle", values={"index": idle[0].index, "others": len(busy)}, evidence=cited)
