"""Flight-recorder dumps of all versions, joined groups, and files that are not what they say."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanglens.model import Call, Collective, Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.flight_recorder import LARGEST, is_flight_recorder, load_dump, parse_flight_recorder
from hanglens.parse.places import read_place
from tests.conftest import PRIVATE, ROOT

FRAMES = [
    {"name": "all_reduce", "filename": "/lib/torch/distributed/c10d.py", "line": 3068},
    {"name": "step", "filename": "train.py", "line": 13},
]


def entry(seq: int, **more: object) -> dict[str, object]:
    """A record as torch 2.5 and later keep it."""
    base: dict[str, object] = {
        "record_id": seq, "pg_id": 0, "process_group": ("0", "default_pg"), "collective_seq_id": seq, "p2p_seq_id": 0, "op_id": seq,
        "is_p2p": False, "profiling_name": "nccl:all_reduce", "input_sizes": [[1024, 2], [3]], "output_sizes": [[1024, 2]],
        "input_dtypes": ["Float", "Int"], "time_created_ns": 1795360636443602587, "state": "completed", "retired": True, "frames": FRAMES,
    }  # fmt: skip
    return base | more


def dump(*entries: dict[str, object], **more: object) -> dict[str, object]:
    """A dump of version 2."""
    config = {"0": {"name": "0", "desc": "default_pg", "ranks": "[0, 1]"}}
    status = {"0": {"last_enqueued_collective": "6", "last_started_collective": -1, "last_completed_collective": 5}}
    return {"version": "2.10", "pg_config": config, "pg_status": status, "entries": list(entries)} | more


def read(content: object, name: str = "nccl_trace_rank_3", *, confined: bool = False) -> Parsed:
    """Parse bytes, or the pickle of anything else."""
    data = content if isinstance(content, bytes) else pickle.dumps(content, 2)
    return parse_flight_recorder(data, read_place(name), len(data), confined=confined)


def records(parsed: Parsed) -> list[Collective]:
    """All records of the dumps, each as a value of its own, in the order of the file."""
    found = [d.record(group, row) for d in parsed.recorder_dumps for group in d.groups for row in range(len(group.seqs))]
    return sorted(found, key=lambda record: record.ref.record or 0)


def test_a_record_becomes_a_collective() -> None:
    """What was called arrives, without its backend's name, with the innermost line outside of torch and the record's index."""
    parsed = read(dump(entry(5), entry(6, state="scheduled", retired=False)))
    first, second = records(parsed)
    assert (first.rank, first.group, first.seq, first.state) == (3, "0", 5, "completed")
    assert first.call == Call("all_reduce", "[1024, 2]×[3]", "Float,Int", 2051, "train.py:13 step")
    assert (second.ref.record, second.state, second.call) == (1, "scheduled", first.call)
    assert [group.description for group in parsed.recorder_dumps[0].groups] == ["default_pg"]


def test_the_rest_of_a_dump() -> None:
    """Members, counters (numbers or texts) and the dump itself are kept with the rank that the file name tells."""
    parsed = read(dump(entry(1)))
    (members,), (status,), (about,) = parsed.group_members, parsed.group_statuses, parsed.recorder_dumps
    assert (members.group, tuple(members.members), members.rank, members.description) == ("0", (0, 1), 3, "default_pg")
    assert (status.rank, status.group, status.enqueued, status.started, status.completed) == (3, "0", 6, -1, 5)
    assert (about.rank, about.records, about.version, about.how_known) == (3, 1, "2.10", "file name")
    assert parsed.gaps == ()


def test_an_empty_ring_is_a_dump_without_records() -> None:
    """A rank that never entered a collective still has a dump, which is evidence and no gap."""
    parsed = read({"version": "2.10", "pg_config": {}, "pg_status": {}, "entries": []})
    assert [(d.rank, d.records) for d in parsed.recorder_dumps] == [(3, 0)]
    assert parsed.gaps == ()


@pytest.mark.parametrize(
    ("more", "op", "seq"),
    [
        ({"profiling_name": "nccl:send 1->2", "is_p2p": True, "p2p_seq_id": 29}, "send 1->2", 29),
        ({"profiling_name": "gloo:barrier"}, "barrier", 7),
        ({"profiling_name": "xccl:_all_gather_base"}, "_all_gather_base", 7),
        ({"profiling_name": "coalesced"}, "coalesced", 7),
    ],
)
def test_operations(more: dict[str, object], op: str, seq: int) -> None:
    """Any backend's prefix is taken off; a point-to-point call counts in its own sequence."""
    (found,) = records(read(dump(entry(7, **more))))
    assert (found.call.op, found.seq, found.p2p) == (op, seq, "is_p2p" in more)


