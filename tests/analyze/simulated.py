"""A small job of pipeline, tensor and data parallel ranks that stalls: what a fault in some ranks leaves in everybody's flight recorder.

Hosts run ahead of their GPUs until they synchronise; a GPU works in the order in which it was given work, and a call ends when all that
take part have come to it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hanglens.model import GroupMembers
from tests.builders import Recorded, call, dumps, members_of, status

STAGES, TP, DP = 2, 2, 2
WORLD = range(STAGES * TP * DP)


def groups_of(rank: int) -> dict[str, tuple[int, ...]]:
    """The groups of a rank: name to members. Ranks count tensor-parallel first, then data-parallel, then stages."""
    tp, dp, stage = rank % TP, rank // TP % DP, rank // (TP * DP)
    at = [[[s * TP * DP + d * TP + t for t in range(TP)] for d in range(DP)] for s in range(STAGES)]
    return {
        f"tp of {at[stage][dp][0]}": tuple(at[stage][dp]),
        f"dp of {at[stage][0][tp]}": tuple(at[stage][d][tp] for d in range(DP)),
        f"pp of {at[0][dp][tp]}": tuple(at[s][dp][tp] for s in range(STAGES)),
        "world": tuple(WORLD),
    }


@dataclass(frozen=True)
class Op:
    """One step of a rank's program; without a group it waits for the GPU."""

    group: str = ""
    name: str = ""
    members: tuple[int, ...] = ()
    p2p: bool = False
    number: int = 0


def program(rank: int, steps: int, batches: int) -> list[Op]:
    """Forward and backward through the stages for each batch, then the reductions, again and again."""
    named = {name.split()[0]: (name, members) for name, members in groups_of(rank).items()}
    counted: dict[tuple[str, bool], int] = defaultdict(int)
    ops: list[Op] = []

    def do(kind: str, name: str) -> None:
        group, members = named[kind]
        p2p = name.startswith(("send", "recv"))
        counted[group, p2p] += 1
        ops.append(Op(group, name, members, p2p, counted[group, p2p]))

    last = rank >= TP * DP
    for _ in range(steps):
        for _ in range(batches):
            if last:
                do("pp", "recv 1<-0")
            do("tp", "all_reduce")
            do("tp", "_all_gather_base")
            do("pp", "send 1->0" if last else "send 0->1")
        for _ in range(0 if last else batches):
            do("pp", "recv 0<-1")
            do("tp", "all_reduce")
        do("dp", "all_reduce")
        do("world", "all_reduce")
        ops.append(Op())
    return ops


@dataclass
class Rank:
    """How far a rank's host has launched its program, and how far its GPU has come."""

    ops: list[Op]
    host: int = 0
    done: int = 0
    host_stops: int | None = None
    gpu_stops: int | None = None
    seen: set[int] = field(default_factory=set)

    def launch(self) -> bool:
        """Launch what can be launched; whether anything was."""
        began = self.host
        while self.host < len(self.ops) and self.host != self.host_stops and (self.ops[self.host].group or self._idle()):
            self.host += 1
        return self.host > began

    def _idle(self) -> bool:
        return self.done >= self.host and self.gpu_stops is None

    def head(self) -> Op | None:
        """What the GPU works on; waits of the host are nothing to it."""
        while self.done < self.host and not self.ops[self.done].group:
            self.done += 1
        return self.ops[self.done] if self.done < self.host else None


def run(host_stops: dict[int, int], gpu_stops: dict[int, int], *, active: bool = False) -> list[object]:
    """The dumps of all ranks after everything has come to rest; with only what is not completed if `active`.

    Faults: the step of its program at which a rank's host or GPU stops.
    """
    ranks = [Rank(program(r, 3, 2), host_stops=host_stops.get(r), gpu_stops=gpu_stops.get(r)) for r in WORLD]
    moving = True
    while moving:
        moving = any([rank.launch() for rank in ranks])
        heads = [rank.head() for rank in ranks]
        for number, op in enumerate(heads):
            matched = op is not None and all(_same(op, heads[peer]) for peer in op.members)
            if op is not None and matched and number == op.members[0]:
                moving = True
                for peer in op.members:
                    ranks[peer].done += 1
    members: list[GroupMembers] = [members_of(name, *found, description=name.split()[0]) for r in WORLD for name, found in groups_of(r).items()]
    records = [record for r in WORLD for record in _records(r, ranks[r])]
    counters = {(record.rank, record.group): status(record.rank, record.seq, record.group) for record in records if not record.p2p}
    kept = [record for record in records if not active or record.state != "completed"]
    return [*dumps(*WORLD), *dict.fromkeys(members), *kept, *counters.values()]


def _same(op: Op, other: Op | None) -> bool:
    return other is not None and (op.group, op.number, op.p2p) == (other.group, other.number, other.p2p)


def _records(rank: int, state: Rank) -> list[Recorded]:
    broken = len(state.ops) if state.gpu_stops is None else state.gpu_stops
    return [
        call(rank, op.number, op.name, group=op.group, p2p=op.p2p, record=place,
             state="completed" if place < min(state.done, broken) else "scheduled")
        for place, op in enumerate(state.ops[: state.host])
        if op.group
    ]  # fmt: skip
