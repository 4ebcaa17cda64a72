"""Process listings and the size of /dev/shm."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.host import BLOCKS
from hanglens.parse.index import PatternIndex
from hanglens.parse.text import read_text

AUX = """USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
root        1056 99.0  0.1 318456 995844 ?     Tl   15:06   0:09 python3 train.py --epochs 3
"""
EF = """UID          PID    PPID  C STIME TTY          TIME CMD
root        1056     551  9 15:06 ?        00:00:09 python3 train.py --epochs 3
"""
EO = """    PID    PPID S WCHAN                            CMD
   1056     551 T do_signal_stop                   python3 train.py --epochs 3
"""
DF_H = """Filesystem      Size  Used Avail Use% Mounted on
overlay         1.8T  1.1T  600G  65% /
shm              64M   60M  4.0M  94% /dev/shm
"""
DF_K = """Filesystem     1K-blocks  Used Available Use% Mounted on
shm                65536  1024     64512   2% /dev/shm
"""
DF_B = """Filesystem      1B-blocks  Used Available Use% Mounted on
shm              67108864     0  67108864   0% /dev/shm
"""
DF_T = """Filesystem     Type   Size  Used Avail Use% Mounted on
tmpfs          tmpfs  1.5G     0  1.5G   0% /dev/shm
"""


def read(text: str) -> Parsed:
    """Parse a file that holds this text."""
    return read_text(io.BytesIO(text.encode()), Place("host.txt"), PatternIndex([], BLOCKS))


@pytest.mark.parametrize(("text", "ppid", "state", "wchan"), [(AUX, None, "T", ""), (EF, 551, "", ""), (EO, 551, "T", "do_signal_stop")])
def test_ps_in_any_layout(text: str, ppid: int | None, state: str, wchan: str) -> None:
    """The header names the columns; the command is the rest of the row."""
    (found,) = read("some log\n" + text + "some more log\n").processes
    assert (found.pid, found.command, found.ref.line) == (1056, "python3 train.py --epochs 3", 3)
    assert (found.ppid, found.state, found.wchan) == (ppid, state, wchan)


def test_listings_without_a_header() -> None:
    """`PID ppid=PPID state command` lines give state letters."""
    found = read("419 ppid=410 running python3 a.py\n476 ppid=419 disk-sleep ray::Worker\n477 ppid=419 tracing-stop x\n").processes
    assert [(p.pid, p.ppid, p.state) for p in found] == [(419, 410, "R"), (476, 419, "D"), (477, 419, "t")]


@pytest.mark.parametrize(
    ("text", "size", "free"),
    [
        (DF_H, 64 << 20, 4 << 20),
        (DF_K, 64 << 20, 63 << 20),
        (DF_B, 64 << 20, 64 << 20),
        (DF_T, 3 << 29, 3 << 29),
        ("shm   64M   64M     0 100% /dev/shm\n", 64 << 20, 0),
    ],
)
def test_dev_shm(text: str, size: int, free: int) -> None:
    """Size and free space of /dev/shm are bytes, in each unit that df prints; other file systems are left out."""
    assert [(s.name, s.value) for s in read(text).settings] == [("host.dev_shm_bytes", str(size)), ("host.dev_shm_free_bytes", str(free))]


def test_log_lines_about_them_are_no_listings() -> None:
    """Lines that speak of PIDs, ppid or /dev/shm are not rows."""
    refused = "Error while creating shared memory segment /dev/shm/nccl-x (size 9637888)"
    parsed = read(f"PID of the server: 12\n[pid=1 ppid=2] - hello\n{refused}\nPID  Type  Process name\n")
    assert (parsed.processes, parsed.settings) == ((), ())


@given(st.lists(st.sampled_from((AUX + EF + EO).splitlines()) | st.text(max_size=60), max_size=20))
def test_torn_listings_never_raise(lines: list[str]) -> None:
    """Rows in any order, mixed with anything, give what they give."""
    read("\n".join(lines))
