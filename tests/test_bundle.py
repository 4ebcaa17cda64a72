"""What `open_evidence` finds on disk, and what it refuses."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from hanglens.bundle import BundleError, Item, Limits, open_evidence
from hanglens.errors import UsageError
from hanglens.meter import Meter
from hanglens.model import Gap
from hanglens.streams import Content, Stream, read_most

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MiB = 1 << 20
CUT = 400_000
HELD_BACK = 140_000  # a zstd block is given when it is whole, and a tar ends with 10 KiB of zeros
Compress = Callable[[bytes], bytes]
COMPRESS: dict[str, Compress] = {
    "gz": gzip.compress,
    "bz2": partial(bz2.compress, compresslevel=1),
    "xz": lzma.compress,
    "zst": zstd.compress,
}
NOISE = random.Random(7).randbytes(MiB)
"""Bytes that do not compress, so that half of an archive is about half of its members."""
NUMBERS = b"".join(b"%d words of line %x\n" % (number * 7919 % 99991, number) for number in range(120_000))
"""Bytes that compress like a log."""


class Found:
    """All that came out: `texts` by path in their order, and the gaps, those met while reading included."""

    def __init__(self, found: Iterable[Item | Gap]) -> None:
        self.texts: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.gaps: dict[str, str] = {}
        self.advice: dict[str, str] = {}
        for one in found:
            if isinstance(one, Gap):
                self._note(one)
            else:
                self._read(one)

    def _read(self, item: Item) -> None:
        self.sizes[item.path] = item.size
        self.texts[item.path] = b""
        try:
            while block := item.stream.read(MiB):
                self.texts[item.path] += block
        except BundleError as error:
            self._note(error.gap)

    def _note(self, gap: Gap) -> None:
        self.gaps[gap.what] = gap.why
        self.advice[gap.what] = gap.how_to_collect


def evidence(*paths: Path | str, limits: Limits | None = None, stdin: BinaryIO | None = None) -> Found:
    """Everything that these paths hold."""
    return Found(open_evidence([str(path) for path in paths], limits=limits, stdin=stdin))


def only(path: Path) -> tuple[Item, Iterator[Item | Gap]]:
    """The first item, and what closes it when it goes on."""
    found = open_evidence([str(path)])
    item = next(found)
    assert isinstance(item, Item)
    return item, found


def tar_bytes(members: Mapping[str, bytes] | Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar of these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """A zip of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def save(path: Path, data: bytes) -> Path:
    """Write a file, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# --- what is found, and under which name


def test_a_folder_is_read_in_natural_order_with_paths_relative_to_it(tmp_path: Path) -> None:
    """rank2 comes before rank10, in every folder, and no path names the folder given."""
    for name in ("rank10.log", "rank2.log", "a/9.txt", "a/10.txt"):
        save(tmp_path / name, name.encode())
    assert list(evidence(tmp_path).texts) == ["a/9.txt", "a/10.txt", "rank2.log", "rank10.log"]


def test_a_single_file_has_its_base_name(tmp_path: Path) -> None:
    """A file given alone is an item named as the file, of its size."""
    found = evidence(save(tmp_path / "deep" / "job.log", b"hung"))
    assert (found.texts, found.sizes) == ({"job.log": b"hung"}, {"job.log": 4})


def test_a_folder_deeper_than_the_python_stack_is_read(tmp_path: Path) -> None:
    """The depth of folders is bounded by the file system alone."""
    save(tmp_path.joinpath(*["d"] * 400, "x.log"), b"x")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        found = evidence(tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    assert list(found.texts.values()) == [b"x"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_file_keeps_its_name_and_gives_its_text(tmp_path: Path, suffix: str) -> None:
    """`nccl.log.gz` is an item of that name whose stream is the text."""
    save(tmp_path / f"nccl.log.{suffix}", COMPRESS[suffix](b"NCCL INFO\n" * 1000))
    item, _ = only(tmp_path)
    assert (item.path, item.size) == (f"nccl.log.{suffix}", -1)
    assert item.stream.peek().startswith(b"NCCL INFO\n")
    assert list(item.stream) == [b"NCCL INFO\n"] * 1000


@pytest.mark.parametrize("suffix", COMPRESS)
def test_several_frames_in_one_compressed_file_are_one_text(tmp_path: Path, suffix: str) -> None:
    """Rotated logs are concatenated as they are, and may be padded; all their frames are read."""
    path = save(tmp_path / "log", COMPRESS[suffix](b"one ") + COMPRESS[suffix](b"") + COMPRESS[suffix](b"two") + bytes(5000))
    assert evidence(path).texts == {"log": b"one two"}


MEMBERS = {"top/rank0.log": b"zero", "top/sub/rank1.log": b"one", "top/big.log": NOISE}
ARCHIVES = {
    "tar": tar_bytes(MEMBERS),
    "zip": zip_bytes(MEMBERS),
    **{f"tar.{suffix}": compress(tar_bytes(MEMBERS)) for suffix, compress in COMPRESS.items()},
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_known_by_its_content_and_keeps_its_member_paths(tmp_path: Path, kind: str) -> None:
    """Whatever it is called, an archive gives its members under the paths that a person finds in it."""
    found = evidence(save(tmp_path / "evidence.bin", ARCHIVES[kind]))
    assert (found.texts, found.gaps) == (MEMBERS, {})
    assert found.sizes == {name: len(data) for name, data in MEMBERS.items()}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_text_that_is_called_like_an_archive_is_a_text(tmp_path: Path, kind: str) -> None:
    """A name alone makes no archive."""
    assert evidence(save(tmp_path / f"x.{kind}", b"plain")).texts == {f"x.{kind}": b"plain"}


@pytest.mark.parametrize("outer", ARCHIVES)
@pytest.mark.parametrize("inner", ARCHIVES)
def test_an_archive_in_an_archive_is_a_folder_of_it(tmp_path: Path, outer: str, inner: str) -> None:
    """The members of a nested archive stand under its path, whatever is nested in what."""
    nested = {"host/inner": ARCHIVES[inner], "host/rank0.log.gz": gzip.compress(b"text")}
    packed = tar_bytes(nested) if outer != "zip" else zip_bytes(nested)
    found = evidence(save(tmp_path / "all", COMPRESS.get(outer[4:], bytes)(packed)))
    assert found.texts == {f"host/inner/{name}": data for name, data in MEMBERS.items()} | {"host/rank0.log.gz": b"text"}
    assert not found.gaps


def test_an_archive_in_a_folder_is_a_folder_of_it(tmp_path: Path) -> None:
    """Members of archives in a folder stand under the archive's path."""
    save(tmp_path / "n1" / "logs.tgz", ARCHIVES["tar.gz"])
    assert set(evidence(tmp_path).texts) == {f"n1/logs.tgz/{name}" for name in MEMBERS}


