"""What evidence may cost in files, bytes and layers, and the error that says a file cannot be read further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hanglens.errors import HangLensError
from hanglens.model import Gap

UNPACKED = "unpack it yourself and analyze the folder"
RATIO_FROM = 64 << 20  # bytes of output below which no ratio is judged

Check = Callable[[int], "Gap | None"]
"""Called with the bytes given out so far; answers with a Gap when that passes a limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What evidence may cost before it is taken for a bomb.

    `members`: files, folders and links, refused ones included. `member_bytes`: of one file or member, uncompressed. `total_bytes`: all
    that is read and inflated, every layer counted. `ratio`: uncompressed to compressed bytes of one archive or compressed
    file, judged after 64 MiB. `nesting`: layers of archives and compression; a .tar.gz is two. `frames`: gzip members, xz streams and
    the like, of all compressed files together.
    """

    members: int = 50_000
    member_bytes: int = 64 << 30
    total_bytes: int = 256 << 30
    ratio: int = 1000
    nesting: int = 8
    frames: int = 200_000


class BundleError(HangLensError):
    """A file cannot be read further; `gap` says the same for the report."""

    exit_code = 3

    def __init__(self, gap: Gap) -> None:
        super().__init__(f"{gap.what}: {gap.why}", gap.how_to_collect)
        self.gap = gap


def over(path: str, limit: str, value: int) -> Gap:
    """The Gap for what passes a limit: which one, and how to raise it."""
    return Gap(path, f"passes the limit {limit} = {value}, as a decompression bomb would",
               f"if you trust it: --limit {limit}=NUMBER with a larger number, or {UNPACKED}")  # fmt: skip


class Budget:
    """What all streams and members together have cost so far."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._members = self._bytes = self._frames = 0

    def frame(self, path: str) -> None:
        """Take one more frame of a compressed file into account; raises BundleError where there are too many."""
        self._frames += 1
        if self._frames > self.limits.frames:
            raise BundleError(over(path, "frames", self.limits.frames))

    def count(self, path: str, size: int = 0) -> None:
        """Take one more file of `size` bytes into account.

        Raises:
            BundleError: there are too many files, or too many bytes in all.
        """
        self._members += 1
        if self._members > self.limits.members:
            raise BundleError(over(path, "members", self.limits.members))
        self._bytes += size
        if self._bytes > self.limits.total_bytes:
            raise BundleError(over(path, "total_bytes", self.limits.total_bytes))

    def too_large(self, path: str, size: int) -> Gap | None:
        """A Gap if one file of `size` bytes is more than is read."""
        return over(path, "member_bytes", self.limits.member_bytes) if size > self.limits.member_bytes else None

    def metered(self, path: str, compressed: Callable[[], int] = lambda: 0) -> Check:
        """Holds a stream of unknown length to the limits; `compressed` says of how many bytes it is made, as far as that is known."""
        before = 0

        def check(read: int) -> Gap | None:
            nonlocal before
            self._bytes, before = self._bytes + read - before, read
            if self._bytes > self.limits.total_bytes:
                return over(path, "total_bytes", self.limits.total_bytes)
            return self.over_ratio(path, read, compressed())

        return check

    def over_ratio(self, path: str, output: int, compressed: int) -> Gap | None:
        """A Gap if `output` bytes came out of `compressed` ones (0: not known) as they do from no log."""
        bomb = compressed > 0 and output > max(RATIO_FROM, compressed * self.limits.ratio)
        return over(path, "ratio", self.limits.ratio) if bomb else None
