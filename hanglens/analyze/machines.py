"""System calls by the numbers of x86-64, in which all analyses think, and the time of each look at the threads."""

from __future__ import annotations

from dataclasses import replace

from hanglens.model import Parsed

# Of asm-generic/unistd.h, which aarch64 uses: read, pread64, readv, openat, ppoll, pselect6, epoll_pwait, futex, nanosleep,
# clock_nanosleep, accept, accept4, recvfrom, recvmsg.
_OF_AARCH64 = {
    "63": "0", "67": "17", "65": "19", "56": "257", "73": "271", "72": "270", "22": "281", "98": "202", "101": "35", "115": "230",
    "202": "43", "242": "288", "207": "45", "212": "47",
}  # fmt: skip


def with_x86_calls(parsed: Parsed) -> Parsed:
    """The evidence of a bundle with the calls of other processors under the numbers of x86-64, and with the times of its samples."""
    times = {file: at for collection in parsed.collections for file, at in collection.times.items()}
    arm = any(collection.machine == "aarch64" for collection in parsed.collections)

    def call(named: str) -> str:
        return _OF_AARCH64.get(named, f"aarch64:{named}" if named.isdecimal() else named) if arm else named

    threads = tuple(replace(t, syscall=call(t.syscall), at=times.get(t.ref.file)) for t in parsed.threads)
    processes = tuple(replace(p, syscall=call(p.syscall)) for p in parsed.processes) if arm else parsed.processes
    return replace(parsed, threads=threads, processes=processes)
