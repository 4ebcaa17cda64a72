"""Where ranks of one group made different calls at one number, or entered two groups in opposite order."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from hanglens.analyze.cite import cite_collective, unique
from hanglens.analyze.wavefront import SYMMETRIC
from hanglens.groups import Group, Lane
from hanglens.model import Collective
from hanglens.verdict import Fact

CITED = 6


def mismatches(group: Group) -> Iterator[Fact]:
    """The first number at which members made different calls; nothing if the group has finished all of them.

    Operations are compared among finished calls too: ranks that lost each other go on for a while, each with another's partner. Sizes and
    types are compared where nothing has finished the call without them.
    """
    if not group.pending or len(group.lanes) < 2:
        return
    pending = {call.seq for call in group.unfinished()}
    for seq in sorted({*pending, *_shifted(group)}):
        calls = [call for call in (lane.call(seq) for lane in group.lanes.values()) if call]
        for name, value in _FIELDS if seq in pending else _FIELDS[:1]:
            differing = Counter(map(value, calls))
            if len(differing) > 1 and (name == "op" or calls[0].call.op in SYMMETRIC):
                yield _mismatch(group, seq, name, calls, differing)
                return


def _mismatch(group: Group, seq: int, name: str, calls: list[Collective], differing: Counter[object]) -> Fact:
    value = dict(_FIELDS)[name]
    (usual, number), (other, _) = differing.most_common(2)
    one, odd = [c for c in calls if value(c) == usual], [c for c in calls if value(c) != usual]
    clear = number > len(calls) / 2
    against = _written(next(call for call in odd if value(call) == other), name)
    return Fact(
        name=f"collective.{name}_mismatch",
        ranks=tuple(sorted(call.rank for call in (odd if clear else calls))),
        values={
            "group": group.name, "seq": seq, "op": one[0].call.op, "a": _written(one[0], name), "b": against, "majority": clear,
            "how": "flight-recorder", **({"width": _widths(one[0], odd)} if name == "dtype" else {}),
        },
        evidence=unique(cite_collective(call) for call in [*one[:2], *odd][:CITED]),
    )  # fmt: skip


def _written(call: Collective, name: str) -> str:
    return {"op": call.call.op, "size": call.call.sizes, "dtype": call.call.dtypes}[name]


def _widths(one: Collective, others: list[Collective]) -> str:
    """Whether the types differ in size: those that do not give wrong numbers, and no hang."""
    sizes = {_BYTES.get(call.call.dtypes, 0) for call in (one, *others)}
    return "unknown" if 0 in sizes else "differs" if len(sizes) > 1 else "equal"


# Element types in torch's names, and their bytes (c10/core/ScalarType.h).
_BYTES = {"Float": 4, "Half": 2, "BFloat16": 2, "Double": 8, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
          "Float8_e4m3fn": 1, "Float8_e5m2": 1, "Float8_e4m3fnuz": 1, "Float8_e5m2fnuz": 1, "ComplexFloat": 8}  # fmt: skip

# NCCL is told a number of elements, so that [2, 8] and [16] are the same to it.
_FIELDS: tuple[tuple[str, Callable[[Collective], object]], ...] = (
    ("op", lambda c: c.call.op), ("size", lambda c: c.call.elements), ("dtype", lambda c: c.call.dtypes),
)  # fmt: skip


def _shifted(group: Group) -> list[int]:
    """The first number that all members record at which their operations differ."""
    lanes = list(group.lanes.values())
    low, high = max(lane.first for lane in lanes), min(lane.last for lane in lanes)
    if low > high or not all(lane.unbroken for lane in lanes):
        return []
    numbers: dict[str, int] = {}
    columns = list({_operations(lane, low, high, numbers) for lane in lanes})
    differing = (seq for seq, ops in enumerate(zip(*map(_numbers, columns), strict=True), low) if len(set(ops)) > 1)
    return [next(differing)] if len(columns) > 1 else []


def _operations(lane: Lane, low: int, high: int, numbers: dict[str, int]) -> bytes:
    """The operations from one number to another; equal bytes are equal operations."""
    of_call = [numbers.setdefault(call.op, len(numbers)) for call in lane.dump.calls]
    window = lane.records.calls[low - lane.first : high - lane.first + 1]
    return array("I", map(of_call.__getitem__, window)).tobytes()


def _numbers(column: bytes) -> array[int]:
    numbers: array[int] = array("I")
    numbers.frombytes(column)
    return numbers


def inverted_orders(groups: Mapping[str, Group]) -> Iterator[Fact]:
    """Two ranks, two groups of both, entered in opposite order and all four calls unfinished."""
    pending: dict[int, dict[str, Collective]] = defaultdict(dict)
    for name, group in groups.items():
        for rank, lane in group.lanes.items():
            if lane.open:
                pending[rank][name] = lane.at(lane.open[0])
    by_calls: dict[tuple[tuple[str, int], ...], dict[tuple[str, ...], int]] = defaultdict(dict)
    for rank, calls in sorted(pending.items()):
        order = sorted(calls.items(), key=lambda entry: entry[1].ref.record or 0)
        for (a, one), (b, other) in combinations(order, 2):
            same = by_calls[tuple(sorted(((a, one.seq), (b, other.seq))))]
            same.setdefault((a, b), rank)
            if len(same) > 1:
                first, second = sorted(same.values())
                cited = [pending[r][name] for r in (first, second) for name in sorted((a, b))]
                yield Fact(
                    name="collective.order_mismatch", ranks=(first, second), values={"a": min(a, b), "b": max(a, b)},
                    evidence=tuple(cite_collective(call) for call in cited),
                )  # fmt: skip
                return
