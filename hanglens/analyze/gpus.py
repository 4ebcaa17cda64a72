"""The GPUs of the job's hosts for the report: how many of which model, how full, and whether there are enough of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hanglens import number
from hanglens.analyze.holders import Holders, different, short
from hanglens.incident import Incident
from hanglens.model import Gpu, Setting
from hanglens.ranges import ranges
from hanglens.verdict import Surrounding, Text

_MOST_MODELS = 3
_MOST_ON_A_HOST = 16  # more rows than that are one GPU read again and again, without its index
_NEARLY_FULL = 512  # MiB free; NCCL takes some hundred for its buffers

_MOST_PIECES = 8  # of a list of GPUs
_DISPLAY = "DGX Display"  # the card of a DGX Station that only draws
_MODELS = Text(en="different models: where a job uses both, the slower one sets the pace, and peer access between them may be missing",
               zh="型号不一致：若任务同时使用，速度取决于较慢的卡，且二者之间可能无法 P2P")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU of one host as all readings of it tell it, the last one counting; `names` are several where the readings contradict."""

    host: str
    last: Gpu
    names: tuple[str, ...]


def cards(incident: Incident, holders: Holders) -> list[Card]:
    """The GPUs that nvidia-smi lists."""
    readings: dict[tuple[str, int], list[Gpu]] = defaultdict(list)
    for gpu in incident.parsed.gpus:
        readings[holders.host(gpu.ref.file), gpu.index].append(gpu)
    return [
        Card(host, next((g for g in reversed(found) if g.memory_total), found[-1]), _names(found))
        for (host, _), found in sorted(readings.items())
    ]


def _names(readings: Iterable[Gpu]) -> tuple[str, ...]:
    """Old tables cut a name off (`Tesla V100-SXM2...`): it counts where no other reading has it whole."""
    names = dict.fromkeys(gpu.name for gpu in readings if gpu.name)
    return tuple(n for n in names if not (n.endswith("...") and any(o != n and o.startswith(n[:-3]) for o in names)))


def gpu_rows(incident: Incident, holders: Holders) -> Iterator[Surrounding]:
    """Models and number, and how full they are."""
    found = cards(incident, holders)
    if any(card.names for card in found):
        models = Counter(name for card in found for name in card.names)
        used = Counter(name for card in _used(incident, found) for name in card.names)
        first = found[0].last.ref
        counted = _counted(found)
        names = [f"{number} × {name}" if counted else name for name, number in models.most_common(_MOST_MODELS)]
        value = ", ".join(names) + (", …" if len(models) > _MOST_MODELS else "")
        yield Surrounding(name="GPUs", value=value, unusual=_MODELS if len(used) > 1 else None, file=first.file, line=first.line)
    else:
        yield from _listed(incident.parsed.settings)
    yield from _memory(incident, [card for card in found if card.last.memory_total and card.last.memory_used is not None])


def _counted(found: Sequence[Card]) -> bool:
    per_host = Counter(card.host for card in found)
    return all(len(card.names) == 1 for card in found) and max(per_host.values()) <= _MOST_ON_A_HOST


def _used(incident: Incident, found: list[Card]) -> list[Card]:
    """The GPUs that the job's processes are on, where that is known; else all of them."""
    ours = {member.pid for member in (*incident.members, *incident.others) if member.pid is not None}
    computing = [card for card in found if not any(_DISPLAY in name for name in card.names)]
    return [card for card in computing if ours.intersection(card.last.pids)] or computing


def _listed(settings: Sequence[Setting]) -> Iterator[Surrounding]:
    """What a list of the environment says, where nvidia-smi was not collected."""
    names = [s for s in settings if s.name == "gpu.name"]
    counts = {s.value for s in settings if s.name == "gpu.count"}
    models = list(dict.fromkeys(s.value for s in names))
    if names:
        count = counts.pop() if len(counts) == 1 else ""
        value = f"{count} × {models[0]}" if count and len(models) == 1 else ", ".join(models[:_MOST_MODELS])
        ref = names[0].ref
        yield Surrounding(name="GPUs", value=value, unusual=_MODELS if len(models) > 1 else None, file=ref.file, line=ref.line)


def _memory(incident: Incident, found: list[Card]) -> Iterator[Surrounding]:
    if not found:
        return
    used, total = [card.last.memory_used or 0 for card in found], {card.last.memory_total or 0 for card in found}
    spread = _gib(used[0]) if _gib(min(used)) == _gib(max(used)) else f"{_gib(min(used))} to {_gib(max(used))}"
    value = f"{spread} GiB used" if len(total) > 1 else f"{spread} of {_gib(total.pop())} GiB used"
    full = [card for card in found if 0 <= (card.last.memory_total or 0) - (card.last.memory_used or 0) < _NEARLY_FULL]
    remarks = [remark for remark in (_full(full), _shared(incident, found)) if remark]
    unusual = Text(en="; ".join(r.en for r in remarks), zh="；".join(r.zh for r in remarks)) if remarks else None
    ref = (full or found)[0].last.ref
    yield Surrounding(name="GPU memory", value=value, unusual=unusual, file=ref.file, line=ref.line)


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"


