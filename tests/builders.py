"""One-line makers of what the reasoning works on: events, stacks, collectives, members, incidents, rules."""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from hanglens.analyze import compute_facts
from hanglens.analyze.environment import environment
from hanglens.analyze.groups import build_groups
from hanglens.analyze.ranks import build_incident
from hanglens.analyze.stacks import stand
from hanglens.bundle import Item
from hanglens.incident import Incident, Member
from hanglens.knowledge.load import RulePack
from hanglens.knowledge.rulefile import make_rule
from hanglens.knowledge.schema import Rule
from hanglens.model import (
    STATES,
    Call,
    Collection,
    Event,
    Frame,
    Gpu,
    GpuLink,
    GroupMembers,
    GroupRecords,
    GroupStatus,
    Input,
    Parsed,
    Process,
    RasCommunicator,
    RasCount,
    RasRank,
    RasReport,
    RecorderDump,
    Setting,
    Silence,
    SourceRef,
    Speaker,
    Stack,
    Traceback,
)
from hanglens.reading import read_evidence, search_index
from hanglens.verdict import Evidence, Fact

BARRIER = "barrier (torch/distributed/distributed_c10d.py:4818)"
ALL_REDUCE = "all_reduce (torch/distributed/distributed_c10d.py:3068)"
SYNC = "synchronize (torch/cuda/__init__.py:1162)"
READS = "next_batch (reader.py:44)"
IDLE = "worker_busy_loop (vllm/v1/executor/multiproc_executor.py:620)"
RPC = "collective_rpc (vllm/v1/executor/multiproc_executor.py:310)"
FILE_LOCK = "acquire (filelock/_api.py:344)"
JIT = "compile (triton/compiler/compiler.py:276)"
TRACKER = "main (multiprocessing/resource_tracker.py:227)"
INDUCTOR = "_recv_msg (torch/_inductor/compile_worker/subproc_pool.py:76)"

_COLUMNS = {
    Event: "events", Stack: "stacks", Process: "processes", Traceback: "tracebacks", Input: "inputs",
    GroupMembers: "group_members", GroupStatus: "group_statuses", RecorderDump: "recorder_dumps", RasReport: "ras_reports",
    Gpu: "gpus", GpuLink: "gpu_links", Setting: "settings",
    Collection: "collections",
}  # fmt: skip


def parsed(*values: object) -> Parsed:
    """The evidence that holds these values, whatever they are; events bring the input they stand in."""
    columns: dict[str, list[object]] = {}
    records: dict[int, list[Recorded]] = {}
    for value in values:
        if isinstance(value, Recorded):
            records.setdefault(value.rank, []).append(value)
        else:
            columns.setdefault(_COLUMNS[type(value)], []).append(value)
    columns["recorder_dumps"] = [
        _recorded(dump, sorted(records.get(dump.rank, ()), key=lambda r: r.place))
        for dump in columns.get("recorder_dumps", ())
        if isinstance(dump, RecorderDump)
    ]
    return Parsed(**{name: tuple(found) for name, found in columns.items()})


def event(
    name: str, text: str = "", *, file: str = "job.log", line: int = 1, source: str = "text", level: str = "", rank: int | None = None,
    pid: int | None = None, host: str | None = None, tag: str = "", **fields: object,
) -> Event:  # fmt: skip
    """A recognised line; the named groups are given as they are called."""
    said = {key.rstrip("_"): str(value) for key, value in fields.items()}
    return Event(name, source, text or name, SourceRef(file, line), level, None, Speaker(host, pid, rank, tag), said)


def nccl_init(
    rank: int, world: int, pid: int, state: str = "COMPLETE", *, host: str = "n1", file: str = "job.log", comm: str = "0xa1"
) -> Event:
    """NCCL's Init line of one rank."""
    return event(
        "nccl.init",
        source="nccl",
        pid=pid,
        host=host,
        file=file,
        rank_=rank,
        nranks=world,
        device=rank,
        id=comm,
        comm=hex(pid),
        state=state,
    )


def frame(text: str) -> Frame:
    """A frame written as py-spy writes it: `function (file:line)`."""
    found = re.fullmatch(r"(\S+) \((.+?)(?::(\d+))?\)", text)
    return Frame(found[1], found[2], int(found[3]) if found[3] else None, text) if found else Frame(text, text=text)


