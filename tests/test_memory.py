"""No memory is asked for that there is no content for."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hanglens.damage import damaged
from hanglens.streams import PIECE, Content, Stream, read_most
from tests.conftest import ROOT

FIXTURES = sorted(path.parent.name for path in (ROOT / "fixtures").glob("*/evidence"))
LITTLE = 1_000_000 << 10  # bytes of address space, as `ulimit -v 1000000` gives


def little() -> None:
    """In a child: less address space than some buffers would take."""
    resource.setrlimit(resource.RLIMIT_AS, (LITTLE, LITTLE))


def told(name: str, *, limited: bool) -> dict[str, object]:
    """The diagnosis of a fixture."""
    command = [sys.executable, "-m", "hanglens", "-q", "analyze", str(ROOT / "fixtures" / name / "evidence"), "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=little if limited else None, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_fixture_with_dumps_needs_little_memory() -> None:
    """A gigabyte of address space is enough, and changes nothing."""
    assert told("nccl-missing-rank", limited=True) == told("nccl-missing-rank", limited=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXTURES)
def test_each_fixture_needs_little_memory(name: str) -> None:
    """The same for all."""
    assert told(name, limited=True) == told(name, limited=False)


class _Greedy(io.BytesIO):
    """Remembers how much it was asked for."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.most = max(self.most, size or 0)
        return super().read(size)


def test_much_is_read_in_pieces() -> None:
    """However large the limit is, no more is asked for than a piece; all of it comes."""
    stream = _Greedy(bytes(3 * PIECE + 1))
    assert len(read_most(stream, 1 << 30)) == 3 * PIECE + 1
    assert stream.most <= PIECE
    assert len(read_most(_Greedy(bytes(100)), 10)) == 10


class _Exhausted(io.RawIOBase):
    """Gives some bytes, then finds no memory."""

    def __init__(self) -> None:
        self._given = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if self._given:
            raise MemoryError
        self._given = True
        memoryview(buffer)[:3] = b"abc"  # type: ignore[arg-type]
        return 3


def test_no_memory_is_a_gap_behind_the_good_bytes() -> None:
    """A stream gives what it has, and says what is missing: memory, and no damage."""
    stream = Stream(Content("x", _Exhausted()))
    assert read_most(stream, 1 << 30) == b"abc"
    assert stream.content.fault is not None
    assert stream.content.fault == damaged("x", MemoryError())
    assert "memory" in stream.content.fault.why


def test_root_is_where_the_fixtures_are() -> None:
    """So that the tests above are not empty."""
    assert len(FIXTURES) > 10
    assert Path(ROOT).is_dir()
