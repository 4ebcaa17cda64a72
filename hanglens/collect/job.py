"""Find the whole job on this host from any one of its processes: up to what started it, down to all it started, and sideways.

Nothing is taken for part of the job because it merely is a parent: a shell, a supervisor or a notebook may have started several.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hanglens import number
from hanglens.collect.proctable import Proc, ProcTable, environ_of, executable_of, libraries_of, namespace_pid
from hanglens.knowledge.tables import load_frames
from hanglens.manifest import Role

_STARTERS = frozenset(  # programs and modules that start ranks or engines
    "torchrun deepspeed accelerate mpirun mpiexec mpiexec.hydra orterun prterun hydra_pmi_proxy horovodrun lmdeploy vllm sglang".split()
)
_STARTING_MODULE = re.compile(
    r"(?:torch\.distributed\.(?:run|launch)|torch\.distributed\.elastic|deepspeed|accelerate|lmdeploy|vllm|sglang)(?:\.|$)"
)
_FORKED = re.compile(r"multiprocessing\.(?:spawn|forkserver)|--multiprocessing-fork")
_TITLE = re.compile(r"^(?:ray|VLLM|vllm|sglang)::")
_PYTHON = re.compile(r"python[\d.]*t?(?:-dbg)?(?: \(deleted\))?$|^pypy")
_RAY_JOB = re.compile(r"/(?:worker-[0-9a-f]{8,64}-|python-core-driver-)(?!f{8})([0-9a-f]{8})")  # ffffffff: started ahead, for any job
MOST_LOCAL = 1024  # ranks on one host; what says more is no launcher
_RAY_SESSION = re.compile(r"/(session_\d[\w.-]{10,60})/")
_RANKS = (("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))


@dataclass(frozen=True, slots=True)
class Target:
    """A process of the job; `environ` is all of its environment, and leaves this host only by an allow-list.

    `pid` is the one that works from here, `namespace_pid` the one that the process itself prints in its logs.
    """

    proc: Proc
    role: Role
    environ: Mapping[str, str]
    rank: int | None = None
    how_known: str = ""
    namespace_pid: int | None = None

    @property
    def pid(self) -> int:
        """Its pid on this host."""
        return self.proc.pid

    @property
    def alive(self) -> bool:
        """Whether it was more than a zombie when it was found."""
        return self.proc.state not in ("Z", "X")


@dataclass(frozen=True, slots=True)
class Job:
    """All processes of one job on this host, the ones that started it first."""

    targets: tuple[Target, ...]

    @property
    def working(self) -> tuple[Target, ...]:
        """Those that are worth a look: alive, and no helpers."""
        return tuple(t for t in self.targets if t.alive and t.role != "helper")

    @property
    def pythons(self) -> tuple[Target, ...]:
        """Those of them that run Python, and so have a stack for py-spy."""
        return tuple(t for t in self.working if is_python(t.proc))

    def with_ranks(self, found: Mapping[int, tuple[int, str]]) -> Job:
        """The job with ranks by pid that its processes' variables name, for those of whom nothing better is known.

        A process that was forked from a rank has that rank's variables too, and one that started several has the last one's left over: of
        a process and its child the parent counts, unless its children are of other ranks too. Of others that claim one rank none counts.
        """
        known = {t.rank for t in self.targets if t.rank is not None}
        parents = {t.pid: t.proc.ppid for t in self.targets}
        settled = {t.pid for t in self.targets if t.rank is not None}
        starters = {parents[pid] for pid, (rank, _) in found.items() if rank != found.get(parents[pid], (rank,))[0]}
        claims: dict[int, list[int]] = defaultdict(list)
        for pid, (rank, _) in found.items():
            forked = found.get(parents[pid], (None,))[0] == rank and parents[pid] not in starters
            if rank not in known and pid not in starters | settled and not forked:
                claims[rank].append(pid)
        sole = {pids[0]: rank for rank, pids in claims.items() if len(pids) == 1}
        together = known | set(sole.values())
        if len(together) < 2 or max(together) - min(together) >= len(together):
            sole = {}  # no ranks of one host: a `rank` may be that of a matrix as well

        def told(target: Target) -> Target:
            rank, how = found[target.pid]
            return replace(target, role="rank", rank=rank, how_known=how)

        return Job(tuple(told(t) if t.pid in sole and t.rank is None else t for t in self.targets))

    @property
    def expected_ranks(self) -> list[int]:
        """The ranks that the launcher said it started here; none if it said nothing, or if one process does not let us read its word."""
        if any(not t.environ for t in self.pythons):
            return []
        expected: set[int] = set()
        for target in self.targets:
            local, size = (_number(target.environ.get(name, "")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
            if target.rank is not None and local is not None and size is not None and local < size <= MOST_LOCAL:
                expected |= {target.rank - local + n for n in range(size)}
        return sorted(expected)


def is_python(proc: Proc) -> bool:
    """Whether a process runs Python; where we may not know its program, by its command line and title."""
    program = executable_of(proc.pid) or (proc.command[0] if proc.command else proc.name)
    return bool(_PYTHON.search(os.path.basename(program)) or _TITLE.match(proc.line) or _PYTHON.search(proc.name))


def _starts(proc: Proc) -> bool:
    """Whether it is a launcher or an engine's command by the program that runs, not by what stands anywhere in its arguments."""
    words = [*proc.command[:1], *(word for word in proc.command[1:3] if not word.startswith("-"))] if is_python(proc) else proc.command[:1]
    if any(os.path.basename(word) in _STARTERS for word in words[:2]):
        return True
    module = next((proc.command[n + 1] for n, word in enumerate(proc.command[:-1]) if word == "-m"), "")
    return is_python(proc) and bool(_STARTING_MODULE.match(module))


