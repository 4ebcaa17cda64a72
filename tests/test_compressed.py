"""Compressed streams of many frames, and of frames that need much memory."""

from __future__ import annotations

import io
import lzma
import sys
import time

import pytest

from hanglens.compressed import inflate
from hanglens.damage import DecoderTooLarge, damaged
from hanglens.limits import Budget, BundleError, Limits
from tests.test_bundle import COMPRESS, NOISE, evidence, save

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KINDS = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd"}


@pytest.mark.parametrize("data", [b"", b"x"])
@pytest.mark.parametrize("suffix", COMPRESS)
def test_many_small_frames_take_linear_time(suffix: str, data: bytes) -> None:
    """50 000 frames of nothing, or of a byte, are read in a second or so: what stands behind a frame is not copied for each."""
    number = 50_000
    begin = time.process_time()
    assert inflate(KINDS[suffix], io.BytesIO(COMPRESS[suffix](data) * number)).read() == data * number
    assert time.process_time() - begin < 3


def test_padding_between_frames_takes_linear_time() -> None:
    """Zeros behind each of many frames are passed once."""
    begin = time.process_time()
    assert inflate("gzip", io.BytesIO((COMPRESS["gz"](b"x") + bytes(1000)) * 5000)).read() == b"x" * 5000
    assert time.process_time() - begin < 3


def test_frames_of_all_sizes_follow_each_other() -> None:
    """A large frame behind small ones, and small ones behind it."""
    parts = [b"", b"a", NOISE, b"b", b"", NOISE[:70_000], b"c"]
    for suffix, kind in KINDS.items():
        assert inflate(kind, io.BytesIO(b"".join(map(COMPRESS[suffix], parts)))).read() == b"".join(parts)


def test_frames_are_counted(tmp_path) -> None:
    """Beyond the limit a file of frames ends with a gap that says how to raise it."""
    path = save(tmp_path / "log.gz", COMPRESS["gz"](b"x") * 10)
    found = evidence(path, limits=Limits(frames=4))
    assert "frames = 4" in found.gaps["log.gz"]
    assert "--limit frames=" in found.advice["log.gz"]
    budget = Budget(Limits(frames=1))
    budget.frame("x")
    with pytest.raises(BundleError):
        budget.frame("x")


@pytest.mark.parametrize("kind", ["xz", "zstd"])
def test_a_frame_that_wants_too_much_memory_says_that(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not told as damage: nothing is wrong with it."""
    if kind == "xz":
        monkeypatch.setattr("hanglens.compressed.XZ_MEMORY", 1 << 20)
        data = lzma.compress(NOISE, preset=6)
    else:
        data = zstd.compress(b"x" * 1000, options={zstd.CompressionParameter.window_log: 10})
        data = data[:4] + b"\x00\xc8" + data[6:]  # a window of 2^35 bytes
    with pytest.raises(DecoderTooLarge) as raised:
        inflate(kind, io.BytesIO(data)).read()
    assert "damaged" not in damaged("x", raised.value).why


def test_seekable_and_parallel_zstd_is_read(tmp_path) -> None:
    """Frames that are skipped may stand before, between and behind those that hold the text."""
    skip = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    path = save(
        tmp_path / "log.zst", skip + zstd.compress(b"one ") + skip + zstd.compress(b"two") + b"\x5e\x2a\x4d\x18\x09\0\0\0" + bytes(9)
    )
    assert evidence(path).texts == {"log.zst": b"one two"}
    assert evidence(save(tmp_path / "none.zst", skip * 3)).gaps == {"none.zst": "empty"}
