"""Compare the flight-recorder dumps of all ranks, group by group: who is behind, who called something else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from hanglens.analyze.cite import cite_collective, unique
from hanglens.incident import Incident
from hanglens.model import Collective, GroupStatus
from hanglens.verdict import Fact

# Every rank passes the same sizes to these; the others may differ legally.
SYMMETRIC = {"all_reduce", "allreduce", "reduce", "broadcast", "_all_gather_base", "all_gather_into_tensor", "_reduce_scatter_base",
             "reduce_scatter_tensor", "barrier", "all_reduce_barrier", "_allgather_base", "_broadcast_oop", "_reduce_oop"}  # fmt: skip


# No rank finishes these before all have begun; the root of a broadcast may.
_NEEDS_ALL = SYMMETRIC - {"broadcast", "_broadcast_oop", "reduce", "_reduce_oop"}


@dataclass(slots=True)
class Group:
    """One process group over all dumps: its members, each rank's records by sequence number, each rank's counters."""

    name: str
    description: str = ""
    members: set[int] = field(default_factory=set)
    calls: dict[int, dict[int, Collective]] = field(default_factory=lambda: defaultdict(dict))
    status: dict[int, GroupStatus] = field(default_factory=dict)

    def enqueued(self, rank: int) -> int:
        """The last sequence number the rank enqueued; -1 if it has none that is unfinished and no older one is recorded.

        The counters of pg_status count point-to-point calls too in some versions: they are used where they agree with
        the records of other ranks.
        """
        if self.calls.get(rank):
            return max(self.calls[rank])
        agree = any(max(calls) == self.status[other].enqueued for other, calls in self.calls.items() if calls and other in self.status)
        return self.status[rank].enqueued if agree and rank in self.status else -1

    def outdated(self, rank: int) -> bool:
        """The rank's dump is older than the others': a call that it has not made yet was completed, which needs all ranks."""
        last = self.enqueued(rank)
        later = (call for calls in self.calls.values() for call in calls.values() if call.seq > last >= 0)
        return any(call.state == "completed" and call.op in _NEEDS_ALL for call in later)

    def frontier(self) -> list[Collective]:
        """Unfinished calls, furthest ahead first."""
        return sorted((call for calls in self.calls.values() for call in calls.values() if call.state != "completed"), key=lambda c: -c.seq)


def groups(incident: Incident) -> dict[str, Group]:
    """All groups by name; point-to-point calls are left out, since they need not match on all ranks."""
    found: dict[str, Group] = {}
    parts = _parts(incident)
    for entry in incident.parsed.group_members:
        name = _name(parts, entry.group, min(entry.members, default=-1))
        group = found.setdefault(name, Group(name))
        group.members |= set(entry.members)
        group.description = group.description or entry.description
    for call in incident.parsed.collectives:
        if not call.p2p and call.rank >= 0 and call.recorder == "flight-recorder":
            name = _name(parts, call.group, call.rank)
            group = found.setdefault(name, Group(name))
            group.calls[call.rank][call.seq] = call
            group.members.add(call.rank)
    for status in incident.parsed.group_statuses:
        name = _name(parts, status.group, status.rank)
        if name in found and (status.rank in found[name].members or not found[name].members):
            found[name].status[status.rank] = status
    return found


def _parts(incident: Incident) -> dict[str, list[set[int]]]:
    """The members of each group name: more than one set where groups of different ranks have the same name."""
    parts: dict[str, list[set[int]]] = defaultdict(list)
    for entry in incident.parsed.group_members:
        mine = set(entry.members)
        apart = [part for part in parts[entry.group] if not part & mine]
        parts[entry.group] = [*apart, mine.union(*(part for part in parts[entry.group] if part & mine))]
    return parts


def _name(parts: dict[str, list[set[int]]], group: str, rank: int) -> str:
    """The group's name, with its first rank where another group has the same name."""
    own = next((part for part in parts.get(group, ()) if rank in part), None)
    return group if own is None or len(parts[group]) < 2 else f"{group} of rank {min(own)}"


def recorder_facts(incident: Incident) -> Iterator[Fact]:
    """Mismatches, inverted orders and equality; who is behind is told by `ranks_behind`."""
    if len(incident.parsed.recorder_dumps) < 2:
        return
    table = groups(incident)
    mismatches = [fact for group in table.values() for fact in _mismatches(group)]
    yield from mismatches
    orders = list(_orders(incident, table))
    yield from orders
    if not mismatches and not orders:
        yield from _all_equal(incident, table)


def _mismatches(group: Group) -> Iterator[Fact]:
    """Unfinished calls at one sequence number that differ between ranks."""
    for seq in sorted({call.seq for call in group.frontier()}):
        calls = [calls[seq] for calls in group.calls.values() if seq in calls]
        if len(calls) < 2:
            continue
        for name, value in (("op", _op), ("size", _size), ("dtype", _dtype)):
            differing = Counter(map(value, calls))
            if len(differing) > 1 and (name == "op" or calls[0].op in SYMMETRIC):
                yield _mismatch(group, seq, name, calls, differing)
                return