def stack(
    frames: str, *, pid: int | None = None, rank: int | None = None, file: str = "", thread: str = "MainThread", thread_id: str = "",
    command: str = "", group: str = "", tool: str = "py-spy",
) -> Stack:  # fmt: skip
    """One thread; frames on lines of their own, innermost first."""
    ref = SourceRef(file or f"pid{pid}.txt", 1)
    return Stack(
        tuple(map(frame, frames.split("\n"))),
        ref,
        tool,
        pid,
        None,
        rank,
        thread,
        thread_id or f"{pid}-{thread}",
        command=command,
        group=group,
    )


def member(
    rank: int | None, *samples: str, pid: int | None = None, process: Process | None = None, collected: bool | None = None
) -> Member:
    """A rank that stood at these frames in its samples, in order."""
    pid = 100 + (rank or 0) if pid is None else pid
    standings = tuple(found for text in samples if (found := stand(stack(text, pid=pid, rank=rank))))
    return Member(
        rank, pid=pid, process=process, standings=standings, collected=bool(samples or process) if collected is None else collected
    )


def setting(name: str, value: str, file: str = "env.txt", line: int = 3, rank: int | None = None) -> Setting:
    """A version, a switch, a size."""
    return Setting(name, value, SourceRef(file, line), f"{name} {value}", rank)


def gpu(index: int, name: str = "NVIDIA H100", *pids: int, used: int | None = None, total: int = 81920, file: str = "smi.txt") -> Gpu:
    """A row of nvidia-smi; memory in MiB."""
    return Gpu(index, name, SourceRef(file, 10 + index), memory_used=used, memory_total=None if used is None else total, pids=pids)


def process(pid: int = 100, *, state: str = "", syscall: str = "", tracer: int | None = None, command: str = "", **environ: str) -> Process:
    """What /proc said of a process."""
    return Process(
        SourceRef("status.txt", 3), pid, command=command, state=state, syscall=syscall, tracer=tracer, environ=environ,
        text=f"State:\t{state}",
    )  # fmt: skip


def incident(*members: Member, world: int | None = None, evidence: Parsed | None = None) -> Incident:
    """An incident of these members; those without a rank are the other processes. The world is as large as the ranks, if not given."""
    ranks = tuple(m for m in members if m.rank is not None)
    others = tuple(m for m in members if m.rank is None)
    evidence = evidence or Parsed()
    return Incident(evidence, ranks, others, len(ranks) or None if world is None else world, groups=build_groups(evidence))


def joined(*values: object, several_hosts: bool = False) -> Incident:
    """The incident that these values make, ranks and all."""
    return build_incident(parsed(*values), several_hosts=several_hosts)


@dataclass(frozen=True)
class Recorded:
    """One record, to be put into its rank's dump by `parsed`; equal dumps need not be written out in each test."""

    rank: int
    group: str
    seq: int
    call: Call
    state: str
    place: int
    p2p: bool


def call(
    rank: int, seq: int, op: str = "all_reduce", *, group: str = "0", state: str = "scheduled", size: tuple[int, ...] = (4,),
    dtype: str = "Float", record: int = 0, p2p: bool = False, site: str = "",
) -> Recorded:  # fmt: skip
    """A flight-recorder record."""
    return Recorded(rank, group, seq, Call(op, str(list(size)), dtype, prod(size), site), state, record or seq, p2p)


def _recorded(dump: RecorderDump, records: list[Recorded]) -> RecorderDump:
    """The dump with these records in its columns."""
    groups: dict[tuple[str, bool], list[Recorded]] = {}
    for record in records:
        groups.setdefault((record.group, record.p2p), []).append(record)
    calls = tuple(dict.fromkeys(record.call for record in records))
    columns = tuple(
        GroupRecords(
            name, "", p2p, array("q", [r.seq for r in rows]), array("I", [calls.index(r.call) for r in rows]),
            bytes(STATES.index(r.state) for r in rows), array("I", [r.place for r in rows]),
        )
        for (name, p2p), rows in groups.items()
    )  # fmt: skip
    return replace(dump, records=len(records), calls=calls, groups=columns)


def dumps(*ranks: int) -> tuple[RecorderDump, ...]:
    """A flight-recorder dump of each of these ranks."""
    return tuple(RecorderDump(rank, SourceRef(f"dump_{rank}"), 1) for rank in ranks)


def members_of(group: str, *ranks: int, description: str = "default_pg") -> GroupMembers:
    """A process group of these ranks."""
    return GroupMembers(group, ranks, SourceRef("dump_0"), description=description)