def is_helper(proc: Proc) -> bool:
    """Whether it only serves ranks: resource trackers, compile workers, Ray's own daemons."""
    return bool(load_frames().helper_commands.search(proc.line) or load_frames().helper_commands.search(proc.name))


def find_job(table: ProcTable, pids: Sequence[int]) -> Job:
    """The job that these processes belong to. `pids` are in the table."""
    members: dict[int, None] = {}
    for pid in pids:
        members.update(dict.fromkeys(_family(table, pid)))
    for pid in _joined(table, members):
        members.update(dict.fromkeys(_family(table, pid)))
    for pid in _of_ray_job(table, members, pids):
        members.update(dict.fromkeys(table.below(pid)))
    if os.getpid() not in pids:
        members.pop(os.getpid(), None)  # we may run below the shell whose pid was given
    return Job(tuple(_targets(table, _without_other_jobs(members, pids))))


def root_of(table: ProcTable, pid: int) -> int:
    """The topmost process above it that belongs to the same job."""
    child = table.procs[pid]
    for parent in table.above(pid):
        if not _started_by(child, parent):
            break
        child = parent
    return child.pid


def _family(table: ProcTable, pid: int) -> list[int]:
    return list(table.below(root_of(table, pid)))


def _started_by(child: Proc, parent: Proc) -> bool:
    """Whether the parent is part of the child's job, and not just where somebody typed a command."""
    if _starts(parent) or parent.name == "raylet":
        return True
    if not is_python(parent):
        return False
    return bool(
        _FORKED.search(child.line) or _TITLE.match(child.line) or child.command == parent.command or child.name in ("raylet", "gcs_server")
    )


def _joined(table: ProcTable, members: Iterable[int]) -> list[int]:
    """Ranks that were started one by one, by a shell say: they were told the same meeting point in the same network."""
    known = set(members)
    meetings = {meeting for pid in known if (meeting := _meeting(pid))}
    if not meetings:
        return []
    others = (proc for proc in table.procs.values() if proc.pid not in known and is_python(proc))
    return [proc.pid for proc in others if _meeting(proc.pid) in meetings]


def _meeting(pid: int) -> tuple[str, str, str] | None:
    environ = environ_of(pid)
    address, port = environ.get("MASTER_ADDR", ""), environ.get("MASTER_PORT", "")
    if not port or not any(name in environ for name, _ in _RANKS):
        return None
    try:
        here = os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None
    return address, port, here if address.startswith(("127.", "localhost", "::1")) else ""


