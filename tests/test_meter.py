"""How much of the evidence has been read, whatever it is packed in."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hanglens.bundle import BundleError, Item, Limits, open_evidence
from hanglens.meter import Meter
from tests.test_bundle import ARCHIVES, COMPRESS, NOISE, MiB, save, special, tar_bytes, zip_bytes

BLOCK = 1 << 16
READ_AHEAD = 3 << 17  # bytes that streams may hold of what nobody has asked for yet: a bite of a decoder, and a buffer


def read_all(meter: Meter, *paths: Path, limits: Limits | None = None, stdin: io.BytesIO | None = None) -> list[int]:
    """Read each item; what the meter said after each step."""
    told = [meter.done]
    for found in open_evidence([str(path) for path in paths], limits=limits, stdin=stdin, meter=meter):
        told.append(meter.done)
        if isinstance(found, Item):
            told += read_item(found, meter)
    return [*told, meter.done]


def read_item(item: Item, meter: Meter) -> list[int]:
    """Read an item in blocks; what the meter said after each."""
    told = []
    with contextlib.suppress(BundleError):
        while item.stream.read(BLOCK):
            told.append(meter.done)
    return told


def folder(path: Path) -> None:
    """A folder with folders in it, an empty file, and links, one of which leads out."""
    save(path / "a" / "b" / "deep.log", NOISE)
    save(path / "a" / "empty.log", b"")
    save(path / "z.log", b"last")
    (path / "out").symlink_to("/etc")
    (path / "twice").symlink_to(path / "z.log")
    os.mkfifo(path / "pipe")


def refused(path: Path) -> None:
    """A tar whose largest member is refused, and so are a link and what leads out."""
    members = [(tarfile.TarInfo("first"), b"1"), (tarfile.TarInfo("../out"), NOISE), special("link", tarfile.SYMTYPE, "/etc/passwd")]
    save(path / "x.tar", tar_bytes([*members, (tarfile.TarInfo("last"), b"2")]))


GIVEN: dict[str, Callable[[Path], object]] = {
    "folder": folder,
    "refused": refused,
    "empty": lambda path: save(path / "empty.log", b""),
    "cut": lambda path: save(path / "x.tgz", ARCHIVES["tar.gz"][:-400_000]),
    "junk": lambda path: save(path / "x.tgz", ARCHIVES["tar.gz"] + NOISE),
    "zip in tar": lambda path: save(path / "x.tar", tar_bytes({"in.zip": ARCHIVES["zip"], "z": NOISE})),
    "tar.gz in tar.gz": lambda path: save(path / "x.tgz", gzip.compress(tar_bytes({"in.tgz": ARCHIVES["tar.gz"], "z": NOISE}))),
    "zip in tar.gz": lambda path: save(path / "x.tgz", gzip.compress(tar_bytes({"in.zip": ARCHIVES["zip"], "z": NOISE}))),
    "empty zip": lambda path: save(path / "x.tar", tar_bytes({"in.zip": zip_bytes({}), "z": NOISE})),
    **{kind: lambda path, kind=kind: save(path / "x", ARCHIVES[kind]) for kind in ARCHIVES},
    **{kind: lambda path, kind=kind: save(path / "x", COMPRESS[kind](NOISE)) for kind in COMPRESS},
}


@pytest.mark.parametrize("kind", GIVEN)
def test_it_never_falls_and_ends_at_the_bytes_on_disk(tmp_path: Path, kind: str) -> None:
    """Whatever is given, read twice or refused: the meter rises to the bytes that lie on disk, and no further."""
    GIVEN[kind](tmp_path)
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink())
    meter = Meter()
    meter.measure([str(tmp_path)])
    told = read_all(meter, tmp_path)
    assert told == sorted(told)
    assert (meter.total, told[-1]) == (on_disk, on_disk)
    assert meter.over


@pytest.mark.parametrize("kind", [*COMPRESS, "plain", "tar", "zip", "tar.gz"])
def test_it_stands_where_the_reading_stands(tmp_path: Path, kind: str) -> None:
    """Half way through a text half of its bytes on disk are done, compressed or not; what follows it in an archive is not."""
    noise, rest = NOISE * 2, NOISE
    packed = {
        "plain": lambda: noise,
        "tar": lambda: tar_bytes({"a": noise, "b": rest}),
        "zip": lambda: zip_bytes({"a": noise, "b": rest}),
        "tar.gz": lambda: gzip.compress(tar_bytes({"a": noise, "b": rest})),
    }
    save(tmp_path / "x", packed[kind]() if kind in packed else COMPRESS[kind](noise))
    meter = Meter()
    items = open_evidence([str(tmp_path)], meter=meter)
    item = next(items)
    assert isinstance(item, Item)
    assert meter.done <= READ_AHEAD
    item.stream.read(MiB)
    assert MiB <= meter.done <= MiB + READ_AHEAD


def test_a_zip_that_must_be_copied_counts_when_it_is_copied_and_when_it_is_read(tmp_path: Path) -> None:
    """A quarter of a zip in a compressed file is done when it has been copied, the rest as it is read."""
    save(tmp_path / "x.gz", gzip.compress(zip_bytes({"a": NOISE * 4})))
    meter = Meter()
    items = open_evidence([str(tmp_path)], meter=meter)
    item = next(items)
    assert isinstance(item, Item)
    assert MiB <= meter.done <= MiB + 2 * READ_AHEAD
    told = read_item(item, meter)
    assert told[len(told) // 2] == pytest.approx(MiB + 3 * MiB // 2, abs=2 * READ_AHEAD)
    assert told[-1] == pytest.approx(4 * MiB, abs=READ_AHEAD)


@pytest.mark.parametrize(
    "ask", [lambda stream: stream.read(), lambda stream: stream.read1(MiB), lambda stream: stream.readinto(bytearray(MiB))]
)
def test_every_way_to_read_counts(tmp_path: Path, ask: Callable[[io.BufferedReader], object]) -> None:
    """All at once, what is there, or into a buffer of the reader's own."""
    path = save(tmp_path / "x", NOISE)
    meter = Meter()
    with meter.file(MiB), meter.opened(str(path))[0] as file:
        ask(file)
        assert meter.done == MiB