def _mismatch(group: Group, seq: int, name: str, calls: list[Collective], differing: Counter[str]) -> Fact:
    value = {"op": _op, "size": _size, "dtype": _dtype}[name]
    (usual, number), (other, _) = differing.most_common(2)
    odd = [call for call in calls if value(call) != usual]
    clear = number > len(calls) / 2
    return Fact(
        name=f"collective.{name}_mismatch",
        ranks=tuple(sorted(call.rank for call in (odd if clear else calls))),
        values={"group": group.name, "seq": seq, "op": calls[0].op, "a": usual, "b": other, "majority": clear, "how": "flight-recorder"},
        evidence=unique(cite_collective(call) for call in [*calls[:2], *odd][:6]),
    )


def _op(call: Collective) -> str:
    return call.op


def _size(call: Collective) -> str:
    return "×".join(str(list(size)) for size in call.input_sizes)


def _dtype(call: Collective) -> str:
    return ",".join(call.dtypes)


def _orders(incident: Incident, table: dict[str, Group]) -> Iterator[Fact]:
    """Two ranks, two groups of both, entered in opposite order and all four calls unfinished."""
    pending: dict[int, dict[str, Collective]] = defaultdict(dict)
    for name, group in table.items():
        for call in reversed(group.frontier()):
            pending[call.rank].setdefault(name, call)
    for first, second in combinations(sorted(pending), 2):
        shared = sorted(set(pending[first]) & set(pending[second]))
        for a, b in combinations(shared, 2):
            calls = [pending[rank][name] for rank in (first, second) for name in (a, b)]
            same_calls = calls[0].seq == calls[2].seq and calls[1].seq == calls[3].seq
            if same_calls and (calls[0].record_id < calls[1].record_id) != (calls[2].record_id < calls[3].record_id):
                yield Fact(
                    name="collective.order_mismatch", ranks=(first, second), values={"a": a, "b": b},
                    evidence=tuple(cite_collective(call) for call in calls),
                )  # fmt: skip
                return


def _all_equal(incident: Incident, table: dict[str, Group]) -> Iterator[Fact]:
    """Every rank of every group enqueued the same, and something is unfinished."""
    unfinished = [call for group in table.values() for call in group.frontier()]
    if not unfinished or not all(_level(group) for group in table.values()):
        return
    yield Fact(
        name="collective.all_equal", ranks=tuple(sorted({call.rank for call in unfinished})),
        values={"how": "flight-recorder", "sizes": True}, evidence=tuple(cite_collective(call) for call in unfinished[:4]),
    )  # fmt: skip


def _level(group: Group) -> bool:
    """All members are known to have enqueued as much; one member alone is compared with nobody."""
    return len({group.enqueued(rank) for rank in group.members}) == 1 and (len(group.members) > 1 or not group.frontier())


@dataclass(frozen=True, slots=True)
class Behind:
    """A rank that did not enqueue calls in which others of its group wait. `held` says that it may be held up itself."""

    rank: int
    group: str
    seq: int
    calls: tuple[Collective, ...]
    held: bool


def ranks_behind(incident: Incident) -> list[Behind]:
    """For each group, the members behind its frontier. A rank without a dump is not among them: nothing is known of it."""
    table = groups(incident)
    dumped = {dump.rank for dump in incident.parsed.recorder_dumps}
    held = {rank: _held(rank, table) for rank in dumped}
    found: list[Behind] = []
    for group in table.values():
        frontier = group.frontier()
        for rank in sorted(group.members & dumped):
            missed = [call for call in frontier if call.rank != rank and call.seq > group.enqueued(rank)]
            if missed and not group.outdated(rank):
                first = min(call.seq for call in missed)
                found.append(Behind(rank, group.name, first, tuple(call for call in missed if call.seq == first), held[rank]))
    return found


def _held(rank: int, table: dict[str, Group]) -> bool:
    """The rank's oldest unfinished call waits for somebody: not all of its peers are past it."""
    pending = [(call, group) for group in table.values() for call in group.calls.get(rank, {}).values() if call.state != "completed"]
    if not pending:
        return False
    call, group = min(pending, key=lambda entry: entry[0].record_id)
    return not all(_past(group, peer, call.seq) for peer in group.members - {rank})


def _past(group: Group, rank: int, seq: int) -> bool:
    """The rank enqueued more than `seq` and has finished it."""
    mine = group.calls.get(rank, {})
    return group.enqueued(rank) > seq and (seq not in mine or mine[seq].state == "completed")


def undumped(incident: Incident, ranks: Iterable[int]) -> list[int]:
    """Members of a group with unfinished calls of which there is no dump."""
    dumped = {dump.rank for dump in incident.parsed.recorder_dumps}
    waited_for = {rank for group in groups(incident).values() if group.frontier() for rank in group.members}
    return sorted(set(ranks) & waited_for - dumped)
