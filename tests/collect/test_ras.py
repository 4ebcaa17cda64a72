"""NCCL's RAS: a server on a loopback port answers as NCCL does, or does not."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hanglens.collect import ras
from hanglens.collect.job import Job, Target
from hanglens.collect.proctable import Proc
from hanglens.collect.ras import Asking, address, answers, has_nccl, sample_ras
from hanglens.collect.staging import Staging
from tests.collect.processes import NO_PID, Processes, items_of, wait_until

ANSWER = b"NCCL version 2.27.5 compiled with CUDA 12.9\nJob summary\n===========\nCommunicators... (0.00s)\n"
JSON = b'{\n  "nccl_version": "2.28.7"\n}\n'
ASKED_JSON = b"CLIENT PROTOCOL 2\nTIMEOUT 5\nSET FORMAT json\nVERBOSE STATUS\n"
ASKED = b"CLIENT PROTOCOL 2\nTIMEOUT 5\nVERBOSE STATUS\n"


def job_at(where: str, pid: int | None = None) -> Job:
    """A job of one rank, by default ourselves, that was told this address."""
    proc = Proc(pid or os.getpid(), 1, "python3", ("python3",), "S", "user", 0.0)
    return Job((Target(proc, "rank", {"NCCL_RAS_ADDR": where} if where else {}, 0),))


@contextmanager
def served(handle: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A server that hands each connection over with what it was asked; its port, and what it was asked so far."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection:
                    said = b""
                    while b"VERBOSE STATUS\n" not in said and (part := connection.recv(4096)):
                        said += part
                    asked.append(said)
                    handle(connection, said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_answers_are_kept_one_a_sample(staging: Staging) -> None:
    """RAS is asked for JSON in its own words as often as there are samples, and each answer is a file, without what greets us before it."""
    with served(lambda connection, _: connection.sendall(b"SERVER PROTOCOL 2\nOK\nOK\n" + JSON)) as (port, asked):
        sample_ras(job_at(f"127.0.0.1:{port}"), staging, Asking(times=2, interval=0.05))
    items = items_of(staging, "NCCL RAS")
    assert asked == [ASKED_JSON, ASKED_JSON]
    assert [(i.status, i.file) for i in items] == [("ok", "nccl/ras-sample1.json"), ("ok", "nccl/ras-sample2.json")]
    assert (staging.folder / items[0].file).read_bytes() == JSON
    assert f"-p {port}" in items[0].command


def test_an_older_ras_is_asked_for_text(staging: Staging) -> None:
    """One that refuses the word for JSON, as before NCCL 2.28.7, is asked again without it."""

    def old(connection: socket.socket, said: bytes) -> None:
        connection.sendall(b"SERVER PROTOCOL 2\nERROR: Unknown command\n" if b"json" in said else ANSWER)

    with served(old) as (port, asked):
        sample_ras(job_at(f"127.0.0.1:{port}"), staging, Asking(times=1, interval=0))
    (item,) = items_of(staging, "NCCL RAS")
    assert asked == [ASKED_JSON, ASKED]
    assert (item.status, item.file) == ("ok", "nccl/ras-sample1.txt")
    assert (staging.folder / item.file).read_bytes() == ANSWER


def test_one_that_says_nothing(staging: Staging) -> None:
    """A server that closes the connection without a word gave no answer, and that is said."""
    with served(lambda _connection, _said: None) as (port, _):
        sample_ras(job_at(f"127.0.0.1:{port}"), staging, Asking(times=1, interval=0))
    (item,) = items_of(staging, "NCCL RAS")
    assert (item.status, item.file) == ("failed", "")
    assert "without an answer" in item.reason


def test_an_answer_that_comes_in_parts(staging: Staging) -> None:
    """What RAS sends bit by bit is put together."""

    def slowly(connection: socket.socket, _: bytes) -> None:
        for line in ANSWER.splitlines(keepends=True):
            connection.sendall(line)

    with served(slowly) as (port, _):
        sample_ras(job_at(f"localhost:{port}"), staging, Asking(times=1, interval=0))
    (item,) = items_of(staging, "NCCL RAS")
    assert (staging.folder / item.file).read_bytes() == ANSWER


def test_one_that_never_ends_is_timed_out_with_what_came(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A RAS that stops in the middle of its answer costs no more than the deadline, and what it had said is kept."""
    monkeypatch.setattr(ras, "DEADLINE", 0.4)
    over = threading.Event()

    def half(connection: socket.socket, _: bytes) -> None:
        connection.sendall(ANSWER[:20])
        over.wait(10)

    with served(half) as (port, _):
        sample_ras(job_at(f"127.0.0.1:{port}"), staging, Asking(times=1, interval=0))
        over.set()
    (item,) = items_of(staging, "NCCL RAS")
    assert item.status == "timed-out"
    assert "0.4 s" in item.reason
    assert (staging.folder / item.file).read_bytes() == ANSWER[:20]


