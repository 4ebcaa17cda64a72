"""Who is missing: ranks outside of what the others wait in, by every kind of evidence that can tell, taken together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from hanglens import number
from hanglens.analyze.absent import absent_facts
from hanglens.analyze.blocked import kernel_wait, may_idle, parked, reads_file, sleeps, slow_work, stands_still, wait_of
from hanglens.analyze.cite import cite, cite_collective, cite_event, spelled, unique
from hanglens.analyze.enqueued import ranks_short
from hanglens.analyze.lagging import lag_of
from hanglens.analyze.own_records import cite_empty, cite_members, own_records
from hanglens.analyze.ras import ras_facts
from hanglens.analyze.recorder import differences, wavefront
from hanglens.analyze.stacks import counts_of, moved
from hanglens.analyze.stages import stage_facts, track_of
from hanglens.analyze.unjoined import Unjoined, unjoined_by
from hanglens.analyze.waiting import awaited_call, everyone, frame_of, standing_evidence, waiting_members
from hanglens.analyze.watchdog import behind_by_signal, timeouts
from hanglens.incident import Incident, Member, Standing
from hanglens.model import Frame
from hanglens.verdict import Evidence, Fact

# The order in which kinds of evidence are cited. Those with a question mark say nothing alone: a healthy job looks so, too.
_KINDS = ("stack", "flight-recorder", "watchdog", "nccl-init", "stage", "ras", "ras?", "nccl-log?")
_ELSEWHERE = ("rpc-wait", "waiting", "rendezvous", "idle")  # waits of their own, that say nothing of who is late


@dataclass(slots=True)
class Case:
    """What speaks for one rank being the one the others wait for; `call` is what they wait in, where the flight recorders tell it."""

    kinds: dict[str, list[Evidence]] = field(default_factory=dict)
    op: str = ""
    where: str = ""
    first: bool = False
    call: Unjoined | None = None

    def add(self, kind: str, evidence: list[Evidence]) -> None:
        """Another kind of evidence."""
        self.kinds.setdefault(kind, []).extend(evidence)


def missing_facts(incident: Incident) -> Iterator[Fact]:
    """rank.missing_from_collective for each rank that is, rank.maybe_missing for those that may be, and wedge.symmetric."""
    if any(moved(member) for member in everyone(incident) if any(s.waits_for_others for s in member.standings)):
        return  # who has left a collective was not held up in it
    cases: dict[int, Case] = defaultdict(Case)
    _by_stack(incident, cases)
    _by_recorder(incident, cases)
    _by_watchdog(incident, cases)
    _by_stage(incident, cases)
    _by_ras(incident, cases)
    _by_nccl_init(incident, cases)
    for rank, (op, evidence) in ranks_short(incident).items():
        cases[rank].op = cases[rank].op or op
        cases[rank].add("nccl-log?", evidence)
    gone = {rank for fact in ras_facts(incident) if fact.name == "rank.gone" for rank in fact.ranks}
    accepted = {rank: case for rank, case in cases.items() if rank not in gone and _holds(incident, rank, case)}
    yield from _together([_fact(incident, rank, case) for rank, case in sorted(accepted.items())])
    if not accepted:
        yield from absent_facts(incident)


def _who(member: Member) -> int:
    """The rank; for a process whose rank is not known, a number below zero made of its pid."""
    return member.rank if member.rank is not None else -(member.pid or 0) - 1


def _member(incident: Incident, who: int) -> Member | None:
    return incident.member(who) if who >= 0 else next((m for m in incident.others if _who(m) == who), None)


def _holds(incident: Incident, rank: int, case: Case) -> bool:
    """A counter that lags by one in a single report says nothing alone, and a rank seen waiting with the others is not missing."""
    member = _member(incident, rank)
    seen = member.standing if member else None
    if seen is not None and seen.waits_for_others and "watchdog" not in case.kinds:
        return False
    if not (member and member.collected) or rank in {timeout.rank for timeout in timeouts(incident)}:
        return False
    return not all(kind.endswith("?") for kind in case.kinds)


def _by_stack(incident: Incident, cases: dict[int, Case]) -> None:
    """The few outside of what the many wait in; a worker that waits for work is not one of them, it may have done its share."""
    waiting = waiting_members(incident)
    outside = [m for m in everyone(incident) if m.standing and not m.standing.waits_for_others and m.standing.kind not in _ELSEWHERE]
    if not waiting or len(outside) >= max(len(waiting), 2):
        return
    for member in outside:
        case = cases[_who(member)]
        case.op = case.op or awaited_call(waiting)
        case.where = ", ".join(filter(None, (_own_frame(member.standing).text, kernel_wait(member)))) if member.standing else ""
        case.add("stack", [*standing_evidence(member), *(e for m in waiting[:2] for e in standing_evidence(m))])


def _own_frame(standing: Standing) -> Frame:
    return standing.at or standing.stack.frames[0]


def _by_recorder(incident: Incident, cases: dict[int, Case]) -> None:
    """Ranks that have not made what others wait in and stand in nothing; where most are late, the few may have made a call too many."""
    front = wavefront(incident)
    for rank in dict.fromkeys(entry.rank for entry in front.behind) if not differences(incident) else ():
        found = unjoined_by(front, rank)
        if found:
            case = cases[rank]
            case.call, case.op = found, case.op or found.call.call.op
            case.first = case.first or (found.call.seq <= 1 and front.last(rank) is None and rank not in front.wrapped)
            told = [*map(cite_collective, found.waiting[:2]), *own_records(incident, rank, found.group)]
            case.add("flight-recorder", [*told, *cite_members(incident, found)])


def _by_watchdog(incident: Incident, cases: dict[int, Case]) -> None:
    for rank, event, waiting in behind_by_signal(incident):
        case = cases[rank]
        case.op = case.op or waiting.op
        case.add("watchdog", [cite_event(waiting.event), cite_event(event)])


def _by_stage(incident: Incident, cases: dict[int, Case]) -> None:
    for fact in stage_facts(incident):
        if fact.name == "stage.short" and fact.ranks and len(fact.ranks) < int(fact.values["of"]):
            for rank in fact.ranks:
                cases[rank].add("stage", list(fact.evidence))


def _by_ras(incident: Incident, cases: dict[int, Case]) -> None:
    for fact in ras_facts(incident):
        if fact.name == "ras.counts_differ" and 2 * len(fact.ranks) <= (incident.world_size or 0):
            kind = "ras" if fact.values["frozen"] else "ras?"
            for rank in fact.ranks:
                cases[rank].op = cases[rank].op or str(fact.values["op"])
                cases[rank].add(kind, list(fact.evidence))


def _by_nccl_init(incident: Incident, cases: dict[int, Case]) -> None:
    """Ranks that never began to join a communicator that others wait to complete."""
    started: dict[str, dict[int, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
    complete: set[str] = set()
    sizes: dict[str, int] = {}
    for event in incident.parsed.events:
        if event.name == "nccl.init":
            rank, size = number.rank(event.fields["rank"]), number.whole(event.fields["nranks"], number.MOST_RANKS)
            if rank is None or size is None:
                continue
            started[event.fields["id"]][rank].append(cite_event(event))
            sizes[event.fields["id"]] = size
            if event.fields["state"] == "COMPLETE":
                complete.add(event.fields["id"])
    for comm, ranks in started.items():
        if comm in complete or sizes[comm] != incident.world_size:
            continue
        for rank in set(range(sizes[comm])) - set(ranks):
            cases[rank].first = True
            cases[rank].op = cases[rank].op or "ncclCommInitRank"
            cases[rank].add("nccl-init", [e for lines in list(ranks.values())[:2] for e in lines])


def _fact(incident: Incident, rank: int, case: Case) -> Fact:
    member = _member(incident, rank)
    kinds = sorted(case.kinds)
    if not all(kind.endswith("?") for kind in kinds):  # with another kind beside it, a lag of one is evidence too
        kinds = sorted({kind.rstrip("?") for kind in kinds})
    evidence = _by_turns([case.kinds.get(kind, []) for kind in _KINDS])
    track = track_of(incident)
    return Fact(
        name="rank.missing_from_collective",
        ranks=(rank,) if rank >= 0 else (),
        pids=(member.pid,) if member and member.pid is not None else (),
        values={
            "where": case.where, "op": case.op or "a collective", "first": case.first,
            "wait": wait_of(member), "parked": parked(member), "how": ",".join(kinds), "kinds": len(kinds),
            "seen": _seen(incident, member, case),
            "pid": str(member.pid) if member and member.pid else "PID",
            "of": incident.world_size or len(everyone(incident)) or len(incident.members),
            "waiting": _waiting(incident, rank, case),
            "engine": track.engine if track else "", **_called(incident, rank, case),
        },
        evidence=unique([*_own_evidence(evidence, rank), *_process_evidence(member), *_empty(incident, rank), *evidence])[:12],
    )  # fmt: skip


def _waiting(incident: Incident, rank: int, case: Case) -> int:
    """How many wait, by their stacks, else by their records."""
    by_stack = sum(_who(m) != rank for m in waiting_members(incident))
    return by_stack or (len(case.call.waiting) if case.call else 0) or (incident.world_size or 1) - 1


def _called(incident: Incident, rank: int, case: Case) -> Mapping[str, str | int]:
    """The call that the others wait in and who takes part in it, and what the rank's own records say instead."""
    found = case.call
    if found is None:
        of = incident.world_size or len(everyone(incident)) or len(incident.members)
        last_words = "" if case.where else _last_words(incident, rank)
        return {"call": case.op or "a collective", "joined": _waiting(incident, rank, case), "members": of, "last": last_words}
    front = wavefront(incident)
    lag, last = lag_of(front, rank), front.last(rank)
    seen = next((frame for call in found.waiting if (frame := _seen_in(incident, call.rank))), "")
    return {
        "call": f"{found.text}, seen in {seen}" if seen else found.text, "joined": len(found.waiting), "members": len(found.members),
        "silent": ", ".join(f"rank {peer}" for peer in found.silent),
        "lag": lag.text if lag else "", "last": f"{spelled(last)}, {last.state}" if last and not lag else "",
    }  # fmt: skip


