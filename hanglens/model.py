"""What was read: frozen values that the parsers make and the analyses reason about.

They know nothing of files, rules or reports. Ranks are global unless a name says otherwise.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from hanglens import number


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Where a value was read: `line` counts from 1; binary files have a `record` index instead."""

    file: str
    line: int | None = None
    record: int | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time as the evidence printed it.

    `text` is ISO 8601 as far as the evidence goes (no year, no offset, where none was printed);
    `seconds` orders stamps of one clock, and means nothing across clocks.
    """

    text: str
    seconds: float
    dated: bool = True

    @property
    def has_offset(self) -> bool:
        """Whether it tells its offset from UTC."""
        clock = self.text.rpartition("T")[2]
        return clock.endswith("Z") or "+" in clock or "-" in clock

    @property
    def form(self) -> tuple[bool, bool]:
        """Whether it tells the day, and its offset; stamps of different forms cannot be compared."""
        return "T" in self.text, self.has_offset


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who wrote a line, as far as the line itself says. `tag` is the role text (`TP0`, `EngineCore`, `raylet`)."""

    host: str | None = None
    pid: int | None = None
    rank: int | None = None
    tag: str = ""


NOBODY = Speaker()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a log that some pattern recognised.

    `name` is the pattern's name: `nccl.init_start` for a parser's own, `<rule id>#<n>` for a rule's.
    `source` is the program that printed the line (see `hanglens.parse.lines`). `fields` are the named groups.
    `text` is the line as it stands in the file, without its line end; `context` the lines around it, itself included.
    """

    name: str
    source: str
    text: str
    ref: SourceRef
    level: str = ""
    time: Stamp | None = None
    speaker: Speaker = NOBODY
    fields: Mapping[str, str] = field(default_factory=dict)
    context: tuple[str, ...] = ()

    @property
    def rank(self) -> int | None:
        """The rank that the line speaks of, else the one that printed it."""
        named = number.rank(self.fields.get("rank"))
        return self.speaker.rank if named is None else named

    def number(self, field: str) -> int | None:
        """The whole number in a field; None where the field has none, or an impossible one."""
        return number.whole(self.fields.get(field))


@dataclass(frozen=True, slots=True)
class Frame:
    """One stack frame. `file` is as short as the dump gives it; a native frame has a library there, or nothing.

    `below` is how many lines it stands below the head of its stack or traceback, where that has lines. So equal frames of many
    ranks are one value, wherever their files have them.
    """

    function: str
    file: str = ""
    line: int | None = None
    text: str = ""
    below: int | None = None

    def ref(self, head: SourceRef) -> SourceRef:
        """Where the frame stands, as part of what begins at `head`."""
        return head if not self.below or head.line is None else SourceRef(head.file, head.line + self.below)


@dataclass(frozen=True, slots=True)
class Stack:
    """One thread of one process at one instant; frames are innermost first.

    `state` is what the dumper said of the thread: `idle`, `active`, `active+gil` or nothing.
    `group` is the part of the file name that files of one process share (`rank0` of `rank0.pyspy.txt`).
    """

    frames: tuple[Frame, ...]
    ref: SourceRef
    tool: str = "py-spy"
    pid: int | None = None
    host: str | None = None
    rank: int | None = None
    thread: str = ""
    thread_id: str = ""
    state: str = ""
    command: str = ""
    group: str = ""
    locals: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DumpFailure:
    """A stack dumper that could not dump a process, in its own words."""

    reason: str
    ref: SourceRef
    pid: int | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc, ps or a dump header said of a process; partial, to be merged by pid or by `group`.

    `state` is the letter of /proc/PID/stat (R S D T t Z); `syscall` the number as text, or `running`, `argument` its first one, the
    file descriptor for those that read. `rank` is its global rank
    where whoever collected it found one, `how_known` by what; `namespace_pid` the pid that it prints inside of its container.
    """

    ref: SourceRef
    pid: int | None = None
    host: str | None = None
    ppid: int | None = None
    command: str = ""
    state: str = ""
    wchan: str = ""
    syscall: str = ""
    argument: int | None = None
    tracer: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    group: str = ""
    rank: int | None = None
    how_known: str = ""
    namespace_pid: int | None = None