def test_version_1_is_a_bare_list() -> None:
    """PyTorch 2.2 wrote only the records, with `seq_id`, and no process-group names."""
    old = {"record_id": 0, "pg_id": 0, "seq_id": 4, "profiling_name": "nccl:broadcast", "state": "started", "frames": FRAMES}
    parsed = read([old])
    assert [(c.seq, c.call.op, c.state, c.group) for c in records(parsed)] == [(4, "broadcast", "started", "local:0")]
    assert parsed.recorder_dumps[0].version == "1"


def test_local_group_numbers_join_through_the_records() -> None:
    """pg_status counts by the process's own numbers: the records give their names, and a number that none names stays local."""
    config = {name: {"name": name, "desc": about, "ranks": "[0, 4]"} for name, about in (("0", "default_pg"), ("1", "dp"), ("39", "pp"))}
    status = {number: {"last_enqueued_collective": 1} for number in ("0", "1", "6")}
    parsed = read(dump(entry(2, pg_id=6, process_group=["39", "pp"]), pg_config=config, pg_status=status))
    assert [s.group for s in parsed.group_statuses] == ["0", "local:1", "39"]


def test_local_group_numbers_stand_for_names_where_all_records_agree() -> None:
    """Where every record has equal number and name, a group without records is known by its number too."""
    config = {name: {"name": name, "ranks": [0, 1]} for name in ("0", "2")}
    status = {number: {"last_enqueued_collective": 1} for number in ("0", "2", "3")}
    parsed = read(dump(entry(1), pg_config=config, pg_status=status))
    assert [s.group for s in parsed.group_statuses] == ["0", "2", "local:3"]


def test_groups_without_a_name_go_by_their_key() -> None:
    """Empty and missing names in pg_config fall back to the key."""
    config = {"5": {"name": "", "ranks": "[1]"}, "7": {"ranks": "[2]"}, "8": {"name": "tp"}}
    assert [(m.group, m.members) for m in read(dump(pg_config=config)).group_members] == [("5", (1,)), ("7", (2,))]


def test_json_says_the_same_as_pickle() -> None:
    """The JSON form gives the values that the pickle gives."""
    content = dump(entry(5), entry(6, pg_id=2, process_group=["x", "y"]))
    assert records(read(json.dumps(content).encode())) == records(read(content)) != []


def test_a_dump_whose_rank_nothing_tells_has_none() -> None:
    """A rank that nothing tells is -1; the `rank` key tells it where the name does not."""
    parsed = read(dump(entry(1)), name="upload.bin")
    assert [c.rank for c in records(parsed)] == [-1]
    assert parsed.group_members[0].rank is None
    assert records(read(dump(entry(1), rank=2), name="upload.bin"))[0].rank == 2


def groups(*ranks: str) -> dict[str, object]:
    """The groups that a process lists, the default one first."""
    return {str(n): {"name": str(n), "desc": "tp" if n else "default_pg", "ranks": text} for n, text in enumerate(ranks)}


SENDS = {"is_p2p": True, "p2p_seq_id": 1}


@pytest.mark.parametrize(
    ("config", "entries", "rank"),
    [
        (groups("[0, 1, 2, 3]", "[2, 3]", "[1, 2]"), [entry(1)], 2),
        (groups("[0, 1, 2, 3]", "[2, 3]"), [entry(1)], -1),
        (groups("[0, 1, 2, 3]", "[0, 1]", "[2, 3]"), [entry(1)], -1),
        (groups("[0, 1, 2, 3]"), [entry(1, profiling_name="nccl:send 3->1", **SENDS)], 3),
        (groups("[0, 1, 2, 3]"), [entry(1, profiling_name="nccl:recv 3<-1", **SENDS)], 3),
        (groups("[4, 5, 6, 7]"), [entry(1, profiling_name="nccl:send 3->1", **SENDS)], -1),
        (groups("[0, 1, 2, 3]"), [entry(1, profiling_name=f"nccl:send {n}->1", **SENDS) for n in (2, 3)], -1),
        (groups("[0, 1, 2, 3]", "[2, 3]", "[1, 2]"), [entry(1, profiling_name="nccl:send 3->1", **SENDS)], -1),
        ({}, [entry(1)], -1),
    ],
    ids="one-in-all-groups two-in-all none-in-all sends receives not-from-zero two-senders contradiction no-groups".split(),
)
def test_the_rank_of_a_renamed_dump_is_told_by_its_content(config: object, entries: list[dict[str, object]], rank: int) -> None:
    """A process lists its own groups, and its calls of a pair begin with its own side; where that leaves two, nothing is guessed."""
    (told,) = read(dump(*entries, pg_config=config), name="x01.blob").recorder_dumps
    assert told.rank == rank
    assert bool(told.how_known) == (rank >= 0)
    assert read(dump(*entries, pg_config=config), name="nccl_trace_rank_0").recorder_dumps[0].how_known == "file name"


