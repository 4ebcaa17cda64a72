"""What NCCL RAS reports say, over one or several of them: who is missing from a communicator, whose counts differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from hanglens.analyze.cite import cite
from hanglens.incident import Incident
from hanglens.model import RasCommunicator, RasCount, RasRank
from hanglens.verdict import Fact


def ras_facts(incident: Incident) -> Iterator[Fact]:
    """ras.counts_differ, and rank.gone for ranks of which RAS has no data."""
    reports = incident.parsed.ras_reports
    by_id: dict[str, list[RasCommunicator]] = defaultdict(list)
    for report in reports:
        for communicator in report.communicators:
            by_id[communicator.id].append(communicator)
    for same in by_id.values():
        yield from _counts(same)
        yield from _growth(same)
        missing = [rank for rank in same[-1].missing if rank.rank is not None and not _lives(incident, rank)]
        if missing:
            yield Fact(
                name="rank.gone", ranks=tuple(sorted({rank.rank for rank in missing if rank.rank is not None})), values={"how": "ras"},
                evidence=tuple(cite(rank.ref, rank.text, rank.rank) for rank in missing[:4]),
            )  # fmt: skip
    everything = [communicator for report in reports for communicator in report.communicators]
    if everything and not any(_uneven(c) or c.missing or "OK" not in c.errors for c in everything):
        rows = tuple(cite(c.ref, c.text) for c in everything[:2])
        yield Fact(name="collective.all_equal", values={"how": "ras", "sizes": False}, of_all=True, evidence=rows)


def _counts(same: list[RasCommunicator]) -> Iterator[Fact]:
    last = same[-1].counts
    for op in sorted({count.op for count in last}):
        counts = [count for count in last if count.op == op]
        low, high = min(c.launched for c in counts), max(c.launched for c in counts)
        if low == high:
            continue
        behind = sorted({rank.rank for c in counts if c.launched == low for rank in c.ranks if rank.rank is not None})
        yield Fact(
            name="ras.counts_differ", ranks=tuple(behind), evidence=tuple(cite(c.ref, c.text, _one(c)) for c in counts[:6]),
            values={"op": op, "behind": low, "ahead": high, "samples": len(same), "frozen": _frozen(same, op)},
        )  # fmt: skip


def _growth(same: list[RasCommunicator]) -> Iterator[Fact]:
    """Every rank launched more of an operation between the first and the last report."""
    for op in sorted({count.op for count in same[-1].counts}):
        ends = [[count for count in sample.counts if count.op == op] for sample in (same[0], same[-1])]
        whole = all(counts and sum(count.number for count in counts) == same[-1].size for counts in ends)
        if whole and min(c.launched for c in ends[0]) < min(c.launched for c in ends[1]):
            cited = tuple(cite(counts[0].ref, f"{op}: launched up to {min(c.launched for c in counts)} by all ranks") for counts in ends)
            yield Fact(name="job.steps", values={"how": "ras", "of": same[-1].size or 0}, evidence=cited)


def _lives(incident: Incident, missing: RasRank) -> bool:
    """Whether the process is there, by its own state: RAS gets no answer from one that is stopped either."""
    member = incident.member(missing.rank if missing.rank is not None else -1)
    return bool(
        member and member.process and member.process.state in ("R", "S", "D", "T", "t", "I") and member.pid == (missing.pid or member.pid)
    )


def _uneven(communicator: RasCommunicator) -> bool:
    """Whether ranks launched different numbers of one operation; reports in text give counts only then, those in JSON always."""
    levels: dict[str, set[int]] = defaultdict(set)
    for count in communicator.counts:
        levels[count.op].add(count.launched)
    return any(len(launched) > 1 for launched in levels.values())


def _one(count: RasCount) -> int | None:
    return count.ranks[0].rank if len(count.ranks) == 1 else None


def _name(rank: RasRank) -> str:
    return f"{rank.rank} {rank.pid}"


def _frozen(same: list[RasCommunicator], op: str) -> bool:
    """A second report has the same numbers of the same ranks."""
    numbers = [sorted((c.launched, c.number, sorted(map(_name, c.ranks))) for c in sample.counts if c.op == op) for sample in same]
    return len(numbers) > 1 and numbers[-1] == numbers[-2]
