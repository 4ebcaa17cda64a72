"""The files of a mutant packed as people pack evidence, and as those do who want to get out of an archive."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from random import Random

from hanglens.compressed import zstd
from tests.fuzz import octets

_NAMES = (
    "../../etc/x.log",
    "/abs/rank0.log",
    "C:\\x\\rank1.log",
    "a/../../b.log",
    "..",
    "",
    "a\nb.log",
    "\u202egol.0knar",
    "a//./b.log",
    "x/" * 90 + "y",
)


def tar(rng: Random, files: Mapping[str, bytes]) -> bytes:
    """A tar in one of its forms, sometimes with members that nobody wants."""
    out = io.BytesIO()
    form = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            archive.addfile(*_hostile(rng, dict(files)))
    return out.getvalue()


def _hostile(rng: Random, files: Mapping[str, bytes]) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(rng.choice((*_NAMES, *files)))
    info.type = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.REGTYPE))
    info.linkname = rng.choice(("/etc/passwd", *files))
    content = rng.choice(list(files.values()) or [b""]) if info.isreg() else b""
    info.size = len(content)
    return info, io.BytesIO(content)


def zipped(rng: Random, files: Mapping[str, bytes]) -> bytes:
    """A zip, stored or deflated, sometimes with members of odd or equal names."""
    out = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))) as archive,
    ):
        warnings.simplefilter("ignore")  # that a name stands twice is what is wanted
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, archive.compression)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            archive.writestr(zipfile.ZipInfo(rng.choice(_NAMES)), rng.choice(list(files.values()) or [b""]))
    return out.getvalue()


def _zstandard(data: bytes) -> bytes:
    return bytes(zstd.compress(data))


_SQUEEZERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, 1, mtime=0),
    ".zst": _zstandard,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".bz2": bz2.compress,
}


def squeezed(rng: Random, name: str, data: bytes) -> tuple[str, bytes]:
    """One file compressed, with the suffix of that or a wrong one; sometimes in two frames."""
    suffix = rng.choice(tuple(_SQUEEZERS))
    if rng.random() < 0.2:
        half = len(data) // 2
        packed = _SQUEEZERS[suffix](data[:half]) + _SQUEEZERS[suffix](data[half:])
    else:
        packed = _SQUEEZERS[suffix](data)
    return name + (suffix if rng.random() < 0.9 else rng.choice((".txt", ".gz", ""))), damaged(rng, packed)


def damaged(rng: Random, data: bytes) -> bytes:
    """Often as it is; else with some bits turned, cut off, or something behind it."""
    way = rng.choice((None, None, None, octets.flip, octets.truncate, octets.noise, octets.delete, octets.repeat))
    return way(rng, data) if way else data


def packed(rng: Random, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """All files in one archive, compressed and nested maybe, damaged maybe."""
    top = rng.choice(("", "hanglens-vm-20261123T050255Z/", "./", "a b/"))
    inside = {top + name: data for name, data in files.items()}
    whole = ("evidence.zip", zipped(rng, inside)) if rng.random() < 0.35 else ("evidence.tar", tar(rng, inside))
    whole = (whole[0], damaged(rng, whole[1]))
    for _ in range(rng.choice((0, 1, 1, 2, 9))):
        whole = squeezed(rng, *whole)
    if rng.random() < 0.15:
        whole = ("outer.zip", zipped(rng, dict([whole]))) if rng.random() < 0.5 else ("outer.tar", tar(rng, dict([whole])))
    return dict([whole])
