"""Gather the evidence of a live job within seconds, without harming it, and say exactly what could not be had.

The samples of stacks come first and together; the other probes run beside them, each under a deadline of its own. A probe that hangs is given
up, never waited for. What is asked of the job itself (a flight-recorder dump) comes last, because it shows in the stacks.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal

from hanglens import __version__
from hanglens.collect import gpu, host, logs, procfs, ras, recorder, versions
from hanglens.collect.job import Job, Target, find_job
from hanglens.collect.proctable import ProcTable, libraries_of
from hanglens.collect.stacks import find_dumper, sample_stacks
from hanglens.collect.staging import ARCHIVE_SUFFIXES, Staging, utc
from hanglens.errors import UsageError
from hanglens.manifest import SCHEMA_VERSION, Item, ListedProcess, Manifest
from hanglens.redact import Redactor

FIND_DEADLINE = 20.0  # seconds; reading the command line of a process in state D can block
PROBE_DEADLINE = 45.0
GRACE = 2.0  # seconds that running probes get after Ctrl+C

State = Literal["runs", "done", "late"]
Watch = Callable[[str, State], None]
"""Told of each probe when it begins, ends, or is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to collect. `output`: a folder that is there (the bundle goes into it), a name that ends in .tar.gz or .tgz, or a folder to make.

    `interval` is in seconds, between the beginnings of two samples; `log_limit` in bytes, of one log.
    """

    pids: Sequence[int]
    output: Path
    samples: int = 2
    interval: float = 5.0
    native: bool = False
    logs: Sequence[Path] = ()
    log_limit: int = 32 << 20
    redact_names: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What came of it. `bundle` is where it lies; `table` what each pseudonym stands for."""

    bundle: Path
    manifest: Manifest
    table: Sequence[tuple[str, str, str]] = ()

    @property
    def refused_everywhere(self) -> bool:
        """Whether not one process could be looked into, although there were some."""
        dumps = [item for item in self.manifest.items if item.what == "py-spy dump"]
        return bool(dumps) and all(item.status == "refused" for item in dumps)


@dataclass(slots=True)
class _Run:
    """The probes that run beside the samples."""

    watch: Watch
    started: list[tuple[str, threading.Thread, float]] = field(default_factory=list)
    stopped_at: float | None = None

    def start(self, name: str, probe: Callable[[], None], deadline: float = PROBE_DEADLINE) -> None:
        def whole() -> None:
            probe()
            self.watch(name, "done")

        self.watch(name, "runs")
        thread = threading.Thread(target=whole, name=name, daemon=True)
        thread.start()
        self.started.append((name, thread, time.monotonic() + deadline))

    def wait(self, stop: threading.Event) -> list[str]:
        """Wait for all, each until its deadline, or a moment after `stop`; the names of those given up."""
        late = []
        for name, thread, deadline in self.started:
            while thread.is_alive() and time.monotonic() < deadline:
                thread.join(0.05)
                if stop.is_set():
                    deadline = min(deadline, (self.stopped_at or time.monotonic()) + GRACE)
                    self.stopped_at = self.stopped_at or time.monotonic()
            if thread.is_alive():
                late.append(name)
                self.watch(name, "late")
        self.started.clear()
        return late


def locate(pids: Sequence[int]) -> tuple[ProcTable, Job]:
    """The job of these processes.

    Raises:
        UsageError: there is no such process here.
    """
    table = ProcTable.now()
    return table, find_job(table, [_here(table, pid) for pid in pids])


def _here(table: ProcTable, pid: int) -> int:
    """The pid on this host; one that is not here may be the one that a process has inside of its container."""
    if pid in table.procs:
        return pid
    from hanglens.collect.proctable import namespace_pid

    inside = [proc.pid for proc in table.procs.values() if namespace_pid(proc.pid) == pid]
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise UsageError(f"pid {pid} is that of several containers' processes", f"give the host's pid of yours: {', '.join(map(str, sorted(inside)))}")
    raise UsageError(f"there is no process {pid} on this host", "if it ended already, diagnose its log: hanglens analyze LOG; `hanglens collect --auto` lists what runs")


