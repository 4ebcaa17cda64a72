"""Many dumps are read in several processes, with the same result as in one."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator

import pytest

from hanglens.model import Parsed
from hanglens.parse import dump_readers
from hanglens.parse.dump_readers import DumpReaders
from hanglens.parse.flight_recorder import parse_flight_recorder
from hanglens.parse.places import read_place
from tests.parse.test_flight_recorder import dump, entry


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[DumpReaders]:
    """Two helper processes, which are asked from the first dump on."""
    monkeypatch.setattr(dump_readers, "ALONE", -1)
    found = DumpReaders(2)
    yield found
    found.close()


def read(readers: DumpReaders, *contents: bytes) -> list[Parsed]:
    """What is read of these dumps of ranks 0, 1, 2 and so on."""
    readings = [readers.read(data, read_place(f"trace_rank_{rank}"), len(data)) for rank, data in enumerate(contents)]
    return [reading() for reading in readings]


def alone(*contents: bytes) -> list[Parsed]:
    """The same in this process."""
    return [parse_flight_recorder(data, read_place(f"trace_rank_{rank}"), len(data)) for rank, data in enumerate(contents)]


def test_helpers_read_what_this_process_would(readers: DumpReaders) -> None:
    """The values are equal, and come in the order in which they were asked for."""
    contents = [pickle.dumps(dump(*(entry(seq) for seq in range(1, 50 + rank))), 2) for rank in range(20)]
    assert read(readers, *contents) == alone(*contents)
    assert len(readers._helpers) == 2


def test_few_dumps_start_no_process() -> None:
    """A helper would take longer to start than they take to be read."""
    readers = DumpReaders(2)
    assert read(readers, pickle.dumps(dump(entry(1)), 2))[0].recorder_dumps
    assert readers._helpers == []


def test_a_hostile_dump_is_refused_by_a_helper_too(readers: DumpReaders, tmp_path) -> None:
    """What it wants to import is named, nothing is executed, and the next dump is read."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'trace'}",)

    evil, fine = pickle.dumps({"entries": [Evil()]}), pickle.dumps(dump(entry(1)), 2)
    first, second = read(readers, evil, fine)
    assert first.gaps[0].why == f"wants to import {os.system.__module__}.system: refused, nothing was executed"
    assert second.recorder_dumps[0].records == 1
    assert not (tmp_path / "trace").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits a process's memory")
def test_a_dump_that_asks_for_endless_memory_is_a_gap(readers: DumpReaders) -> None:
    """A memo index of four billion asks for 32 GiB: the helper is not given them, and the dump is named."""
    greedy, fine = b"\x80\x02}r\xff\xff\xff\xff.", pickle.dumps(dump(entry(1)), 2)
    first, second = read(readers, greedy, fine)
    assert (first.recorder_dumps, len(first.gaps)) == ((), 1)
    assert second.recorder_dumps[0].records == 1


def test_a_helper_that_dies_leaves_its_dump_to_this_process(readers: DumpReaders) -> None:
    """The dump under way is read here, and another helper takes the next one."""
    fine = pickle.dumps(dump(entry(1)), 2)
    assert read(readers, fine)[0].recorder_dumps
    for helper in readers._helpers:
        helper._process.kill()
        helper._process.wait()
    assert [parsed.recorder_dumps[0].records for parsed in read(readers, fine, fine, fine)] == [1, 1, 1]


def test_close_leaves_no_process(readers: DumpReaders) -> None:
    """The helpers end with the reading."""
    read(readers, *[pickle.dumps(dump(entry(1)), 2)] * 4)
    readers.close()
    assert all(helper._process.poll() is not None for helper in readers._helpers)