def _full(full: Sequence[Card]) -> Text | None:
    indices = ranges((card.last.index for card in full), _MOST_PIECES)
    return Text(en=f"GPU {indices} has less than {_NEARLY_FULL} MiB left, and the next allocation may fail",
                zh=f"GPU {indices} 剩余显存不足 {_NEARLY_FULL} MiB，后续分配可能失败") if full else None  # fmt: skip


def _shared(incident: Incident, found: Sequence[Card]) -> Text | None:
    """GPUs of the job that a process of another family is on, by a list of processes that tells whose child each is."""
    parents = {p.pid: p.ppid for p in incident.parsed.processes if p.pid is not None and p.ppid is not None}
    ours = {m.pid for m in (*incident.members, *incident.others) if m.pid is not None}
    family = {ancestor for pid in ours for ancestor in _line(pid, parents)}
    if incident.hosts or not ours <= parents.keys():
        return None
    strangers = {
        pid: card.last.index for card in found if ours.intersection(card.last.pids)
        for pid in card.last.pids if pid in parents and not family.intersection(_line(pid, parents))
    }  # fmt: skip
    if not strangers:
        return None
    pids, gpus = ", ".join(map(str, sorted(strangers)[:_MOST_MODELS])), ranges(strangers.values(), _MOST_PIECES)
    return Text(
        en=f"GPU {gpus} also runs pid {pids}, which the job did not start: memory and load are shared with it",
        zh=f"GPU {gpus} 上还有 pid {pids}，并非该任务启动：显存与算力由其共享",
    )


def _line(pid: int | None, parents: Mapping[int, int]) -> list[int]:
    """The process and those it descends from, init left out: that is everybody's."""
    line: list[int] = []
    while pid is not None and pid > 1 and pid not in line:
        line.append(pid)
        pid = parents.get(pid)
    return line


def parallel_rows(incident: Incident, holders: Holders, *, several_hosts: bool) -> Iterator[Surrounding]:
    """The tensor parallel size, against the GPUs that there are for it on the one host."""
    told = [holders.of_event(e, e.fields["tp"]) for e in incident.parsed.events if e.name in ("lmdeploy.start", "vllm.parallel")]
    if not told:
        return
    sizes = different(told)
    size = number.whole(sizes[0]) or 0 if len(sizes) == 1 else 0
    unusual = None if several_hosts else _too_few(size, incident, holders)
    ref = told[0].ref
    yield Surrounding(name="tensor parallel size", value=", ".join(sizes[:_MOST_MODELS]), unusual=unusual, file=ref.file, line=ref.line)


def _too_few(size: int, incident: Incident, holders: Holders) -> Text | None:
    visible = _visible(incident)
    if visible and len(visible) < size:
        which = f"CUDA_VISIBLE_DEVICES={short(','.join(sorted(visible)))}"
        return Text(en=f"the processes in the evidence see {len(visible)} GPUs only ({which})",
                    zh=f"证据中的进程只能看到 {len(visible)} 张 GPU（{which}）")  # fmt: skip
    seen = _number(incident, holders)
    if seen and seen < size:
        return Text(en=f"more than the GPUs in the evidence ({seen}): ranks share one, or run where nothing was collected",
                    zh=f"多于证据中的 GPU 数（{seen}）：多个 rank 共用一张卡，或部分 rank 所在机器未采集")  # fmt: skip
    return None


def _visible(incident: Incident) -> set[str]:
    """The GPUs that all processes are allowed. Workers may have one each, so a single one tells nothing where others are not collected."""
    told = {p.environ["CUDA_VISIBLE_DEVICES"] for p in incident.parsed.processes if p.environ.get("CUDA_VISIBLE_DEVICES")}
    seen = {gpu.strip() for one in told for gpu in one.split(",") if gpu.strip()}
    return seen if len(told) == 1 and len(seen) > 1 else set()


def _number(incident: Incident, holders: Holders) -> int:
    """How many GPUs the evidence shows; 0 where that is not known."""
    if found := cards(incident, holders):
        return len(found) if all(len(card.names) < 2 for card in found) else 0
    return max((number.whole(s.value) or 0 for s in incident.parsed.settings if s.name == "gpu.count"), default=0)