def status(rank: int, enqueued: int, group: str = "0") -> GroupStatus:
    """A rank's counters of a group."""
    return GroupStatus(rank, group, enqueued, enqueued, enqueued - 1, SourceRef(f"dump_{rank}"))


def ras(
    counts: Mapping[int, int], *, missing: tuple[int, ...] = (), errors: str = "OK", op: str = "AllReduce", size: int | None = None
) -> RasReport:
    """A RAS report of one communicator: how far each rank launched. Rank r is process 100 + r."""
    ref = SourceRef("ras.txt", 9)
    launched = tuple(RasCount(op, number, ref, f"rank {r} up to {number}", 1, (_ras_rank(r),)) for r, number in counts.items())
    communicator = RasCommunicator("c1", ref, "row", size, "RUNNING", errors, launched, tuple(map(_ras_rank, missing)))
    return RasReport(ref, (communicator,))


def _ras_rank(rank: int) -> RasRank:
    return RasRank(rank, rank, 100 + rank, "n1", SourceRef("ras.txt", 20 + rank), f"Rank {rank}")


def timeout(rank: int | None, seq: int = 7, op: str = "ALLREDUCE", numel: int = 4, limit: int = 600000, **more: object) -> Event:
    """A watchdog's line; `file`, `line`, `group_rank` may be given."""
    line = {key: value for key, value in more.items() if key in ("file", "line")}
    fields = {key: value for key, value in more.items() if key not in line}
    where: dict[str, object] = {"rank": rank, "source": "torch", "line": 10 + (rank or 0), **line}
    return event("torch.timeout", seq=seq, op=op, numel=numel, limit=limit, **where, **fields)  # type: ignore[arg-type]


def pg_status(rank: int, seq: int, *, group: str = "0", enqueued: int = 7, completed: int = 6) -> Event:
    """The counters that a process group prints beside a time-out."""
    return event("torch.status", source="torch", rank=rank, seq=seq, group=group, enqueued=enqueued, completed=completed)


def log(
    file: str = "job.log",
    *,
    rank: int | None = None,
    pid: int | None = None,
    tail: tuple[Event, ...] = (),
    lines: int = 10,
    kind: str = "text log",
    silences: tuple[Silence, ...] = (),
) -> Input:
    """A file that was read."""
    return Input(file, kind, 100, lines, pid=pid, rank=rank, tail=tail, silences=silences)


def facts(about: Incident | Parsed, analysis: Callable[[Incident], Iterator[Fact]] | None = None) -> dict[str, list[Fact]]:
    """The facts by name, of one analysis or of all."""
    about = build_incident(about, several_hosts=False) if isinstance(about, Parsed) else about
    found: dict[str, list[Fact]] = {}
    for fact in analysis(about) if analysis else (fact for same in compute_facts(about).values() for fact in same):
        found.setdefault(fact.name, []).append(fact)
    return found


def surroundings(about: Incident) -> dict[str, tuple[str, str]]:
    """The rows of the environment by name: the value, and the English remark of one that is marked."""
    rows = environment(about)
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: (row.value, row.unusual.en if row.unusual else "") for row in rows}


def fact(name: str, *ranks: int, of_all: bool = False, **values: str | float | bool) -> Fact:
    """A computed fact that stands on one line."""
    return Fact(name=name, ranks=ranks, values=values, of_all=of_all, evidence=(Evidence(file="a.txt", line=1, text=name),))


def text(en: str = "what", zh: str = "什么") -> dict[str, str]:
    """A text as a rule file has it."""
    return {"en": en, "zh": zh}


def rule(when: object, rule_id: str = "nccl-bug/made-up", **fields: object) -> Rule:
    """A whole rule with this condition; any field may be given otherwise."""
    data: dict[str, object] = {
        "title": text("A made-up cause"), "when": when, "explain": text(),
        "tests": {"match": ["it broke here"], "near_miss": ["it went well"]},
        "fixes": [{"title": text(), "risk": text(), "verify": text()}], "next": [{"what": text(), "command": "look"}], **fields,
    }  # fmt: skip
    return make_rule(rule_id, f"{rule_id}.yaml", data)  # type: ignore[arg-type]


def items(files: Mapping[str, str]) -> list[Item]:
    """Files by name, as they are read from disk."""
    return [Item(name, len(data), io.BufferedReader(io.BytesIO(data))) for name, data in ((n, t.encode()) for n, t in files.items())]


def read(files: Mapping[str, str], *rules: Rule) -> Parsed:
    """What is read from these texts."""
    return Parsed.total(read_evidence(items(files), lambda: search_index(RulePack(rules))))
