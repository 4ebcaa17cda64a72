"""From the bytes of one file to what it is: the kind is told by content, and nothing raises."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.bundle import open_evidence
from hanglens.errors import InputError
from hanglens.model import Parsed
from hanglens.parse.dump_readers import DumpReaders
from hanglens.parse.files import read_item
from hanglens.parse.kinds import build_index
from hanglens.parse.pyspy_file import LARGEST
from hanglens.reading import read_evidence
from hanglens.scan import Pattern

INDEX = build_index([Pattern("mark", "mark it")])
INIT = "n1:7:9 [1] NCCL INFO comm 0x55d0 rank 1 nranks 2 cudaDev 1 busId 2 commId 0xc - Init START"
DUMP = 'Process 12: python train.py\nPython v3.10.0 (python3.10)\n\nThread 12 (idle): "MainThread"\n    main (train.py:9)\n'


def read(data: bytes, name: str = "a.log") -> Parsed:
    """Read one file that holds these bytes."""
    return read_item(name, len(data), io.BufferedReader(io.BytesIO(data)), lambda: INDEX, DumpReaders(1))()


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("nccl_trace_rank_0", "flight recorder"),
        ("rank0.pyspy.json", "py-spy JSON"),
        ("rank0.pyspy.txt", "stack dump"),
        ("rank0.proc-status.txt", "/proc status"),
        ("rank0.proc-stat.txt", "/proc stat"),
        ("rank0.proc-cmdline.txt", "/proc cmdline"),
        ("nccl-ras.txt", "NCCL RAS report"),
        ("nvidia-smi.txt", "nvidia-smi"),
        ("rank0.log", "log with stack dumps"),  # the watchdog prints the stack of the failed collective
    ],
)
def test_kinds_of_a_recorded_hang(file: str, kind: str, fixtures_dir: Path) -> None:
    """Each file of a real hang is read as what it is, and without a gap."""
    data = (fixtures_dir / "nccl-missing-rank-watchdog" / "evidence" / file).read_bytes()
    parsed = read(data, f"evidence/{file}")
    assert [(about.file, about.kind) for about in parsed.inputs] == [(f"evidence/{file}", kind)]
    assert parsed.gaps == ()


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", "\ufeff"), ("utf-16-be", "\ufeff")]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings(encoding: str, mark: str, end: str) -> None:
    """Byte order marks and UTF-16, as Windows writes them, lead to the same lines, also the first one."""
    parsed = read((mark + end.join([INIT, "Zeile größer", "mark it", DUMP.replace("\n", end)])).encode(encoding))
    init, mark_it = parsed.events
    assert (init.name, init.source, init.text, init.ref.line) == ("nccl.init", "nccl", INIT, 1)
    assert (mark_it.text, mark_it.ref.line) == ("mark it", 3)
    assert [frame.function for frame in parsed.stacks[0].frames] == ["main"]


def test_a_large_wide_text_is_streamed() -> None:
    """UTF-16 of many megabytes is decoded piece by piece, with right numbers at the end."""
    parsed = read(("zeile ü\n" * 400_000 + "mark it\n").encode("utf-16"))
    assert [event.ref.line for event in parsed.events] == [400_001]


@pytest.mark.parametrize("kind", ["rank0.pyspy.json", "nccl_trace_rank_0.json"])
def test_a_byte_order_mark_hides_no_json(kind: str) -> None:
    """JSON that an editor saved with a byte order mark is still told by its keys."""
    content = b'[{"pid": 1, "thread_id": 1, "owns_gil": false, "frames": []}]' if "pyspy" in kind else b'{"pg_config": {}, "entries": []}'
    plain, marked = read(content, kind), read(b"\xef\xbb\xbf" + content, kind)
    assert marked.inputs[0].kind == plain.inputs[0].kind != "text"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x/nccl_trace_rank_3", "flight recorder"),
        ("comm_lib_trace_rank_0", "flight recorder"),
        ("nccl-ras.txt", "RAS"),
        ("ras.json", "RAS"),
        ("rank0.pyspy.txt", "py-spy"),
        ("rank0.pyspy-native.txt", "py-spy"),
    ],
)
@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf"])
def test_an_empty_dump_is_a_gap(name: str, says: str, data: bytes) -> None:
    """An empty dump or answer says that it is empty, what that means, and how to get a full one."""
    parsed = read(data, name)
    (gap,) = parsed.gaps
    assert (gap.what, gap.why[:6]) == (name, "empty:")
    assert says in gap.why
    assert gap.how_to_collect
    assert [about.kind for about in parsed.inputs] == ["unreadable"]


@pytest.mark.parametrize("name", ["stderr.log", "traces.log", "grass.txt", "nccl_trace_rank_0/rank0.log"])
def test_an_empty_log_is_just_empty(name: str) -> None:
    """A program may print nothing: no gap."""
    parsed = read(b"", name)
    assert (parsed.gaps, parsed.inputs[0].lines) == ((), 0)


@pytest.mark.parametrize(
    "data", [b"\x7fELF\2\1\1" + bytes(100) + b"\1", bytes(range(32)) * 20, b"\x89PNG\r\n\x1a\n" + bytes(range(1, 9)) * 30]
)
def test_a_binary_of_no_known_kind_is_a_gap(data: bytes) -> None:
    """Nothing of a program, picture or the like is read, and the report says so."""
    parsed = read(data)
    assert [about.kind for about in parsed.inputs] == ["unknown"]
    assert "binary" in parsed.gaps[0].why


@pytest.mark.parametrize("data", [bytes(100_000) + b"\nmark it\n", b"a\0b\nmark it\n", b"\x1b[31m\nmark it\n", b"mark it\n" + bytes(5000)])
def test_a_log_may_hold_some_control_codes(data: bytes) -> None:
    """Colours, some NULs, and the hole that a truncated log begins with do not make a binary of it."""
    assert [event.name for event in read(data).events] == ["mark"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), InputError("the archive is damaged", "pack it again")])
def test_what_cannot_be_read_is_a_gap(error: Exception) -> None:
    """A file that fails while it is read is named, with the reason."""

    class Failing(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            raise error

    parsed = read_item("a.log", 10, Failing(io.BytesIO(b"mark it\n")), lambda: INDEX, DumpReaders(1))()
    assert [(gap.what, str(error) in gap.why) for gap in parsed.gaps] == [("a.log", True)]
    assert [about.kind for about in parsed.inputs] == ["unreadable"]


@pytest.mark.parametrize("file", ["nccl_trace_rank_0", "rank0.pyspy.json", "rank0.proc-status.txt", "rank0.log"])
def test_the_size_of_what_came_through_a_pipe_is_counted(file: str, fixtures_dir: Path) -> None:
    """Where nobody could tell the size before, it is known when all has been read."""
    data = (fixtures_dir / "nccl-missing-rank-watchdog" / "evidence" / file).read_bytes()
    (about,) = read_item(file, -1, io.BufferedReader(io.BytesIO(data)), lambda: INDEX, DumpReaders(1))().inputs
    assert about.bytes == len(data)


@pytest.mark.parametrize("lines", [10, 200_000])
def test_a_dump_with_a_log_below_it_is_read_to_its_end(lines: int) -> None:
    """What begins as a stack dump may be a log of any length; its lines have their numbers."""
    parsed = read((DUMP + "healthy\n" * lines + "mark it\n").encode())
    assert [frame.function for frame in parsed.stacks[0].frames] == ["main"]
    assert [event.ref.line for event in parsed.events] == [lines + 6]


def test_a_dump_that_is_cut_off_is_a_dump_with_a_gap(tmp_path: Path) -> None:
    """The stacks that stand before damage are read, and the damage is told."""
    dumps = "".join(DUMP.replace("Process 12", f"Process {pid}") for pid in range(10, 3000))
    (tmp_path / "pyspy.txt.gz").write_bytes(gzip.compress(dumps.encode())[:-9])
    parsed = Parsed.total(read_evidence(open_evidence([str(tmp_path)]), lambda: INDEX))
    assert len(parsed.stacks) > 2000
    assert [gap.what for gap in parsed.gaps] == ["pyspy.txt.gz"]


@given(
    st.binary(max_size=200),
    st.sampled_from(["a.log", "nccl_trace_rank_0", "nccl-ras.txt", "rank0.pyspy.json", "rank0.proc-stat.txt", "x.wchan"]),
    st.sampled_from(
        [b"", b"\x80\x02", b"\xff\xfe", b"\xef\xbb\xbf", b'[{"frames"', b'{"nccl_version": 1, "communicators"', b"Name:\t", b"12 (a) R"]
    ),
)
def test_never_raises(data: bytes, name: str, head: bytes) -> None:
    """Any bytes under any name give an Input, and at worst a Gap."""
    assert len(read(head + data, name).inputs) == 1


def test_a_file_that_is_too_long_for_stacks_alone_loses_no_byte() -> None:
    """It begins as a dump does, and is read as a log from there on, the byte at the border too."""
    filler = "-" * 79 + "\n"
    head = DUMP + filler * ((LARGEST - len(DUMP)) // len(filler))
    data = head + "-" * (LARGEST - len(head) - 1) + "\nmark it\n"
    assert data[LARGEST] == "m"
    assert [event.text for event in read(data.encode()).events] == ["mark it"]
