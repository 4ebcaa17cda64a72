"""Which format the first bytes of a file show."""

from __future__ import annotations

import sys

import pytest

from hanglens.formats import foreign, recognise

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SKIPPABLE = b"\x5a\x2a\x4d\x18\x04\0\0\0abcd"


@pytest.mark.parametrize("behind", [zstd.compress(b"x"), b"", SKIPPABLE, b"\x50\x2a\x4d\x18\0\0\1\0"])
def test_a_zstd_file_may_begin_with_frames_that_are_skipped(behind: bytes) -> None:
    """pzstd and seekable files do; so does one that holds nothing else."""
    assert recognise(SKIPPABLE + behind) == "zstd"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x04\x22\x4d\x18rest", "lz4"), (SKIPPABLE + b"\x04\x22\x4d\x18", "lz4"), (b"7z\xbc\xaf\x27\x1c\0\4", "7z"),
        (b"Rar!\x1a\x07\x01\x00", "rar"), (b"\x1f\x9d\x90", ".Z (compress)"), (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    ],
)  # fmt: skip
def test_what_is_packed_in_another_way_is_named(head: bytes, name: str) -> None:
    """It is known from what is read, and from plain content."""
    assert (recognise(head), foreign(head)) == ("", name)


@pytest.mark.parametrize("head", [b"", b"P", b"Rar! is what the log says\n", b"7z: done\n", b"BZ", bytes(4096)])
def test_plain_content_has_no_format(head: bytes) -> None:
    """A word that looks like a format is none."""
    assert (recognise(head), foreign(head)) == ("", "")