def test_a_pipe_has_no_total_before_it_ends(tmp_path: Path) -> None:
    """Bytes of standard input count as they come; what they are a part of is known at their end."""
    save(tmp_path / "a.log", b"before")
    meter = Meter()
    meter.measure([str(tmp_path), "-", str(tmp_path / ".")])
    received = []

    class Pipe(io.BytesIO):
        def readinto1(self, buffer: bytearray) -> int:
            received.append((meter.done, meter.total))
            return super().readinto1(buffer)

    told = read_all(meter, tmp_path, Path("-"), stdin=Pipe(NOISE))
    assert received[-1] == (MiB + 6, None)
    assert told == sorted(told)
    assert told[1] <= len("before")
    assert (meter.total, meter.done) == (MiB + 6, MiB + 6)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_on_a_pipe_counts_as_what_came_through_the_pipe(kind: str) -> None:
    """Whether it had to be copied or not."""
    meter = Meter()
    meter.measure(["-"])
    told = read_all(meter, Path("-"), stdin=io.BytesIO(ARCHIVES[kind]))
    assert told == sorted(told)
    assert (meter.total, meter.done) == (len(ARCHIVES[kind]), len(ARCHIVES[kind]))


def test_a_pipe_on_the_command_line_is_measured_when_it_ends(tmp_path: Path) -> None:
    """`analyze <(zcat log)` names a pipe; it is not opened to be measured."""
    os.mkfifo(tmp_path / "pipe")
    meter = Meter()
    meter.measure([str(tmp_path / "pipe")])
    assert meter.total is None
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(NOISE,))
    writer.start()
    read_all(meter, tmp_path / "pipe")
    writer.join()
    assert (meter.total, meter.done) == (MiB, MiB)


def test_a_file_over_a_limit_is_passed(tmp_path: Path) -> None:
    """What is not read since it is too large counts when the next file is begun."""
    save(tmp_path / "a.log", NOISE)
    save(tmp_path / "b.log", b"b")
    meter = Meter()
    items = open_evidence([str(tmp_path)], limits=Limits(member_bytes=MiB - 1), meter=meter)
    assert not isinstance(next(items), Item)
    assert meter.done <= READ_AHEAD
    assert isinstance(next(items), Item)
    assert MiB <= meter.done <= MiB + 1


def test_a_log_that_grows_counts_no_more_than_it_was_measured(tmp_path: Path) -> None:
    """The job may still write: the bar does not pass its end."""
    path = save(tmp_path / "a.log", b"x")
    meter = Meter()
    meter.measure([str(path)])
    save(path, NOISE)
    assert max(read_all(meter, path)) == meter.done == meter.total == 1


def test_names_are_printable(tmp_path: Path) -> None:
    """The name of what is read goes to a terminal: it holds no codes for one."""
    path = save(tmp_path / "x.tar", tar_bytes({"a\x1b[31m\n\u202e.log": b"x"}))
    meter = Meter()
    assert list(open_evidence([str(path)], meter=meter))
    assert meter.name == "a\\x1b[31m\\n\\u202e.log"


def test_what_is_not_there_measures_as_nothing(tmp_path: Path) -> None:
    """Devices, and paths that are gone, have no bytes that would be read."""
    meter = Meter()
    meter.measure([str(tmp_path / "gone"), "/dev/zero", str(tmp_path)])
    assert (meter.total, meter.done) == (0, 0)