def _seen_in(incident: Incident, rank: int) -> str | None:
    """The frame in which a rank that waits stands."""
    member = incident.member(rank)
    return frame_of(member) if member and member.standing and member.standing.waits_for_others else None


def _together(facts: list[Fact]) -> Iterator[Fact]:
    """Of several ranks each fact says where every one of them is: a text tells of all of them at once."""
    told = {name: [(fact.ranks, str(fact.values[name])) for fact in facts if fact.values.get(name)] for name in ("where", "last", "lag")}
    joined = {name: "; ".join(f"rank {rank}: {text}" for ranks, text in said for rank in ranks) for name, said in told.items()}
    several = len([fact for fact in facts if fact.ranks]) > 1
    for fact in facts:
        yield msgspec.structs.replace(fact, values={**fact.values, **joined}) if several else fact


def _seen(incident: Incident, member: Member | None, case: Case) -> str:
    """How much one snapshot may deceive: ranks of a healthy job are a moment apart, too.

    lasting: it stood still in two samples, counters stood still, or a time-out fired, and two kinds of evidence agree;
    clear: two kinds agree, or one does and the rank sleeps in a call of its own; glimpse: one stack of a rank that runs, or
    nothing but a line that is not in its log, or a call of which too few are known.
    """
    still = bool(member and stands_still(member))
    alive = bool(member and moved(member) is not None and not still)
    if set(case.kinds) == {"stack"} and member and (alive or slow_work(member) or may_idle(member, case.op)):
        return "glimpse"
    if set(case.kinds) == {"flight-recorder"} and case.call and _few(case.call):
        return "glimpse"
    kinds = {kind.rstrip("?") for kind in case.kinds} - {"nccl-log"}  # that says what a stack outside of the call says, once more
    if len(kinds) > 1:
        return "lasting" if still or {"watchdog", "ras"} & set(case.kinds) else "clear"
    if kinds == {"stage"} or (kinds == {"nccl-init"} and not _has_nccl_log(incident, member)):
        return "glimpse"
    sure = any(m.standing and m.standing.kind != "gpu-wait" for m in waiting_members(incident))
    return "clear" if still or kinds != {"stack"} or (sure and sleeps(member)) else "glimpse"