def test_leading_dots_of_tar_names_are_dropped(tmp_path: Path) -> None:
    """`tar -C dir .` names its members `./x`; the path is `x`."""
    assert evidence(save(tmp_path / "x.tar", tar_bytes({"./a//b.log": b"b"}))).texts == {"a/b.log": b"b"}


def test_several_paths_keep_hosts_apart(tmp_path: Path) -> None:
    """With more than one path every item stands under its path's name, made unique where names are the same."""
    save(tmp_path / "node1/logs/rank0.log", b"1")
    save(tmp_path / "node2/logs/rank0.log", b"2")
    save(tmp_path / "node3.tgz", gzip.compress(tar_bytes({"rank0.log": b"3"})))
    save(tmp_path / "dmesg.txt", b"4")
    found = evidence(*(tmp_path / name for name in ("node1/logs", "node2/logs", "node3.tgz", "dmesg.txt")))
    assert found.texts == {"node1/logs/rank0.log": b"1", "node2/logs/rank0.log": b"2", "node3.tgz/rank0.log": b"3", "dmesg.txt": b"4"}


def test_a_path_given_twice_is_read_once(tmp_path: Path) -> None:
    """The same evidence must not count twice."""
    path = save(tmp_path / "a.log", b"x")
    assert evidence(path, tmp_path / "." / "a.log").texts == {"a.log": b"x"}


