"""Where a process stands: which of its threads works, and what that thread waits in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from hanglens.incident import Member, Standing
from hanglens.knowledge.tables import load_frames
from hanglens.model import Frame, Stack, ThreadState

LANDMARKS = 3
LEAST_SPAN = 0.9  # seconds; in less a thread of a healthy job may not be scheduled either
FEW_WAITS = 3  # what a thread may be woken for by chance while it waits in one place
_BLOCKED = ("202", "47", "0", "98")  # futex, recvmsg, read on x86-64; futex on aarch64
LONGEST_NAME = 200

# A process's work may run outside of its main thread (Ray actors, overlap threads): what says most about it comes first.
_TELLING = (
    "collective", "nccl-init", "gpu-comm", "rendezvous", "file-lock", "jit", "weights", "gpu-wait", "own", "rpc-wait", "idle", "waiting",
)  # fmt: skip


def describe(frame: Frame) -> str:
    """The frame as the tables see it; C++ names of templates can run to kilobytes, and their beginning says enough."""
    return _described(frame.function, frame.file)


# The ranks of one job stand in the same calls, so that what is said of a frame is worth keeping.
_kept = lru_cache(maxsize=1 << 15)


@_kept
def _described(function: str, file: str) -> str:
    return f"{function[:LONGEST_NAME]} ({file[-LONGEST_NAME:]})"


@_kept
def _kind(described: str) -> str:
    return load_frames().kind(described)


@_kept
def _is_landmark(described: str) -> bool:
    return load_frames().landmarks.search(described) is not None


@_kept
def _turn(kind: str, described: str) -> int | None:
    return load_frames().turn(kind, described)


def stand(stack: Stack) -> Standing | None:
    """What one thread does; None for a thread that only helps (monitors, pools, dump threads)."""
    table = load_frames()
    if not stack.frames or table.helper_threads.search(stack.thread):
        return None
    described = list(map(describe, stack.frames))
    at = next((n for n, text in enumerate(described) if _kind(text) != "transparent"), None)
    kind = "waiting" if at is None else _kind(described[at])
    if kind == "helper":
        return None
    landmarks = tuple(frame for frame, text in zip(stack.frames, described, strict=True) if _is_landmark(text))[:LANDMARKS]
    return Standing(table.kind_below(kind, (_turn(kind, text) for text in described)), stack, stack.frames[at or 0], landmarks)


def working_thread(threads: Iterable[Stack]) -> Standing | None:
    """The thread that tells most of one process, the main thread where it works itself."""
    standings = [standing for standing in map(stand, threads) if standing]
    main = next((s for s in standings if s.stack.thread == "MainThread" or len(standings) == 1), None)
    if main and main.kind not in ("idle", "waiting", "rpc-wait"):
        return main
    others = [s for s in standings if s is not main and (s.stack.thread or s.kind != "own")]
    return min([*others, *([main] if main else [])], key=lambda s: _TELLING.index(s.kind), default=None)


def samples(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """The dumps of one process in order: text before its JSON twin, one dumper only, native dumps only where there is no other."""
    chosen = without_twins(stacks)
    plain = [stack for stack in chosen if "native" not in stack.ref.file.rsplit("/", 1)[-1]]
    kept = plain or chosen
    tools = [stack.tool for stack in kept]
    main_tool = max(sorted(set(tools)), key=tools.count, default="")
    return [
        dump
        for _, threads in groupby((s for s in kept if s.tool == main_tool), key=lambda stack: stack.ref.file)
        for dump in _dumps_of_file(list(threads))
    ]


def without_twins(stacks: Sequence[Stack]) -> list[Stack]:
    """The stacks without those of a JSON dump beside which the same dump lies as text."""
    files = {stack.ref.file for stack in stacks}
    return [s for s in stacks if not (s.ref.file.endswith(".json") and s.ref.file[: -len(".json")] + ".txt" in files)]


def _dumps_of_file(threads: list[Stack]) -> list[list[Stack]]:
    """Several dumps of one process may stand in one file; a thread that comes again begins the next."""
    dumps: list[list[Stack]] = [[]]
    for thread in threads:
        if thread.thread_id and thread.thread_id in {seen.thread_id for seen in dumps[-1]}:
            dumps.append([])
        dumps[-1].append(thread)
    return dumps


def same_place(a: Standing, b: Standing) -> bool:
    """Both threads stand in the same calls at the same lines."""
    return [(f.function, f.file, f.line) for f in a.stack.frames] == [(f.function, f.file, f.line) for f in b.stack.frames]


def moved(member: Member) -> bool | None:
    """Whether a process moved between two of its samples; None where there is one sample only, or two of nearly one moment show the same.

    In a loop over one collective all samples show the same calls. Then the kernel's counts tell: a thread that blocks in one wait all the
    while is not scheduled in between. Spinning on a GPU is no such wait, and a moment of it says nothing.
    """
    if len(member.standings) < 2:
        return None
    last = member.standings[-1]
    went = any(not same_place(one, other) for one, other in pairwise(member.standings))
    if went or (last.kind == "collective" and waits_made(member, last) >= FEW_WAITS):
        return True
    return None if _apart(counts_of(member, last)) < LEAST_SPAN else False


def _apart(states: Sequence[ThreadState]) -> float:
    """Seconds between the first and the last look; those of which it is not known are taken to be far enough apart."""
    first, last = (states[0].at, states[-1].at) if states else (None, None)
    return math.inf if first is None or last is None or len(states) < 2 else last - first


def waits_made(member: Member, standing: Standing) -> int:
    """How often the thread went to wait anew between the samples; 0 if it was not once seen to block, as one that polls or spins."""
    states = counts_of(member, standing)
    if len(states) < 2 or not any(state.state == "S" and state.syscall in _BLOCKED for state in (states[0], states[-1])):
        return 0
    return states[-1].voluntary - states[0].voluntary


def counts_of(member: Member, standing: Standing) -> list[ThreadState]:
    """The kernel's counts of the thread that works, in order of the samples."""
    return [state for state in member.threads if state.thread_id == standing.stack.thread_id]