def _few(call: Unjoined) -> bool:
    """Whether, with those of whom there is no dump, more may lack the call than made it: it may be one too many."""
    return bool(call.silent) and 2 * len(call.waiting) <= len(call.members)


def _has_nccl_log(incident: Incident, member: Member | None) -> bool:
    return any(e.source == "nccl" and member and e.speaker.rank == member.rank for e in incident.parsed.events)


def _by_turns(kinds: list[list[Evidence]]) -> list[Evidence]:
    """The first of each kind, then the second of each, so that a short list shows every kind."""
    longest = max(map(len, kinds), default=0)
    return [entries[n] for n in range(longest) for entries in kinds if n < len(entries)]


def _own_evidence(evidence: list[Evidence], rank: int) -> list[Evidence]:
    return [entry for entry in evidence if entry.rank == rank][:2]


def _empty(incident: Incident, rank: int) -> list[Evidence]:
    return [cite_empty(incident, dump) for dump in incident.parsed.recorder_dumps if dump.rank == rank and not dump.records]


def _process_evidence(member: Member | None) -> list[Evidence]:
    process = member.process if member else None
    if process is None or not process.text.lstrip().startswith("State"):
        return []
    waits = counts_of(member, member.standing) if member and member.standing else []
    read = [file for file in member.open_files if file.target == reads_file(member)] if member else []
    cited = [(process.ref, process.text), *((f.ref, f.text) for f in read[:1])]
    cited += [(s.ref, s.text) for s in (waits[0], waits[-1])] if len(waits) > 1 else []
    return [cite(ref, text, member.rank if member else None) for ref, text in cited]


def _last_words(incident: Incident, rank: int) -> str:
    logs = [about for about in incident.parsed.inputs if about.kind.endswith("log")]
    told = [event for about in logs for event in about.tail if event.speaker.rank == rank]
    return told[-1].text[:160] if told else ""
