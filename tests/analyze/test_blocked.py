"""What a process that others wait for is in itself, and whether it moves by the kernel's counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hanglens.analyze.blocked import may_idle, parked, reads_file, sleeps, stands_still, wait_of
from hanglens.analyze.processes import process_facts
from hanglens.analyze.stacks import moved, waits_made
from hanglens.incident import Member
from hanglens.model import Collection, OpenFile, SourceRef, ThreadState
from hanglens.verdict import Fact
from tests.builders import ALL_REDUCE, BARRIER, FILE_LOCK, IDLE, JIT, READS, facts, incident, member, parsed, process

ACCEPT = "accept (socket.py:293)\nnext_request (server.py:9)"
NATIVE_READ = "load_batch (train.py:24)"


def counted(of: Member, *voluntary: int, state: str = "S", call: str = "202") -> Member:
    """The process whose working thread waited so often by each sample."""
    standing = of.standings[-1]
    rows = [ThreadState(SourceRef("t.txt", 2), of.pid or 0, standing.stack.thread_id, state, n, call) for n in voluntary]
    return replace(of, threads=tuple(rows))


def in_call(call: str, argument: int | None = None, target: str = "", frames: str = READS) -> Member:
    """A process in a system call on a descriptor that leads there."""
    found = member(1, frames, process=replace(process(101, syscall=call), argument=argument))
    return replace(found, open_files=(OpenFile(SourceRef("fds.txt", 1), 101, 7, target),) if target else ())


@pytest.mark.parametrize(
    ("counts", "state", "call", "moves"),
    [
        ((10, 400), "S", "202", True),
        ((10, 13), "S", "202", True),
        ((10, 12), "S", "202", False),
        ((10, 10), "S", "202", False),
        ((10, 400), "R", "running", False),
        ((10, 400), "S", "24", False),
        ((10,), "S", "202", False),
        ((), "S", "202", False),
    ],
    ids=["a loop", "a few waits", "by chance", "blocked", "it spins", "it yields", "one look", "no counts"],
)
def test_equal_stacks_of_a_loop_over_one_collective(counts: tuple[int, ...], state: str, call: str, moves: bool) -> None:
    """Where both samples show the same collective, the job moves if its thread went to wait again and again in between."""
    assert moved(counted(member(0, ALL_REDUCE, ALL_REDUCE), *counts, state=state, call=call)) is moves


def test_only_waits_in_a_collective_count() -> None:
    """A thread of its own code that is woken again and again at one place polls there: that is no motion."""
    polls = counted(member(0, READS, READS), 10, 400)
    assert moved(polls) is False
    assert waits_made(polls, polls.standings[-1]) == 390


def test_other_frames_are_motion_and_one_sample_tells_nothing() -> None:
    """A process whose frames changed moved; of one sample nobody knows."""
    assert moved(member(0, ALL_REDUCE, READS)) is True
    assert moved(member(0, ALL_REDUCE)) is None


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (counted(member(1, READS, READS), 5, 5), True),
        (counted(member(1, READS, READS), 5, 6), False),
        (counted(member(1, READS), 5), False),
        (counted(member(1, READS, ALL_REDUCE), 5, 5), False),
        (member(1, READS, READS), False),
        (None, False),
    ],
    ids=["not once scheduled", "woken", "one sample", "moved", "no counts", "nobody"],
)
def test_parked(of: Member | None, expected: bool) -> None:
    """A thread is parked if it was not scheduled once between two samples at one place."""
    assert parked(of) is expected


@pytest.mark.parametrize(
    ("call", "argument", "target", "file"),
    [
        ("0", 7, "/data/batch.bin", "/data/batch.bin"),
        ("17", 7, "/dev/nvme0", "/dev/nvme0"),
        ("0", 7, "socket:[5]", ""),
        ("0", 7, "pipe:[5]", ""),
        ("0", 7, "/dev/pts/3", ""),
        ("0", 8, "/data/batch.bin", ""),
        ("0", None, "/data/batch.bin", ""),
        ("202", 7, "/data/batch.bin", ""),
        ("running", None, "/data/batch.bin", ""),
        ("0", 7, "", ""),
    ],
)
def test_reads_file(call: str, argument: int | None, target: str, file: str) -> None:
    """In the middle of a read the descriptor leads to the file that it reads; a socket, a terminal or another call is none."""
    assert reads_file(in_call(call, argument, target)) == file
    assert reads_file(member(1, READS)) == ""


@pytest.mark.parametrize(
    ("of", "wait"),
    [
        (member(1, FILE_LOCK), "lock"),
        (member(1, JIT), "jit"),
        (member(1, IDLE), "idle"),
        (in_call("257"), "open"),
        (in_call("202"), "lock"),
        (in_call("0"), "io"),
        (in_call("232"), "io"),
        (in_call("running"), "compute"),
        (in_call("999"), "python"),
        (member(1), "unknown"),
        (None, "unknown"),
    ],
)
def test_wait_of(of: Member | None, wait: str) -> None:
    """Frames say best what a rank is in, else its system call does."""
    assert wait_of(of) == wait


@pytest.mark.parametrize(
    ("of", "op", "idle"),
    [
        (in_call("232"), "broadcast_object_list", True),
        (in_call("232"), "dist.broadcast", True),
        (in_call("202"), "recv", True),
        (in_call("running", frames=ACCEPT), "barrier", True),
        (in_call("232"), "all_reduce", False),
        (in_call("0", 7, "/data/batch.bin"), "broadcast", False),
        (in_call("running"), "broadcast", False),
        (member(1), "broadcast", False),
        (None, "broadcast", False),
    ],
    ids=["waits for input", "by its module", "in a lock", "in the standard library", "peers compute", "reads a file", "computes", "none",
         "nobody"],
)  # fmt: skip
def test_may_idle(of: Member | None, op: str, idle: bool) -> None:
    """Who is to hand something out and waits for it from outside may be an idle server; who reads a file or computes is not."""
    assert may_idle(of, op) is idle


def test_sleeps() -> None:
    """One look shows a sleep in a call of its own; slow work, an ordinary wait, and a process that runs are not it."""
    asleep = process(101, state="S")
    assert sleeps(member(1, NATIVE_READ, process=asleep))
    assert not sleeps(member(1, NATIVE_READ, process=process(101, state="R")))
    assert not sleeps(member(1, ACCEPT, process=asleep))
    assert not sleeps(None)


def test_an_expected_rank_without_a_process_is_gone_only_if_others_wait_for_it() -> None:
    """A rank that its host's list of processes lacks may have ended well; if another one waits in a collective, it is missed."""
    told = Collection(SourceRef("manifest.json", 4), "n1", text="expected", expected_ranks=(0, 1, 2), present_ranks=(0, 2))

    def found(collection: Collection, *members: Member) -> dict[str, list[Fact]]:
        return facts(incident(*members, evidence=replace(parsed(), collections=(collection,))), process_facts)

    ended = found(told, member(0), member(2))
    assert [f.ranks for f in ended["rank.no_process"]] == [(1,)]
    assert "rank.gone" not in ended
    missed = found(told, member(0, BARRIER, BARRIER), member(2))["rank.gone"]
    assert [(f.ranks, f.values["how"]) for f in missed] == [((1,), "no process")]
    assert missed[0].evidence[0].file == "manifest.json"
    for other in (replace(told, present_ranks=()), replace(told, present_ranks=(0, 1, 2)), replace(told, expected_ranks=())):
        assert "rank.no_process" not in found(other, member(0))


def looks(*samples: tuple[str, int, float]) -> tuple[ThreadState, ...]:
    """What the kernel counted of the thread that works: its state, its waits so far, and when."""
    return tuple(ThreadState(SourceRef("t.txt", 2), 7, "7", state, waits, "0", at=at) for state, waits, at in samples)


@pytest.mark.parametrize(
    ("samples", "still"),
    [
        ([("S", 5, 0.0), ("S", 5, 5.0)], True),
        ([("S", 5, 0.0), ("S", 5, 0.02)], False),
        ([("S", 5, 0.0), ("S", 900, 5.0)], False),
        ([("R", 5, 0.0), ("R", 5, 5.0)], False),
        ([("R", 5, 0.0), ("S", 5, 5.0)], False),
    ],
    ids=["waits", "two looks at one moment", "polls", "computes", "came to a wait"],
)
def test_only_who_waits_all_the_while_stands_still(samples: list[tuple[str, int, float]], still: bool) -> None:
    """A slow rank of a healthy job is at the same line at every look, too; the kernel knows that it works."""
    rank = member(1, READS, READS)
    threads = tuple(replace(state, thread_id=rank.standings[-1].stack.thread_id) for state in looks(*samples))
    assert stands_still(replace(rank, threads=threads)) is still
