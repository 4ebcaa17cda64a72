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
    """One step of a rank's program; without a group it waits for the GPU. `number` counts in the group, `pair` between two ranks."""

    group: str = ""
    name: str = ""
    members: tuple[int, ...] = ()
    p2p: bool = False
    number: int = 0
    pair: int = 0

    @property
    def sends(self) -> bool:
        """A GPU goes on with other work while it sends."""
        return self.name.startswith("send")

    def meets(self, other: Op) -> bool:
        """Both are parts of one call."""
        if self.p2p or other.p2p:
            return self.p2p and other.p2p and (self.members, self.pair) == (other.members, other.pair) and self.sends != other.sends
        return (self.group, self.number) == (other.group, other.number)


def program(rank: int) -> list[Op]:
    """Three steps: forward and backward through the stages for two batches, then the reductions."""
    named = {name.split()[0]: (name, members) for name, members in groups_of(rank).items()}
    last = rank >= TP * DP
    peer = rank - TP * DP if last else rank + TP * DP
    counted: dict[object, int] = defaultdict(int)
    ops: list[Op] = []

    def do(kind: str, name: str) -> None:
        group, members = named[kind]
        p2p = name.startswith(("send", "recv"))
        for key in ((group, p2p), (kind, name)):
            counted[key] += 1
        ops.append(Op(group, name, (min(rank, peer), max(rank, peer)) if p2p else members, p2p, counted[group, p2p], counted[kind, name]))

    for _ in range(3):
        for _ in range(2):
            if last:
                do("pp", "recv 1<-0")
            do("tp", "all_reduce")
            do("tp", "_all_gather_base")
            # Megatron sends one way in the group of the pipeline, and the other way in the default group.
            do("world", f"send {rank}->{peer}") if last else do("pp", "send 0->1")
        for _ in range(0 if last else 2):
            do("world", f"recv {rank}<-{peer}")
            do("tp", "all_reduce")
        do("dp", "all_reduce")
        do("world", "all_reduce")
        ops.append(Op())
    return ops


@dataclass
class Rank:
    """How far a rank's host has launched its program, how far its GPU has come, and what it is sending meanwhile."""

    ops: list[Op]
    host_stops: int | None = None
    gpu_stops: int | None = None
    host: int = 0
    gpu: int = 0
    sending: list[int] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)

    def launch(self) -> bool:
        """Launch what can be launched; whether anything was."""
        began = self.host
        while self.host < len(self.ops) and self.host != self.host_stops and (self.ops[self.host].group or self._idle()):
            self.host += 1
        return self.host > began

    def _idle(self) -> bool:
        return self.gpu >= self.host and not self.sending and self.gpu_stops is None

    def head(self) -> int | None:
        """What the GPU works on; waits of the host are nothing to it."""
        while self.gpu < self.host and (not self.ops[self.gpu].group or self.ops[self.gpu].sends):
            if self.ops[self.gpu].sends:
                self.sending.append(self.gpu)
            self.gpu += 1
        return self.gpu if self.gpu < self.host else None

    def part(self, op: Op) -> int | None:
        """The place of this rank's own part of a call, if its GPU has come to it."""
        head = self.head()
        places = [*self.sending, *([head] if head is not None else [])]
        return next((place for place in places if self.ops[place] is op or self.ops[place].meets(op)), None)

    def end(self, place: int) -> None:
        """The call is over."""
        self.ended.add(place)
        if place in self.sending:
            self.sending.remove(place)
        else:
            self.gpu += 1


def run(host_stops: dict[int, int], gpu_stops: dict[int, int], *, active: bool = False) -> list[object]:
    """The dumps of all ranks after everything has come to rest; with only what is not completed if `active`.

    Faults: the step of its program at which a rank's host stops, or at which it stops to see what its GPU has done.
    """
    ranks = [Rank(program(r), host_stops.get(r), gpu_stops.get(r)) for r in WORLD]
    moving = True
    while moving:
        moving = bool(sum(rank.launch() for rank in ranks))
        for rank in ranks:
            head = rank.head()
            op = rank.ops[head] if head is not None else None
            parts = [ranks[peer].part(op) for peer in op.members] if op else [None]
            if op and all(part is not None for part in parts):
                moving = True
                for peer, part in zip(op.members, parts, strict=True):
                    ranks[peer].end(part or 0)
    members: list[GroupMembers] = [
        members_of(name, *found, description=name.split()[0]) for r in WORLD for name, found in groups_of(r).items()
    ]
    records = [record for r in WORLD for record in _records(r, ranks[r])]
    counters = {(record.rank, record.group): status(record.rank, record.seq, record.group) for record in records if not record.p2p}
    kept = [record for record in records if not active or record.state != "completed"]
    return [*dumps(*WORLD), *dict.fromkeys(members), *kept, *counters.values()]


def _records(rank: int, state: Rank) -> list[Recorded]:
    seen = len(state.ops) if state.gpu_stops is None else state.gpu_stops
    return [
        call(rank, op.number, op.name, group=op.group, p2p=op.p2p, record=place,
             state="completed" if place in state.ended and place < seen else "scheduled")
        for place, op in enumerate(state.ops[: state.host])
        if op.group
    ]  # fmt: skip
