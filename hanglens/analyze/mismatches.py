"""Where ranks of one group made different calls at one number, or entered two groups in opposite order."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import pairwise, product

from hanglens.analyze.cite import cite_collective, unique
from hanglens.analyze.wavefront import SYMMETRIC
from hanglens.groups import Group, Lane
from hanglens.model import Call, Collective
from hanglens.verdict import Fact

CITED = 6
MOST_ORDERS = 64


def mismatches(group: Group) -> Iterator[Fact]:
    """The first number at which members made different calls; nothing if the group has finished all of them.

    Operations are compared among finished calls too: ranks that lost each other go on for a while, each with another's partner. Sizes and
    types are compared where nothing has finished the call without them. What a record does not say differs from nothing.
    """
    pending = {seq for lane in group.lanes.values() for seq in lane.pending()}
    for seq in _suspects(group, pending) if pending and len(group.lanes) > 1 else ():
        calls = [call for call in (lane.call(seq) for lane in group.lanes.values()) if call]
        for name, value in _FIELDS if seq in pending else _FIELDS[:1]:
            differing = Counter(found for found in map(value, calls) if found not in _UNSAID)
            if len(differing) > 1 and (name == "op" or calls[0].call.op in SYMMETRIC):
                yield _mismatch(group, seq, name, calls, differing)
                return


def _mismatch(group: Group, seq: int, name: str, calls: list[Collective], differing: Counter[object]) -> Fact:
    value = dict(_FIELDS)[name]
    (usual, number), (other, _) = differing.most_common(2)
    one, odd = [c for c in calls if value(c) == usual], [c for c in calls if value(c) not in (usual, *_UNSAID)]
    clear = number > len(calls) / 2
    against = _written(next(call for call in odd if value(call) == other), name)
    sizes = {_BYTES.get(call.call.dtypes, 0) for call in (one[0], *odd)}
    return Fact(
        name=f"collective.{name}_mismatch",
        ranks=tuple(sorted(call.rank for call in (odd if clear else calls))),
        values={
            "group": group.title, "name": group.name, "seq": seq, "op": one[0].call.op, "a": _written(one[0], name), "b": against,
            "majority": clear, "how": "flight-recorder", **({"width": compare_widths(sizes)} if name == "dtype" else {}),
        },
        evidence=unique(cite_collective(call) for call in [*one[:2], *odd][:CITED]),
    )  # fmt: skip


def _written(call: Collective, name: str) -> str:
    return {"op": call.call.op, "size": call.call.sizes, "dtype": call.call.dtypes}[name]


def compare_widths(sizes: set[int]) -> str:
    """Whether types of these bytes (0: unknown) differ in size: those that do not give wrong numbers, and no hang."""
    return "unknown" if 0 in sizes else "differs" if len(sizes) > 1 else "equal"


# Element types in torch's names, and their bytes (c10/core/ScalarType.h).
_BYTES = {"Float": 4, "Half": 2, "BFloat16": 2, "Double": 8, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
          "Float8_e4m3fn": 1, "Float8_e5m2": 1, "Float8_e4m3fnuz": 1, "Float8_e5m2fnuz": 1, "ComplexFloat": 8}  # fmt: skip

# NCCL is told a number of elements, so that [2, 8] and [16] are the same to it.
_FIELDS: tuple[tuple[str, Callable[[Collective], object]], ...] = (
    ("op", lambda c: c.call.op), ("size", lambda c: c.call.elements if c.call.sizes else -1), ("dtype", lambda c: c.call.dtypes),
)  # fmt: skip


_UNSAID = ("", -1)


def _suspects(group: Group, pending: set[int]) -> list[int]:
    """The numbers at which a difference may be, in order: columns of equal calls, which most are, are told by their bytes."""
    lanes = list(group.lanes.values())
    low, high, begin = max(lane.first for lane in lanes), min(lane.last for lane in lanes), min(pending)
    if low > high or not all(lane.unbroken for lane in lanes):
        return sorted(pending)
    finished = _differing(lanes, range(low, min(high, begin - 1) + 1), lambda call: call.op)
    unfinished = _differing(lanes, range(max(low, begin), high + 1), lambda call: (call.op, call.elements, call.dtypes))
    return sorted({*finished, *unfinished, *(seq for seq in pending if not low <= seq <= high)})


def _differing(lanes: list[Lane], numbers: range, look: Callable[[Call], object]) -> list[int]:
    """The numbers at which not all lanes look the same; of operations that differ in size legally there may be many."""
    if not numbers:
        return []
    known: dict[object, int] = {}
    columns = {_column(lane, numbers, [known.setdefault(look(call), len(known)) for call in lane.dump.calls]) for lane in lanes}
    if len(columns) == 1:
        return []
    return [seq for seq, looks in zip(numbers, zip(*map(_numbers, columns), strict=True), strict=True) if len(set(looks)) > 1]


def _column(lane: Lane, numbers: range, of_call: list[int]) -> bytes:
    window = lane.records.calls[numbers[0] - lane.first : numbers[-1] - lane.first + 1]
    return array("I", map(of_call.__getitem__, window)).tobytes()


def _numbers(column: bytes) -> array[int]:
    numbers: array[int] = array("I")
    numbers.frombytes(column)
    return numbers


def inverted_orders(groups: Mapping[str, Group], late: Container[tuple[str, int]] = ()) -> Iterator[Fact]:
    """Two ranks, two groups of both, entered in opposite order and all four calls unfinished.

    Calls in `late`, which somebody has not made, prove nothing: they wait for that rank, in whatever order they were made.
    """
    pending: dict[int, dict[tuple[str, int], Collective]] = defaultdict(dict)
    for name, group in groups.items():
        for rank, lane in group.lanes.items():
            key = (name, lane.pending()[0]) if lane.open else None
            if key and key not in late:
                pending[rank][key] = lane.at(lane.open[0])
    orders: dict[tuple[tuple[str, int], ...], int] = {}
    for rank, calls in sorted(pending.items()):
        orders.setdefault(tuple(sorted(calls, key=lambda key: calls[key].ref.record or 0)), rank)
    # Ranks that agree are one order; of very many orders each is compared with the first ones only.
    for one, other in product(list(orders)[:MOST_ORDERS], orders):
        place = {call: n for n, call in enumerate(other)}
        shared = [call for call in one if call in place]
        turned = next(((a, b) for a, b in pairwise(shared) if place[a] > place[b]), None)
        if turned:
            first, second = sorted((orders[one], orders[other]))
            a, b = sorted(turned)
            yield Fact(
                name="collective.order_mismatch", ranks=(first, second), values={"a": groups[a[0]].title, "b": groups[b[0]].title},
                evidence=tuple(cite_collective(pending[rank][key]) for rank in (first, second) for key in (a, b)),
            )  # fmt: skip
            return
