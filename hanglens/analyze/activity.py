"""Whether the job moves, idles with nothing asked of it, or only waits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from hanglens import number
from hanglens.analyze.blocked import parked, stands_still
from hanglens.analyze.cite import cite, cite_event, cite_frame
from hanglens.analyze.ras import ras_facts
from hanglens.analyze.stacks import counts_of, moved
from hanglens.incident import Incident, Member
from hanglens.model import Event, ThreadState
from hanglens.verdict import Fact

_WAITING = re.compile(r"Waiting: [1-9]")
_ENDING = re.compile(r"destroy|abort|shutdown|monitored_barrier")  # by these a collective is left without having been completed
TAIL = 25  # a bar or counter this close to the end of its log is where the log ends


def activity_facts(incident: Incident) -> Iterator[Fact]:
    """stack.*, rpc.callees_idle, job.idle, job.progressing, job.steps, job.moves_on, job.went_on and job.serving."""
    yield from _standings(incident)
    yield from _samples(incident)
    yield from _serving(incident)
    yield from _idle(incident)
    yield from _went_on(incident)
    moving = list(_progressing(incident))
    yield from moving
    stepped = list(_stepped(incident))
    yield from stepped
    stepped += (fact for fact in ras_facts(incident) if fact.name == "job.steps")
    moving += stepped
    timed_out = any(event.name.startswith("torch.timeout") for event in incident.parsed.events)
    if moving and not timed_out and not _stood(incident):
        yield Fact(name="job.moves_on", evidence=moving[0].evidence)


def _stepped(incident: Incident) -> Iterator[Fact]:
    """A rank that stood in a collective at one sample and has left it by the last one: it was completed, and so every member came.

    One rank that left it is enough, as long as none stands still: at a random moment another may be in the next one. With NCCL that proves
    nothing: the call returns when it is launched.
    """
    stood = [m for m in _workers(incident) if any(s.kind == "collective" for s in m.standings[:-1])]
    stuck = any(parked(m) for m in _workers(incident)) or any(
        _ENDING.search(s.stack.frames[0].function) for m in stood for s in m.standings
    )
    left = [m for m in stood if moved(m)]
    if _uses_nccl(incident) or stuck or any(map(stands_still, stood)):
        return
    evidence = [cite_frame(s.at, s.stack, m.rank) for m in left[:3] for s in (m.standings[0], m.standings[-1]) if s.at]
    evidence += [cite(t.ref, t.text, m.rank) for m in left[:1] for t in _ends(counts_of(m, m.standings[-1]))]
    if left:
        yield Fact(
            name="job.steps",
            ranks=tuple(m.rank for m in left if m.rank is not None),
            values={"how": "stacks", "of": len(_workers(incident))},
            evidence=tuple(evidence),
        )


def _uses_nccl(incident: Incident) -> bool:
    ours = {member.pid for member in (*incident.members, *incident.others)}
    on_gpus = any(pid in ours for gpu in incident.parsed.gpus for pid in gpu.pids)
    return on_gpus or bool(incident.parsed.ras_reports) or any(event.source == "nccl" for event in incident.parsed.events)


def _ends(counts: list[ThreadState]) -> list[ThreadState]:
    return [counts[0], counts[-1]] if len(counts) > 1 else []


def _went_on(incident: Incident) -> Iterator[Fact]:
    """For each log the last line that only a job prints which moves as a whole: what stands above it did not stop the job."""
    accepted: set[tuple[str, str]] = set()
    last: dict[str, Event] = {}
    for event in incident.parsed.events:
        session = event.ref.file, event.fields.get("session", "")
        if event.name == "lmdeploy.accepted":
            accepted.add(session)
        answered = event.name == "lmdeploy.finished" and session in accepted
        decoded = event.name == "sglang.decode" and _throughput(event) > 0
        if answered or decoded or event.name in ("vllm.ready", "sglang.ready"):
            last[event.ref.file] = event
    for file, event in last.items():
        yield Fact(name="job.went_on", values={"file": file, "line": event.ref.line or 0}, evidence=(cite_event(event),))


def _stood(incident: Incident) -> bool:
    """Stacks that were not seen to move: the end of a log alone does not say that the job still moves when they are taken."""
    workers = _workers(incident)
    return bool(workers) and not any(map(moved, workers))


def _workers(incident: Incident) -> list[Member]:
    """Ranks with a stack; where no rank is known, processes with one that are no callers."""
    ranks = [m for m in incident.members if m.standing]
    return ranks or [m for m in incident.others if m.standing and m.standing.kind != "rpc-wait"]


def _standings(incident: Incident) -> Iterator[Fact]:
    workers = _workers(incident)
    for name, chosen in (
        ("stack.waits_in_collective", [m for m in workers if m.standing and m.standing.waits_for_others]),
        ("stack.idle", [m for m in workers if m.standing and m.standing.kind == "idle"]),
    ):
        if not chosen:
            continue
        evidence = tuple(cite_frame(m.standing.at, m.standing.stack, m.rank) for m in chosen[:4] if m.standing and m.standing.at)
        op = next((m.standing.at.function for m in chosen if m.standing and m.standing.at), "")
        yield Fact(
            name=name, ranks=tuple(m.rank for m in chosen if m.rank is not None), evidence=evidence,
            of_all=len(chosen) == max(len(workers), incident.world_size or 0), values={"op": op, "of": len(workers)},
        )  # fmt: skip
    callers = [m for m in incident.others if m.standing and m.standing.kind == "rpc-wait"]
    if callers and len(workers) > 1 and all(m.standing and m.standing.kind == "idle" for m in workers):
        standing = callers[0].standing
        if standing and standing.at:
            yield Fact(
                name="rpc.callees_idle", values={"caller": standing.at.text, "of": len(workers)},
                evidence=(cite_frame(standing.at, standing.stack, None),),
            )  # fmt: skip


def _samples(incident: Incident) -> Iterator[Fact]:
    sampled = [m for m in _workers(incident) if len(m.standings) > 1]
    for name, still in (("stack.still", True), ("stack.moving", False)):
        ranks = [m for m in sampled if moved(m) is not still]
        if ranks:
            number = max(len(m.standings) for m in ranks)
            evidence = tuple(cite_frame(m.standing.at, m.standing.stack, m.rank) for m in ranks[:3] if m.standing and m.standing.at)
            yield Fact(name=name, ranks=tuple(m.rank for m in ranks if m.rank is not None), values={"samples": number}, evidence=evidence)


def _serving(incident: Incident) -> Iterator[Fact]:
    for name, engine in (("sglang.ready", "sglang"), ("vllm.ready", "vllm"), ("lmdeploy.finished", "lmdeploy")):
        events = [event for event in incident.parsed.events if event.name == name]
        if events:
            yield Fact(name="job.serving", values={"engine": engine}, evidence=(cite_event(events[-1]),))


def _idle(incident: Incident) -> Iterator[Fact]:
    """Every worker waits for work, and the log ends with nothing asked: every request answered, no request in the last statistics."""
    workers = _workers(incident)
    requests = [event for event in incident.parsed.events if event.name in ("lmdeploy.accepted", "lmdeploy.finished")]
    statistics = [event for event in incident.parsed.events if event.name == "vllm.stats"]
    open_sessions = {event.fields["session"]: event.name == "lmdeploy.accepted" for event in requests}
    answered = [event for event in requests[-1:] if not any(open_sessions.values())]
    quiet = [event for event in statistics[-1:] if event.fields["running"] == "0" and not _WAITING.search(event.text)]
    all_idle = len(workers) >= max(incident.world_size or 2, 1) and all(m.standing and m.standing.kind == "idle" for m in workers)
    if all_idle and (answered or quiet) and bool(answered) == bool(requests) and bool(quiet) == bool(statistics):
        evidence = [cite_event(event) for event in (*answered, *quiet)]
        evidence += [cite_frame(m.standing.at, m.standing.stack, m.rank) for m in workers[:2] if m.standing and m.standing.at]
        yield Fact(name="job.idle", values={"how": "every worker waits for work, every request is answered"}, evidence=tuple(evidence))


def _progressing(incident: Incident) -> Iterator[Fact]:
    lines = {about.file: about.lines or 0 for about in incident.parsed.inputs}
    by_kind: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in incident.parsed.events:
        if event.name in ("progress.bar", "sglang.decode", "nccl_tests.row"):
            by_kind[event.name, event.ref.file].append(event)
    for (name, file), events in by_kind.items():
        if lines.get(file, 0) - (events[-1].ref.line or 0) > TAIL:
            continue
        if _moves(name, events):
            label = events[-1].text.strip()[:120]
            yield Fact(name="job.progressing", values={"how": name, "label": label}, evidence=tuple(map(cite_event, events[-3:])))


def _moves(name: str, events: list[Event]) -> bool:
    if name == "nccl_tests.row":
        return len(events) >= 3
    if name == "sglang.decode":
        return len(events) >= 3 and all(_throughput(event) > 0 for event in events[-3:])
    first, last = events[0].number("percent"), events[-1].number("percent")
    return len(events) >= 2 and first is not None and last is not None and first < last < 100


def _throughput(event: Event) -> float:
    """Tokens per second."""
    return number.decimal(event.fields["throughput"]) or 0.0