def test_names_are_made_printable(tmp_path: Path) -> None:
    """Terminal codes, line ends and bytes of no encoding in a name are escaped."""
    found = evidence(save(tmp_path / "x.tar", tar_bytes({"a\x1b[31m\n\udcff.log": b"x"})))
    assert list(found.texts) == ["a\\x1b[31m\\n\\udcff.log"]


# --- standard input


def test_standard_input_is_an_item_of_its_own() -> None:
    """Pasted text is the item `stdin`."""
    assert evidence("-", stdin=io.BytesIO(b"pasted")).texts == {"stdin": b"pasted"}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_standard_input_may_be_an_archive(kind: str) -> None:
    """An archive on standard input is opened like one on disk."""
    assert evidence("-", stdin=io.BytesIO(ARCHIVES[kind])).texts == MEMBERS


def test_a_zip_longer_than_memory_allows_is_copied_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip is read from its end: one on a pipe is copied, to disk what is longer than its share of memory."""
    monkeypatch.setattr("hanglens.bundle.SPOOL", 1000)
    assert evidence("-", stdin=io.BytesIO(ARCHIVES["zip"])).texts == MEMBERS


@pytest.mark.parametrize("kind", [kind for kind in ARCHIVES if kind != "zip"])
def test_nothing_else_is_copied(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A text on a pipe, and members of a compressed tar, are read as they come."""
    monkeypatch.delattr("tempfile.SpooledTemporaryFile")
    assert evidence("-", stdin=io.BytesIO(ARCHIVES[kind])).texts == MEMBERS
    assert evidence("-", stdin=io.BytesIO(NOISE)).texts == {"stdin": NOISE}
    assert evidence(save(tmp_path / "x", ARCHIVES[kind])).texts == MEMBERS


def test_standard_input_beside_a_path(tmp_path: Path) -> None:
    """Pasted text and a folder are one incident."""
    save(tmp_path / "run" / "a.log", b"a")
    assert evidence(tmp_path / "run", "-", stdin=io.BytesIO(b"p")).texts == {"run/a.log": b"a", "stdin": b"p"}


def test_a_pipe_on_the_command_line_is_read_like_standard_input() -> None:
    """`analyze <(zcat log)` gives a pipe's path."""
    read, write = os.pipe()
    os.write(write, b"piped")
    os.close(write)
    assert list(evidence(f"/dev/fd/{read}").texts.values()) == [b"piped"]


# --- what is not there, or not readable


def test_a_path_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    """It is said at once, with the path and the next step."""
    with pytest.raises(UsageError, match=r"nowhere\.log.*; check the path"):
        open_evidence([str(tmp_path / "nowhere.log")])


def test_empty_files_are_gaps(tmp_path: Path) -> None:
    """An empty file is no evidence, be it plain, compressed or in an archive."""
    save(tmp_path / "a.log", b"")
    save(tmp_path / "b.gz", gzip.compress(b""))
    save(tmp_path / "c.tar", tar_bytes({"m": b""}))
    save(tmp_path / "d.zip", zip_bytes({"m": b""}))
    found = evidence(tmp_path)
    assert (found.texts, found.gaps) == ({}, dict.fromkeys(["a.log", "b.gz", "c.tar/m", "d.zip/m"], "empty"))


def test_unreadable_files_are_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without read permission is a gap, and its neighbour is read (root may read all, so the refusal is feigned)."""
    save(tmp_path / "a.log", b"secret")
    save(tmp_path / "b.log", b"b")

    def refuse(_: Meter, path: str) -> tuple[BinaryIO, int]:
        if path.endswith("a.log"):
            raise PermissionError(13, "Permission denied")
        return io.BytesIO(b"b"), 1

    monkeypatch.setattr(Meter, "opened", refuse)
    found = evidence(tmp_path)
    assert (found.texts, found.gaps) == ({"b.log": b"b"}, {"a.log": "cannot be read: Permission denied"})


def test_an_unreadable_folder_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed is a gap, and its neighbour is read."""
    save(tmp_path / "locked" / "a.log", b"a")
    save(tmp_path / "z.log", b"z")
    real = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = evidence(tmp_path)
    assert (list(found.texts), list(found.gaps)) == (["z.log"], ["locked"])


