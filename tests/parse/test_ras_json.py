"""NCCL RAS answers as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.parse.blocks import Place
from hanglens.parse.ras_json import is_ras_json, parse_ras_json


def rank(number: int, reduces: int, **status: object) -> dict[str, object]:
    """A rank that launched so many AllReduces."""
    counts = {"AllReduce": reduces, "Broadcast": 1, "AllGather": 0}
    return {
        "rank": number,
        "host": "n1",
        "pid": 100 + number,
        "cuda_dev": number,
        "status": {"init_state": "RUNNING", **status},
        "collective_counts": counts,
    }


def answer(*ranks: dict[str, object], missing: tuple[dict[str, object], ...] = ()) -> bytes:
    """An answer with one communicator."""
    communicator = {"hash": "0xabc", "size": 4, "ranks": list(ranks), "missing_ranks": list(missing)}
    return json.dumps({"nccl_version": "2.28.7", "communicators_count": 1, "communicators": [communicator]}).encode()


def test_counts_are_grouped_by_level() -> None:
    """Ranks of one level are one count, the larger group first; an operation that nobody launched is left out."""
    data = answer(rank(0, 6), rank(1, 6), rank(2, 0), missing=({"rank": 3, "pid": 103, "host": "n1", "unresponsive": True},))
    assert is_ras_json(data)
    parsed = parse_ras_json(data, Place("ras.json"))
    (communicator,) = parsed.ras_reports[0].communicators
    assert [(c.op, c.launched, [r.rank for r in c.ranks]) for c in communicator.counts] == [
        ("AllReduce", 6, [0, 1]),
        ("AllReduce", -1, [2]),
        ("Broadcast", 1, [0, 1, 2]),
    ]
    assert [(m.rank, m.pid, m.host) for m in communicator.missing] == [(3, 103, "n1")]
    assert (communicator.id, communicator.size, communicator.status, communicator.errors) == ("abc", 4, "RUNNING", "INCOMPLETE,MISMATCH")
    assert (communicator.ref.record, parsed.settings[0].value) == (0, "2.28.7")


def test_the_comma_that_nccl_leaves_out_is_forgiven() -> None:
    """NCCL 2.28.9 writes each missing rank without the comma before its status; the answer is read all the same."""
    missing = {"rank": 1, "pid": 9, "nvml_dev": 1, "status": {"unresponsive": True}}
    communicator = {"hash": "0xabc", "size": 2, "ranks": [rank(0, 6)], "missing_ranks": [missing]}
    raw = json.dumps({"nccl_version": "2.28.9", "communicators_count": 1, "communicators": [communicator]}, indent=2)
    damaged = raw.replace('"nvml_dev": 1,\n', '"nvml_dev": 1\n').encode()
    assert damaged != raw.encode()
    parsed = parse_ras_json(damaged, Place("ras.json"))
    assert not parsed.gaps
    assert [m.rank for m in parsed.ras_reports[0].communicators[0].missing] == [1]


def test_equal_counts_are_ok() -> None:
    """Ranks that launched the same show no error; an asynchronous error of one does."""
    assert parse_ras_json(answer(rank(0, 6), rank(1, 6)), Place("r")).ras_reports[0].communicators[0].errors == "OK"
    assert parse_ras_json(answer(rank(0, 6, async_error=6), rank(1, 6)), Place("r")).ras_reports[0].communicators[0].errors == "ERROR"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"communicators": []}', b'{"communicators": [1]}', b"[" * 100_000])
def test_damage_is_a_gap(data: bytes) -> None:
    """What holds no communicators is one gap."""
    parsed = parse_ras_json(data, Place("ras.json"))
    assert (len(parsed.gaps), parsed.ras_reports) == (1, ())


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["ranks", "status", "rank", "hash", "collective_counts"]), x),
    )
)
def test_odd_communicators_never_raise(value: object) -> None:
    """Any JSON in place of a communicator gives values or a gap."""
    parse_ras_json(json.dumps({"communicators": [value]}).encode(), Place("r"))
