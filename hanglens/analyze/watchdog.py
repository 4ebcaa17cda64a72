"""What the watchdogs of torch's process groups printed, compared over ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from hanglens import number
from hanglens.analyze.cite import cite_event
from hanglens.incident import Incident
from hanglens.model import Event
from hanglens.verdict import Fact


@dataclass(frozen=True, slots=True)
class Timeout:
    """One rank's time-out of one collective, with the counters its process group printed (None where it did not)."""

    rank: int
    op: str
    event: Event
    seq: int | None = None
    numel: int | None = None
    limit_ms: int = 0
    group: str = ""
    enqueued: int | None = None
    completed: int | None = None
    status: Event | None = None


def timeouts(incident: Incident) -> list[Timeout]:
    """The first time-out of each rank; re-prints of one event are one."""
    statuses: dict[int, list[Event]] = defaultdict(list)
    for event in incident.parsed.events:
        if event.name == "torch.status" and _rank(event) is not None:
            statuses[_rank(event) or 0].append(event)
    found: dict[int, Timeout] = {}
    for event in incident.parsed.events:
        rank = _rank(event)
        if event.name in ("torch.timeout", "torch.timeout_torn") and rank is not None and rank not in found:
            found[rank] = _timeout(rank, event, statuses[rank])
    return [found[rank] for rank in sorted(found)]


def _timeout(rank: int, event: Event, statuses: list[Event]) -> Timeout:
    fields = event.fields
    seq = _number(fields.get("seq"))
    status = next((s for s in statuses if seq is None or _number(s.fields.get("seq")) == seq), None)
    counters = status.fields if status else {}
    return Timeout(
        rank=rank, op=fields["op"], event=event, seq=seq, numel=_number(fields.get("numel")), limit_ms=_number(fields.get("limit")) or 0,
        group=counters.get("group") or counters.get("pg") or "", enqueued=_number(counters.get("enqueued")),
        completed=_number(counters.get("completed")), status=status,
    )  # fmt: skip


def _rank(event: Event) -> int | None:
    """The global rank where the line says it, else the rank in its group, which is the same in the default group."""
    return event.speaker.rank if event.speaker.rank is not None else _number(event.fields.get("group_rank"))


def _number(text: str | None) -> int | None:
    return number.integer(text)


def watchdog_facts(incident: Incident) -> Iterator[Fact]:
    """Time-outs and what differs between them."""
    found = timeouts(incident)
    if not found:
        return
    first = found[0]
    cited = tuple(cite_event(event) for t in found[:5] for event in (t.event, t.status) if event)
    never = all(t.completed == -1 for t in found if t.completed is not None) and any(t.completed == -1 for t in found)
    values: dict[str, str | int | float | bool] = {
        "op": first.op, "seq": first.seq if first.seq is not None else -1, "group": first.group, "limit_ms": first.limit_ms,
        "numel": first.numel if first.numel is not None else -1, "first": never,
        "equal": len(found) > 1 and _alike(found), "printed": len(found), "of": incident.world_size or 0,
        "enqueued": first.enqueued if first.enqueued is not None else -1,
        "completed": first.completed if first.completed is not None else -1,
    }  # fmt: skip
    ranks = tuple(t.rank for t in found)
    yield Fact(name="collective.timeout", ranks=ranks, values=values, evidence=cited, of_all=len(found) == incident.world_size)
    unclear = _unclear_files(incident)
    yield from _differences([t for t in found if t.group or t.event.ref.file not in unclear])
    complete = len(found) == incident.world_size
    if complete and _alike(found) and first.seq is not None:
        yield Fact(name="collective.all_equal", ranks=ranks, values={"how": "watchdog", "sizes": first.numel is not None}, evidence=cited)


def _unclear_files(incident: Incident) -> set[str]:
    """Files in which numbers of several groups mix: a group's rank is not the global one, or timed out in two calls."""
    calls: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    unclear = set()
    for event in incident.parsed.events:
        group_rank = event.fields.get("group_rank")
        if event.name in ("torch.timeout", "torch.timeout_torn") and group_rank:
            calls[event.ref.file, group_rank].add((event.fields.get("seq", ""), event.fields["op"]))
            if event.speaker.rank not in (None, number.rank(group_rank)):
                unclear.add(event.ref.file)
    return unclear | {file for (file, _), made in calls.items() if len(made) > 1}


def _alike(found: list[Timeout]) -> bool:
    """All time-outs are of the same call."""
    return len({(t.seq, t.op, t.numel, t.group) for t in found}) == 1


def _differences(found: list[Timeout]) -> Iterator[Fact]:
    """Compare time-outs of one group only; where no line names the group, one file must hold them all."""
    groups: dict[tuple[str, str], list[Timeout]] = defaultdict(list)
    for timeout in found:
        groups[timeout.group, "" if timeout.group else timeout.event.ref.file].append(timeout)
    for (name, _), same in groups.items():
        if len({t.limit_ms for t in same}) > 1 or len(same) < 2 or any(t.seq is None for t in same):
            continue
        numbers = {t.seq or 0 for t in same}
        cited = tuple(cite_event(t.event) for t in same[:6])
        ranks = tuple(t.rank for t in same)
        if len(numbers) > 1 and max(numbers) - min(numbers) < 1000:
            values: dict[str, str | int | float | bool] = {"group": name, "low": min(numbers), "high": max(numbers)}
            yield Fact(name="collective.desync", ranks=ranks, evidence=cited, values=values)
        elif len(numbers) == 1:
            yield from _mismatch(name, same, ranks)


def _mismatch(group: str, same: list[Timeout], ranks: tuple[int, ...]) -> Iterator[Fact]:
    cited = tuple(cite_event(t.event) for t in same[:6])
    operations, sizes = sorted({t.op for t in same}), sorted({t.numel for t in same if t.numel is not None})
    values: dict[str, str | int | float | bool] = {
        "group": group,
        "seq": same[0].seq or 0,
        "op": same[0].op,
        "majority": False,
        "how": "watchdog",
    }
    if len(operations) > 1:
        yield Fact(name="collective.op_mismatch", ranks=ranks, evidence=cited, values={**values, "a": operations[0], "b": operations[1]})
    elif len(sizes) > 1 and operations[0] in ("ALLREDUCE", "BROADCAST", "REDUCE", "_ALLGATHER_BASE", "_REDUCE_SCATTER_BASE", "BARRIER"):
        yield Fact(name="collective.size_mismatch", ranks=ranks, evidence=cited, values={**values, "a": str(sizes[0]), "b": str(sizes[1])})


def behind_by_signal(incident: Incident) -> list[tuple[int, Event, Timeout]]:
    """Ranks that dumped because of another rank's time-out, and had nothing enqueued at the call that timed out."""
    found = timeouts(incident)
    timed_out = {t.rank for t in found}
    behind = []
    for event in incident.parsed.events:
        rank = _rank(event)
        if event.name != "torch.dump_signal" or rank is None or rank in timed_out:
            continue
        enqueued, completed = _number(event.fields["enqueued"]), _number(event.fields["completed"])
        idle = enqueued is not None and enqueued == completed
        waiting = next((t for t in found if idle and t.seq is not None and (enqueued or 0) < t.seq), None)
        if waiting:
            behind.append((rank, event, waiting))
    return behind