def test_pipes_sockets_and_devices_in_a_folder_are_gaps_and_do_not_block(tmp_path: Path) -> None:
    """A FIFO that nobody writes to is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    save(tmp_path / "z.log", b"z")
    found = evidence(tmp_path)
    assert (list(found.texts), list(found.gaps)) == (["z.log"], ["fifo"])


def test_a_device_on_the_command_line_is_a_gap() -> None:
    """An endless device is not read."""
    assert "not a file" in evidence("/dev/zero").gaps["zero"]


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    """A link to the outside or to nothing is a gap; one to the inside is not read twice, nor followed for ever."""
    outside = save(tmp_path / "outside" / "secret", b"s").parent
    folder = save(tmp_path / "in" / "a.log", b"a").parent
    links = {"file": outside / "secret", "folder": outside, "gone": folder / "x", "loop": folder, "twice": folder / "a.log"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    found = evidence(folder)
    assert (found.texts, set(found.gaps)) == ({"a.log": b"a"}, {"file", "folder", "gone"})


def test_a_link_on_the_command_line_is_followed(tmp_path: Path) -> None:
    """The person who gives a link means its target."""
    save(tmp_path / "real" / "a.log", b"a")
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    assert evidence(tmp_path / "latest").texts == {"a.log": b"a"}


def test_a_full_disk_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room to unpack a zip, the gap says where to find some, and the rest is read."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    save(tmp_path / "a.tgz", gzip.compress(tar_bytes({"m.zip": zip_bytes({"m": b"1"}), "n": b"n"})))
    save(tmp_path / "b.log", b"b")
    found = evidence(tmp_path)
    assert (found.texts, list(found.gaps)) == ({"a.tgz/n": b"n", "b.log": b"b"}, ["a.tgz/m.zip"])
    assert "TMPDIR" in found.advice["a.tgz/m.zip"]


# --- hostile archives


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A member that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_tar_members_that_are_no_files_or_lead_out_are_refused(tmp_path: Path, compress: Compress) -> None:
    """Links, devices and names that leave the archive are gaps; the members around them are read; nothing is written."""
    hostile = [
        (tarfile.TarInfo("../escape"), b"x"), (tarfile.TarInfo("a/../../escape"), b"x"), (tarfile.TarInfo("/etc/passwd"), b"x"),
        (tarfile.TarInfo("..\\escape"), b"x"), (tarfile.TarInfo("C:\\escape"), b"x"), special("sym", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard", tarfile.LNKTYPE, "first"), special("null", tarfile.CHRTYPE), special("pipe", tarfile.FIFOTYPE),
    ]  # fmt: skip
    data = tar_bytes([(tarfile.TarInfo("first"), b"1"), *hostile, special("dir", tarfile.DIRTYPE), (tarfile.TarInfo("last"), b"2")])
    found = evidence(save(tmp_path / "x", compress(data)))
    assert found.texts == {"first": b"1", "last": b"2"}
    assert set(found.gaps) == {info.name for info, _ in hostile}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_zip_members_that_are_no_files_or_lead_out_are_refused(tmp_path: Path) -> None:
    """The same holds for zip."""
    path = save(tmp_path / "x.zip", zip_bytes({"../escape": b"x", "/abs": b"x", "..\\escape": b"x", "ok": b"1"}))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    found = evidence(path)
    assert (found.texts, set(found.gaps)) == ({"ok": b"1"}, {"../escape", "/abs", "..\\escape", "link"})


def test_encrypted_zip_members_are_gaps(tmp_path: Path) -> None:
    """No password is asked for; the gap says what to do."""
    data = bytearray(zip_bytes({"secret.log": b"x" * 50}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    found = evidence(save(tmp_path / "x.zip", bytes(data)))
    assert found.gaps == {"secret.log": "refused: encrypted"}
    assert "unpack it" in found.advice["secret.log"]


@pytest.mark.parametrize("kind", [kind for kind in ARCHIVES if kind != "zip"])
def test_a_tar_that_is_cut_off_gives_the_members_before_and_the_part_of_the_last(tmp_path: Path, kind: str) -> None:
    """Every good byte is given, the member that is cut off included, and gaps name it and the archive."""
    found = evidence(save(tmp_path / "x", ARCHIVES[kind][:-CUT]))
    part = found.texts.pop("top/big.log")
    assert found.texts == {name: data for name, data in MEMBERS.items() if data is not NOISE}
    assert NOISE.startswith(part)
    assert len(part) > MiB - CUT - HELD_BACK
    assert set(found.gaps) == {"top/big.log", "x"}
    assert "cut off or damaged" in found.gaps["x"]


def test_a_tar_without_its_end_mark_may_be_cut_off(tmp_path: Path) -> None:
    """An archive that ends right after a member has lost its end mark, and maybe more."""
    found = evidence(save(tmp_path / "x.tar", tar_bytes({"a": b"1"})[:1024]))
    assert (found.texts, list(found.gaps)) == ({"a": b"1"}, ["x.tar"])


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_broken_header_within_a_tar_is_no_silent_end(tmp_path: Path, compress: Compress) -> None:
    """Members behind a broken header are lost, and a gap says so."""
    data = bytearray(tar_bytes({"a": b"1", "b": b"2"}))
    data[1024 : 1024 + 20] = b"\xff" * 20
    found = evidence(save(tmp_path / "x", compress(bytes(data))))
    assert (found.texts, list(found.gaps)) == ({"a": b"1"}, ["x"])


def test_a_zip_that_is_cut_off_is_a_gap(tmp_path: Path) -> None:
    """The index of a zip is at its end: without it nothing can be read, and the rest of the evidence is."""
    save(tmp_path / "a.zip", ARCHIVES["zip"][:-100])
    save(tmp_path / "z.log", b"z")
    found = evidence(tmp_path)
    assert (found.texts, list(found.gaps)) == ({"z.log": b"z"}, ["a.zip"])


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_file_that_is_cut_off_gives_its_good_bytes_first(tmp_path: Path, suffix: str) -> None:
    """Reading gives what is whole, then raises; reading all at once raises, since a part is not all."""
    path = save(tmp_path / "x", COMPRESS[suffix](NOISE)[:-CUT])
    found = evidence(path)
    assert NOISE.startswith(found.texts["x"])
    assert len(found.texts["x"]) > MiB - CUT - HELD_BACK
    assert "cut off or damaged" in found.gaps["x"]
    item, _ = only(path)
    with pytest.raises(BundleError, match=r"x: cut off or damaged"):
        item.stream.read()


def test_bytes_before_a_wrong_checksum_are_given(tmp_path: Path) -> None:
    """Of a small file too: it is not lost whole because its last bytes are wrong."""
    data = bytearray(gzip.compress(NUMBERS[:40_000]))
    data[-6] ^= 1
    found = evidence(save(tmp_path / "x.gz", bytes(data)))
    assert NUMBERS.startswith(found.texts["x.gz"])
    assert len(found.texts["x.gz"]) >= 40_000 - HELD_BACK // 4
    assert list(found.gaps) == ["x.gz"]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst"])
@pytest.mark.parametrize("where", [0.3, 0.9])
def test_what_stands_before_damage_within_a_file_is_given(tmp_path: Path, suffix: str, where: float) -> None:
    """Up to what one small bite stands for, however large the bites are in which whole files are read; each byte once."""
    data = bytearray(COMPRESS[suffix](NUMBERS) * 2)
    at = int(len(data) * where)
    data[at : at + 8] = bytes(byte ^ 0xFF for byte in data[at : at + 8])
    found = evidence(save(tmp_path / "x", bytes(data)))
    good = int(where * 2 * len(NUMBERS)) - 2 * HELD_BACK
    assert found.texts["x"][:good] == (2 * NUMBERS)[:good]  # below that, what is inflated of damage may be rubbish before it is noticed
    assert list(found.gaps) == ["x"]


def test_a_zip_on_a_pipe_that_is_cut_off_is_one_gap() -> None:
    """There is nothing to be read of it, and it is told once."""
    found = evidence("-", stdin=io.BytesIO(gzip.compress(ARCHIVES["zip"])[:-CUT]))
    assert (found.texts, list(found.gaps)) == ({}, ["stdin"])


def test_a_corrupt_gzip_says_so_when_it_is_read(tmp_path: Path) -> None:
    """A checksum that does not fit makes the last read raise."""
    data = bytearray(gzip.compress(b"text"))
    data[-6] ^= 1
    found = evidence(save(tmp_path / "x.gz", bytes(data)))
    assert list(found.gaps) == ["x.gz"]


def test_a_zip_member_with_a_wrong_checksum_is_read_whole(tmp_path: Path) -> None:
    """What is damaged in a zip costs no good byte, on disk and on a pipe, and its neighbours nothing."""
    data = zip_bytes({"a.log": NUMBERS, "b.log": b"b"})
    crc = zipfile.ZipFile(io.BytesIO(data)).infolist()[0].CRC.to_bytes(4, "little")
    data = data.replace(crc, b"\1\2\3\4")
    for found in (evidence(save(tmp_path / "x.zip", data)), evidence("-", stdin=io.BytesIO(data))):
        assert found.texts == {"a.log": NUMBERS, "b.log": b"b"}
        assert list(found.gaps) == ["a.log"]


def test_a_zip_member_that_is_damaged_gives_what_stands_before(tmp_path: Path) -> None:
    """As much as of a gzip file with the same damage."""
    data = bytearray(zip_bytes({"a.log": NUMBERS, "b.log": b"b"}))
    at = data.index(b"PK\x03\x04", 4) // 2
    data[at : at + 8] = bytes(byte ^ 0xFF for byte in data[at : at + 8])
    found = evidence(save(tmp_path / "x.zip", bytes(data)))
    good = len(NUMBERS) // 2 - 2 * HELD_BACK
    assert found.texts["a.log"][:good] == NUMBERS[:good]
    assert (found.texts["b.log"], list(found.gaps)) == (b"b", ["a.log"])


def test_damage_behind_what_a_reader_took_whole_is_a_gap_all_the_same(tmp_path: Path) -> None:
    """A reader that takes what it gets and asks no further does not hide that there was more."""
    path = save(tmp_path / "x.gz", gzip.compress(NOISE)[:-CUT])
    found = open_evidence([str(path)])
    item = next(found)
    assert isinstance(item, Item)
    assert NOISE.startswith(read_most(item.stream, 1 << 30))
    assert [gap.what for gap in found if isinstance(gap, Gap)] == ["x.gz"]


@pytest.mark.parametrize("base", ["tar", "zip", "tar.gz", "tar.xz", "tar.zst", "tar.bz2"])
def test_a_small_archive_cut_at_any_byte_gives_items_and_gaps(tmp_path: Path, base: str) -> None:
    """Nothing is raised, and what is given of a member begins as the member does."""
    members = {"a.log": b"a" * 70, "b.log": b"b" * 70}
    whole = zip_bytes(members) if base == "zip" else COMPRESS.get(base[4:], bytes)(tar_bytes(members))
    step = max(len(whole) // 200, 1)
    for size in range(1, len(whole), step):
        found = evidence(save(tmp_path / "x", whole[:size]))
        assert all(data.startswith(found.texts[name][:70]) for name, data in members.items() if name in found.texts)
        assert found.gaps or found.texts


def test_many_members_take_linear_time(tmp_path: Path) -> None:
    """20 000 members of a tar, and of a zip, are passed in seconds."""
    path = save(tmp_path / "x.tar", tar_bytes({f"d/{number}.log": b"x" for number in range(20_000)}))
    zipped = save(tmp_path / "x.zip", zip_bytes({f"d/{number}.log": b"x" for number in range(20_000)}))
    for one in (path, zipped):
        begin = time.process_time()
        assert sum(1 for found in open_evidence([str(one)]) if isinstance(found, Item)) == 20_000
        assert time.process_time() - begin < 20


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_folders_and_links_count_as_members(tmp_path: Path, kind: bytes) -> None:
    """An archive of nothing else ends at the limit, with the option that raises it."""
    found = evidence(save(tmp_path / "x", tar_bytes([special(f"d{number}", kind, "x") for number in range(9)])), limits=Limits(members=4))
    assert any("members = 4" in why for why in found.gaps.values())
    for number in range(5):
        (tmp_path / "folder" / f"d{number}").mkdir(parents=True)
    found = evidence(tmp_path / "folder", limits=Limits(members=4))
    assert any("members = 4" in why for why in found.gaps.values())


def test_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    """The gap says which it is and to unpack it; in an archive too."""
    save(tmp_path / "a.lz4", b"\x04\x22\x4d\x18" + NOISE[:500])
    save(tmp_path / "b.tar", tar_bytes({"c.7z": b"7z\xbc\xaf\x27\x1c" + NOISE[:500]}))
    found = evidence(tmp_path)
    assert found.texts == {}
    assert ("lz4" in found.gaps["a.lz4"], "7z" in found.gaps["b.tar/c.7z"]) == (True, True)
    assert "unpack it" in found.advice["a.lz4"]


def test_no_name_reaches_a_report_raw(tmp_path: Path) -> None:
    """Control characters, marks of direction, line separators and bytes of no encoding are escaped, wherever a name comes from."""
    hostile = "a\x1b[31m\u202eb\u2028c\x85d.log"
    save(tmp_path / "folder" / hostile, b"1")
    (tmp_path / "folder" / os.fsdecode(b"\xff.log")).write_bytes(b"2")
    save(tmp_path / "folder" / "z.zip", zip_bytes({hostile: b"3"}))
    save(tmp_path / "folder" / "z.tar", tar_bytes([(tarfile.TarInfo(hostile), b"4"), special("l\n", tarfile.SYMTYPE, "\x1b\u202e")]))
    found = evidence(tmp_path / "folder")
    assert sorted(found.texts.values()) == [b"1", b"2", b"3", b"4"]
    assert all(text.isprintable() for text in [*found.texts, *found.gaps, *found.gaps.values()])
    "".join([*found.texts, *found.gaps]).encode()


def test_no_memory_for_one_file_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a gap of this file."""
    save(tmp_path / "a.log", b"a")
    save(tmp_path / "b.log", b"b")
    real = Stream.__init__

    def poor(self: Stream, content: Content, size: int = -1) -> None:
        if content.path == "a.log":
            raise MemoryError
        real(self, content, size)

    monkeypatch.setattr(Stream, "__init__", poor)
    found = evidence(tmp_path)
    assert (found.texts, list(found.gaps)) == ({"b.log": b"b"}, ["a.log"])
    assert "memory" in found.gaps["a.log"]


