"""Which process is which rank: every statement about it, the stronger before the weaker, file names last."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from hanglens import number
from hanglens.analyze.stacks import describe
from hanglens.model import Event, Parsed, Stack

Key = tuple[str, int]  # the folder that stands for a host, where several were given, and the pid

_STATEMENTS = ("nccl.init", "torch.world", "lmdeploy.rank")  # in which a process says which rank it is
_TP_TAG = re.compile(r"(?:^|_|\s)TP(\d+)")
_SPAWN_HANDLE = re.compile(r"spawn_main\(.*?pipe_handle=(\d+)")
_EARLY_SPAWN = re.compile(r"_start_tp_process|_tp_model_loop")  # LMDeploy to 0.7.1: the parent is rank 0
_LATER_SPAWN = re.compile(r"ExecutorProc\.|\b_main_loop_impl")


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement that a process is a rank. `strength` orders statements that contradict each other."""

    key: Key
    rank: int
    how: str
    strength: int
    device: int | None = None
    host: str | None = None


def tag_rank(tag: str) -> int | None:
    """The rank in a role text (`Worker_TP1`, `DP0 TP3 EP3`); None where pipeline stages make it ambiguous."""
    found = _TP_TAG.search(tag)
    return number.rank(found[1]) if found and "PP" not in tag else None


def resolve(claims: list[Claim], world: int | None) -> dict[Key, Claim]:
    """The strongest claim of each process; no two processes get one rank, and none gets one that the job does not have."""
    chosen: dict[Key, Claim] = {}
    taken: set[int] = set()
    for claim in sorted(claims, key=lambda c: -c.strength):
        if claim.key not in chosen and claim.rank not in taken and (world is None or claim.rank < world):
            chosen[claim.key] = claim
            taken.add(claim.rank)
    return chosen


def claims(parsed: Parsed, world: int | None, scope_of: dict[str, str], pid_of_group: dict[str, int]) -> Iterator[Claim]:
    """Everything that the evidence says of which process is which rank."""
    yield from _of_last_run([(event, claim) for event in parsed.events for claim in _from_event(event, world, scope_of[event.ref.file])])
    for process in parsed.processes:
        if process.pid is not None and process.rank is not None:
            yield Claim((scope_of[process.ref.file], process.pid), process.rank, process.how_known, 6, host=process.host)
        stated = number.rank(process.environ.get("RANK"))
        if process.pid is not None and stated is not None:
            yield Claim((scope_of[process.ref.file], process.pid), stated, "environment of the process", 6)
    for report in parsed.ras_reports:
        named = [rank for comm in report.communicators if comm.size == world for rank in comm.missing]
        named += [rank for comm in report.communicators if comm.size == world for count in comm.counts for rank in count.ranks]
        for rank in named:
            if rank.pid is not None and rank.rank is not None:
                yield Claim((scope_of[report.ref.file], rank.pid), rank.rank, "NCCL RAS", 5, rank.device, rank.host)
    yield from _from_titles(parsed, scope_of)
    yield from _from_spawn_order(parsed, scope_of)
    yield from _from_files(parsed, scope_of, pid_of_group)


def _of_last_run(told: list[tuple[Event, Claim]]) -> Iterator[Claim]:
    """What logs say, but for a process that was restarted: another one said later, in the same log and the same words, that it is the rank.

    A process that merely speaks later may be a child or a monitor of one that hangs, and is silent.
    """
    stated: dict[tuple[str, str, int], dict[Key, tuple[int, int]]] = defaultdict(dict)  # first and last line
    for event, claim in told:
        if event.name in _STATEMENTS:
            line, lines = event.ref.line or 0, stated[event.ref.file, event.name, claim.rank]
            first, last = lines.get(claim.key, (line, line))
            lines[claim.key] = min(first, line), max(last, line)
    gone = set()
    for (file, _, rank), lines in stated.items():
        latest = max(first for first, _ in lines.values())
        gone |= {(file, rank, key) for key, (_, last) in lines.items() if last < latest}
    yield from (claim for event, claim in told if (event.ref.file, claim.rank, claim.key) not in gone)


