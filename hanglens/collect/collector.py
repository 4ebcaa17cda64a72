"""One collection: find the job, take the samples with the other probes beside them, and publish the bundle.

The samples of stacks come first and together. The other probes run beside them, each under a deadline of its own. What is asked of the job
itself (a flight-recorder dump) comes last, because it shows in the stacks.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hanglens import __version__
from hanglens.collect import gpu, host, logs, procfs, ras, recorder, versions
from hanglens.collect.beside import LATE, Beside, Stop, Watch, stopped_by_signals
from hanglens.collect.job import Job, Target, find_job
from hanglens.collect.proctable import ProcTable, libraries_of, namespace_pid
from hanglens.collect.stacks import find_dumper, sample_stacks
from hanglens.collect.staging import Staging, table_of, utc
from hanglens.errors import UsageError
from hanglens.manifest import NAME, SCHEMA_VERSION, Item, ListedProcess, Manifest
from hanglens.privacy.pseudonyms import as_lines
from hanglens.privacy.redactor import Redactor

OTHER_ARCHIVES = (".zip", ".zst", ".xz", ".bz2", ".tar", ".7z")
LOGS_DEADLINE = 120.0  # seconds; names are looked for at some megabytes a second
MOST_REDACTED = 8 << 20  # bytes of a log in which names are looked for, so that this ends in time
LONGEST_LOAD = 20.0  # seconds that power and utilisation are sampled at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to collect.

    `output`: a folder that is there (the bundle goes into it), a name that ends in .tar.gz or .tgz, or a folder to make.
    `interval` is in seconds, between the end of a sample and the next; `log_limit` in bytes, of one log.
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
    """What came of it.

    `bundle` is where it lies, `about` what it was when it was put there. `table`, if names were replaced, is the file that says what each
    pseudonym stands for.
    """

    bundle: Path
    manifest: Manifest
    about: os.stat_result | None = None
    table: Path | None = None

    @property
    def refused_everywhere(self) -> bool:
        """Whether not one process could be looked into, although there were some."""
        dumps = [item for item in self.manifest.items if item.what == "py-spy dump"]
        return bool(dumps) and all(item.status == "refused" for item in dumps)


@dataclass(slots=True)
class _Visit:
    """What all steps of one collection share; `job` gains ranks as they are found."""

    request: Request
    table: ProcTable
    job: Job
    staging: Staging
    stop: Stop


def locate(pids: Sequence[int]) -> tuple[ProcTable, Job]:
    """The job of these processes, and all processes of this host.

    Raises:
        UsageError: there is no such process here.
    """
    table = ProcTable.now()
    return table, find_job(table, [_here(table, pid) for pid in pids])


def _here(table: ProcTable, pid: int) -> int:
    """The pid on this host; one that is not here may be the one that a process has inside of its container."""
    if pid in table.procs:
        return pid
    inside = sorted(proc.pid for proc in table.procs.values() if namespace_pid(proc.pid) == pid)
    if len(inside) == 1:
        return inside[0]
    if inside:
        named = ", ".join(map(str, inside))
        raise UsageError(f"pid {pid} is that of processes in several containers", f"give the host's pid of yours: {named}")
    raise UsageError(
        f"there is no process {pid} on this host",
        "if it ended already, diagnose its log: hanglens analyze LOG; what runs is listed by: hanglens collect --auto",
    )


def collect(request: Request, *, watch: Watch = lambda _name, _state: None) -> Collected:
    """Collect everything into one bundle. Ctrl+C and SIGTERM end it early, with what is there by then.

    Raises:
        UsageError: a process is not there.
        HangLensError: the bundle cannot be written.
    """
    began, started = time.time(), time.monotonic()
    table, job = locate(request.pids)
    name = socket.gethostname() or "host"
    redactor = Redactor(names=request.redact_names)
    redactor.learn(hosts=_host_names(name), users={t.proc.user for t in job.targets if t.proc.user})
    title = redactor.text(f"hanglens-{name.partition('.')[0]}") + _stamp(began)
    target = _target(request.output, title)
    with stopped_by_signals() as stop:
        visit = _Visit(request, table, job, Staging(target.parent, redactor), stop)
        items = _tried(visit, watch)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION, tool_version=__version__, host=redactor.text(name), clock=_clock(began),
            seconds=round(time.monotonic() - started, 3), given_pids=list(request.pids), interrupted=stop.is_set(),
            names_redacted=request.redact_names, processes=[_listed(t, redactor) for t in visit.job.targets if t.role != "helper"],
            helpers=sum(t.role == "helper" for t in visit.job.targets), items=items,
            expected_ranks=",".join(map(str, visit.job.expected_ranks)), redactions=dict(redactor.counts),
            machine=os.uname().machine,
        )  # fmt: skip
        names = as_lines(redactor.table)
        about = visit.staging.publish(manifest, target.name, title, table=names)
    table_file = target.with_name(table_of(target.name)) if names else None
    return Collected(bundle=target, manifest=manifest, about=about, table=table_file)


def _stamp(began: float) -> str:
    """To the millisecond, so that bundles that are begun together do not take each other's place."""
    return f"-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(began))}.{int(began * 1000) % 1000:03d}Z"


