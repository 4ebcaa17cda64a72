"""Root looks at the job of a hostile user, who swaps what root looks at between the check and the use. He loses each time.

He has renameat2(RENAME_EXCHANGE) in a tight loop, and inotify that wakes him at the moment. With HANGLENS_RACES=200 he tries so often.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import struct
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hanglens.cli.output import write_whole
from hanglens.collect import recorder
from hanglens.collect.beside import Stop
from hanglens.collect.logs import Copying, collect_logs
from hanglens.collect.proctable import ProcTable
from hanglens.collect.recorder import collect_recorder
from hanglens.collect.staging import Attempt, Staging
from hanglens.errors import HangLensError
from hanglens.privacy.redactor import Redactor
from tests.collect.processes import HIM, SECRET, job, job_of, manifest_of

TRIES = int(os.environ.get("HANGLENS_RACES", "20"))
EXCHANGE = 2  # RENAME_EXCHANGE of renameat2 (linux/fs.h)
HERE = -100  # AT_FDCWD

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root on Linux can be two users")


@contextmanager
def him(does: Callable[[], None]) -> Iterator[int]:
    """The other user at work, in a process of his own."""
    pid = os.fork()
    if not pid:
        try:
            become_him()
            does()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def become_him() -> None:
    """For good."""
    os.setgroups([])
    os.setgid(HIM)
    os.setuid(HIM)


def exchange_for_ever(one: Path, other: Path) -> None:
    """Two names change their places as fast as can be."""
    libc = ctypes.CDLL(None)
    names = os.fsencode(one), os.fsencode(other)
    while True:
        libc.renameat2(HERE, names[0], HERE, names[1], EXCHANGE)


def wins(place: Path, look: Callable[[Staging], None]) -> int:
    """How often root's secret came into a bundle of root's that was made so."""
    folder, won = place / "bundles", 0
    folder.mkdir(mode=0o700)
    for _ in range(TRIES):
        staging = Staging(folder, Redactor())
        look(staging)
        staging.close()
        won += any(SECRET in path.read_bytes() for path in staging.folder.rglob("*") if path.is_file())
        staging.discard()
    return won


def logs_of(pid: int) -> Callable[[Staging], None]:
    """Collects the logs of a process."""
    found, table = job_of(pid), ProcTable.now()
    return lambda staging: collect_logs(found, table, staging, Copying(extra=(), limit=1 << 20))


@pytest.mark.usefixtures("brisk")
def test_what_is_his_is_collected(place: Path) -> None:
    """Where he swaps nothing root brings his log and his dump, also out of a folder that only he may enter."""
    his = place / "his"
    his.chmod(0o700)
    for name in ("nccl.log", "dump_0"):
        (his / name).write_bytes(name.encode())
        (his / name).chmod(0o600)
        os.chown(his / name, HIM, HIM)
    with job(NCCL_DEBUG_FILE=f"{his}/nccl.log", TORCH_FR_DUMP_TEMP_FILE=f"{his}/dump_") as pid:
        os.utime(his / "dump_0")
        (place / "bundles").mkdir()
        staging = Staging(place / "bundles", Redactor())
        logs_of(pid)(staging)
        collect_recorder(job_of(pid), staging, Stop())
        assert sorted(item.file for item in staging.close() if item.file) == ["flight-recorder/dump_0", "logs/nccl.log"]
        assert (staging.folder / "logs" / "nccl.log").read_bytes() == b"nccl.log"


def test_a_log_that_is_swapped_for_another_file(place: Path) -> None:
    """Of a log that its environment names, and that is a link to root's file every other moment, root's file is never read."""
    log, link = place / "his" / "nccl.log", place / "his" / "link"
    log.write_bytes(b"hello\n")
    os.chown(log, HIM, HIM)
    link.symlink_to(place / "secret")
    with job(NCCL_DEBUG_FILE=str(log)) as pid, him(lambda: exchange_for_ever(log, link)):
        assert wins(place, logs_of(pid)) == 0


SWAPS_ITS_OUTPUT = """
import os, sys
shown, secret = sys.argv[1:]
print("ready", flush=True)
mine, link = (os.open(name, os.O_WRONLY | os.O_APPEND) for name in (shown, secret))
while True:
    os.dup2(mine, 2)
    os.dup2(link, 2)
"""


def test_an_output_that_is_swapped_for_another_file(place: Path) -> None:
    """What a process has open for writing only, and its user may not read, is not read: it may have been handed to it for that."""
    mine, secret = place / "his" / "job.log", place / "write-only"
    mine.write_bytes(b"hello\n")
    os.chown(mine, HIM, HIM)
    secret.write_bytes(SECRET)
    secret.chmod(0o622)
    code = SWAPS_ITS_OUTPUT.replace("sys.argv[1:]", repr([str(mine), str(secret)]))
    with job(code) as pid:
        assert wins(place, logs_of(pid)) == 0


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No dump is waited for."""
    monkeypatch.setattr(recorder, "DEADLINE", 0.1)
    monkeypatch.setattr(recorder, "SETTLED", 0.0)
    monkeypatch.setattr(recorder, "has_gpu", lambda: False)