def _from_event(event: Event, world: int | None, scope: str) -> Iterator[Claim]:
    pid, fields = event.speaker.pid, event.fields
    if pid is None:
        return
    stated = number.rank(fields.get("rank") or fields.get("proc")) if event.name in _STATEMENTS else None
    if event.name == "nccl.init" and stated is not None and event.number("nranks") == world:
        yield Claim((scope, pid), stated, "NCCL Init line", 6, event.number("device"), event.speaker.host)
    elif event.name in ("torch.world", "lmdeploy.rank"):
        if stated is not None:
            yield Claim((scope, pid), stated, "printed with its pid", 6, host=event.speaker.host)
    elif event.speaker.rank is not None:
        yield Claim((scope, pid), event.speaker.rank, "printed with its pid", 6, host=event.speaker.host)
    elif (rank_of_tag := tag_rank(event.speaker.tag)) is not None:
        yield Claim((scope, pid), rank_of_tag, "name of the worker", 4, host=event.speaker.host)


def _from_titles(parsed: Parsed, scope_of: dict[str, str]) -> Iterator[Claim]:
    for process in parsed.processes:
        rank = tag_rank(process.command) if "::" in process.command else None
        if process.pid is not None and rank is not None:
            yield Claim((scope_of[process.ref.file], process.pid), rank, "process title", 4)


def _from_spawn_order(parsed: Parsed, scope_of: dict[str, str]) -> Iterator[Claim]:
    """LMDeploy starts its workers one after the other: the order of the pipe handles is the order of the ranks."""
    for marker, first in ((_EARLY_SPAWN, 1), (_LATER_SPAWN, 0)):
        workers: dict[Key, int] = {}
        for stack in parsed.stacks:
            handle = _SPAWN_HANDLE.search(stack.command)
            if stack.pid is not None and handle and _has(stack, marker):
                workers[scope_of[stack.ref.file], stack.pid] = number.whole(handle[1]) or 0
        for n, key in enumerate(sorted(workers, key=lambda k: workers[k])):
            yield Claim(key, n + first, "order in which the parent started it", 3)
        if first and workers:
            for stack in parsed.stacks:
                if stack.pid is not None and _has(stack, re.compile("TPModelAgent")) and not _SPAWN_HANDLE.search(stack.command):
                    yield Claim((scope_of[stack.ref.file], stack.pid), 0, "the parent of the workers is rank 0 in this LMDeploy", 3)


def _has(stack: Stack, expression: re.Pattern[str]) -> bool:
    return any(expression.search(describe(frame)) for frame in stack.frames)


def _from_files(parsed: Parsed, scope_of: dict[str, str], pid_of_group: dict[str, int]) -> Iterator[Claim]:
    """A file with lines of one rank and of one pid joins the two; a rank in a file's name is the last resort."""
    ranks: dict[str, set[int]] = defaultdict(set)
    pids: dict[str, set[int]] = defaultdict(set)
    for event in parsed.events:
        if event.speaker.rank is not None:
            ranks[event.ref.file].add(event.speaker.rank)
        if event.speaker.pid is not None:
            pids[event.ref.file].add(event.speaker.pid)
    for about in parsed.inputs:
        scope, told = scope_of[about.file], pids[about.file]
        if len(ranks[about.file]) == 1 and len(told) == 1:
            yield Claim((scope, next(iter(told))), next(iter(ranks[about.file])), "lines of one rank in its log", 5)
        pid = pid_of_group.get(f"{scope}\0{about.group}") or (next(iter(told)) if len(told) == 1 else None)
        if about.rank is not None and pid is not None:
            yield Claim((scope, pid), about.rank, "file name", 1)
