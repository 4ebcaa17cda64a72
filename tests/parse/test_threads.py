"""The kernel's counts of a process's threads, and its open files, as a bundle has them of one sample."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.collect.procfs import THREADS_HEADER, lasting_state, sample_state
from hanglens.collect.staging import Staging
from hanglens.model import Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.places import read_place
from hanglens.parse.proc import parse_proc, sniff_proc
from hanglens.parse.text import read_text
from hanglens.parse.threads import BLOCKS
from hanglens.privacy.redactor import Redactor
from tests.collect.processes import Processes, job_of

TABLE = f"""{THREADS_HEADER}
    4242     4242 S             17           3        120 202     python3
    4242     4243 R        1000000           0     123456 running pt_autograd 0
    4242     4244 D              0           0          0 -       nvidia (x) y
"""


def read(text: str | bytes) -> Parsed:
    """What is read from a text."""
    data = text.encode() if isinstance(text, str) else text
    return read_text(io.BytesIO(data), Place("pid4242.sample1.threads.txt", "pid4242", 4242), PatternIndex((), BLOCKS))


def test_threads() -> None:
    """Each row is a thread with its state, how often it waited so far, its system call and the line that says so."""
    found = read(TABLE).threads
    assert [(t.pid, t.thread_id, t.state, t.voluntary, t.syscall, t.ref.line) for t in found] == [
        (4242, "4242", "S", 17, "202", 2),
        (4242, "4243", "R", 1000000, "running", 3),
        (4242, "4244", "D", 0, "-", 4),
    ]
    assert found[1].text.endswith("pt_autograd 0")


def test_a_table_ends_where_other_lines_begin() -> None:
    """What is no row ends the table, and rows without a table are none."""
    row = TABLE.splitlines()[1]
    assert len(read(f"{TABLE}something else\n{row}\n").threads) == 3
    assert read(f"{row}\n").threads == ()


@given(st.binary(max_size=300))
def test_any_bytes(noise: bytes) -> None:
    """On any bytes behind a header it returns, and every line that it names is in the file."""
    data = THREADS_HEADER.encode() + b"\n" + noise
    assert all(1 <= (t.ref.line or 0) <= data.count(b"\n") + 1 for t in read(data).threads)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted by Linux's /proc")
def test_what_the_collector_writes_is_read(tmp_path: Path) -> None:
    """Threads and open files of a real process come through the bundle to the model as they are."""
    processes = Processes()
    try:
        log = tmp_path / "a file.log"
        with log.open("wb") as file:
            child = processes.python("import time, sys; print('ready', flush=True); time.sleep(60)", stderr=file)
        staging = Staging(tmp_path, Redactor())
        sample_state(job_of(child.pid), staging, 1)
        lasting_state(job_of(child.pid), staging)
    finally:
        processes.end()
    (main,) = read((staging.folder / f"processes/pid{child.pid}.sample1.threads.txt").read_bytes()).threads
    assert (main.pid, main.thread_id) == (child.pid, str(child.pid))
    assert main.state in ("S", "R")
    name = f"processes/pid{child.pid}.proc-fds.txt"
    data = (staging.folder / name).read_bytes()
    assert sniff_proc(data[:4096], name) == "fds"
    files = {f.descriptor: f.target for f in parse_proc("fds", data, read_place(name)).open_files}
    assert (files[0], files[2]) == ("/dev/null", str(log))
    assert files[1].startswith("pipe:[")


FDS = b"0 r- /dev/null\n1 -w pipe:[123]\n7 rw /data/a file\nnoise\n9 r- \n12 r- socket:[5]\n"


def test_open_files() -> None:
    """Each descriptor leads somewhere, with its line; lines of another form are passed over."""
    found = parse_proc("fds", FDS, read_place("pid4.proc-fds.txt")).open_files
    assert [(f.pid, f.descriptor, f.target, f.ref.line) for f in found] == [
        (4, 0, "/dev/null", 1),
        (4, 1, "pipe:[123]", 2),
        (4, 7, "/data/a file", 3),
        (4, 12, "socket:[5]", 6),
    ]
    assert parse_proc("fds", FDS, read_place("fds.txt")).open_files == ()


def test_open_files_are_known_by_their_name_too() -> None:
    """Rows of that form in a file that is called otherwise are no open files."""
    assert sniff_proc(FDS, "pid4.proc-fds.txt") == "fds"
    assert sniff_proc(FDS, "notes.txt") is None
    assert os.sep == "/" or sniff_proc(FDS, "a\\pid4.proc-fds.txt") == "fds"


@given(st.binary(max_size=300))
def test_any_open_files(data: bytes) -> None:
    """On any bytes it returns, and every line that it names is in the file."""
    found = parse_proc("fds", data, read_place("pid4.proc-fds.txt")).open_files
    assert all(1 <= (f.ref.line or 0) <= data.count(b"\n") + 1 for f in found)