@dataclass(frozen=True, slots=True)
class ThreadState:
    """One thread at one instant, as the kernel counts it.

    `voluntary` is how often it gave up the CPU to wait so far: a thread that waits in one place all the while adds nothing to it.
    `at` is when, in seconds since the epoch, where that is known.
    """

    ref: SourceRef
    pid: int
    thread_id: str
    state: str
    voluntary: int
    syscall: str = ""
    text: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class OpenFile:
    """What a file descriptor of a process leads to: a path, `pipe:[inode]`, `socket:[inode]`."""

    ref: SourceRef
    pid: int
    descriptor: int
    target: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """One host's bundle: who collected when, and which ranks its launcher said it started there.

    `began` is when the first process of the job was started, `ended` when the last look at it began, in seconds of the host's local
    clock, as its logs print it.
    `cut_logs` are files from whose middle lines are missing, each with the line behind which they are. `times` are when files of threads
    were written, in seconds since the epoch; `machine` is the processor in the words of uname.
    """

    ref: SourceRef
    host: str
    began: float | None = None
    text: str = ""
    expected_ranks: tuple[int, ...] = ()
    present_ranks: tuple[int, ...] = ()
    cut_logs: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    machine: str = ""
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Traceback:
    """A Python traceback; frames are outermost first, as Python prints them. `error` is `Type: message`, or nothing if cut off."""

    frames: tuple[Frame, ...]
    error: str
    ref: SourceRef
    error_ref: SourceRef | None = None
    error_text: str = ""
    speaker: Speaker = NOBODY


class Call(NamedTuple):
    """What was called, whoever called it and when: equal calls of two ranks are equal but for their `site`.

    `sizes` are the shapes of the inputs as text, `[4096, 2]×[3]`; `elements` their number of elements;
    `site` is the innermost Python line outside of torch.
    """

    op: str
    sizes: str = ""
    dtypes: str = ""
    elements: int = 0
    site: str = ""


@dataclass(frozen=True, slots=True)
class Collective:
    """One collective (or point-to-point) call of one rank, as a recorder kept it.

    `group` is the process-group name (the same on every rank), `about` what the program says that the group is for, `seq` its sequence
    number in that group, `state` one of STATES.
    """

    rank: int
    group: str
    seq: int
    call: Call
    state: str
    ref: SourceRef
    p2p: bool = False
    about: str = ""


STATES = ("scheduled", "started", "completed", "")
COMPLETED = STATES.index("completed")


@dataclass(frozen=True, slots=True)
class GroupRecords:
    """The records of one process group in one rank's dump, oldest first, as columns: there may be millions of them.

    `calls` are indices into the dump's calls, `states` into STATES, `places` into the file's records. The records of a coalesced
    group have one sequence number, and the last of them stands for all.
    """

    group: str
    description: str
    p2p: bool
    seqs: array[int]
    calls: array[int]
    states: bytes
    places: array[int]


@dataclass(frozen=True, slots=True)
class GroupMembers:
    """The members of a process group or communicator, as one rank sees them."""

    group: str
    members: Sequence[int]
    ref: SourceRef
    rank: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A rank's counters for one process group: the last collective enqueued, started, completed (-1: none)."""

    rank: int
    group: str
    enqueued: int
    started: int
    completed: int
    ref: SourceRef


@dataclass(frozen=True, slots=True)
class RecorderDump:
    """One rank's flight-recorder dump as a whole, also when it holds no record.

    `newest_ns` is when its last record was made, in nanoseconds since the epoch (0: unknown); `wrapped` says that older ones are gone.
    """

    rank: int
    ref: SourceRef
    records: int
    version: str = ""
    how_known: str = ""
    calls: tuple[Call, ...] = ()
    groups: tuple[GroupRecords, ...] = ()
    newest_ns: int = 0
    wrapped: bool = False

    def record(self, group: GroupRecords, row: int, last: int | None = None) -> Collective:
        """One row of a group as a value of its own; as far as its `last` row has come, where it has several."""
        state = STATES[group.states[row if last is None else last]]
        ref = SourceRef(self.ref.file, None, group.places[row])
        return Collective(self.rank, group.group, group.seqs[row], self.calls[group.calls[row]], state, ref, group.p2p, group.description)