def test_random_damage_never_raises(tmp_path: Path) -> None:
    """Whatever bytes an archive holds, the answer is items and gaps."""
    chance = random.Random(3)
    small = {"a.log": b"a" * 700, "b.log": b"b" * 700, "c/d.log": b"c" * 700}
    for base in (tar_bytes(small), zip_bytes(small), *(compress(tar_bytes(small)) for compress in COMPRESS.values())):
        for _ in range(60):
            data = bytearray(base)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            evidence(save(tmp_path / "x", bytes(data)))


def test_a_zip_member_without_a_name_is_read(tmp_path: Path) -> None:
    """The name may be damaged away; the text is evidence all the same."""
    data = zip_bytes({"n": b"text"}).replace(b"n", b"\0")
    assert evidence(save(tmp_path / "x.zip", data)).texts == {"unnamed": b"text"}


def raw_header(name: bytes, kind: bytes, size: int) -> bytes:
    """A tar header with any size, also one that the library would not write (base 256, GNU)."""
    block = bytearray(tarfile.TarInfo(name.decode()).tobuf())
    block[156:157], block[148:156] = kind, b" " * 8
    block[124:136] = (b"\xff" if size < 0 else b"\x80") + (size % (1 << 88)).to_bytes(11, "big")
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"Z"])
@pytest.mark.parametrize("size", [-1024, 1 << 60])
def test_a_tar_header_of_absurd_size_neither_loops_nor_fills_memory(tmp_path: Path, compress: Compress, kind: bytes, size: int) -> None:
    """Backward steps and headers of exabytes end the archive with a gap; what stands before is read."""
    data = tar_bytes({"a": b"1"})[:1024] + raw_header(b"evil", kind, size) + bytes(4096)
    found = evidence(save(tmp_path / "x", compress(data)))
    assert found.texts == {"a": b"1"}
    assert "x" in found.gaps