def test_nobody_listens(staging: Staging) -> None:
    """A refused connection is told once with its reasons, and is not tried again."""
    port = free_port()
    sample_ras(job_at(f"127.0.0.1:{port}"), staging, Asking(times=3, interval=0))
    (item,) = items_of(staging, "NCCL RAS")
    assert (item.status, item.file) == ("failed", "")
    assert f"nothing listens on port {port}" in item.reason
    assert "2.24" in item.how_to_collect


def test_an_endless_answer_is_cut(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever listens there cannot fill our memory: what was read is kept, and is said to be cut, not to be late."""
    monkeypatch.setattr(ras, "MOST_ANSWER", 1000)

    def babble(connection: socket.socket, _: bytes) -> None:
        try:
            while True:
                connection.sendall(b"x" * 4096)
        except OSError:
            return

    with served(babble) as (port, _):
        sample_ras(job_at(f"127.0.0.1:{port}"), staging, Asking(times=1, interval=0))
    (item,) = items_of(staging, "NCCL RAS")
    assert item.status == "failed"
    assert "the answer is cut" in item.reason
    assert 1000 <= item.bytes < 1 << 20
    assert (staging.folder / item.file).stat().st_size == item.bytes


LISTENS = (
    "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
    "open(__import__('sys').argv[1], 'w').write(str(s.getsockname()[1])); time.sleep(60)"
)


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root sees on Linux whose a port is")
def test_port_of_another_job(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Where another job listens it is not asked: its counts would be taken for ours."""
    other = start.python(LISTENS, str(tmp_path / "port"))
    port = _read(tmp_path / "port")
    sample_ras(job_at(f"127.0.0.1:{port}", NO_PID), staging, Asking(times=2, interval=0))
    (item,) = items_of(staging, "NCCL RAS")
    assert (item.status, item.reason) == ("failed", f"port {port} is that of another job (pid {other.pid})")
    assert "NCCL_RAS_ADDR" in item.how_to_collect


def _read(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


@pytest.mark.parametrize(
    ("told", "where"),
    [
        ("", ("localhost", 28028)),
        ("localhost:12345", ("localhost", 12345)),
        ("10.0.0.7:1", ("10.0.0.7", 1)),
        ("[::1]:28029", ("::1", 28029)),
        (":28030", ("localhost", 28030)),
        ("no port", ("localhost", 28028)),
        ("n1:123456", ("localhost", 28028)),
    ],
)
def test_address(told: str, where: tuple[str, int]) -> None:
    """It listens where the ranks were told, else at its default; what is no address tells nothing."""
    assert address(job_at(told)) == where


def test_whether_somebody_answers() -> None:
    """A listening port answers, a free one does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert answers("127.0.0.1", server.getsockname()[1])
    assert not answers("127.0.0.1", free_port())


def test_jobs_without_nccl_are_not_asked() -> None:
    """A job uses NCCL if it has loaded it or was told where RAS listens."""
    assert has_nccl(job_at(""), ["/opt/lib/libnccl.so.2"])
    assert has_nccl(job_at("localhost:1"), [])
    assert not has_nccl(job_at(""), ["/opt/lib/libgloo.so"])
