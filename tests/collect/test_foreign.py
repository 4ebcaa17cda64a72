"""Files of a job's process: what of them root takes for its user, and what not."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanglens.collect.foreign import _gained_rights, found, names_in
from tests.collect.processes import HIM, Processes, job

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at through Linux's /proc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def read(pid: int, place: int | str) -> bytes:
    """What a process has there."""
    with found(pid, place) as it, it.read() as file:
        return file.read()


@pytest.fixture
def his(place: Path) -> Iterator[tuple[Path, int]]:
    """His folder, and a process of his."""
    with job() as pid:
        yield place / "his", pid


def made(path: Path, *, uid: int = HIM, gid: int = HIM, mode: int = 0o600) -> Path:
    """A file of that owner."""
    path.write_bytes(b"hello")
    path.chmod(mode)
    os.chown(path, uid, gid)
    return path


def test_ones_own(tmp_path: Path, start: Processes) -> None:
    """Of an own process an own file is read, by its path and by its descriptor; and a folder is listed."""
    log = tmp_path / "job.log"
    with log.open("wb") as file:
        child = start.python("import time; print('hello', flush=True); time.sleep(60)", stdout=file)
    while not log.stat().st_size:
        time.sleep(0.01)
    assert read(child.pid, str(log)) == read(child.pid, 1) == b"hello\n"
    assert names_in(child.pid, str(tmp_path)) == ["job.log"]
    with found(child.pid, str(log)) as it:
        assert it.own
        assert it.key == (log.stat().st_dev, log.stat().st_ino)


@as_root
def test_what_he_may_read_is_read_for_him(his: tuple[Path, int]) -> None:
    """In a folder that only he may enter too; and by a link of his to what all may read."""
    folder, pid = his
    folder.chmod(0o700)
    made(folder / "log")
    made(folder.parent / "public", uid=0, mode=0o644)
    (folder / "up").symlink_to("..")
    os.chown(folder / "up", HIM, HIM, follow_symlinks=False)
    assert read(pid, f"{folder}/log") == b"hello"
    assert read(pid, f"{folder}/up/public") == b"hello"
    assert names_in(pid, str(folder)) == ["log", "up"]


@as_root
@pytest.mark.parametrize("path", ["secret", "hidden/public", "his/link", "his/up/secret", "his/../secret", "his/roots/public"])
def test_what_he_may_not_read_is_not_read_for_him(his: tuple[Path, int], path: str) -> None:
    """Neither root's file, nor one that all may read in a folder of root's, by no way."""
    folder, pid = his
    (folder.parent / "hidden").mkdir(mode=0o700)
    made(folder.parent / "hidden" / "public", uid=HIM, mode=0o644)
    for name, target in (("link", "../secret"), ("up", ".."), ("roots", "../hidden")):
        (folder / name).symlink_to(target)
        os.chown(folder / name, HIM, HIM, follow_symlinks=False)
    with pytest.raises(OSError, match=r"Permission denied|no regular file"):
        read(pid, f"{folder.parent}/{path}")
    with pytest.raises(PermissionError):
        names_in(pid, f"{folder}/roots")


@as_root
def test_the_kernels_own_links_lead_nowhere_else(his: tuple[Path, int]) -> None:
    """A path through /proc, which root could follow into other processes, is followed as its text says."""
    _, pid = his
    for path in ("/proc/1/root/etc/shadow", f"/proc/{os.getpid()}/fd/0", "/proc/1/cwd/etc/shadow"):
        with pytest.raises(OSError, match=r"Permission denied|No such file|no regular file|Not a directory"):
            read(pid, path)


@as_root
def test_links_of_third_parties_are_not_followed(his: tuple[Path, int]) -> None:
    """In a folder that all may write to, a link of somebody else would have us take another file of his for his log."""
    folder, pid = his
    (folder / "private").mkdir()
    made(folder / "private" / "log")
    os.chown(folder / "private", HIM, HIM)
    (folder.parent / "logs").symlink_to(folder / "private")
    os.chown(folder.parent / "logs", HIM + 1, HIM + 1, follow_symlinks=False)
    with pytest.raises(PermissionError, match="another user"):
        read(pid, f"{folder.parent}/logs/log")


@as_root
def test_groups_count(place: Path) -> None:
    """What his group may read is read for him, and what another group may is not."""
    shared, others = made(place / "shared", uid=0, gid=HIM, mode=0o640), made(place / "others", uid=0, gid=HIM + 1, mode=0o640)
    with job() as pid:
        assert read(pid, str(shared)) == b"hello"
        with pytest.raises(PermissionError):
            read(pid, str(others))
    with job(groups=[HIM + 1]) as pid:
        assert read(pid, str(others)) == b"hello"


@as_root
def test_we_are_ourselves_again(his: tuple[Path, int]) -> None:
    """Behind each look this thread has root's rights again, also where it was refused."""
    folder, pid = his
    groups = os.getgroups()
    with pytest.raises(PermissionError):
        read(pid, f"{folder.parent}/secret")
    assert (folder.parent / "secret").read_bytes()
    assert os.getgroups() == groups
    assert made(folder / "new", uid=0).stat().st_uid == 0


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_nothing_is_waited_for(tmp_path: Path, start: Processes, kind: str) -> None:
    """A pipe without a writer, a device or a folder in the place of a file is refused at once."""
    path = {"pipe": str(tmp_path / "pipe"), "device": "/dev/zero", "folder": str(tmp_path)}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    began = time.monotonic()
    with pytest.raises(OSError, match="no regular file"):
        read(start.python().pid, path)
    assert time.monotonic() - began < 2


def test_a_path_that_leads_in_circles(tmp_path: Path, start: Processes) -> None:
    """Links that lead to themselves, and paths without an end, are refused."""
    (tmp_path / "circle").symlink_to("circle")
    pid = start.python().pid
    for path in (f"{tmp_path}/circle/log", f"{tmp_path}/" + "a/../" * 5000 + "log", "/proc/self" + "/cwd" * 500):
        with pytest.raises(OSError, match=r"Too many levels|No such file|too long|Not a directory"):
            read(pid, path)


def test_no_path_leads_above_the_root_of_the_process(tmp_path: Path, start: Processes) -> None:
    """As for the process itself, the root is above everything."""
    (tmp_path / "log").write_text("hello")
    assert read(start.python().pid, f"/../../..{tmp_path}/log") == b"hello"


@as_root
def test_a_setuid_program_is_its_starters(place: Path) -> None:
    """A program that runs as root because of its setuid bit reads for who started it."""
    program = place / "sleeps"
    shutil.copy(shutil.which("sleep") or "", program)
    program.chmod(0o4755)
    process = subprocess.Popen([program, "60"], user=HIM, group=HIM, extra_groups=[])
    try:
        time.sleep(0.1)
        if f"\nUid:\t{HIM}\t0\t" not in Path(f"/proc/{process.pid}/status").read_text():
            pytest.skip("this file system heeds no setuid bit")
        with pytest.raises(PermissionError):
            read(process.pid, str(place / "secret"))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("shape", ["QQ", "II"])
def test_a_program_that_gained_rights_is_known(shape: str) -> None:
    """By the kernel's own mark, in programs of 64 and of 32 bits: one that calls itself root wholly, as sudo does, is none of root's."""
    pairs = [(6, 4096), (3, 0x55550040), (23, 0), (0, 0)]
    assert not _gained_rights(b"".join(struct.pack(shape, *pair) for pair in pairs))
    pairs[2] = (23, 1)
    assert _gained_rights(b"".join(struct.pack(shape, *pair) for pair in pairs))
