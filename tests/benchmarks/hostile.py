"""What evidence costs that is many and nothing: `python -m tests.benchmarks.hostile [--scale 0.1] [NAME …]` prints a table.

Each input is small to send and used to be long to read. Each is analyzed by a process of its own, as a user does it, start-up
included and report left out.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import lzma
import resource
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.measure import ANALYZE, measure

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINE = b"2025-01-01 00:00:00 INFO step 1 done\n"
Make = Callable[[Path, int], None]


def repeated(part: bytes, end: bytes = b"") -> Make:
    """A file of the same bytes over and over, and one line of a log at its end."""

    def make(path: Path, number: int) -> None:
        path.write_bytes(part * number + end)

    return make


def tar_of(info: tarfile.TarInfo, data: bytes = b"") -> Make:
    """A tar of members that differ in their names."""

    def make(path: Path, number: int) -> None:
        info.size = len(data)
        body = data.ljust(-(-len(data) // 512) * 512, b"\0")
        with path.open("wb") as file:
            for n in range(number):
                info.name = f"folder{n // 1000}/rank{n}.log"
                file.write(info.tobuf(tarfile.GNU_FORMAT) + body)
            file.write(bytes(1024))

    return make


def tar_of_headers(kind: bytes) -> Make:
    """A tar of headers that speak of members that never come."""

    def make(path: Path, number: int) -> None:
        info = tarfile.TarInfo("pax")
        info.type, info.size = kind, 12
        path.write_bytes((info.tobuf() + b"12 path=abc\n".ljust(512, b"\0")) * number + bytes(1024))

    return make


def zip_of(data: bytes) -> Make:
    """A zip of members that differ in their names; more than 65 535 make it a zip64."""

    def make(path: Path, number: int) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for n in range(number):
                archive.writestr(f"folder{n // 1000}/rank{n}.log", data)

    return make


def folder_of(data: bytes) -> Make:
    """A folder of files of the same content."""

    def make(path: Path, number: int) -> None:
        path.mkdir()
        for n in range(number):
            (path / f"rank{n}.log").write_bytes(data)

    return make


def typed(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member of that type."""
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def gzip_of_bytes(path: Path, number: int) -> None:
    """A gzip member for each byte of a log."""
    text = LINE * (number // len(LINE) + 1)
    each = {byte: gzip.compress(bytes([byte])) for byte in set(text)}
    path.write_bytes(b"".join(each[byte] for byte in text))


def many_small_logs(path: Path, number: int) -> None:
    """A folder of logs of a few lines."""
    folder_of(LINE * 20)(path, number)


INPUTS: dict[str, tuple[int, Make]] = {
    "empty-zstd-frames": (500_000, repeated(zstd.compress(b""), zstd.compress(LINE))),
    "skippable-zstd-frames": (500_000, repeated(b"\x50\x2a\x4d\x18\x01\0\0\0x", zstd.compress(LINE))),
    "empty-gzip-members": (500_000, repeated(gzip.compress(b""), gzip.compress(LINE))),
    "empty-bzip2-streams": (500_000, repeated(bz2.compress(b""), bz2.compress(LINE))),
    "empty-xz-streams": (500_000, repeated(lzma.compress(b""), lzma.compress(LINE))),
    "gzip-members-of-a-byte": (500_000, gzip_of_bytes),
    "zstd-frames-of-a-byte": (500_000, repeated(zstd.compress(b"x"), zstd.compress(LINE))),
    "xz-streams-of-a-byte": (200_000, repeated(lzma.compress(b"x"), lzma.compress(LINE))),
    "bzip2-streams-of-a-byte": (200_000, repeated(bz2.compress(b"x"), bz2.compress(LINE))),
    "padding-between-frames": (50_000, repeated(gzip.compress(b"") + bytes(1000), gzip.compress(LINE))),
    "tar-of-logs": (1_000_000, tar_of(typed(tarfile.REGTYPE), LINE)),
    "tar-of-empty-files": (1_000_000, tar_of(typed(tarfile.REGTYPE))),
    "tar-of-folders": (1_000_000, tar_of(typed(tarfile.DIRTYPE))),
    "tar-of-links": (1_000_000, tar_of(typed(tarfile.SYMTYPE, "/etc/shadow"))),
    "tar-of-pax-headers": (200_000, tar_of_headers(tarfile.XGLTYPE)),
    "zip-of-logs": (1_000_000, zip_of(LINE)),
    "zip-of-empty-files": (1_000_000, zip_of(b"")),
    "folder-of-logs": (100_000, many_small_logs),
    "folder-of-empty-files": (100_000, folder_of(b"")),
}


def cpu() -> float:
    """Seconds that all programs took that have ended: what else the machine does lengthens them less."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def rows(names: list[str], scale: float) -> Iterator[str]:
    """A row for each input, as soon as it is known."""
    for name in names or INPUTS:
        number, make = INPUTS[name]
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder, name), max(int(number * scale), 1))
            before = cpu()
            run = measure([*ANALYZE, "--format", "json", str(Path(folder, name))], output=Path(folder, "out.json"))
            told = Path(folder, "out.json").stat().st_size
        yield f"{name:26} {int(number * scale):>9} {run.seconds:6.1f} {cpu() - before:6.1f} {run.mib:6.0f} {told >> 10:9}"


def main() -> None:
    """One row for each input: how many, seconds, the most memory of the whole process, and what it writes."""
    wanted = argparse.ArgumentParser()
    wanted.add_argument("names", nargs="*", choices=[[], *INPUTS])
    wanted.add_argument("--scale", type=float, default=1.0)
    given = wanted.parse_args()
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, line_buffering=True)
    print(f"{'input':26} {'number':>9} {'s':>6} {'CPU s':>6} {'MiB':>6} {'KiB told':>9}")
    for row in rows(given.names, given.scale):
        print(row)


if __name__ == "__main__":
    main()
