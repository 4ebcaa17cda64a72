"""The bundle while it grows, and how it is put in its place."""

from __future__ import annotations

import errno
import json
import os
import pickle
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from hanglens.collect.draft import _MARK as MARK
from hanglens.collect.draft import Draft
from hanglens.collect.staging import About, Attempt, Staging, utc
from hanglens.errors import HangLensError
from hanglens.manifest import Cut, decode
from hanglens.privacy.redactor import Redactor
from tests.collect.processes import manifest_of, staged

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="folders are held by Linux's O_PATH")

LOG = Attempt(what="log", pid=5, rank=1, command="cat job.log")


def test_a_file_is_kept_with_what_it_is(staging: Staging) -> None:
    """The file lies in the bundle, and its item has the attempt, its size, and what its maker said about it."""
    attempt = Attempt(what="log", pid=5, rank=1, command="cat job.log")
    staging.keep(attempt, "logs/job.log", b"hello\n", About(cut=Cut(100, 94, 1)))
    (item,) = staging.close()
    assert (staging.folder / "logs" / "job.log").read_bytes() == b"hello\n"
    assert (item.what, item.pid, item.rank, item.command, item.status) == ("log", 5, 1, "cat job.log", "ok")
    assert (item.file, item.bytes, item.cut, item.redactions) == ("logs/job.log", 6, Cut(100, 94, 1), 0)
    assert item.start.endswith("+00:00")
    assert 0 <= item.seconds < 60


def test_one_name_is_given_once(staging: Staging) -> None:
    """Files of one name are all kept, each under a name of its own."""
    for text in (b"a", b"b", b"c"):
        staging.keep(LOG, "logs/job.log", text)
    files = [item.file for item in staging.close()]
    assert files == ["logs/job.log", "logs/job-2.log", "logs/job-3.log"]
    assert [(staging.folder / file).read_bytes() for file in files] == [b"a", b"b", b"c"]


def test_secrets_are_taken_out_and_counted(staging: Staging) -> None:
    """Of a text the secrets are replaced before it is written, and counted for each file; reasons and commands are text as well."""
    staging.keep(LOG, "a.log", b"password=abcdefgh1\nAPI_KEY=abcdefgh2\n")
    staging.keep(LOG, "b.log", b"nothing\n")
    staging.miss(Attempt(what="x", command="run --password=abcdefgh3"), "failed", "token=abcdefgh4")
    items = staging.close()
    assert [item.redactions for item in items] == [2, 0, 0]
    assert b"abcdefgh" not in (staging.folder / "a.log").read_bytes()
    assert "abcdefgh" not in items[2].command + items[2].reason


def test_binaries_are_kept_as_they_are(staging: Staging) -> None:
    """A dump is no text, and is not changed."""
    data = b"\x80\x02password=abcdefgh1"
    staging.keep_dump(LOG, "dump", data)
    assert (staging.folder / "dump").read_bytes() == data


def test_a_file_for_which_there_is_no_room_is_noted_and_the_others_go_on(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs that file only, leaves no half of it, and its item says what to do."""

    @contextmanager
    def full(place: Draft, file: str) -> Iterator[BinaryIO]:
        with made(place, file) as out:
            yield out
            if file == "logs/large.log":
                raise OSError(errno.ENOSPC, "the disk is full")

    made = Draft._new
    monkeypatch.setattr(Draft, "_new", full)
    staging.keep(LOG, "logs/large.log", b"too much")
    staging.keep(LOG, "logs/small.log", b"x")
    large, small = staging.close()
    assert (large.status, large.reason, large.file) == ("failed", "could not be written: the disk is full", "")
    assert "-o" in large.how_to_collect
    assert (small.status, small.file) == ("ok", "logs/small.log")
    assert sorted(path.name for path in (staging.folder / "logs").iterdir()) == ["small.log"]


def test_nothing_is_taken_once_it_is_closed(staging: Staging) -> None:
    """What a late probe brings is thrown away: neither the files nor the items change any more."""
    staging.keep(LOG, "a.log", b"a")
    before = staging.close()
    staging.keep(LOG, "b.log", b"b")
    staging.keep_dump(LOG, "c", b"c")
    staging.miss(LOG, "failed", "late")
    assert staging.close() == before
    assert [path.name for path in staging.folder.iterdir() if path.name != MARK] == ["a.log"]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_an_archive_is_whole(staging: Staging, suffix: str) -> None:
    """It has one folder at its top with everything in it, is nobody else's to read, names no user, and no draft is left beside it."""
    staging.keep(LOG, "logs/job.log", b"hello\n")
    place = staging.folder.parent
    target = place / f"bundle{suffix}"
    staging.publish(manifest_of(staging), target.name, "hanglens-n1")
    with tarfile.open(target) as archive:
        members = archive.getmembers()
        text = archive.extractfile("hanglens-n1/manifest.json").read()
        assert archive.extractfile("hanglens-n1/logs/job.log").read() == b"hello\n"
    assert {member.name.split("/")[0] for member in members} == {"hanglens-n1"}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert [item.file for item in decode(text).items] == ["logs/job.log"]
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.iterdir()] == [target.name]