def _tried(visit: _Visit, watch: Watch) -> list[Item]:
    """Everything that was tried; if we fail ourselves, nothing half-done is left behind."""
    try:
        failed = _gather(visit, watch)
        return [*visit.staging.close(), *(_failed(name, why) for name, why in failed.items())]
    except BaseException:
        visit.staging.discard()
        raise


def _target(output: Path, title: str) -> Path:
    """Where the bundle will lie."""
    if (output / NAME).exists():
        raise UsageError(f"{output} is a bundle already", "choose another place with -o")
    if output.is_dir():
        return output / f"{title}.tar.gz"
    if output.suffix in OTHER_ARCHIVES:
        raise UsageError(f"{output.name} is no name for a bundle", "end it in .tar.gz, or name a folder")
    if not output.parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {output.parent}", "create it, or choose another place with -o")
    for path in (output, output.with_name(table_of(output.name))):
        if os.path.lexists(path):
            raise UsageError(f"{path} is there already", "choose another place with -o")
    return output


def _host_names(name: str) -> set[str]:
    return {name, name.partition(".")[0], os.uname().nodename}


def _clock(began: float) -> dict[str, str | int]:
    return {"utc": utc(began), "utc_offset_seconds": time.localtime(began).tm_gmtoff}


def _gather(visit: _Visit, watch: Watch) -> dict[str, str]:
    """All probes in their order; those that were given up or failed, with why."""
    request, staging, stop, beside = visit.request, visit.staging, visit.stop, Beside(watch)
    for number in range(1, request.samples + 1):
        _sample(visit, number, watch)
        again = time.monotonic() + request.interval
        if number == 1:
            _begin_others(visit, beside)
        if number < request.samples:
            pause = f"{request.interval:g} s until sample {number + 1}"
            watch(pause, "runs")
            stop.wait(max(0.0, again - time.monotonic()))
            watch(pause, "done")
        if stop.is_set():
            break
    limit = min(request.log_limit, MOST_REDACTED) if request.redact_names else request.log_limit
    copying = logs.Copying(extra=request.logs, limit=limit)
    beside.start("logs", lambda: logs.collect_logs(visit.job, visit.table, staging, copying), LOGS_DEADLINE)
    failed = beside.wait(stop, only="logs")
    if not stop.is_set():  # behind the logs: each rank that is asked says so in its own
        beside.start("flight recorder", lambda: recorder.collect_recorder(visit.job, staging, stop), recorder.DEADLINE + 5)
    return failed | beside.wait(stop)


def _sample(visit: _Visit, number: int, watch: Watch) -> None:
    """Stacks, and the kernel's counts.

    These come behind the stacks the first time and before them later, so that what py-spy does to a process does not count as its own.
    """
    label = f"stacks, sample {number} of {visit.request.samples}"
    watch(label, "runs")
    if number > 1:
        procfs.sample_state(visit.job, visit.staging, number)
    found = sample_stacks(visit.job.pythons, find_dumper(native=visit.request.native), visit.staging, number, visit.stop)
    if number == 1:
        visit.job = visit.job.with_ranks(found)
        procfs.sample_state(visit.job, visit.staging, number)
    watch(label, "done")


def _begin_others(visit: _Visit, beside: Beside) -> None:
    job, staging, request = visit.job, visit.staging, visit.request
    span = min(request.interval * (request.samples - 1), LONGEST_LOAD)
    beside.start("processes", lambda: procfs.lasting_state(job, staging))
    beside.start("GPU load", lambda: gpu.sample_load(staging, span))
    beside.start("GPUs", lambda: gpu.collect_gpus(staging))
    beside.start("host", lambda: host.collect_host(job, staging))
    beside.start("versions", lambda: versions.collect_versions(job, staging))
    if ras.has_nccl(job, [path for t in job.pythons for path in libraries_of(t.pid)]):
        asked = ras.Asking(times=request.samples, interval=request.interval)
        beside.start("NCCL RAS", lambda: ras.sample_ras(job, staging, asked), span + request.samples * ras.DEADLINE)


def _failed(name: str, why: str) -> Item:
    return Item(what=name, status="timed-out" if why == LATE else "failed", start=utc(time.time()), seconds=0.0, reason=why)


def _listed(target: Target, redactor: Redactor) -> ListedProcess:
    proc, text = target.proc, redactor.text
    return ListedProcess(
        pid=proc.pid, ppid=proc.ppid, role=target.role, command=text(proc.line)[:1000], state=proc.state, user=text(proc.user),
        started=utc(proc.started), namespace_pid=target.namespace_pid, rank=target.rank, how_known=target.how_known,
    )  # fmt: skip
