"""Untrusted pickles: plain data is read, everything else is refused and leaves no trace."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanglens.pickles import PickleRefused, is_pickle, load_plain

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=300)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
RECORD = {"version": "2.4", "pg_config": {}, "pg_status": {}, "entries": [{"record_id": i, "state": "completed"} for i in range(50)]}


class Calls:
    """Pickles as a call of `os.system`."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@given(PLAIN, st.integers(2, 5))
def test_plain_data_survives(value: object, protocol: int) -> None:
    """Whatever pickle writes for plain data, in any protocol from 2 to 5, comes back equal."""
    data = pickle.dumps(value, protocol)
    assert is_pickle(data)
    assert load_plain(data) == value


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_call_is_refused_by_name_and_not_made(protocol: int, tmp_path: Path) -> None:
    """A pickle that would run a command names what it wants to import, and the command does not run."""
    trace = tmp_path / "trace"
    data = pickle.dumps({"entries": [Calls(f"touch {trace}")], "version": "2.4"}, protocol)
    with pytest.raises(PickleRefused, match=r"wants to import (posix|nt)\.system: refused, nothing was executed"):
        load_plain(data)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"cos\nsystem\n.", r"import os\.system"),
        (b"(ios\nsystem\n.", r"import os\.system"),
        (b"\x8c\x08builtins\x94\x8c\x04eval\x94\x93.", r"import builtins\.eval"),
        (b"N(tR.", "REDUCE"),
        (b"}}b.", "BUILD"),
        (b"N)\x81.", "NEWOBJ"),
        (b"N)}\x92.", "NEWOBJ_EX"),
        (b"(No.", "OBJ"),
        (b"Psomewhere\n.", "PERSID"),
        (b"NQ.", "BINPERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"N2.", "DUP"),
        (b"\xff.", "no instruction 0xff"),
    ],
)
def test_each_instruction_that_is_not_data_is_refused(body: bytes, words: str) -> None:
    """Imports, calls, object building, persistent ids, extensions and buffers are refused before anything is loaded."""
    with pytest.raises(PickleRefused, match=words):
        load_plain(b"\x80\x04" + body)


@pytest.mark.parametrize(
    "body",
    [
        b"Nr\xff\xff\xff\x7f.",  # memo slot 2 147 483 647
        b"\x8e" + struct.pack("<Q", 1 << 40) + b"x",  # a terabyte of bytes
        b"\x96" + struct.pack("<Q", 1 << 40) + b"x",
        b"\x8d" + struct.pack("<Q", 1 << 40) + b"x",
        b"X\xff\xff\xff\xffx",
        b"\x95" + struct.pack("<Q", 1 << 60) + b"N.",
        b"\x8b\xff\xff\xff\x7f1",
        b"]" * 5_000_001 + b".",
        b"})" + b"\x85" * 1_000_000 + b"Ns.",  # hashing this nested tuple overflows the C stack
    ],
)
def test_what_asks_for_memory_it_does_not_fill_is_refused(body: bytes) -> None:
    """A few bytes cannot make the reader take gigabytes, or crash it."""
    with pytest.raises(PickleRefused):
        load_plain(b"\x80\x04" + body)


@pytest.mark.parametrize("data", [b"\x80\x02", b"\x80\x02}", pickle.dumps(RECORD, 2)[:87], b"\x80\x02h\x05.", b"\x80\x02e.", b"\x80\x02."])
def test_damage_is_named(data: bytes) -> None:
    """A cut or corrupt pickle is refused in words, whatever the unpickler makes of it."""
    with pytest.raises(PickleRefused, match=r"cut off|damaged"):
        load_plain(data)


@settings(max_examples=300)
@given(st.integers(2, 5), st.data())
def test_mutated_pickles_give_data_or_a_refusal(protocol: int, data: st.DataObject) -> None:
    """Flipped, inserted and missing bytes never give anything but plain data or PickleRefused."""
    content = bytearray(pickle.dumps(RECORD, protocol))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(2, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=6)):
        content[at] = byte
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    with contextlib.suppress(PickleRefused):
        load_plain(bytes(content))
