"""What NCCL's RAS subsystem says of all ranks of the job: its counters, asked as often as there are samples.

Protocol: NCCL `src/ras/client_support.cc`, 2.24 and newer: `CLIENT PROTOCOL 2`, then `TIMEOUT N`, then `VERBOSE STATUS`, a line each.
"""

from __future__ import annotations

import re
import socket
import time

import psutil

from hanglens.collect.job import Job
from hanglens.collect.staging import Attempt, Staging

DEFAULT_PORT = 28028
PATIENCE = 5  # seconds that RAS waits for ranks which do not answer
DEADLINE = PATIENCE + 8.0
MOST_ANSWER = 16 << 20
_ADDRESS = re.compile(r"\[?(?P<host>[^\]]*?)\]?:(?P<port>\d{1,5})$")


def sample_ras(job: Job, staging: Staging, number: int) -> None:
    """Ask once; a job without NCCL has no RAS, and nothing is said of it then."""
    host, port = address(job)
    attempt = Attempt(what="NCCL RAS", command=f"ncclras -v -h {host} -p {port} -t {PATIENCE}")
    owner = _listener(port)
    if owner is not None and owner not in {t.pid for t in job.targets}:
        why = f"port {port} is that of another job (pid {owner})"
        staging.miss(attempt, "failed", why, "give each job of a host a port of its own: NCCL_RAS_ADDR=localhost:PORT")
        return
    try:
        answer, whole = _ask(host, port)
    except ConnectionRefusedError:
        if number == 1:
            staging.miss(attempt, "failed", f"nothing listens on port {port}: NCCL older than 2.24, no communicator yet, or RAS switched off",
                         "the next run with NCCL 2.24 or newer; `hanglens prepare` sets its port")  # fmt: skip
    except OSError as error:
        staging.miss(attempt, "failed", f"port {port}: {error}")
    else:
        late = "" if whole else f"no end of the answer within {DEADLINE:g} s"
        staging.keep(attempt, f"nccl/ras-sample{number}.txt", answer, status="ok" if whole else "timed-out", reason=late)


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


def _ask(host: str, port: int) -> tuple[bytes, bool]:
    """The answer, and whether it came to its end: RAS closes the connection behind it."""
    ends = time.monotonic() + DEADLINE
    answer = b""
    with socket.create_connection((host, port), timeout=2.0) as connection:
        connection.sendall(f"CLIENT PROTOCOL 2\nTIMEOUT {PATIENCE}\nVERBOSE STATUS\n".encode())
        while len(answer) < MOST_ANSWER:
            connection.settimeout(max(0.1, ends - time.monotonic()))
            try:
                part = connection.recv(1 << 16)
            except TimeoutError:
                return answer, False
            if not part:
                return answer, True
            answer += part
    return answer, False
