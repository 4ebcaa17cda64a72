"""Snippets of /proc, recognised by what they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Process
from hanglens.parse.places import read_place
from hanglens.parse.proc import parse_proc, sniff_proc
from tests.conftest import PRIVATE, ROOT

STATUS = b"Name:\tpython3\nUmask:\t0022\nState:\tT (stopped)\nTgid:\t1056\nPid:\t1056\nPPid:\t551\nTracerPid:\t0\nThreads:\t39\n"
STAT = b"1056 (python3) T 551 550 540 0 -1 4194560 178328 0 0 0 918 76 0 0 20 0 39 0 10568 326099140608\n"
SYSCALL = b"202 0x3e13ee60 0x189 0x0 0x0 0x0 0xffffffff 0x7ffe90aa8900 0x7f3948c98e51\n"
ENVIRON = (
    b"RANK=1\0NCCL_DEBUG=INFO\0HOME=/root\0LD_PRELOAD=/opt/x.so\0HF_HUB_TOKEN=hf_abc\0AWS_SECRET=1\0VLLM_API_KEY=k\0MASTER_PORT=29500\0"
)


def read(data: bytes, name: str) -> tuple[Process, ...]:
    """Sniff and parse one file."""
    kind = sniff_proc(data[:4096], name)
    return parse_proc(kind, data, read_place(name)).processes if kind else ()


def test_status() -> None:
    """State, tracer, parent and the State line with its number are read."""
    (found,) = read(STATUS, "rank1.proc-status.txt")
    assert (found.pid, found.ppid, found.state, found.tracer, found.command, found.group) == (1056, 551, "T", 0, "python3", "rank1")
    assert (found.text, found.ref.line) == ("State:\tT (stopped)", 3)


def test_status_of_several_processes_in_one_file() -> None:
    """`cat /proc/*/status` gives as many processes, each with its own State line."""
    found = read(STATUS + STATUS.replace(b"1056", b"7").replace(b"T (stopped)", b"D (disk sleep)"), "all.txt")
    assert [(p.pid, p.state, p.ref.line) for p in found] == [(1056, "T", 3), (7, "D", 11)]


def test_stat_survives_an_odd_name() -> None:
    """The process name may hold blanks and brackets."""
    (found,) = read(STAT.replace(b"python3", b"ray::(x) y"), "pid1056.proc-stat.txt")
    assert (found.pid, found.ppid, found.state, found.command) == (1056, 551, "T", "ray::(x) y")


@pytest.mark.parametrize(
    ("data", "name", "field", "value"),
    [
        (b"futex_do_wait\n", "pid4.proc-wchan.txt", "wchan", "futex_do_wait"),
        (b"0", "pid4.proc-wchan.txt", "wchan", ""),
        (SYSCALL, "pid4.proc-syscall.txt", "syscall", "202"),
        (b"running\n", "pid4.proc-syscall.txt", "syscall", "running"),
        (b"-1 0x7ffd88318c98 0x7fe2ca833000\n", "pid4.proc-syscall.txt", "syscall", "-1"),
        (b"/usr/bin/python3\0serve.py\0--tp\0" + b"2\0", "pid4.proc-cmdline.txt", "command", "/usr/bin/python3 serve.py --tp 2"),
        (b"ray::RayWorkerWrapper.warmup      ", "pid4.proc-cmdline.txt", "command", "ray::RayWorkerWrapper.warmup"),
    ],
)
def test_small_snippets(data: bytes, name: str, field: str, value: str) -> None:
    """What tells no pid takes it, and the group, from the file's name."""
    (found,) = read(data, name)
    assert (found.pid, found.group, getattr(found, field)) == (4, "pid4", value)


def test_of_the_environment_only_what_matters_is_kept() -> None:
    """Names on the list stay; everything else, and whatever looks like a secret, is not even kept in memory."""
    (found,) = read(ENVIRON, "pid4.proc-environ.txt")
    assert dict(found.environ) == {"RANK": "1", "NCCL_DEBUG": "INFO", "LD_PRELOAD": "/opt/x.so", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"running\n", "notes.txt"),
        (b"Permission denied (os error 13)\n", "pid4.proc-syscall.txt"),
        (b"two words\n", "pid4.proc-wchan.txt"),
        (b"Name:\tan album\nSongs:\t3\n", "list.txt"),
        (b"2026 (c) Some Company\n", "license.txt"),
        (b"", "pid4.proc-cmdline.txt"),
        (b"BOOT_IMAGE=/vmlinuz root=/dev/sda iommu=pt\n", "proc-cmdline.txt"),
        (b"running\n", "syscall/notes.txt"),
        (b"[rank0]: RANK=0 WORLD_SIZE=2\n", "rank0.log"),
    ],
)
def test_look_alikes_are_not_proc(data: bytes, name: str) -> None:
    """A word or a number is a snippet only where both the name and the shape say so."""
    assert sniff_proc(data, name) is None


@given(st.sampled_from([STATUS, STAT, SYSCALL, ENVIRON]), st.binary(max_size=60), st.integers(0, 200))
def test_damage_never_raises(data: bytes, noise: bytes, at: int) -> None:
    """Every parser takes any bytes."""
    for kind in ("status", "stat", "cmdline", "environ", "wchan", "syscall", "other"):
        parse_proc(kind, data[:at] + noise + data[at:], read_place("x"))


def test_real_snippets_are_recognised() -> None:
    """Every captured /proc file is recognised as what its name says, and no other capture is."""
    files = [*ROOT.glob("fixtures/*/evidence/*.*"), *PRIVATE.glob("cases/cap-*/evidence/*.*")]
    assert len(files) > 100
    for file in files:
        with file.open("rb") as stream:
            kind = sniff_proc(stream.read(4096), file.name)
        expected = file.name.split(".proc-")[1].removesuffix(".txt") if ".proc-" in file.name else None
        assert kind == expected, file.name
