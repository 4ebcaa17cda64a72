"""What NCCL's RAS subsystem says of all ranks of the job: its counters, asked as often as there are samples.

Protocol: NCCL `src/ras/client_support.cc`, 2.24 and newer: `CLIENT PROTOCOL 2`, then `TIMEOUT N`, `SET FORMAT json` (from 2.28.7) and
`VERBOSE STATUS`, a line each.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from typing import Literal

import psutil

from hanglens.collect.job import Job
from hanglens.collect.staging import About, Attempt, Staging
from hanglens.manifest import Status

DEFAULT_PORT = 28028
PATIENCE = 5  # seconds that RAS waits for ranks which do not answer
DEADLINE = PATIENCE + 8.0
_PIDS = re.compile(rb'(?:"pid": {0,2}|managed by process )([0-9]{1,9})')
MOST_ANSWER = 16 << 20
End = Literal["whole", "late", "cut"]
_STATUS: dict[End, Status] = {"whole": "ok", "late": "timed-out", "cut": "failed"}
_ADDRESS = re.compile(r"\[?(?P<host>[A-Za-z0-9._:%-]{0,63})\]?:(?P<port>[0-9]{1,5})$")


@dataclass(frozen=True, slots=True)
class Asking:
    """How often to ask, and how many seconds apart: counts that stand still in two answers are stuck, in one they are a snapshot."""

    times: int
    interval: float


def sample_ras(job: Job, staging: Staging, asking: Asking) -> None:
    """Ask as often as there are samples."""
    host, port = address(job)
    if not _is_here(host):
        staging.miss(
            _attempt(host, port),
            "failed",
            f"NCCL_RAS_ADDR leads to another host ({host}), and nothing is sent there",
            "ncclras on that host",
        )
        return
    owner = _listener(port)
    if owner is not None and owner not in {t.pid for t in job.targets}:
        why = f"port {port} is that of another job (pid {owner})"
        staging.miss(_attempt(host, port), "failed", why, "give each job of a host a port of its own: NCCL_RAS_ADDR=localhost:PORT")
        return
    for number in range(1, asking.times + 1):
        again = time.monotonic() + asking.interval
        if not _once(job, staging, number):
            return
        if number < asking.times:
            time.sleep(max(0.0, again - time.monotonic()))


def _attempt(host: str, port: int) -> Attempt:
    return Attempt(what="NCCL RAS", command=f"ncclras -v -h {host} -p {port} -t {PATIENCE}")


def _once(job: Job, staging: Staging, number: int) -> bool:
    """Ask; whether it is worth to ask again."""
    host, port = address(job)
    attempt = _attempt(host, port)
    try:
        answer, end = _ask(host, port)
    except ConnectionRefusedError:
        why = f"nothing listens on port {port}: NCCL older than 2.24, no communicator yet, or RAS switched off"
        staging.miss(attempt, "failed", why, "NCCL 2.24 or newer; `hanglens prepare` sets its port")
        return False
    except OSError as error:
        staging.miss(attempt, "failed", f"port {port}: {error}")
        return False
    if not answer.strip():
        staging.miss(attempt, "timed-out" if end == "late" else "failed", _why(end) or "it closed the connection without an answer")
        return True
    if not _is_ours(answer, job):
        staging.miss(
            attempt, "failed", f"what answers on port {port} is another job", "give each job of a host a port of its own: NCCL_RAS_ADDR"
        )
        return False
    suffix = "json" if answer.startswith(b"{") else "txt"
    staging.keep(attempt, f"nccl/ras-sample{number}.{suffix}", answer, About(status=_STATUS[end], reason=_why(end)))
    return True


def _why(end: End) -> str:
    if end == "late":
        return f"no end of the answer within {DEADLINE:g} s: a member of the job does not answer"
    return f"the answer is cut: it has more than {MOST_ANSWER} bytes, and the rest was not read" if end == "cut" else ""


def _is_here(host: str) -> bool:
    """Whether an address is this host's own; no name is looked up for it."""
    if host == "localhost":
        return True
    own = {address.address.partition("%")[0] for addresses in psutil.net_if_addrs().values() for address in addresses}
    return host in own or host.startswith("127.")


def _is_ours(answer: bytes, job: Job) -> bool:
    """Whether a process that the answer names is of this job; an answer that names none may be."""
    named = {int(number) for number in _PIDS.findall(answer)}
    return not named or bool(named & {pid for t in job.targets for pid in (t.pid, t.namespace_pid)})


def has_nccl(job: Job, libraries: list[str]) -> bool:
    """Whether the job uses NCCL at all."""
    return any("libnccl" in path for path in libraries) or any("NCCL_RAS_ADDR" in t.environ for t in job.targets)


def address(job: Job) -> tuple[str, int]:
    """Where RAS listens: NCCL_RAS_ADDR of the ranks, by default localhost:28028."""
    told = next((t.environ["NCCL_RAS_ADDR"] for t in job.targets if t.environ.get("NCCL_RAS_ADDR")), "")
    found = _ADDRESS.match(told)
    return (found["host"] or "localhost", int(found["port"])) if found else ("localhost", DEFAULT_PORT)


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _listener(port: int) -> int | None:
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return None
    return next((c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port), None)


def _ask(host: str, port: int) -> tuple[bytes, End]:
    """The answer, and how it ended: behind a whole one RAS closes the connection.

    JSON has the counts of all ranks, the text those that differ only; JSON begins with NCCL 2.28.7, and before it the word is refused.
    """
    answer, end = _say(host, port, "SET FORMAT json", "VERBOSE STATUS")
    body = answer[answer.find(b"\n{") + 1 :]
    if body.startswith(b"{"):
        return body, end
    return _say(host, port, "VERBOSE STATUS") if end == "whole" and b"Communicators" not in answer else (answer, end)


def _say(host: str, port: int, *commands: str) -> tuple[bytes, End]:
    ends = time.monotonic() + DEADLINE
    answer = b""
    with socket.create_connection((host, port), timeout=2.0) as connection:
        connection.sendall("\n".join(["CLIENT PROTOCOL 2", f"TIMEOUT {PATIENCE}", *commands, ""]).encode())
        while len(answer) < MOST_ANSWER:
            connection.settimeout(max(0.1, ends - time.monotonic()))
            try:
                part = connection.recv(1 << 16)
            except TimeoutError:
                return answer, "late"
            except ConnectionResetError:
                part = b""
            if not part:
                return answer, "whole"
            answer += part
    return answer, "cut"