def test_a_chain_of_long_names_does_not_overflow_the_stack(tmp_path: Path) -> None:
    """tarfile follows long-name headers by recursion; thousands of them are damage."""
    chain = (raw_header(b"x", b"L", 2) + b"n\0".ljust(512, b"\0")) * 5000
    assert "x" in evidence(save(tmp_path / "x", tar_bytes({"a": b"1"})[:1024] + chain)).gaps


# --- bombs


def test_a_gzip_bomb_stops_at_the_limit_of_bytes(tmp_path: Path) -> None:
    """The text up to the limit is read; the gap names the limit and how to raise it."""
    path = save(tmp_path / "zeros.gz", gzip.compress(bytes(20 * MiB)))
    found = evidence(path, limits=Limits(member_bytes=2 * MiB))
    assert 0 < len(found.texts["zeros.gz"]) <= 2 * MiB
    assert "member_bytes = 2097152" in found.gaps["zeros.gz"]
    assert "--limit member_bytes=" in found.advice["zeros.gz"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_bomb_stops_at_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """What inflates more than any log does is not read on, in a file and in an archive."""
    monkeypatch.setattr("hanglens.limits.RATIO_FROM", MiB)
    bomb = COMPRESS[suffix](tar_bytes({"zeros": bytes(20 * MiB)}))
    save(tmp_path / "a" / "tar", bomb)
    save(tmp_path / "a" / "zip", zip_bytes({"zeros": bytes(20 * MiB)}))
    save(tmp_path / "a" / "z.log", b"z")
    found = evidence(tmp_path, limits=Limits(ratio=100))
    assert "ratio = 100" in found.gaps["a/tar"]
    assert "ratio = 100" in found.gaps["a/zip"]
    assert found.texts["a/z.log"] == b"z"
    piped = evidence("-", stdin=io.BytesIO(bomb), limits=Limits(ratio=100))
    assert "ratio = 100" in piped.gaps["stdin"]


@pytest.mark.parametrize("kind", ["tar", "zip", "folder", "tar.gz"])
def test_a_large_member_is_refused_by_its_size(tmp_path: Path, kind: str) -> None:
    """A file that is too large is a gap before it is read, though not the archive around it; only a tar.gz ends there."""
    members = {"a": b"1", "large": NOISE, "z": b"2"}
    if kind == "folder":
        for name, data in members.items():
            save(tmp_path / name, data)
    else:
        packed = zip_bytes(members) if kind == "zip" else tar_bytes(members)
        save(tmp_path / kind, gzip.compress(packed) if kind == "tar.gz" else packed)
    found = evidence(tmp_path if kind == "folder" else tmp_path / kind, limits=Limits(member_bytes=len(NOISE) - 1))
    assert "member_bytes" in found.gaps.pop("large")
    assert (list(found.texts), list(found.gaps)) == ((["a"], ["tar.gz"]) if kind == "tar.gz" else (["a", "z"], []))


def test_total_bytes_and_members_end_the_reading(tmp_path: Path) -> None:
    """Limits that all files share stop the reading where they are passed, with a gap that names them."""
    for number in range(5):
        save(tmp_path / f"{number}.log", b"x" * 100)
    found = evidence(tmp_path, limits=Limits(members=3))
    assert (list(found.texts), list(found.gaps)) == (["0.log", "1.log", "2.log"], ["3.log"])
    found = evidence(tmp_path, limits=Limits(total_bytes=250))
    assert (list(found.texts), list(found.gaps)) == (["0.log", "1.log"], ["2.log"])


def test_an_item_is_closed_when_the_next_one_is_taken(tmp_path: Path) -> None:
    """However many files there are, one is open at a time."""
    for name in ("a.log", "b.log"):
        save(tmp_path / name, b"x")
    item, rest = only(tmp_path)
    assert not item.stream.closed
    next(rest)
    assert item.stream.closed


def test_nesting_is_limited(tmp_path: Path) -> None:
    """An archive in an archive in an archive … ends with a gap, so that one that holds itself ends too."""
    data = b"core"
    for _ in range(20):
        data = gzip.compress(data)
    assert "nesting = 8" in evidence(save(tmp_path / "x", data)).gaps["x"]
    assert evidence(tmp_path / "x", limits=Limits(nesting=20)).texts == {"x": b"core"}
