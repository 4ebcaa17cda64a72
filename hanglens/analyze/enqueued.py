"""The collectives that NCCL's log says each rank enqueued last (NCCL_DEBUG_SUBSYS=COLL), compared within one communicator.

Line: `AllReduce: opCount 1f sendbuff 0x… recvbuff 0x… count 4096 datatype 7 op 0 root 0 comm 0x… [nranks=8] stream 0x…`
(`src/enqueue.cc`, NCCL 2.4 to 2.30; opCount is hexadecimal). It tells what was enqueued, and never what has ended. Only the last lines
of each log are looked at: what was enqueued long ago has ended.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hanglens.analyze.cite import cite_event, unique
from hanglens.analyze.mismatches import compare_widths
from hanglens.incident import Incident
from hanglens.model import Event, Input
from hanglens.verdict import Evidence, Fact

_LINE = re.compile(
    r"(?P<op>\w+): opCount (?P<number>[0-9a-f]{1,16}) sendbuff .{0,80}? count (?P<count>\d{1,19}) datatype (?P<type>\d{1,3}) op \d{1,3}"
    r" root (?P<root>\d{1,6}) comm (?P<comm>0x[0-9a-f]{1,16})"
)
_SYMMETRIC = {"AllReduce", "AllGather", "ReduceScatter", "Broadcast", "Reduce"}  # every rank passes the same count to these
_ROOTED = {"Broadcast", "Reduce"}
_TYPES = ("int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "bfloat16", "fp8e4m3", "fp8e5m2")
_BYTES = (1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1)  # of ncclDataType_t (nccl.h), in this order


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One enqueued collective."""

    op: str
    count: int
    type: int
    root: int
    event: Event


@dataclass(slots=True)
class Communicator:
    """Each rank's last collectives by number, as far as one number is one collective."""

    name: str
    calls: dict[int, dict[int, Enqueued]] = field(default_factory=lambda: defaultdict(dict))


def communicators(incident: Incident) -> list[Communicator]:
    """The communicators of which two ranks or more enqueued something that can be laid side by side."""
    names = _names(incident)
    found: dict[str, Communicator] = {}
    for about in incident.parsed.inputs:
        for (rank, pointer), lines in _lines(about).items():
            name = names.get((rank, pointer), "")
            numbered = _numbered(lines, whole=(about.lines or 0) <= len(about.tail))
            if name and numbered:
                found.setdefault(name, Communicator(name)).calls[rank].update(numbered)
    return [communicator for communicator in found.values() if len(communicator.calls) > 1]


def _names(incident: Incident) -> dict[tuple[int, str], str]:
    """The id that all ranks share, by the pointer that each process prints for its own."""
    inits = (event for event in incident.parsed.events if event.name == "nccl.init" and event.speaker.rank is not None)
    return {(event.speaker.rank or 0, event.fields["comm"]): event.fields["id"] for event in inits}


def _lines(about: Input) -> Mapping[tuple[int, str], list[tuple[int, Enqueued]]]:
    found: dict[tuple[int, str], list[tuple[int, Enqueued]]] = defaultdict(list)
    for event in about.tail:
        line = _LINE.search(event.text) if event.source == "nccl" and "opCount" in event.text else None
        if line and event.speaker.rank is not None:
            call = Enqueued(line["op"], int(line["count"]), int(line["type"]), int(line["root"]), event)
            found[event.speaker.rank, line["comm"]].append((int(line["number"], 16), call))
    return found


def _numbered(lines: list[tuple[int, Enqueued]], *, whole: bool) -> dict[int, Enqueued]:
    """By opCount where it counts; some versions print 0 for ever, and there the place among all lines does, if all are here.

    Point-to-point calls count on the ranks that make them only: where there are some, numbers of two ranks do not fit together.
    """
    if any(call.op in ("Send", "Recv") for _, call in lines):
        return {}
    often = Counter(number for number, _ in lines)
    if len(often) == 1 and len(lines) > 1:
        return dict(enumerate(call for _, call in lines)) if whole else {}
    return {number: call for number, call in lines if often[number] == 1}


def enqueue_facts(incident: Incident) -> Iterator[Fact]:
    """The first number at which ranks of a communicator enqueued different operations, counts, types or roots."""
    for communicator in communicators(incident):
        yield from _difference(communicator)


def _difference(communicator: Communicator) -> Iterator[Fact]:
    for number in sorted({number for calls in communicator.calls.values() for number in calls}):
        calls = {rank: made[number] for rank, made in sorted(communicator.calls.items()) if number in made}
        for name, value, applies in _FIELDS:
            seen = Counter(map(value, calls.values()))
            if len(seen) > 1 and all(call.op in applies for call in calls.values() if applies):
                yield _mismatch(communicator, number, name, calls, value)
                return


_FIELDS: tuple[tuple[str, Callable[[Enqueued], object], set[str]], ...] = (
    ("op", lambda call: call.op, set()),
    ("size", lambda call: call.count, _SYMMETRIC),
    ("dtype", lambda call: call.type, _SYMMETRIC),
    ("root", lambda call: call.root, _ROOTED),
)


def _mismatch(communicator: Communicator, number: int, name: str, calls: dict[int, Enqueued], value: Callable[[Enqueued], object]) -> Fact:
    (usual, most), (other, _) = Counter(map(value, calls.values())).most_common(2)
    clear = most > len(calls) / 2
    odd = [rank for rank, call in calls.items() if value(call) != usual]
    one = next(call for call in calls.values() if value(call) == usual)
    cited = [one, *(calls[rank] for rank in odd)]
    values: dict[str, str | int | float | bool] = {
        "group": communicator.name, "seq": number, "op": one.op, "a": _word(name, usual), "b": _word(name, other), "majority": clear,
        "how": "nccl-log",
    }  # fmt: skip
    if name == "dtype":
        values["width"] = compare_widths({_BYTES[call.type] if call.type < len(_BYTES) else 0 for call in calls.values()})
    ranks = tuple(sorted(odd if clear else calls))
    return Fact(name=f"collective.{name}_mismatch", ranks=ranks, values=values, evidence=unique(cite_event(c.event) for c in cited[:6]))


def _word(name: str, value: object) -> str:
    return _TYPES[value] if name == "dtype" and isinstance(value, int) and value < len(_TYPES) else str(value)


def ranks_short(incident: Incident) -> dict[int, tuple[str, list[Evidence]]]:
    """Ranks that enqueued less than others of their communicator, with the operation that they lack and the lines.

    The logs of a job that moves differ so, too.
    """
    short: dict[int, tuple[str, list[Evidence]]] = {}
    for communicator in communicators(incident):
        last = {rank: max(calls) for rank, calls in communicator.calls.items()}
        furthest = max(last.values())
        ahead = next(communicator.calls[rank][furthest] for rank in last if last[rank] == furthest)
        late = [rank for rank in last if last[rank] < furthest]
        for rank in late if 2 * len(late) <= len(last) else ():
            own = communicator.calls[rank][last[rank]]
            short[rank] = ahead.op, [cite_event(own.event), cite_event(ahead.event)]
    return short
