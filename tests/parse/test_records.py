"""Records as columns: equal calls are one, and odd ones are cleaned."""

from __future__ import annotations

import pytest

from hanglens.model import STATES, Call, GroupRecords
from hanglens.parse.records import Columns
from tests.parse.test_flight_recorder import entry


def columns(*entries: object) -> tuple[Columns, list[GroupRecords]]:
    """What is made of these records."""
    found = Columns()
    found.read(entries)
    return found, list(found.groups(lambda number: f"local:{number}"))


def test_equal_calls_are_kept_once() -> None:
    """Thousands of records of a training loop are a handful of calls."""
    found, (group,) = columns(*(entry(n, profiling_name=f"nccl:op{n % 2}") for n in range(1, 9)))
    assert [call.op for call in found.calls] == ["op1", "op0"]
    assert (list(group.seqs), list(group.calls), list(group.places)) == (list(range(1, 9)), [0, 1] * 4, list(range(8)))


def test_groups_are_told_apart_by_name_number_and_kind() -> None:
    """The process's own numbers of one group may change after it was made anew; its name joins them, in the order of the file."""
    _, groups = columns(
        entry(1, pg_id=1), entry(2, pg_id=2), entry(3, pg_id=1), entry(4, process_group=None, pg_id=5),
        entry(7, is_p2p=True, p2p_seq_id=9),
    )  # fmt: skip
    assert [(group.group, group.p2p, list(group.seqs), list(group.places)) for group in groups] == [
        ("0", False, [1, 2, 3], [0, 1, 2]),
        ("local:5", False, [4], [3]),
        ("0", True, [9], [4]),
    ]


def test_gloo_retires_what_has_ended() -> None:
    """Without events on a GPU the state stays scheduled; NCCL retires what timed out as well, and there the state counts."""
    names = ("gloo:all_reduce", "nccl:all_reduce")
    _, (group,) = columns(*(entry(n, profiling_name=name, state="scheduled") for n, name in enumerate(names, 1)))
    assert [STATES[code] for code in group.states] == ["completed", "scheduled"]


def test_old_versions_lack_fields() -> None:
    """What a version did not keep yet is left at its default."""
    old = {"pg_id": 0, "seq_id": 4, "profiling_name": "nccl:broadcast", "state": "started"}
    found, (group,) = columns(old, old | {"seq_id": "5", "state": 7})
    assert found.calls == [Call("broadcast")]
    assert (group.group, list(group.seqs), [STATES[code] for code in group.states]) == ("local:0", [4, 5], ["started", ""])


def test_odd_values_are_cleaned_and_what_is_no_record_is_passed_over() -> None:
    """Numbers beyond 64 bits, lists in place of texts, texts in place of lists: the record is kept as far as it makes sense."""
    odd = entry(3, record_id=1 << 70, state=["completed"], input_sizes=[[2, "y"], 5], process_group={}, pg_id=[1])
    found, (group,) = columns(odd, 7, None, [1])
    assert (found.number, list(group.seqs), list(group.states)) == (1, [3], [STATES.index("")])
    assert (found.calls[0].elements, group.group) == (2, "local:-1")


@pytest.mark.parametrize("seq", [1 << 70, -5, None, "x", [3]])
def test_a_call_without_a_number_is_left_out(seq: object) -> None:
    """It cannot be compared with the calls of other ranks, and is not counted as read."""
    found, (group,) = columns(entry(3), entry(4, collective_seq_id=seq), entry(5))
    assert (found.number, list(group.seqs), list(group.places)) == (2, [3, 5], [0, 2])


def test_the_site_is_the_innermost_line_outside_of_torch() -> None:
    """Frames of torch and generated code say nothing about the program."""
    frames = [
        {"name": "all_reduce", "filename": "/venv/torch/distributed/distributed_c10d.py", "line": 1},
        {"name": "<lambda>", "filename": "<string>", "line": 2},
        {"name": "step", "filename": "/src/my_torch/train.py", "line": 33},
        {"name": "main", "filename": "/src/my_torch/train.py", "line": 99},
    ]
    assert columns(entry(1, frames=frames))[0].calls[0].site == "/src/my_torch/train.py:33 step"
    assert columns(entry(1, frames=frames[:2]))[0].calls[0].site == ""


def test_the_record_that_closes_a_batch_of_sends_stands_behind_them() -> None:
    """PyTorch records it as a collective with the number of the last one; it alone is told that the batch has ended."""
    batch = {"is_p2p": True, "p2p_seq_id": 1, "state": "scheduled", "retired": False, "collective_seq_id": 3}
    _, groups = columns(
        entry(3),
        entry(3, **(batch | {"profiling_name": "nccl:send 0->1"})),
        entry(3, **(batch | {"profiling_name": "nccl:recv 0<-1"})),
        entry(3, profiling_name="nccl:coalesced", p2p_seq_id=1),
    )
    assert [(group.p2p, list(group.seqs), list(group.places), [STATES[code] for code in group.states]) for group in groups] == [
        (False, [3], [0], ["completed"]),
        (True, [1, 1, 1], [1, 2, 3], ["scheduled", "scheduled", "completed"]),
    ]


def test_the_newest_point_to_point_call_is_under_way_until_it_is_retired() -> None:
    """Its state says completed from the beginning; one that is older than another has ended."""
    p2p = {"is_p2p": True, "profiling_name": "nccl:recv 0<-1", "state": "completed", "retired": False}
    _, (group,) = columns(*(entry(n, **p2p, p2p_seq_id=n) for n in (1, 2)))
    assert [STATES[code] for code in group.states] == ["completed", "started"]
    _, (ended,) = columns(entry(1, **(p2p | {"retired": True}), p2p_seq_id=1))
    assert [STATES[code] for code in ended.states] == ["completed"]


def test_the_newest_records_are_those_that_are_read() -> None:
    """Where a dump holds more than are looked at, the oldest are left, and the others keep their places."""
    found = Columns()
    found.read([entry(n) for n in range(10)], first=7)
    (group,) = found.groups(str)
    assert (list(group.seqs), list(group.places)) == ([7, 8, 9], [7, 8, 9])
