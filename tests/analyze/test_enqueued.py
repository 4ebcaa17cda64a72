"""What NCCL's log says was enqueued last, laid side by side within one communicator."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hanglens.analyze.enqueued import communicators, enqueue_facts, ranks_short
from hanglens.analyze.ranks import build_incident
from hanglens.incident import Incident
from hanglens.verdict import Fact
from tests.builders import facts, read


def line(rank: int, number: int, op: str = "AllReduce", *, count: int = 64, kind: int = 7, root: int = 0) -> str:
    """One line as NCCL 2.28 prints it."""
    return (
        f"n1:{70 + rank}:{90 + rank} [{rank}] NCCL INFO {op}: opCount {number:x} sendbuff 0x7f00 recvbuff 0x7f00 "
        f"count {count} datatype {kind} op 0 root {root} comm 0x9{rank}c0 [nranks=3] stream 0x51"
    )


def job(*ranks: Iterable[str]) -> Incident:
    """One log for each rank of one communicator."""
    init = "n1:{0}:{1} [{2}] NCCL INFO comm 0x9{2}c0 rank {2} nranks 3 cudaDev {2} nvmlDev {2} busId 1a commId 0xabc - Init COMPLETE"
    files = {f"nccl.n1.{70 + r}.log": "\n".join([init.format(70 + r, 90 + r, r), *lines]) for r, lines in enumerate(ranks)}
    return build_incident(read(files), several_hosts=False)


def told(*ranks: Iterable[str]) -> dict[str, list[Fact]]:
    """The facts of these logs."""
    return facts(job(*ranks), enqueue_facts)


@pytest.mark.parametrize(
    ("odd", "name", "words"),
    [
        (line(1, 0x1F, "Broadcast"), "op", ("AllReduce", "Broadcast")),
        (line(1, 0x1F, count=65), "size", ("64", "65")),
        (line(1, 0x1F, kind=6), "dtype", ("float32", "float16")),
    ],
)
def test_the_odd_rank_is_named_by_what_differs(odd: str, name: str, words: tuple[str, str]) -> None:
    """At one opCount, which is hexadecimal, two ranks agree and one does not."""
    usual = [[line(r, 0x1E), line(r, 0x1F)] for r in range(3)]
    (fact,) = told(usual[0], [line(1, 0x1E), odd], usual[2])[f"collective.{name}_mismatch"]
    assert (fact.ranks, fact.values["seq"], (fact.values["a"], fact.values["b"])) == ((1,), 31, words)
    assert fact.evidence[1].text == odd


def test_roots_are_compared_where_there_are_roots() -> None:
    """The root that is printed for an all_reduce means nothing."""
    assert "collective.root_mismatch" in told([line(0, 5, "Broadcast")], [line(1, 5, "Broadcast", root=1)], [line(2, 5, "Broadcast")])
    assert told([line(0, 5)], [line(1, 5, root=1)], [line(2, 5)]) == {}


def test_operations_with_sizes_of_their_own_may_differ() -> None:
    """Only the symmetric ones must agree."""
    assert told([line(0, 5, "AlltoAllv")], [line(1, 5, "AlltoAllv", count=9)]) == {}


def test_a_counter_that_stands_still_is_replaced_by_the_place() -> None:
    """NCCL 2.28 prints opCount 0 for ever: the first line of each rank is one call, the second the next one."""
    found = told([line(0, 0), line(0, 0)], [line(1, 0), line(1, 0, count=9)])
    assert [fact.values["seq"] for fact in found["collective.size_mismatch"]] == [1]


def test_point_to_point_calls_spoil_the_numbers() -> None:
    """They count on the ranks that make them only."""
    assert communicators(job([line(0, 5), line(0, 6, "Send")], [line(1, 5, "Broadcast")])) == []


def test_calls_of_one_group_share_a_number_and_are_left_out() -> None:
    """Between ncclGroupStart and ncclGroupEnd the order may differ."""
    grouped = [[line(r, 5, op) for op in ops] for r, ops in enumerate((("AllReduce", "AllGather"), ("AllGather", "AllReduce")))]
    assert told(*[[*lines, line(r, 6)] for r, lines in enumerate(grouped)]) == {}


def test_the_few_that_enqueued_less_are_short() -> None:
    """One rank of three lacks the last call; where most lack it, the one that has it may be the odd one."""
    short = ranks_short(job([line(0, 5), line(0, 6)], [line(1, 5)], [line(2, 5), line(2, 6)]))
    assert {rank: op for rank, (op, _) in short.items()} == {1: "AllReduce"}
    assert ranks_short(job([line(0, 5), line(0, 6)], [line(1, 5)], [line(2, 5)])) == {}


def test_lines_without_an_init_line_belong_to_no_known_communicator() -> None:
    """The pointer that a process prints means nothing to another one."""
    files = {f"nccl.n1.{70 + r}.log": line(r, 5, count=r) for r in range(2)}
    assert communicators(build_incident(read(files), several_hosts=False)) == []
