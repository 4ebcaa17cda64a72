"""Which process is which rank, of statements that differ in strength."""

from __future__ import annotations

import pytest

from hanglens.analyze.identity import Claim, resolve, tag_rank
from hanglens.incident import Incident
from hanglens.model import Event
from tests.builders import BARRIER, event, joined, log, nccl_init, process, ras, stack


def ranks(*values: object, several_hosts: bool = False) -> dict[int | None, int]:
    """Pid by rank, of ranks whose process is known."""
    return {m.rank: m.pid for m in joined(*values, several_hosts=several_hosts).members if m.pid is not None}


def known_by(about: Incident, rank: int) -> str:
    """How the rank is known."""
    member = about.member(rank)
    return member.how_known if member else ""


WORKER = "multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=9, pipe_handle={})"
EARLY = "wait (x.py:1)\n_tp_model_loop (lmdeploy/pytorch/engine/model_agent.py:400)"
LATER = "ExecutorProc._main_loop (lmdeploy/pytorch/engine/executor/mp_executor.py:9)"
PARENT = "_forward (lmdeploy/a.py:2)\nTPModelAgent.forward (lmdeploy/pytorch/engine/model_agent.py:700)"


@pytest.mark.parametrize(
    ("values", "expected", "how"),
    [
        ((nccl_init(0, 2, 10), nccl_init(1, 2, 11)), {0: 10, 1: 11}, "NCCL Init line"),
        ((event("x", pid=11, tag="RayWorkerWrapper", rank=1),), {1: 11}, "printed with its pid"),
        ((event("torch.world", world=2, rank_=1, pid=11),), {1: 11}, "printed with its pid"),
        ((event("lmdeploy.rank", proc=1, pid=11),), {1: 11}, "printed with its pid"),
        ((event("x", pid=11, tag="Worker_TP1"),), {1: 11}, "name of the worker"),
        ((process(11, command="sglang::scheduler_TP1"),), {1: 11}, "process title"),
        ((process(11, RANK="1"),), {1: 11}, "environment of the process"),
        ((ras({0: 5, 1: 4}, size=2),), {0: 100, 1: 101}, "NCCL RAS"),
        ((event("x", rank=1, file="a.log"), event("y", pid=11, file="a.log"), log("a.log")), {1: 11}, "lines of one rank in its log"),
        ((log("rank1.log", rank=1, pid=11), event("x", pid=11, file="rank1.log")), {1: 11}, "file name"),
    ],
    ids="init ray-prefix world call tag title environ ras one-log file-name".split(),
)
def test_each_kind_of_statement(values: tuple[object, ...], expected: dict[int, int], how: str) -> None:
    """Every way in which evidence joins a pid to a rank, and the words for it."""
    about = joined(*values)
    assert {m.rank: m.pid for m in about.members if m.pid is not None} == expected
    assert known_by(about, max(expected)) == how


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((nccl_init(0, 2, 10), nccl_init(1, 2, 11), log("rank7.log", rank=7, pid=11)), {0: 10, 1: 11}),
        ((process(11, RANK="3"), event("x", pid=11, tag="Worker_TP1")), {3: 11}),
        ((nccl_init(0, 4, 10), nccl_init(1, 2, 10), process(9, WORLD_SIZE="4")), {0: 10}),
        ((process(10, RANK="1"), event("x", pid=11, tag="Worker_TP1")), {1: 10}),
    ],
    ids="init-over-file environ-over-tag sub-communicator two-claim-one-rank".split(),
)
def test_contradictions(values: tuple[object, ...], expected: dict[int, int]) -> None:
    """The stronger statement wins, a sub-communicator's rank is none of the job's, and no two processes get one rank."""
    assert ranks(*values) == expected


def spoke(pid: int, *lines: int, rank: int = 1, file: str = "job.log") -> list[Event]:
    """A process says in these lines which rank it is."""
    return [event("lmdeploy.rank", proc=rank, pid=pid, line=line, file=file) for line in lines]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([*spoke(11, 1, 5), *spoke(21, 6, 9)], {1: 21}),
        ([*spoke(11, 1, 5), *spoke(21, 6, 9), *spoke(31, 12)], {1: 31}),
        ([*spoke(11, 1, 7), *spoke(21, 6, 9)], {1: 11}),
        ([*spoke(11, 1, 5), *spoke(21, 6, 9, file="other.log")], {1: 11}),
        ([*spoke(11, 1, 5), *spoke(21, 6, 9, rank=2)], {1: 11, 2: 21}),
        ([*spoke(11, 1, 5), event("x", pid=21, rank=1, line=9)], {1: 11}),
    ],
    ids="restarted twice both-at-once two-logs two-ranks child".split(),
)
def test_a_process_that_was_restarted(values: list[Event], expected: dict[int, int]) -> None:
    """Of processes that spoke as one rank in one log, one after the other, the last is the rank; a child of it is not."""
    assert ranks(*values) == expected


def test_workers_of_early_lmdeploy_by_spawn_order() -> None:
    """To 0.7.1 the parent is rank 0 and its children follow in the order of their pipe handles."""
    workers = [stack(EARLY, pid=pid, command=WORKER.format(handle)) for pid, handle in ((50, 30), (51, 10), (52, 20))]
    assert ranks(*workers, stack(PARENT, pid=40)) == {0: 40, 1: 51, 2: 52, 3: 50}


def test_workers_of_the_mp_executor_by_spawn_order() -> None:
    """From 0.7.2 on the parent is no rank."""
    workers = [stack(LATER, pid=pid, command=WORKER.format(handle)) for pid, handle in ((50, 30), (51, 10))]
    about = joined(*workers, stack("collective_rpc (lmdeploy/a.py:2)", pid=40))
    assert {m.rank: m.pid for m in about.members} == {0: 51, 1: 50}
    assert [m.pid for m in about.others] == [40]


@pytest.mark.parametrize(("several", "expected"), [(True, {0: 7, 1: 7}), (False, {0: 7})])
def test_equal_pids_on_two_hosts(several: bool, expected: dict[int, int]) -> None:
    """With a folder for each host, equal pids are different processes; without, one process cannot be two ranks."""
    values = (process(7, RANK="0"), process(7, RANK="1"))
    split = [value.__class__(**{**_fields(value), "ref": _at(value, f"host{n}/status.txt")}) for n, value in enumerate(values)]
    assert ranks(*split, several_hosts=several) == expected


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]


def _at(value: object, file: str) -> object:
    return value.ref.__class__(file, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tag", "rank"),
    [("Worker_TP1", 1), ("DP0 TP3 EP3", 3), ("PP1 TP0", None), ("EngineCore", None), ("sglang::scheduler_TP2", 2), ("HTTP1", None)],
)
def test_ranks_in_role_texts(tag: str, rank: int | None) -> None:
    """A tensor-parallel number is the rank, unless pipeline stages make it ambiguous."""
    assert tag_rank(tag) == rank


def test_the_one_process_and_the_one_rank_left_over() -> None:
    """Elimination joins them, and says so."""
    known = [nccl_init(rank, 3, 10 + rank) for rank in range(2)]
    about = joined(*known, *(stack(BARRIER, pid=pid) for pid in (10, 11, 12)))
    assert {m.rank: m.pid for m in about.members} == {0: 10, 1: 11, 2: 12}
    assert known_by(about, 2) == "the one process and the one rank left over"


def test_equal_strength_keeps_the_first() -> None:
    """Of equal statements about one process the first in the evidence stands."""
    assert resolve([Claim(("", 1), 0, "a", 4), Claim(("", 1), 1, "b", 4)], None)[("", 1)].rank == 0
