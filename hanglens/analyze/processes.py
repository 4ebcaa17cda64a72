"""What became of each rank's process: stopped, traced, uninterruptible, gone, ended by an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanglens.analyze.cite import cite, cite_event
from hanglens.analyze.stacks import moved
from hanglens.incident import Incident, Member
from hanglens.model import Traceback
from hanglens.verdict import Evidence, Fact

_STOP_MESSAGE = re.compile(r"Failed to suspend process|unexpected waitpid result")
# Errors that a rank shows because another one ended, timed out or never came, and those of the person who pressed Ctrl+C.
_CONSEQUENCE = re.compile(
    r"KeyboardInterrupt|EngineDead|Watchdog caught|timed? ?out|Timed out|Connection (?:reset|closed|refused)|Broken pipe|ncclRemoteError"
    r"|remote process exited|ncclUniqueId|ActorDied|ChildFailed|SignalException|SystemExit|Failed to recv|clients joined"
)


def process_facts(incident: Incident) -> Iterator[Fact]:
    """Facts of single processes, by their state and by what they raised."""
    for member in (*incident.members, *incident.others):
        yield from _state(member)
    yield from _absent(incident)
    yield from _exits(incident)
    yield from _failures(incident)


def _state(member: Member) -> Iterator[Fact]:
    process = member.process
    ranks = (member.rank,) if member.rank is not None else ()
    evidence = [cite(process.ref, process.text, member.rank)] if process and process.text else []
    evidence += [cite(failure.ref, failure.reason.split("; ")[0][:500], member.rank) for failure in member.failures[:1]]
    pid = member.pid or 0
    state = process.state if process else ""
    if state == "T" and not (process and process.tracer):
        yield Fact(name="rank.stopped", ranks=ranks, values={"pid": pid}, evidence=tuple(evidence))
    elif state in ("t", "T"):
        yield Fact(name="rank.traced", ranks=ranks, values={"pid": pid}, evidence=tuple(evidence))
    elif state == "D":
        wchan = process.wchan if process else ""
        yield Fact(name="rank.uninterruptible", ranks=ranks, values={"pid": pid, "wchan": wchan}, evidence=tuple(evidence))
    elif state in ("Z", "X"):
        yield Fact(name="rank.gone", ranks=ranks, values={"how": "zombie"}, evidence=tuple(evidence))


def _absent(incident: Incident) -> Iterator[Fact]:
    """Ranks that the launcher started on a host where, by the list of all its processes, there is no such process any more.

    A rank that has done its share ends, too: it is gone for a reason only if others still wait for it.
    """
    waiting = [m for m in incident.members if m.standing and m.standing.waits_for_others and not moved(m)]
    for collection in incident.parsed.collections:
        gone = tuple(sorted(set(collection.expected_ranks) - set(collection.present_ranks)))
        there = [cite(m.process.ref, m.process.text, m.rank) for m in incident.members if m.process and m.rank in collection.present_ranks]
        evidence = (cite(collection.ref, collection.text), *there[:4])
        if gone and collection.present_ranks:
            yield Fact(name="rank.no_process", ranks=gone, values={"waiting": len(waiting)}, evidence=evidence)
            if waiting:
                yield Fact(name="rank.gone", ranks=gone, values={"how": "no process"}, evidence=evidence)


def _exits(incident: Incident) -> Iterator[Fact]:
    """Exit codes that the launcher printed; -15 is what it did to the survivors, -6 what a watchdog did to its own rank.

    A rank that cried over another one before it ended with 1 is that one's victim.
    """
    victims = {traceback.speaker.rank for traceback in incident.parsed.tracebacks if _CONSEQUENCE.search(traceback.error)}
    rank_of = incident.rank_of_pid()
    for event in incident.parsed.events:
        code = int(event.fields["code"]) if event.name == "torch.exit" else 0
        if code in (0, -15, -6):
            continue
        pid = int(event.fields["pid"])
        rank = rank_of.get(pid)
        ranks, cited = (rank,) if rank is not None else (), (cite_event(event),)
        if code < 0:
            yield Fact(name="rank.gone", ranks=ranks, evidence=cited, values={"how": "launcher", "exit_code": code})
        elif rank is None or rank not in victims:
            yield Fact(name="rank.failed", ranks=ranks, evidence=cited, values={"error": f"exit code {code}"})


def _failures(incident: Incident) -> Iterator[Fact]:
    """Tracebacks that end in an error of the rank's own."""
    seen: set[int | None] = set()
    for traceback in incident.parsed.tracebacks:
        rank = traceback.speaker.rank
        if traceback.error and not _CONSEQUENCE.search(traceback.error) and rank not in seen:
            seen.add(rank)
            yield Fact(
                name="rank.failed", ranks=(rank,) if rank is not None else (), values={"error": traceback.error[:200]},
                evidence=tuple(_traceback_evidence(traceback)),
            )  # fmt: skip


def _traceback_evidence(traceback: Traceback) -> Iterator[Evidence]:
    if traceback.error_ref:
        yield cite(traceback.error_ref, traceback.error_text[:500], traceback.speaker.rank)
    for frame in traceback.frames[-1:]:
        yield cite(frame.ref(traceback.ref), frame.text, traceback.speaker.rank)
