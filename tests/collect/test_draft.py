"""The folder in which a bundle grows: what of earlier runs is removed, and whose it becomes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hanglens.collect import draft
from hanglens.collect.draft import Draft
from tests.collect.processes import HIM, clean_environ

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="folders are held by Linux's O_PATH")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")

HOLDS = """
import pathlib, sys, time
from hanglens.collect.draft import Draft
draft = Draft(pathlib.Path(sys.argv[1]))
draft.write("logs/job.log", b"hello")
print("ready", flush=True)
time.sleep(60)
"""


def killed_in(folder: Path) -> Path:
    """A draft of a run that was killed while it wrote."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, env=clean_environ())
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    (path,) = folder.iterdir()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return path


def test_a_draft_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    """The next run in the same place removes it with all that is in it."""
    left = killed_in(tmp_path)
    assert (left / "logs" / "job.log").exists()
    Draft(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", range(6))
def test_what_was_killed_while_it_was_removed_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """At whatever file the removal of a draft is broken off: the next run finishes it."""
    one, removed, remove = Draft(tmp_path), list[str](), draft._remove
    for file in ("a.log", "host/b", "logs/c"):
        one.write(file, b"1")

    def killed(name: str, here: int) -> None:
        if len(removed) >= most:
            raise KeyboardInterrupt
        removed.append(name)
        remove(name, here)

    monkeypatch.setattr(draft, "_remove", killed)
    with pytest.raises(KeyboardInterrupt):
        one.remove()
    one._close()
    monkeypatch.setattr(draft, "_remove", remove)
    assert list(tmp_path.iterdir()) == [one.path]
    Draft(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_grows_is_left_alone(tmp_path: Path) -> None:
    """Two runs at one time, in one place, do not disturb each other."""
    one, other = Draft(tmp_path), Draft(tmp_path)
    one.write("a", b"1")
    Draft(tmp_path).remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([one.path.name, other.path.name])
    one.publish_archive("one.tar.gz", "top")
    other.publish_folder("other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar.gz", "other"]


def test_a_draft_of_another_host_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that hosts share, nobody can say from here whether another host's run still goes on."""
    left = killed_in(tmp_path)
    monkeypatch.setattr(draft.socket, "gethostname", lambda: "another")
    Draft(tmp_path).remove()
    assert list(tmp_path.iterdir()) == [left]


def test_what_only_has_the_name_of_a_draft_is_left_alone(tmp_path: Path) -> None:
    """A link, a file, and a folder that no run made are not removed, nor what a link leads to."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine").write_text("mine")
    suffix = draft._suffix()
    (tmp_path / f".hanglens-1{suffix}").symlink_to(kept)
    (tmp_path / f".hanglens-2{suffix}").write_text("mine")
    (tmp_path / f".hanglens-3{suffix}").mkdir()
    (tmp_path / f".hanglens-3{suffix}" / "mine").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    Draft(tmp_path).remove()
    assert sorted(tmp_path.rglob("*")) == before


@as_root
def test_a_link_in_a_draft_is_removed_and_not_followed(tmp_path: Path) -> None:
    """Whatever came into a draft that was left, nothing outside of it is touched."""
    left, kept = killed_in(tmp_path), tmp_path / "kept"
    kept.mkdir()
    (kept / "mine").write_text("mine")
    (left / "link").symlink_to(kept)
    Draft(tmp_path).remove()
    assert (kept / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@as_root
def test_another_users_folder_is_no_draft_of_ours(place: Path) -> None:
    """What he gives the name of a draft root does not remove."""
    fake = place / "his" / f".hanglens-1{draft._suffix()}"
    fake.mkdir()
    (fake / draft._MARK).touch()
    for path in (fake, fake / draft._MARK):
        os.chown(path, HIM, HIM)
    Draft(place / "his").remove()
    assert (fake / draft._MARK).exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_it_is_nobody_elses_to_read(tmp_path: Path, umask: int) -> None:
    """Whatever the mask: the folder, the archive, the file beside it, and a folder in its place."""
    before = os.umask(umask)
    try:
        one, other = Draft(tmp_path), Draft(tmp_path)
        modes = [one.path.stat().st_mode]
        one.write("logs/a", b"1")
        one.publish_file("names", b"secret")
        one.publish_archive("one.tgz", "top")
        other.publish_folder("other")
    finally:
        os.umask(before)
    modes += [(tmp_path / name).stat().st_mode for name in ("names", "one.tgz", "other")]
    assert [mode & 0o077 for mode in modes] == [0, 0, 0, 0]


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the archive is renamed into its place, and what lies there is not replaced either."""

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    one = Draft(tmp_path)
    one.publish_file("names", b"pseudonyms")
    with pytest.raises(FileExistsError):
        one.publish_file("names", b"others")
    one.publish_archive("one.tar.gz", "top")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names", "one.tar.gz"]
    assert (tmp_path / "names").read_bytes() == b"pseudonyms"


def through_sudo(monkeypatch: pytest.MonkeyPatch, uid: str = str(HIM)) -> None:
    """Root's environment as sudo makes it."""
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", uid)


@as_root
@pytest.mark.parametrize(("folder", "owner"), [("his", HIM), ("everybodys", HIM), ("roots", 0)])
def test_through_sudo_it_becomes_the_users_where_he_may_write(
    place: Path, monkeypatch: pytest.MonkeyPatch, folder: str, owner: int
) -> None:
    """The bundle, as an archive or a folder, and the file beside it are his in a folder of his, or of all; elsewhere they stay root's."""
    through_sudo(monkeypatch)
    (place / "everybodys").mkdir()
    (place / "everybodys").chmod(0o1777)
    (place / "roots").mkdir()
    one, other = Draft(place / folder), Draft(place / folder)
    one.publish_file("names", b"pseudonyms")
    one.publish_archive("one.tar.gz", "top")
    other.write("logs/a", b"1")
    other.publish_folder("other")
    paths = [path for path in (place / folder).rglob("*") if path.name != draft._MARK]
    assert len(paths) == 5
    assert {path.stat().st_uid for path in paths} == {owner}


@as_root
@pytest.mark.parametrize("uid", ["", "0", "-1", "x", "٣", "4294967295", "99999999999"])
def test_a_user_that_sudo_cannot_have_named(place: Path, monkeypatch: pytest.MonkeyPatch, uid: str) -> None:
    """Without a user in the environment, or with one that is none, all stays root's."""
    through_sudo(monkeypatch, uid)
    Draft(place / "his").publish_archive("one.tar.gz", "top")
    assert (place / "his" / "one.tar.gz").stat().st_uid == 0


def test_a_place_in_a_folder_that_may_not_be_listed(place: Path) -> None:
    """A folder into which one may write, but not look, takes a bundle all the same."""
    place.chmod(0o300)
    Draft(place).publish_archive("one.tar.gz", "top")
    assert (place / "one.tar.gz").stat().st_size
    place.chmod(0o700)


def test_a_relative_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are meant from the working folder, also with `..`."""
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    Draft(Path()).publish_archive("one.tar.gz", "top")
    Draft(Path("..")).publish_archive("two.tar.gz", "top")
    assert (tmp_path / "inner" / "one.tar.gz").exists()
    assert (tmp_path / "two.tar.gz").exists()


def test_two_hundred_at_once(tmp_path: Path) -> None:
    """Runs that begin and end in one place at one time neither fail nor leave anything."""
    code = "import pathlib, sys\nfrom hanglens.collect.draft import Draft\nfor _ in range(50): Draft(pathlib.Path(sys.argv[1])).remove()"
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=clean_environ(), stderr=subprocess.PIPE) for _ in range(4)]
    ends = time.monotonic() + 60
    assert [run.communicate(timeout=ends - time.monotonic())[1] for run in runs] == [b""] * 4
    assert list(tmp_path.iterdir()) == []