@dataclass(frozen=True, slots=True)
class RasRank:
    """A rank as NCCL RAS names it."""

    rank: int | None
    device: int | None
    pid: int | None
    host: str | None
    ref: SourceRef
    text: str = ""


@dataclass(frozen=True, slots=True)
class RasCount:
    """`ranks` (or `number` unnamed ranks) have launched `op` up to operation `launched`."""

    op: str
    launched: int
    ref: SourceRef
    text: str = ""
    number: int = 1
    ranks: tuple[RasRank, ...] = ()


@dataclass(frozen=True, slots=True)
class RasCommunicator:
    """One communicator of an NCCL RAS report, `text` its row. `missing` are ranks of which RAS got no data."""

    id: str
    ref: SourceRef
    text: str = ""
    size: int | None = None
    status: str = ""
    errors: str = ""
    counts: tuple[RasCount, ...] = ()
    missing: tuple[RasRank, ...] = ()


@dataclass(frozen=True, slots=True)
class RasReport:
    """One answer of `ncclras`: all its communicators, and the lines that its tables stand on."""

    ref: SourceRef
    communicators: tuple[RasCommunicator, ...] = ()
    nccl_version: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A row of nvidia-smi; percent, watts and MiB. `pids` are the processes listed on it."""

    index: int
    name: str
    ref: SourceRef
    text: str = ""
    utilisation: int | None = None
    power: int | None = None
    power_cap: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuLink:
    """How two GPUs of one host are joined, in the words of `nvidia-smi topo -m` (NV4, PIX, PXB, PHB, NODE, SYS)."""

    a: int
    b: int
    kind: str
    ref: SourceRef
    text: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One fact of the environment: a version, a switch, a size."""

    name: str
    value: str
    ref: SourceRef
    text: str = ""
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Evidence that is not there: not collected, refused, unreadable or cut off, and how to get it."""

    what: str
    why: str
    how_to_collect: str = ""


@dataclass(frozen=True, slots=True)
class RuleOff:
    """A rule that was not searched for to the end, and why; nothing may be concluded from it."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch of a log without a line that says when it was printed: from the line `before` to the stamp of the line `after`.

    `unstamped` lines between them have no stamp, and may have been printed at any time from the one to the other.
    """

    before: Event
    after: Stamp
    unstamped: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """One file that was looked at.

    `first_time` and `last_time` are its first and last stamps; `tail` its last lines with text, at most a few hundred, and none of a
    file that holds nothing but stacks; `silences` its longest ones, in the order of the file, with more lines after each;
    `how_known` how its kind was recognised.
    """

    file: str
    kind: str
    bytes: int
    lines: int | None = None
    group: str = ""
    pid: int | None = None
    rank: int | None = None
    first_time: Stamp | None = None
    last_time: Stamp | None = None
    tail: tuple[Event, ...] = ()
    silences: tuple[Silence, ...] = ()
    how_known: str = "content"


@dataclass(frozen=True, slots=True)
class Parsed:
    """All that was read from some evidence; two of them add up."""

    inputs: tuple[Input, ...] = ()
    events: tuple[Event, ...] = ()
    stacks: tuple[Stack, ...] = ()
    dump_failures: tuple[DumpFailure, ...] = ()
    processes: tuple[Process, ...] = ()
    threads: tuple[ThreadState, ...] = ()
    open_files: tuple[OpenFile, ...] = ()
    collections: tuple[Collection, ...] = ()
    tracebacks: tuple[Traceback, ...] = ()
    group_members: tuple[GroupMembers, ...] = ()
    group_statuses: tuple[GroupStatus, ...] = ()
    recorder_dumps: tuple[RecorderDump, ...] = ()
    ras_reports: tuple[RasReport, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    gpu_links: tuple[GpuLink, ...] = ()
    settings: tuple[Setting, ...] = ()
    gaps: tuple[Gap, ...] = ()
    rules_off: tuple[RuleOff, ...] = ()

    @staticmethod
    def total(parts: Sequence[Parsed]) -> Parsed:
        """The sum of many parts, in their order."""
        columns = {f.name: tuple(x for part in parts for x in getattr(part, f.name)) for f in fields(Parsed)}
        return Parsed(**columns)
