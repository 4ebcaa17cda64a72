"""What /proc says of each process, which needs no ptrace: state, what it waits in, CPU time, files, limits, environment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hanglens.collect.job import Job, Target, is_python
from hanglens.collect.proctable import libraries_of, read_memory_of
from hanglens.collect.staging import Attempt, Staging, utc
from hanglens.printable import printable
from hanglens.privacy.settings import keep_setting

MOST_THREADS = 512  # of a process, the oldest first
THREADS_HEADER = "     PID      TID STATE  VOLUNTARY INVOLUNTARY     CPU_MS SYSCALL NAME"  # read by hanglens.parse.threads
EACH_SAMPLE = ("status", "stat", "wchan", "syscall", "io")
_ROW = "{:>8} {:>8} {:<4} {:<12} {:<24} {:<10} {}"
_TELLING_LIBRARIES = (
    "nccl",
    "cuda",
    "nvidia",
    "torch",
    "gloo",
    "ucx",
    "ucp",
    "ibverbs",
    "mlx",
    "vgpu",
    "hami",
    "hook",
    "preload",
    "hccl",
    "nvshmem",
    "mpi",
)


def sample_state(job: Job, staging: Staging, number: int) -> None:
    """The files of /proc that change, one sample of every process, zombies and helpers left out."""
    for target in job.working:
        for name in EACH_SAMPLE:
            _copy(target, name, f"processes/pid{target.pid}.sample{number}.proc-{name}.txt", staging)
        if is_python(target.proc):
            _threads(target, f"processes/pid{target.pid}.sample{number}.threads.txt", staging)


def _threads(target: Target, file: str, staging: Staging) -> None:
    """How often each thread has waited so far: what stands still all the while adds nothing."""
    folder = Path(f"/proc/{target.pid}/task")
    try:
        numbers = sorted(map(int, os.listdir(folder)))[:MOST_THREADS]
    except OSError:
        return
    rows = [row for number in numbers if (row := _thread(target.pid, folder / str(number)))]
    if rows:
        attempt = Attempt(what="threads", pid=target.pid, rank=target.rank, command=f"grep ctxt {folder}/*/status")
        staging.keep(attempt, file, "\n".join([THREADS_HEADER, *rows, ""]).encode())


def _thread(pid: int, folder: Path) -> str:
    try:
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text("utf-8", "replace").splitlines() if ":\t" in line)
        ticks = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        milliseconds = 1000 * (int(ticks[11]) + int(ticks[12])) // os.sysconf("SC_CLK_TCK")
        call = _first_word(folder / "syscall")
        waits, forced = (int(status[f"{name}_ctxt_switches"]) for name in ("voluntary", "nonvoluntary"))
    except (OSError, ValueError, KeyError, IndexError):
        return ""
    return f"{pid:>8} {folder.name:>8} {ticks[0]:<5} {waits:>10} {forced:>11} {milliseconds:>10} {call:<7} {status['Name']}"


def _first_word(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").split()[0]
    except (OSError, IndexError):
        return "-"


def lasting_state(job: Job, staging: Staging) -> None:
    """What does not change while we look: command line, environment, open files, limits, libraries; and the list of all processes."""
    listed = [t for t in job.targets if t.role != "helper"]
    rows = [_ROW.format("PID", "PPID", "STAT", "USER", "STARTED", "ROLE", "COMMAND"), *map(_row, listed)]
    rows += [f"and {len(job.targets) - len(listed)} helpers (resource trackers, compile workers, daemons)"] * (
        len(listed) < len(job.targets)
    )
    staging.keep(Attempt(what="list of the job's processes"), "processes/processes.txt", "\n".join([*rows, ""]).encode("utf-8", "replace"))
    parents = {t.pid: t for t in job.targets}
    for target in job.working:
        base = f"processes/pid{target.pid}"
        _copy(target, "cmdline", f"{base}.proc-cmdline.txt", staging)
        _copy(target, "limits", f"{base}.proc-limits.txt", staging)
        _open_files(target, f"{base}.proc-fds.txt", staging)
        _libraries(target, f"{base}.proc-libraries.txt", staging)
        _environment(target, parents.get(target.proc.ppid), f"{base}.proc-environ.txt", staging)


def _row(target: Target) -> str:
    proc = target.proc
    return _ROW.format(
        proc.pid, proc.ppid, proc.state, printable(proc.user) or "?", utc(proc.started)[:19], target.role, printable(proc.line)
    )


def _copy(target: Target, name: str, file: str, staging: Staging) -> None:
    attempt = Attempt(what=f"/proc {name}", pid=target.pid, rank=target.rank, command=f"cat /proc/{target.pid}/{name}")
    try:
        data = read_memory_of(target.pid, name) if name == "cmdline" else Path(f"/proc/{target.pid}/{name}").read_bytes()
    except PermissionError:
        staging.miss(attempt, "refused", "this needs the right to trace the process", as_owner(target))
    except OSError as error:
        staging.miss(attempt, "failed", _gone(error))
    else:
        if data.strip(b"\0\n "):
            staging.keep(attempt, file, data)


def as_owner(target: Target) -> str:
    """How to be allowed to."""
    owner = f"sudo -u {target.proc.user} " if target.proc.user else "sudo "
    return f"run it as the user of the job, or as root: {owner}hanglens collect --pid {target.pid}"


def _gone(error: OSError) -> str:
    return "the process ended meanwhile" if isinstance(error, (FileNotFoundError, ProcessLookupError)) else str(error.strerror or error)


def _environment(target: Target, parent: Target | None, file: str, staging: Staging) -> None:
    """Only names that matter for a hang. What a child inherited unchanged says nothing of it, its rank least of all."""
    inherited = parent is not None and dict(target.environ) == dict(parent.environ)
    kept = {name: value for name, value in sorted(target.environ.items()) if keep_setting(name)}
    if target.rank is None and target.role != "launcher":
        kept = {name: value for name, value in kept.items() if not name.endswith("RANK")}
    if kept and not inherited:
        attempt = Attempt(what="/proc environ", pid=target.pid, rank=target.rank)
        staging.keep(attempt, file, b"".join(f"{name}={value}\0".encode("utf-8", "surrogateescape") for name, value in kept.items()))


def _open_files(target: Target, file: str, staging: Staging) -> None:
    folder = Path(f"/proc/{target.pid}/fd")
    attempt = Attempt(what="/proc fd", pid=target.pid, rank=target.rank, command=f"ls -l {folder}")
    try:
        rows = [row for name in sorted(os.listdir(folder), key=int) if (row := _open_file(folder / name))]
    except OSError:
        return  # the same refusal that the other files of /proc met
    staging.keep(attempt, file, "".join(f"{row}\n" for row in rows).encode("utf-8", "replace"))


def _open_file(link: Path) -> str:
    try:
        target, mode = os.readlink(link), link.lstat().st_mode
    except OSError:
        return ""
    return f"{link.name} {'r' if mode & stat.S_IRUSR else '-'}{'w' if mode & stat.S_IWUSR else '-'} {printable(target)}"


def _libraries(target: Target, file: str, staging: Staging) -> None:
    paths = [path for path in libraries_of(target.pid) if any(word in os.path.basename(path).lower() for word in _TELLING_LIBRARIES)]
    if paths:
        staging.keep(
            Attempt(what="/proc maps", pid=target.pid, rank=target.rank),
            file,
            "".join(f"{printable(path)}\n" for path in paths).encode("utf-8", "replace"),
        )
