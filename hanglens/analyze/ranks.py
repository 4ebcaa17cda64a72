"""Join everything that was read to ranks: one Member for each rank of the job, whether anything of it was collected or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

from hanglens.analyze.containers import with_host_pids
from hanglens.analyze.groups import build_groups, of_one_run
from hanglens.analyze.identity import Claim, Key, claims, resolve, tag_rank
from hanglens.analyze.kernel import without_earlier_kills
from hanglens.analyze.machines import with_x86_calls
from hanglens.analyze.numbered import with_numbered_dumps
from hanglens.analyze.stacks import samples, working_thread
from hanglens.analyze.worldsize import world_size
from hanglens.incident import HostFolders, Incident, Member, Standing, folders_above
from hanglens.knowledge.tables import load_frames
from hanglens.model import Collection, DumpFailure, Event, Input, OpenFile, Parsed, Process, Speaker, Stack, ThreadState

_OfProcess = TypeVar("_OfProcess", Stack, DumpFailure, ThreadState, OpenFile)
_Dumped = TypeVar("_Dumped", Process, Stack, DumpFailure)

MOST_ROWS = 4096  # a world size beyond this is not believed without evidence of each rank
_RUN_STARTS = ("lmdeploy.start", "vllm.start", "sglang.start")


def build_incident(parsed: Parsed, *, several_hosts: bool) -> Incident:
    """`several_hosts`: several were given, each in a first folder of its own; bundles say themselves where they are of several."""
    hosts = _host_folders(parsed.collections, several=several_hosts)
    parsed = of_one_run(with_numbered_dumps(_last_runs(parsed)))
    scope_of = _Scopes(hosts)
    parsed = without_earlier_kills(with_host_pids(with_x86_calls(parsed), scope_of))
    pid_of_group = _group_pids(parsed, scope_of)
    parsed = _with_pids(parsed, scope_of, pid_of_group)
    world, _, contradiction = world_size(parsed)
    parsed = replace(parsed, gaps=(*parsed.gaps, contradiction)) if contradiction else parsed
    processes = _processes(parsed, scope_of)
    chosen = _complete(resolve(list(claims(parsed, world, scope_of, pid_of_group)), world), parsed, scope_of, processes, world)
    parsed = _with_ranks(parsed, scope_of, chosen, pid_of_group)
    members, others = _members(parsed, scope_of, chosen, processes, world)
    return Incident(parsed, tuple(members), tuple(others), world, build_groups(parsed), hosts)


def _host_folders(bundles: Sequence[Collection], *, several: bool) -> HostFolders:
    """The highest folders with bundles of one host alone. Names may be pseudonyms, but the job did not begin twice on one host."""
    inside: dict[str, set[tuple[str, float | None]]] = defaultdict(set)
    for bundle in bundles:
        for folder in folders_above(bundle.ref.file):
            inside[folder].add((bundle.host, bundle.began))
    chosen: dict[str, str] = {}
    names: dict[tuple[str, float | None], str] = {}
    for bundle in bundles if len({(bundle.host, bundle.began) for bundle in bundles}) > 1 else ():
        alone = next((folder for folder in folders_above(bundle.ref.file) if len(inside[folder]) == 1), None)
        if alone is not None:
            chosen[alone] = names.setdefault((bundle.host, bundle.began), alone)
    return HostFolders(several, chosen)


class _Scopes(dict[str, str]):
    """The host scope of each file: the folder of its host, where there are several."""

    def __init__(self, hosts: HostFolders) -> None:
        super().__init__()
        self._hosts = hosts

    def __missing__(self, file: str) -> str:
        self[file] = self._hosts.of(file)
        return self[file]


def _last_runs(parsed: Parsed) -> Parsed:
    """Of a log that holds several runs of an engine, the events, tracebacks and last lines of the last one."""
    starts: dict[str, list[int]] = defaultdict(list)
    for event in parsed.events:
        if event.name in _RUN_STARTS and event.speaker.pid is None and event.ref.line:
            starts[event.ref.file].append(event.ref.line)
    begin = {file: lines[-1] for file, lines in starts.items() if len(lines) > 1}
    events = tuple(e for e in parsed.events if (e.ref.line or 0) >= begin.get(e.ref.file, 0))
    tracebacks = tuple(t for t in parsed.tracebacks if (t.ref.line or 0) >= begin.get(t.ref.file, 0))
    inputs = tuple(replace(i, tail=tuple(e for e in i.tail if (e.ref.line or 0) >= begin.get(i.file, 0))) for i in parsed.inputs)
    return replace(parsed, events=events, tracebacks=tracebacks, inputs=inputs)


def _group_pids(parsed: Parsed, scope_of: dict[str, str]) -> dict[str, int]:
    """The pid of the process whose files share a group name."""
    found: dict[str, int] = {}
    values: tuple[Process | Stack | DumpFailure, ...] = (*parsed.processes, *parsed.stacks, *parsed.dump_failures)
    for value in values:
        if value.group and value.pid is not None:
            found.setdefault(f"{scope_of[value.ref.file]}\0{value.group}", value.pid)
    for about in parsed.inputs:
        if about.group and about.pid is not None:
            found.setdefault(f"{scope_of[about.file]}\0{about.group}", about.pid)
    return found


def _with_pids(parsed: Parsed, scope_of: dict[str, str], pid_of_group: dict[str, int]) -> Parsed:
    def known(value: _Dumped) -> _Dumped:
        if value.pid is not None:
            return value
        return replace(value, pid=pid_of_group.get(f"{scope_of[value.ref.file]}\0{value.group}"))

    return replace(
        parsed,
        processes=tuple(map(known, parsed.processes)),
        stacks=tuple(map(known, parsed.stacks)),
        dump_failures=tuple(map(known, parsed.dump_failures)),
    )


def _complete(
    chosen: dict[Key, Claim], parsed: Parsed, scope_of: dict[str, str], processes: dict[Key, Process], world: int | None
) -> dict[Key, Claim]:
    """If one working process and one rank are left over, they belong together; the process must have begun as the known ranks did."""
    free_ranks = set(range(world or 0)) - {claim.rank for claim in chosen.values()}
    if len(free_ranks) != 1 or not chosen:
        return chosen
    by_key: dict[Key, list[Stack]] = defaultdict(list)
    for stack in parsed.stacks:
        if stack.pid is not None:
            by_key[scope_of[stack.ref.file], stack.pid].append(stack)
    begins = {key: _begin(threads) for key, threads in by_key.items()}
    known = {begins[key] for key in chosen if begins.get(key)}
    free = [key for key, threads in by_key.items() if key not in chosen and _works(processes.get(key), threads)]
    if len(free) == 1 and (not known or begins[free[0]] in known):
        return {**chosen, free[0]: Claim(free[0], free_ranks.pop(), "the one process and the one rank left over", 0)}
    return chosen


def _begin(threads: list[Stack]) -> tuple[str, str] | None:
    """The outermost frame of the working thread: launchers and front ends begin elsewhere than ranks."""
    standing = working_thread(threads)
    return (standing.stack.frames[-1].function, standing.stack.frames[-1].file) if standing else None


def _works(process: Process | None, threads: list[Stack]) -> bool:
    standing = working_thread(threads)
    return standing is not None and not _helps(process, threads) and standing.kind not in ("rpc-wait", "idle", "waiting")


def _with_ranks(parsed: Parsed, scope_of: dict[str, str], chosen: dict[Key, Claim], pid_of_group: dict[str, int]) -> Parsed:
    ranks_in: dict[str, set[int]] = defaultdict(set)
    for event in parsed.events:
        if event.speaker.rank is not None:
            ranks_in[event.ref.file].add(event.speaker.rank)

    def of_file(about: Input) -> int | None:
        pid = about.pid if about.pid is not None else pid_of_group.get(f"{scope_of[about.file]}\0{about.group}")
        claim = chosen.get((scope_of[about.file], pid)) if pid is not None else None
        if claim:
            return claim.rank
        return about.rank if about.rank is not None and ranks_in[about.file] <= {about.rank} else None

    file_rank = {about.file: of_file(about) for about in parsed.inputs}

    @cache
    def ranked(speaker: Speaker, rank: int | None) -> Speaker:
        return replace(speaker, rank=rank)

    def of_event(event: Event) -> Event:
        speaker = event.speaker
        claim = chosen.get((scope_of[event.ref.file], speaker.pid)) if speaker.pid is not None else None
        rank = speaker.rank if speaker.rank is not None else claim.rank if claim else tag_rank(speaker.tag)
        rank = rank if rank is not None else file_rank.get(event.ref.file)
        return event if rank == speaker.rank else replace(event, speaker=ranked(speaker, rank))

    inputs = (replace(about, rank=file_rank[about.file], tail=tuple(map(of_event, about.tail))) for about in parsed.inputs)
    return replace(
        parsed,
        inputs=tuple(inputs),
        events=tuple(map(of_event, parsed.events)),
        tracebacks=tuple(replace(t, speaker=_speaker(t.speaker, file_rank.get(t.ref.file))) for t in parsed.tracebacks),
    )


def _speaker(speaker: Speaker, file_rank: int | None) -> Speaker:
    return speaker if speaker.rank is not None else replace(speaker, rank=file_rank)


def _processes(parsed: Parsed, scope_of: dict[str, str]) -> dict[Key, Process]:
    merged: dict[Key, Process] = {}
    for part in parsed.processes:
        if part.pid is not None:
            key = scope_of[part.ref.file], part.pid
            merged[key] = _merge(merged[key], part) if key in merged else part
    return merged


def _merge(a: Process, b: Process) -> Process:
    says_state = b if b.text.lstrip().startswith("State") or not a.text else a
    return replace(
        says_state, host=a.host or b.host, ppid=a.ppid or b.ppid, command=max(a.command, b.command, key=len), state=a.state or b.state,
        wchan=a.wchan or b.wchan, syscall=a.syscall or b.syscall, argument=a.argument if a.argument is not None else b.argument,
        tracer=a.tracer if a.tracer is not None else b.tracer, environ={**a.environ, **b.environ},
    )  # fmt: skip


def _members(
    parsed: Parsed, scope_of: dict[str, str], chosen: dict[Key, Claim], processes: dict[Key, Process], world: int | None
) -> tuple[list[Member], list[Member]]:
    stacks, failures = _grouped(parsed.stacks, scope_of), _grouped(parsed.dump_failures, scope_of)
    threads, files = _grouped(parsed.threads, scope_of), _grouped(parsed.open_files, scope_of)
    hosts = {(scope_of[e.ref.file], e.speaker.pid): e.speaker.host for e in parsed.events if e.speaker.pid and e.speaker.host}
    devices = _devices(parsed, scope_of)
    by_rank: dict[int, Member] = {}
    others: list[Member] = []
    for key in sorted({*stacks, *failures, *processes, *chosen}):
        claim, process = chosen.get(key), processes.get(key)
        if claim is None and _helps(process, stacks[key]):
            continue
        located = Claim(key, -1, "", 0, devices.get(key), hosts.get(key) or (process.host if process else None))
        said = claim or located
        member = Member(
            rank=claim.rank if claim else None, host=said.host or located.host, pid=key[1],
            device=said.device if said.device is not None else located.device, how_known=said.how, process=process,
            standings=_standings(stacks[key]), threads=tuple(threads[key]), open_files=tuple(files[key]), failures=tuple(failures[key]),
            collected=bool(stacks[key] or failures[key] or process),
        )  # fmt: skip
        if claim:
            by_rank[claim.rank] = member
        elif stacks[key] or failures[key]:
            others.append(member)
    others += [Member(None, standings=_standings(threads), collected=True) for threads in _nameless_stacks(parsed)]
    told = _ranks_told(parsed)
    everyone = {*by_rank, *told, *(range(world) if world and world <= MOST_ROWS else ())}
    loose = _loose_stacks(parsed)
    members = [_row(rank, by_rank.get(rank), told, loose.get(rank, [])) for rank in sorted(everyone) if world is None or rank < world]
    return members, others


def _grouped(values: Iterable[_OfProcess], scope_of: dict[str, str]) -> dict[Key, list[_OfProcess]]:
    """What was read of each process whose pid is known."""
    found: dict[Key, list[_OfProcess]] = defaultdict(list)
    for value in values:
        if value.pid is not None:
            found[scope_of[value.ref.file], value.pid].append(value)
    return found


def _devices(parsed: Parsed, scope_of: dict[str, str]) -> dict[Key, int]:
    """The GPU of each process that nvidia-smi lists on one GPU only."""
    found: dict[Key, set[int]] = defaultdict(set)
    for gpu in parsed.gpus:
        for pid in gpu.pids:
            found[scope_of[gpu.ref.file], pid].add(gpu.index)
    return {key: indices.pop() for key, indices in found.items() if len(indices) == 1}


def _row(rank: int, member: Member | None, told: dict[int, str], loose: list[Stack]) -> Member:
    how = told.get(rank, "")
    member = member or Member(rank, how_known=how or "counted from the world size")
    standings = member.standings or _standings(loose)
    return replace(member, standings=standings, collected=member.collected or bool(how) or bool(standings))


def _ranks_told(parsed: Parsed) -> dict[int, str]:
    """Ranks that spoke themselves: a line, a dump or a log of their own."""
    told = {dump.rank: _how_dumped(dump.how_known) for dump in parsed.recorder_dumps if dump.rank >= 0}
    told.update({about.rank: "file name" for about in parsed.inputs if about.rank is not None and about.bytes})
    told.update({event.speaker.rank: "rank printed in its lines" for event in parsed.events if event.speaker.rank is not None})
    return told


def _how_dumped(how: str) -> str:
    return "name of its flight-recorder dump" if how in ("", "file name") else f"its flight-recorder dump: {how}"


def _loose_stacks(parsed: Parsed) -> dict[int, list[Stack]]:
    found: dict[int, list[Stack]] = defaultdict(list)
    for stack in parsed.stacks:
        if stack.pid is None and stack.rank is not None:
            found[stack.rank].append(stack)
    return found


def _nameless_stacks(parsed: Parsed) -> list[list[Stack]]:
    """Dumps that say neither pid nor rank, one process a file."""
    found: dict[str, list[Stack]] = defaultdict(list)
    for stack in parsed.stacks:
        if stack.pid is None and stack.rank is None:
            found[stack.ref.file].append(stack)
    return [threads for threads in found.values() if working_thread(threads)]


def _standings(stacks: Iterable[Stack]) -> tuple[Standing, ...]:
    found = (working_thread(dump) for dump in samples(list(stacks)))
    return tuple(standing for standing in found if standing)


def _helps(process: Process | None, stacks: list[Stack]) -> bool:
    commands = [stack.command for stack in stacks] + ([process.command] if process else [])
    if any(load_frames().helper_commands.search(command) for command in commands):
        return True
    return bool(stacks) and working_thread(stacks) is None
