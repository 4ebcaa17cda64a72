"""The evidence with every line, stack and process given to its rank: what the analyses reason about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from hanglens.groups import Group
from hanglens.model import DumpFailure, Frame, OpenFile, Parsed, Process, Stack, ThreadState


def first_folder(file: str) -> str:
    """What stands for a host where several were given: the first folder of a path; nothing for a plain file."""
    return file.split("/", 1)[0] if "/" in file else ""


@dataclass(frozen=True, slots=True)
class HostFolders:
    """Which folder stands for the host of a file, so that equal pids of two hosts are two processes.

    `bundles` has each folder that holds the bundles of one host alone, with the one that stands for that host. `several`: several hosts
    were given, each in a first folder of its own.
    """

    several: bool = False
    bundles: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.several or bool(self.bundles)

    def of(self, file: str) -> str:
        """The folder of a file's host; nothing where all files are of one host, or may be."""
        known = next((self.bundles[folder] for folder in folders_above(file) if folder in self.bundles), None)
        return known if known is not None else first_folder(file) if self.several else ""


def folders_above(file: str) -> list[str]:
    """The folders that a file lies in, the outermost first.

    >>> folders_above("a/b/c.log")
    ['a', 'a/b']
    """
    parts = file.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one process stands: its working thread, and what that thread does.

    `kind` is collective, nccl-init, gpu-comm, gpu-wait, rendezvous, rpc-wait, idle, file-lock, jit, weights, own (code that
    no table knows) or waiting (nothing but waits of the standard library). `at` is the frame that says so,
    `landmarks` are the callers that place it in the engine, innermost first.
    """

    kind: str
    stack: Stack
    at: Frame | None = None
    landmarks: tuple[Frame, ...] = ()

    @property
    def waits_for_others(self) -> bool:
        """In a collective, or waiting for a GPU that may be inside of one."""
        return self.kind in ("collective", "nccl-init", "gpu-comm", "gpu-wait")


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the job. `rank` is None for one that is no rank or whose rank is not known.

    `standings` are its dumps in order, `threads` the kernel's counts of its threads in order.
    """

    rank: int | None
    host: str | None = None
    pid: int | None = None
    device: int | None = None
    how_known: str = ""
    process: Process | None = None
    standings: tuple[Standing, ...] = ()
    threads: tuple[ThreadState, ...] = ()
    open_files: tuple[OpenFile, ...] = ()
    failures: tuple[DumpFailure, ...] = ()
    collected: bool = False

    @property
    def standing(self) -> Standing | None:
        """Where it stood in its last sample."""
        return self.standings[-1] if self.standings else None


@dataclass(frozen=True, eq=False)
class Incident:
    """One incident, equal only to itself.

    `parsed` has global ranks filled in; `members` are the ranks, `others` the processes that are none. `groups` are the process groups by
    name, with what every rank recorded of them. `hosts` tells the files of several hosts apart.
    """

    parsed: Parsed
    members: tuple[Member, ...] = ()
    others: tuple[Member, ...] = ()
    world_size: int | None = None
    groups: Mapping[str, Group] = field(default_factory=dict)
    hosts: HostFolders = HostFolders()

    def has(self, rank: int) -> bool:
        """Whether the job can have that rank."""
        return rank >= 0 and (self.world_size is None or rank < self.world_size)

    def member(self, rank: int) -> Member | None:
        """The member of that rank."""
        return self._by_rank.get(rank)

    @cached_property
    def _by_rank(self) -> dict[int | None, Member]:
        return {member.rank: member for member in reversed(self.members)}

    def rank_of_pid(self) -> dict[int, int | None]:
        """Ranks by pid, for lines that say no more than a pid. A pid that processes of two hosts have tells nothing."""
        owners: dict[int, list[int | None]] = defaultdict(list)
        for member in (*self.members, *self.others):
            if member.pid is not None:
                owners[member.pid].append(member.rank)
        return {pid: ranks[0] for pid, ranks in owners.items() if len(ranks) == 1}