def test_a_folder_is_moved_into_its_place(staging: Staging) -> None:
    """Under another name the bundle is a folder with the same in it, and nothing lies beside it."""
    staging.keep(LOG, "logs/job.log", b"hello\n")
    target = staging.folder.parent / "bundle"
    staging.publish(manifest_of(staging), target.name, "hanglens-n1")
    assert (target / "logs" / "job.log").read_bytes() == b"hello\n"
    assert json.loads((target / "manifest.json").read_bytes())["tool_version"] == "0"
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_what_was_collected_is_not_lost_where_it_cannot_be_published(staging: Staging) -> None:
    """If the archive cannot be written the error says where everything lies, and there is no half of an archive."""
    staging.keep(LOG, "job.log", b"hello\n")
    target = staging.folder.parent / "bundle.tar.gz"
    target.write_text("mine")
    with pytest.raises(HangLensError, match="cannot write") as raised:
        staging.publish(manifest_of(staging), target.name, "hanglens-n1")
    assert str(staging.folder) in raised.value.next_step
    assert (staging.folder / "job.log").read_bytes() == b"hello\n"
    assert sorted(target.parent.iterdir()) == sorted([target, staging.folder])
    assert target.read_text() == "mine"
    staged(target.parent)
    assert (staging.folder / "job.log").exists(), "what somebody was told to look at is no draft for later runs"


def test_a_draft_that_cannot_be_finished_is_removed(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while the archive is packed leaves neither the archive nor its draft."""
    staging.keep(LOG, "job.log", b"hello\n")
    target = staging.folder.parent / "bundle.tar.gz"

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(HangLensError, match="the disk is full"):
        staging.publish(manifest_of(staging), target.name, "hanglens-n1")
    assert list(staging.folder.parent.iterdir()) == [staging.folder]


def test_discarded_it_leaves_nothing(staging: Staging) -> None:
    """A bundle that is given up is removed whole."""
    staging.keep(LOG, "job.log", b"hello\n")
    place = staging.folder.parent
    staging.discard()
    assert list(place.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Where nothing can be written the error comes at once and says what to do."""
    with pytest.raises(HangLensError, match="cannot write to") as raised:
        staged(tmp_path / "not-there")
    assert "-o" in raised.value.next_step


def test_only_its_owner_sees_it_grow(staging: Staging) -> None:
    """While it grows the bundle lies in a hidden folder that nobody else may enter."""
    assert staging.folder.name.startswith(".")
    assert staging.folder.stat().st_mode & 0o077 == 0
    assert staging.folder.stat().st_uid == os.geteuid()


def test_names_are_redacted_in_file_names(tmp_path: Path) -> None:
    """A host's name in the name of a log becomes its pseudonym, as in the text."""
    redactor = Redactor(names=True)
    redactor.learn(hosts={"gpubox17"})
    staging = Staging(tmp_path, redactor)
    staging.keep(LOG, "logs/nccl.gpubox17.5.log", b"gpubox17 says\n")
    (item,) = staging.close()
    assert "gpubox17" not in item.file
    assert b"gpubox17" not in (staging.folder / item.file).read_bytes()


def test_times_are_utc() -> None:
    """Seconds since the epoch are written as ISO 8601 in UTC to the millisecond."""
    assert utc(0.0015) in ("1970-01-01T00:00:00.001+00:00", "1970-01-01T00:00:00.002+00:00")


def test_dump_loses_its_names_and_stays_a_dump(tmp_path: Path) -> None:
    """Where names are replaced, the strings of a dump are redacted, and its item counts them."""
    staging = Staging(tmp_path, Redactor(names=True))
    staging.keep_dump(LOG, "dump_0", pickle.dumps({"entries": [{"file": "/home/alice/x.py", "seq": 3}]}, protocol=2))
    (item,) = staging.close()
    assert (item.status, item.redactions) == ("ok", 1)
    assert pickle.loads((staging.folder / "dump_0").read_bytes()) == {"entries": [{"file": "/home/user-1/x.py", "seq": 3}]}


def test_dump_loses_its_secrets_in_every_bundle(staging: Staging) -> None:
    """A secret in a dump goes also where names stay."""
    staging.keep_dump(LOG, "dump_0", pickle.dumps({"entries": ["--password hunter2 of /home/alice"]}, protocol=2))
    staging.close()
    assert pickle.loads((staging.folder / "dump_0").read_bytes()) == {"entries": ["--password <secret> of /home/alice"]}


def test_dump_that_cannot_be_read_is_left_out_where_names_go(tmp_path: Path) -> None:
    """Nobody knows which names are in it, so it stays on the host, and its item says why."""
    staging = Staging(tmp_path, Redactor(names=True))
    staging.keep_dump(LOG, "dump_0", b"\x80\x02cos\nsystem\n.")
    (item,) = staging.close()
    assert (item.status, item.file) == ("failed", "")
    assert "dump_0" in item.reason
    assert "--redact" in item.how_to_collect
    assert [path.name for path in staging.folder.iterdir()] == [MARK]
