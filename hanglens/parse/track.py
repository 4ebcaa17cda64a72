"""The stamped lines of a log in their order: which of them can be compared, and the silences between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hanglens.model import Event, Silence, SourceRef, Stamp
from hanglens.parse.lines import Line
from hanglens.parse.stamps import read_stamp

SILENT = 30.0  # seconds without a stamped line that count as a silence
LONGEST = 366 * 86_400.0  # seconds; a wider jump is a clock that was set, and no silence
DISORDER = 1.0  # seconds by which lines of one log may stand in the wrong order
MOST = 8  # silences of one file, the longest
_KEPT = 4 * MOST  # silences that are remembered: some may turn out to be none
_NEVER = float("-inf")


class Piece(NamedTuple):
    """A chunk of whole lines: its offset in the file, and the number of its first line."""

    start: int
    data: bytes
    first_line: int


class Spot(NamedTuple):
    """A stamped line: its offset in the file, where it ends, its comparable time in seconds, the chunk that holds it."""

    at: int
    end: int
    seconds: float
    line: Line
    piece: Piece


class Clock:
    """Which stamps of a file are compared with each other: those of one form. Those that lack the year, as glog's, get that of others."""

    def __init__(self, stamps: Iterable[Stamp]) -> None:
        """The commonest form of a sample; of equally common ones the first."""
        known = list(stamps)
        self.form = Counter(stamp.form for stamp in known).most_common(1)[0][0]
        self._year = next((stamp.text[:4] for stamp in known if stamp.dated and stamp.form == self.form), "")

    def seconds(self, stamp: Stamp) -> float | None:
        """When it was; None if it cannot be compared."""
        if stamp.form != self.form or (stamp.dated and not self._year):
            return None
        same = stamp if stamp.dated or not self._year else read_stamp(f"{self._year}-{stamp.text}")
        return same.seconds if same else None


class Track:
    """The stamped lines in the order of the file, as far as they matter, and the silences between them.

    One line whose stamp is far ahead of what stands before and after it quotes another time, and is left out. A clock that is set back
    starts anew; what comes back to where it was before, as where two clocks write into one log, is no silence.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.last: Spot | None = None
        self._found: list[tuple[float, float, Silence]] = []
        self._jump: tuple[Spot, bool] | None = None  # what stands before the last line, if that is far ahead, and whether it is unsure
        self._counted = Piece(0, b"", 1), 0, 1
        self._peak = _NEVER  # from where the clock was set back
        self._quoted, self._quotes = _NEVER, 0  # the time of the last line that was left out, and how many were from about there

    def step(self, spot: Spot, *, unsure: bool) -> None:
        """The next stamped line. `unsure`: what stands above it, since the last one, may have been printed at any time."""
        last, jump = self.last, self._jump
        if last and spot.seconds < last.seconds - DISORDER:
            self._drop(spot.seconds)
            if jump and spot.seconds >= jump[0].seconds - DISORDER:
                self._quotes = self._quotes + 1 if self._near_quoted(last) else 1
                self._quoted = last.seconds
                last, unsure = jump[0], jump[1] or unsure
            else:
                self._peak = max(self._peak, last.seconds)
        self._jump = (last, unsure) if last and SILENT <= spot.seconds - last.seconds <= LONGEST else None
        if last and self._jump and not (unsure or self._comes_back(last, spot) or (self._quotes > 1 and self._near_quoted(spot))):
            self._add(last, spot)
        if spot.seconds >= self._peak - DISORDER:
            self._peak = _NEVER
        self.last = spot

    def forget(self) -> None:
        """What comes next cannot be compared with what was before."""
        self.last = self._jump = None
        self._peak = self._quoted = _NEVER

    def silences(self) -> tuple[Silence, ...]:
        """The longest, in the order of the file."""
        longest = sorted(self._found, key=_shortness)[:MOST]
        return tuple(silence for _, _, silence in sorted(longest, key=lambda found: found[2].before.ref.line or 0))

    def _number(self, spot: Spot) -> int:
        """The number of the line; counted on from the last one, which is seldom far above."""
        piece, at, number = self._counted
        if piece is not spot.piece or at > spot.at:
            piece, at, number = spot.piece, spot.piece.start, spot.piece.first_line
        number += piece.data.count(b"\n", at - piece.start, spot.at - piece.start)
        self._counted = piece, spot.at, number
        return number

    def _comes_back(self, last: Spot, spot: Spot) -> bool:
        """Back to where the clock was set back from, unless that was no more than a correction and the silence is longer."""
        corrected = last.seconds > self._peak - SILENT and spot.seconds - self._peak >= SILENT
        return spot.seconds >= self._peak - DISORDER and not corrected

    def _near_quoted(self, spot: Spot) -> bool:
        """Whether it is from about the time of the line that was left out. When that has happened twice, another clock writes there."""
        return -DISORDER <= spot.seconds - self._quoted < SILENT

    def _drop(self, now: float) -> None:
        """A line from within a silence: somebody did print then, or clocks differ, or the line before only quoted a time."""
        self._found = [found for found in self._found if not found[0] - DISORDER <= now < found[1] - DISORDER]

    def _add(self, last: Spot, spot: Spot) -> None:
        number, then, line = self._number(last), self._number(spot), last.line
        before = Event(
            "silence", line.source, line.raw.rstrip("\r\n")[:500], SourceRef(self.file, number), line.level, line.time, line.speaker
        )  # fmt: skip
        if spot.line.time:
            self._found.append((last.seconds, spot.seconds, Silence(before, spot.line.time, max(then - number - 1, 0))))
        if len(self._found) > _KEPT:
            self._found.remove(max(self._found, key=_shortness))


def _shortness(found: tuple[float, float, Silence]) -> tuple[float, int]:
    """Of equally long ones the last matters most."""
    return found[0] - found[1], -(found[2].before.ref.line or 0)
