"""Processes inside of containers print pids that mean something else on their host: everything is told by the host's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from hanglens.model import Event, Parsed, RasCommunicator, RasCount, RasRank, RasReport

_Key = tuple[str, int]


def with_host_pids(parsed: Parsed, scope_of: Mapping[str, str]) -> Parsed:
    """The evidence with the pids that lines and RAS reports print replaced by those that the processes have on their host."""
    pids = _host_pids(parsed, scope_of)
    if not pids:
        return parsed

    def of_event(event: Event) -> Event:
        pid = pids.get((scope_of[event.ref.file], event.speaker.pid or 0))
        return event if pid is None else replace(event, speaker=replace(event.speaker, pid=pid))

    inputs = tuple(replace(about, tail=tuple(map(of_event, about.tail))) for about in parsed.inputs)
    reports = tuple(_report(report, scope_of[report.ref.file], pids) for report in parsed.ras_reports)
    return replace(parsed, events=tuple(map(of_event, parsed.events)), inputs=inputs, ras_reports=reports)


def _host_pids(parsed: Parsed, scope_of: Mapping[str, str]) -> dict[_Key, int]:
    """Host pids by the pid inside, where that is one process's only and no other process's on the host."""
    inside: dict[_Key, set[int]] = defaultdict(set)
    for process in parsed.processes:
        if process.namespace_pid is not None and process.pid is not None:
            inside[scope_of[process.ref.file], process.namespace_pid].add(process.pid)
    here = {(scope_of[process.ref.file], process.pid) for process in parsed.processes}
    return {key: min(pids) for key, pids in inside.items() if len(pids) == 1 and key not in here}


def _report(report: RasReport, scope: str, pids: Mapping[_Key, int]) -> RasReport:
    def of_rank(rank: RasRank) -> RasRank:
        return replace(rank, pid=pids.get((scope, rank.pid or 0), rank.pid))

    def of_count(count: RasCount) -> RasCount:
        return replace(count, ranks=tuple(map(of_rank, count.ranks)))

    def of_communicator(communicator: RasCommunicator) -> RasCommunicator:
        return replace(communicator, counts=tuple(map(of_count, communicator.counts)), missing=tuple(map(of_rank, communicator.missing)))

    return replace(report, communicators=tuple(map(of_communicator, report.communicators)))