def test_damaged_records_are_counted_in_a_gap() -> None:
    """What is no record, or has no number, is left out and counted; fields of a wrong type keep their defaults."""
    odd = entry(1, input_sizes="x", frames=[3, {"line": "a"}], state=None)
    parsed = read(dump() | {"entries": [7, {"state": 3}, odd]})
    assert [(c.state, c.seq) for c in records(parsed)] == [("", 1)]
    assert "2 of 3 records" in parsed.gaps[0].why


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (pickle.dumps(dump(entry(1)), 2)[:87], "cut off"),
        (pickle.dumps(dump(entry(1)), 2)[:-1], "cut off"),
        (b'{"pg_config": {}, "entries": [', "damaged"),
        (pickle.dumps({"weights": [1, 2]}), "no flight-recorder records"),
        (pickle.dumps("text"), "no flight-recorder records"),
        (b"[" * 100_000, "damaged"),
    ],
)
def test_what_cannot_be_read_is_a_gap(content: bytes, words: str) -> None:
    """Empty, cut, foreign and corrupt files give one gap that names the file, and nothing else."""
    parsed = read(content)
    assert parsed == Parsed(gaps=parsed.gaps)
    assert [(gap.what, words in gap.why) for gap in parsed.gaps] == [("nccl_trace_rank_3", True)]


def test_a_hostile_pickle_is_a_gap_and_leaves_no_trace(tmp_path: Path) -> None:
    """A dump that would run a command is refused by name, and the command does not run."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'trace'}",)

    (gap,) = read(dump(entry(1, frames=[Evil()]))).gaps
    assert gap.why == f"wants to import {os.system.__module__}.system: refused, nothing was executed"
    assert gap.how_to_collect
    assert not (tmp_path / "trace").exists()


def test_a_file_of_more_than_a_gibibyte_is_not_read() -> None:
    """The size decides before a byte is read."""
    head = io.BytesIO(b"\x80\x02")
    assert load_dump(head, LARGEST + 1) == b""
    assert head.tell() == 0
    parsed = parse_flight_recorder(b"", Place("huge"), LARGEST + 1)
    assert "larger than 1024 MiB" in parsed.gaps[0].why


def test_one_list_shared_by_many_records_is_walked_once() -> None:
    """References in a pickle cannot make a small file take long: 2000 records that share a list of 100 000 shapes are read at once."""
    shapes = [[1, 2]] * 100_000
    parsed = read(dump(*(entry(i, input_sizes=shapes, input_dtypes=["Float"] * 3) for i in range(2000))))
    (call,) = parsed.recorder_dumps[0].calls
    assert (call.elements, call.sizes) == (200_000, "×".join(["[1, 2]"] * 8) + " and 99992 more")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (pickle.dumps(dump(entry(1)), 2), True),
        (pickle.dumps([entry(1)], 4), True),
        (json.dumps(dump(entry(1))).encode(), True),
        (json.dumps({"comm_lib_version": "2.28", "entries": [entry(1)]}, sort_keys=True).encode(), True),
        (json.dumps([entry(1)]).encode(), True),
        (b'[{"pid": 1, "frames": []}]', False),
        (b'{"entries": "of a phone book"}', False),
        (b"", False),
        (b"an ordinary log line", False),
    ],
)
def test_dumps_are_recognised_by_content(head: bytes, expected: bool) -> None:
    """A pickle header or the keys of the JSON form make a dump; other JSON does not."""
    assert is_flight_recorder(head[:4096]) is expected


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_dumps_never_raise(data: st.DataObject) -> None:
    """Flipped bytes and odd values give values or gaps, never an exception."""
    odd = (
        st.none()
        | st.integers()
        | st.text(max_size=3)
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=2), st.integers())
    )
    changes = {key: data.draw(odd) for key in data.draw(st.sets(st.sampled_from(sorted(entry(1)))))}
    top = {key: data.draw(odd) for key in data.draw(st.sets(st.sampled_from(sorted(dump()))))}
    content = bytearray(pickle.dumps(dump(entry(1, **changes), entry(2)) | top, 2))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=4)):
        content[at] = byte
    parsed = read(bytes(content))
    assert parsed.gaps or parsed.recorder_dumps


def test_real_dumps_are_read_whole() -> None:
    """Every real dump at hand (schemas 2.9 and 2.10) is recognised, has its rank, and leaves no gap."""
    files = [
        *ROOT.glob("fixtures/*/evidence/**/nccl_trace_rank_*"),
        *PRIVATE.glob("*/*/evidence/nccl_trace_rank_*"),
        *PRIVATE.glob("fr-labelled/*/evidence/_dump_*"),
    ]
    assert files
    for file in files:
        data = file.read_bytes()
        parsed = read(data, name=file.name)
        assert is_flight_recorder(data[:4096])
        assert parsed.gaps == ()
        assert parsed.recorder_dumps[0].records == len(pickle.loads(data)["entries"])
        assert {c.rank for c in records(parsed)} <= {int(file.name.rsplit("_", 1)[1])}
        assert all(c.state in ("scheduled", "started", "completed") and c.seq >= 0 and c.call.op for c in records(parsed))