@pytest.mark.usefixtures("brisk")
def test_a_folder_of_dumps_that_is_swapped(place: Path) -> None:
    """Of a folder that is a link to root's every other moment, neither root's dumps are read nor root's pipe is written to."""
    his, link, roots = place / "his" / "dumps", place / "his" / "link", place / "roots"
    for folder, owner in ((his, HIM), (roots, 0)):
        folder.mkdir()
        os.mkfifo(folder / "pipe_0.pipe")
        (folder / "dump_0").write_bytes(b"a dump" if owner else SECRET)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.chown(path, owner, owner)
    # A file of his in root's folder, which only root can reach: that its owner is right says nothing.
    (roots / "dump_1").write_bytes(SECRET)
    os.chown(roots / "dump_1", HIM, HIM)
    link.symlink_to(roots)
    reader = os.open(roots / "pipe_0.pipe", os.O_RDONLY | os.O_NONBLOCK)
    told = {"TORCH_NCCL_DEBUG_INFO_PIPE_FILE": f"{his}/pipe_", "TORCH_FR_DUMP_TEMP_FILE": f"{his}/dump_", "RANK": "0", "WORLD_SIZE": "2"}
    with job(**told) as pid, him(lambda: exchange_for_ever(his, link)):
        found = job_of(pid)

        def look(staging: Staging) -> None:
            for path in (his / "dump_0", link / "dump_0", roots / "dump_1"):
                with suppress(OSError):
                    os.utime(path)
            collect_recorder(found, staging, Stop())

        assert wins(place, look) == 0
    assert os.read(reader, 10) == b""
    os.close(reader)


def put_a_link_in_its_place(folder: Path, leads_to: Path, ending: str = ".partial") -> None:
    """Wait for a draft in `folder`, and have it be a link to what is root's from its first moment on."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init()
    libc.inotify_add_watch(watch, os.fsencode(folder), 0x100 | 0x80)  # IN_CREATE, IN_MOVED_TO
    while True:
        events, at = os.read(watch, 1 << 16), 0
        while at < len(events):
            length = struct.unpack_from("iIII", events, at)[3]
            name = os.fsdecode(events[at + 16 : at + 16 + length].rstrip(b"\0"))
            at += 16 + length
            if name.endswith(ending):
                with suppress(OSError):
                    (folder / name).rename(folder / f"taken-{time.monotonic_ns()}")
                    (folder / name).symlink_to(leads_to)


def test_a_draft_that_is_swapped_for_a_link(place: Path) -> None:
    """Root collects into his folder, and writes nothing through the link that he puts in place of the draft; the archive is whole."""
    roots, his, won = place / "roots", place / "his", 0
    roots.mkdir(mode=0o700)
    with him(lambda: put_a_link_in_its_place(his, roots)):
        for number in range(TRIES):
            staging = Staging(his, Redactor())
            ends = time.monotonic() + 0.2
            while not staging.folder.is_symlink() and time.monotonic() < ends:  # he has all the time that he needs
                time.sleep(0.0005)
            staging.keep(Attempt(what="log"), "logs/job.log", b"what the job printed")
            with suppress(HangLensError):
                staging.publish(manifest_of(staging), f"{number}.tar.gz", "hanglens-n1")
            won += any(roots.iterdir())
            for path in roots.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert won == 0
    for number in range(TRIES):
        with tarfile.open(his / f"{number}.tar.gz") as archive:
            assert sorted(archive.getnames()) == ["hanglens-n1/logs/job.log", "hanglens-n1/manifest.json"]
        assert ((his / f"{number}.tar.gz").stat().st_uid, (his / f"{number}.tar.gz").stat().st_mode & 0o777) == (0, 0o600)


def test_a_report_that_is_swapped_for_a_link(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root writes a report into his folder: the rights of a file of root's, to which he lays a link meanwhile, stay as they are."""
    monkeypatch.setattr("tempfile._get_candidate_names", lambda: (f"{number}.draft" for number in range(9**9)))
    with him(lambda: put_a_link_in_its_place(place / "his", place / "secret", ".draft")):
        for _ in range(TRIES):
            with suppress(HangLensError):
                write_whole(str(place / "his" / "report.html"), "x" * (1 << 20))
    assert (place / "secret").stat().st_mode & 0o777 == 0o600
    assert (place / "secret").read_bytes() == SECRET


def test_a_name_that_is_taken_meanwhile(place: Path) -> None:
    """Where he lies a link, or a file of his, in the place of the bundle, neither is followed nor replaced."""
    (place / "his" / "link.tar.gz").symlink_to(place / "new")
    (place / "his" / "file.tar.gz").write_text("his")
    for name in ("link.tar.gz", "file.tar.gz"):
        staging = Staging(place / "his", Redactor())
        with pytest.raises(HangLensError, match="File exists"):
            staging.publish(manifest_of(staging), name, "hanglens-n1")
    assert not (place / "new").exists()
    assert (place / "his" / "file.tar.gz").read_text() == "his"


def test_a_link_of_his_to_the_output_folder(place: Path) -> None:
    """A link that he laid where the bundle shall go is not followed; one of root's own is."""
    (place / "roots").mkdir(mode=0o700)
    (place / "his" / "out").symlink_to(place / "roots")
    os.chown(place / "his" / "out", HIM, HIM, follow_symlinks=False)
    (place / "mine").symlink_to(place / "roots")
    with pytest.raises(HangLensError, match="a link of another user"):
        Staging(place / "his" / "out", Redactor())
    Staging(place / "mine", Redactor()).discard()
    assert list((place / "roots").iterdir()) == []