@dataclass(frozen=True, slots=True)
class RayPlace:
    """Where a process belongs in Ray: the session, that is the cluster's life on this host, and its job. None: it does not show."""

    session: str | None = None
    job: str | None = None


def ray_place(pid: int) -> RayPlace:
    """By the names of the logs that a driver or a worker holds open. A worker that Ray started ahead of any job shows none."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return RayPlace()
    links = []
    for descriptor in descriptors:
        with suppress(OSError):
            links.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    session = next((found[1] for link in links if (found := _RAY_SESSION.search(link))), None)
    return RayPlace(session, next((found[1] for link in links if (found := _RAY_JOB.search(link))), None))


def _of_ray_job(table: ProcTable, members: Iterable[int], pids: Sequence[int]) -> list[int]:
    """The driver and the workers of the same Ray job, wherever Ray started them."""
    places = [place for pid in pids if (place := ray_place(pid)).session]
    if not places:
        return []
    known, sessions, jobs = set(members), {place.session for place in places}, {place.job for place in places}
    others = [proc.pid for proc in table.procs.values() if proc.pid not in known and is_python(proc) and not is_helper(proc)]
    return [pid for pid in others if (place := ray_place(pid)).session in sessions and place.job in {None, *jobs}]


def _without_other_jobs(members: Iterable[int], pids: Sequence[int]) -> list[int]:
    """Without the workers of other jobs of the same Ray cluster."""
    jobs = {job for pid in pids if (job := ray_place(pid).job)}
    return [pid for pid in members if not jobs or ray_place(pid).job in {None, *jobs}]


def _targets(table: ProcTable, members: Sequence[int]) -> list[Target]:
    environs = {pid: environ_of(pid) for pid in members}
    ranks = _ranks(table, environs)
    targets = []
    for pid in members:
        proc, (rank, how) = table.procs[pid], ranks.get(pid, (None, ""))
        targets.append(Target(proc, _role(table, proc, rank, members), environs[pid], rank, how, namespace_pid(pid)))
    return targets


def _ranks(table: ProcTable, environs: Mapping[int, Mapping[str, str]]) -> dict[int, tuple[int, str]]:
    """Ranks by pid, with how they are known.

    What a process was told its children inherit; what it set itself only they show, if only by their helpers.
    """
    told = {pid: said for pid, environ in environs.items() if (said := _rank(environ)) and not _starts(table.procs[pid])}
    place = {pid: tuple(environs[pid].get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")) for pid in told}
    found: dict[int, tuple[int, str]] = {}
    for pid, (rank, how) in told.items():
        above = [proc for proc in table.above(pid) if proc.pid in environs]
        parent = next((proc.pid for proc in above if not is_helper(proc)), None)
        if any(place.get(proc.pid) == place[pid] for proc in above):
            continue
        if not is_helper(table.procs[pid]):
            found[pid] = rank, how
        elif parent is not None and parent not in told:
            found[parent] = rank, f"{how} of its child {pid}"
    return found


def _rank(environ: Mapping[str, str]) -> tuple[int, str] | None:
    """The global rank that a launcher told a process in its environment."""
    for name, size in _RANKS:
        rank, world = _number(environ.get(name, "")), _number(environ.get(size, ""))
        if rank is not None and world is not None and rank < world and world > 1:
            return rank, f"environment: {name}={rank}"
    return None


def _number(text: str) -> int | None:
    return number.rank(text)


def _role(table: ProcTable, proc: Proc, rank: int | None, members: Sequence[int]) -> Role:
    if is_helper(proc):
        return "helper"
    if rank is not None:
        return "rank"
    starts_others = any(child in members for child in table.children.get(proc.pid, ()))
    if _starts(proc) or (starts_others and proc.ppid not in members):
        return "launcher"
    return "worker" if is_python(proc) or proc.state == "Z" else "other"


def uses_gpus_or_torch(pid: int) -> bool:
    """Whether a process has loaded what a job of several GPUs needs, whatever its title says."""
    return any(re.search(r"/lib(?:torch_cpu|torch_python|nccl|cuda)\.so", path) for path in libraries_of(pid))
