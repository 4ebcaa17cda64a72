"""What a process that others wait for is in itself: by its frames, its system call, its open files and the kernel's counts."""

from __future__ import annotations

import re

from hanglens.analyze.stacks import FEW_WAITS, counts_of, describe, moved
from hanglens.incident import Member, Standing
from hanglens.knowledge.tables import load_frames
from hanglens.model import Frame

# What workers wait in to be given work.
_GIVEN = re.compile(r"(?:\w+\.)*_?(?:broadcast\w*|i?recv\w*|scatter\w*|monitored_barrier|barrier)$")
_OPEN, _FUTEX = ("257", "2"), ("202",)  # x86-64 numbers of openat, open and futex
_NAMES = {
    "0": "read",
    "17": "pread",
    "257": "open",
    "2": "open",
    "202": "futex",
    "7": "poll",
    "45": "recv",
    "47": "recv",
    "43": "accept",
    "288": "accept",
}
_READS = ("0", "17", "19", "295")  # read, pread64, readv, preadv
_IO = (  # read, pread64, poll, ppoll, select, pselect6, epoll_wait, epoll_pwait, epoll_pwait2, recvfrom, recvmsg, accept, accept4
    "0", "17", "7", "271", "23", "270", "232", "281", "441", "45", "47", "43", "288",
)  # fmt: skip


def wait_of(member: Member | None) -> str:
    """What the absent rank itself is in, by its frames, else by its system call."""
    standing = member.standing if member else None
    if standing and standing.kind in ("file-lock", "jit", "weights", "idle"):
        return {"file-lock": "lock"}.get(standing.kind, standing.kind)
    process = member.process if member else None
    call = process.syscall.split()[0] if process and process.syscall else ""
    if call in _OPEN:
        return "open"
    place = process.wchan if process else ""
    if call in _FUTEX and (not place or "futex" in place):  # on other processors the number is another call's
        return "lock"
    if call in _IO:
        return "io"
    return "compute" if call == "running" else "python" if standing else "unknown"


def parked(member: Member | None) -> bool:
    """Whether its thread was not scheduled once between two samples: it waits in the kernel, and neither polls nor works."""
    if member is None or member.standing is None or moved(member) is not False:
        return False
    states = counts_of(member, member.standing)
    return len(states) > 1 and states[0].voluntary == states[-1].voluntary and all(state.state in ("S", "D") for state in states)


def polls(member: Member) -> bool:
    """Whether its thread waited again and again between two samples, as one that polls does, or one that gets on."""
    states = counts_of(member, member.standing) if member.standing else []
    return len(states) > 1 and states[-1].voluntary - states[0].voluntary >= FEW_WAITS


def runs(member: Member) -> bool:
    """Whether its thread was on a CPU at each look: it computes, or spins on a GPU, and which of these does not show."""
    states = counts_of(member, member.standing) if member.standing else []
    return len(states) > 1 and all(state.state == "R" for state in states)


def stands_still(member: Member) -> bool:
    """Whether its samples show the same calls, and the kernel's counts, where there are some, that it did nothing in between.

    A slow rank of a healthy job is found at the same line again and again, too; but it runs.
    """
    counted = member.standing is not None and len(counts_of(member, member.standing)) > 1
    return parked(member) if counted else moved(member) is False


def may_idle(member: Member | None, op: str) -> bool:
    """Whether it may be a server with nothing to hand out: its peers wait to be given something, and it waits for no file."""
    standing = member.standing if member else None
    if member is None or standing is None or not _GIVEN.match(op):
        return False
    wait = wait_of(member)
    asleep = bool(member.process and member.process.syscall not in ("", "running"))
    return (asleep and wait != "open" and not reads_file(member)) or any(frame.file.endswith(".py") for frame in inside(standing))


def slow_work(member: Member) -> bool:
    """Whether it is at something that takes minutes in a healthy job: a checkpoint, a data loader, a compiler."""
    frames = member.standing.stack.frames if member.standing else ()
    return any(load_frames().slow_work.search(describe(frame)) for frame in frames)


def kernel_wait(member: Member | None) -> str:
    """What its thread is in, in the words of the kernel, with the file that it reads: `read(/data/x), anon_pipe_read`."""
    process = member.process if member else None
    if member is None or process is None or process.syscall in ("", "running"):
        return ""
    name = _NAMES.get(process.syscall, "")
    target = reads_file(member)
    return ", ".join(part for part in (f"{name}({target})" if name else "", process.wchan) if part)


def reads_file(member: Member) -> str:
    """The file, named pipe or device that a process is in the middle of reading; empty if that is a socket or a terminal."""
    process = member.process
    if process is None or process.syscall not in _READS or not process.argument:
        return ""
    targets = (file.target for file in member.open_files if file.descriptor == process.argument)
    return next((target for target in targets if target.startswith("/") and not target.startswith(("/dev/pts/", "/dev/tty"))), "")


def sleeps(member: Member | None) -> bool:
    """Whether one look shows that it sleeps in a call of its own, and not in an ordinary wait or in work that takes long."""
    standing = member.standing if member else None
    process = member.process if member else None
    if standing and any(frame.file.endswith(".py") for frame in inside(standing)):
        return False  # in a queue, a selector or a lock of the standard library: an ordinary wait, which may end at any moment
    if member and slow_work(member):
        return False
    return bool((standing and standing.stack.state == "idle") or (process and process.state in ("S", "D")))


def inside(standing: Standing) -> tuple[Frame, ...]:
    """The frames that the one which says where the thread stands has called."""
    frames = standing.stack.frames
    return frames[: frames.index(standing.at)] if standing.at else frames