def collect(request: Request, *, watch: Watch = lambda _name, _state: None) -> Collected:
    """Collect everything into one bundle. Ctrl+C or SIGTERM end it early, with what is there by then.

    Raises:
        UsageError: a process is not there.
        HangLensError: the bundle cannot be written.
    """
    began, started = time.time(), time.monotonic()
    table, job = locate(request.pids)
    redactor = Redactor(names=request.redact_names)
    name = socket.gethostname() or "host"
    redactor.learn(hosts=_host_names(name), users={t.proc.user for t in job.targets if t.proc.user})
    title = redactor.text(f"hanglens-{name.split('.')[0]}") + time.strftime("-%Y%m%dT%H%M%SZ", time.gmtime(began))
    target = _target(request.output, title)
    staging = Staging(target.parent, redactor)
    try:
        with _stopped_by_signals() as stop:
            job, late = _gather(request, table, job, staging, watch, stop)
            items = [*staging.close(), *(_late(name) for name in late)]
            manifest = Manifest(
                schema_version=SCHEMA_VERSION, tool_version=__version__, host=redactor.text(name),
                clock={"utc": utc(began), "utc_offset_seconds": time.localtime(began).tm_gmtoff}, seconds=round(time.monotonic() - started, 3),
                given_pids=list(request.pids), interrupted=stop.is_set(), names_redacted=request.redact_names, redactions=dict(redactor.counts),
                processes=[_listed(t, redactor) for t in job.targets], items=items, expected_ranks=",".join(map(str, job.expected_ranks)),
            )  # fmt: skip
            staging.publish(manifest, target, title)
    except BaseException:
        staging.close()
        raise
    return Collected(bundle=target, manifest=manifest, table=redactor.table)


def _target(output: Path, title: str) -> Path:
    """Where the bundle will lie."""
    if output.is_dir():
        return output / f"{title}.tar.gz"
    if not output.parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {output.parent}", "create it, or choose another place with -o")
    if output.exists() and not output.name.endswith(ARCHIVE_SUFFIXES):
        raise UsageError(f"{output} is there already", "choose another place with -o")
    return output


def _host_names(name: str) -> set[str]:
    return {name, name.split(".")[0], os.uname().nodename}


def _gather(request: Request, table: ProcTable, job: Job, staging: Staging, watch: Watch, stop: threading.Event) -> tuple[Job, list[str]]:
    """All probes in their order; the job with the ranks that they found, and the names of those that were given up."""
    beside = _Run(watch)
    dumper = find_dumper(native=request.native)
    sizes: dict[str, int] = {}
    nccl = ras.has_nccl(job, [path for t in job.pythons for path in libraries_of(t.pid)])
    for number in range(1, request.samples + 1):
        again = time.monotonic() + request.interval
        label = f"stacks, sample {number} of {request.samples}"
        watch(label, "runs")
        if number > 1:
            procfs.sample_state(job, staging, number)  # before the stacks here and behind them the first time, so that
        found = sample_stacks(job.pythons, dumper, staging, number, stop)
        if number == 1:
            job = job.with_ranks(found)
            procfs.sample_state(job, staging, number)  # what py-spy does to a process does not count as its own movement
        watch(label, "done")
        if nccl:
            beside.start(f"NCCL RAS, sample {number}", _bound(ras.sample_ras, job, staging, number), ras.DEADLINE + 2)
        if number == 1:
            sizes = logs.sizes(logs.find_logs(job, table))
            _begin_others(request, job, staging, beside)
        if number < request.samples:
            stop.wait(max(0.0, again - time.monotonic()))
        if stop.is_set():
            break
    beside.start("logs", lambda: logs.collect_logs(job, table, staging, extra=request.logs, limit=request.log_limit, before=sizes))
    late = beside.wait(stop)
    if not stop.is_set():
        beside.start("flight recorder", lambda: recorder.collect_recorder(job, staging, stop), recorder.DEADLINE + 5)
        late += beside.wait(stop)
    return job, late


def _begin_others(request: Request, job: Job, staging: Staging, beside: _Run) -> None:
    span = request.interval * (request.samples - 1)
    beside.start("processes", lambda: procfs.lasting_state(job, staging))
    beside.start("GPU load", lambda: gpu.sample_load(staging, min(span, 20.0)))
    beside.start("GPUs", lambda: gpu.collect_gpus(staging))
    beside.start("host", lambda: host.collect_host(job, staging))
    beside.start("versions", lambda: versions.collect_versions(job, staging))


def _bound(probe: Callable[[Job, Staging, int], None], job: Job, staging: Staging, number: int) -> Callable[[], None]:
    return lambda: probe(job, staging, number)


def _late(name: str) -> Item:
    return Item(what=name, status="timed-out", start=utc(time.time()), seconds=0.0, reason="given up: it did not end before its deadline")


def _listed(target: Target, redactor: Redactor) -> ListedProcess:
    proc = target.proc
    return ListedProcess(
        pid=proc.pid, ppid=proc.ppid, role=target.role, command=redactor.text(proc.line)[:1000], state=proc.state, user=redactor.text(proc.user),
        started=utc(proc.started), namespace_pid=target.namespace_pid, rank=target.rank, how_known=target.how_known,
    )  # fmt: skip


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Turns Ctrl+C and SIGTERM into an event, so that nothing is broken off in the middle of what it does to a process or a file."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
