"""The silences of a log: no line has a stamp for SILENT seconds, and then the log goes on.

Of most lines nothing is read. Between two lines whose stamps are less than SILENT apart nobody was silent so long, give or take the
DISORDER of what several threads print; so the bytes between two stamps are halved only where these are further apart. What was not
looked at, or has a stamp that cannot be compared, is never part of a silence.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from hanglens.model import Silence
from hanglens.parse.lines import read_line
from hanglens.parse.track import DISORDER, SILENT, Clock, Piece, Spot, Track

HELD = 8 << 20  # bytes after the last known stamp that are kept until the next one tells whether they matter
SAMPLES = 8  # places of the first chunk at which is looked which form of stamp is the commonest
NEAREST, NEAR = 512, 16 << 10  # bytes at the end of a chunk in which a stamp is looked for, at first and at most
NEXT = 6  # lines below a jump in time that are looked at
LOOK = 1000  # bytes at the beginning of a line that can be its prefixes
# Work is limited: a byte that is searched costs 1 (about a nanosecond), a line that is read READ.
READ = 16 << 10
START, SHARE = 32 << 20, 8  # so much for every file, and one for so many of its bytes
VAIN = 8 << 20  # of that, to find a first stamp: many logs have none

_CLOCK = re.compile(rb":[0-5]\d:[0-5]\d")  # begins with a constant, for which C looks fast


class Silences:
    """Told the chunks of a file in their order, it knows its longest silences."""

    def __init__(self, file: str) -> None:
        self._track = Track(file)
        self._held: list[Piece] = []  # from the last known stamp on
        self._unsure: list[int] = []  # offsets of what was not looked at, or cannot be compared
        self._size, self._left, self._vain = 0, START, 0
        self.clock: Clock | None = None

    def feed(self, data: bytes, first_line: int) -> None:
        """Lines, some megabytes of them at most, and the number of the first."""
        self._held.append(Piece(self._size, data, first_line))
        start, self._size = self._size, self._size + len(data)
        self._left = min(self._left + len(data) // SHARE, START)
        if self._track.last is None:
            self._begin(start)
            return
        spot, _ = self._latest(max(start, self._line_start(self._size - NEAR)), self._size)
        if spot:
            self._settle(spot)
        elif self._size - self._held[0].start > HELD:
            self._overflow()

    def found(self) -> tuple[Silence, ...]:
        """The longest silences, at the end of the file; for that end there is always some work allowed."""
        self._left = max(self._left, START // 4)
        self._settle_all()
        return self._track.silences()

    def _begin(self, start: int) -> None:
        """The first stamp that can be compared. Before it nothing can be silent, so nothing is kept."""
        left = self._left
        if self._vain < VAIN or self._first(start, min(start + NEAR, self._size)):
            self.clock = self.clock or self._commonest(start, self._size)
        spot = self._first(start, self._size) if self.clock else None
        self._unsure.clear()
        if spot is None:
            self._vain += left - self._left
            self._held.clear()
            return
        self._track.step(spot, unsure=False)
        latest, _ = self._latest(max(spot.end, self._line_start(self._size - NEAR)), self._size)
        if latest:
            self._settle(latest)

    def _commonest(self, start: int, stop: int) -> Clock | None:
        """The clock that most lines have, by a few of them."""
        places = range(start, stop, max((stop - start) // SAMPLES, 1))
        lines = {self._line_start(at): at for at in places}  # several places of a small file are in one line: it is looked at once
        seen = {line: self._first(line, min(at + NEAR, stop)) for line, at in lines.items()}
        sampled = [seen[self._line_start(at)] for at in places]
        stamps = [spot.line.time for spot in (*sampled, self._first(start, stop) if not any(sampled) else None) if spot and spot.line.time]
        return Clock(stamps) if stamps else None

    def _settle(self, spot: Spot) -> None:
        """Everything up to a stamped line can be told now."""
        last = self._track.last
        known = [*self._between(last, spot, last.end, spot.at), spot] if last else [spot]
        known = list(self._with_next(known, last))
        self._unsure.sort()
        above = last.at if last else 0
        for line in known:
            nearest = bisect_right(self._unsure, above)
            self._track.step(line, unsure=nearest < len(self._unsure) and self._unsure[nearest] < line.at)
            above = line.at
        self._held = [piece for piece in self._held if piece.start >= spot.piece.start]
        self._unsure = [place for place in self._unsure if place > spot.at]

    def _with_next(self, known: Sequence[Spot], last: Spot | None) -> Iterator[Spot]:
        """These lines, and below a jump the next few: where two clocks write into one log, the other one is back soon."""
        for number, spot in enumerate(known):
            jumped = last is not None and spot.seconds - last.seconds >= SILENT
            below = known[number + 1].at if number + 1 < len(known) else self._size
            looked_at = [spot, *islice(self._down(spot, below), NEXT if jumped else 0)]
            yield from looked_at
            last = looked_at[-1]

    def _down(self, spot: Spot, stop: int) -> Iterator[Spot]:
        """The stamped lines below one."""
        while following := self._first(spot.end, stop):
            yield following
            spot = following

    def _settle_all(self) -> None:
        """Everything up to the very last stamped line."""
        stop = self._size
        while last := self._track.last:
            spot, stop = self._latest(last.end, stop)
            if spot is None:
                return
            self._settle(spot)

    def _overflow(self) -> None:
        """Too much without a known stamp: look for one everywhere. Where there is none the silence may go on, if all could be looked at."""
        self._settle_all()
        if self._size - self._held[0].start <= HELD:
            return
        self._held.clear()
        if self._unsure:
            self._track.forget()
            self._unsure.clear()
            self.clock = None  # another program may write now

    def _between(self, left: Spot, right: Spot, start: int, stop: int) -> list[Spot]:
        """Stamped lines from `start` to `stop` until any two neighbours are close in time, or have no other between them.

        The later half comes first: what happened last matters most, should there be too much to look at.
        """
        if start >= stop or -DISORDER <= right.seconds - left.seconds < SILENT - 2 * DISORDER:
            return []
        middle = max(self._line_start((start + stop) // 2), start)
        spot = self._first(middle, stop)
        later = [spot, *self._between(spot, right, spot.end, stop)] if spot else []
        return [*self._between(left, spot or right, start, middle), *later]

    def _latest(self, start: int, stop: int) -> tuple[Spot | None, int]:
        """A stamped line near `stop`, but not before `start`; and from where on, up to `stop`, there is none."""
        near, empty = NEAREST, stop
        while True:
            at = max(self._line_start(stop - near), start)
            if (spot := self._first(at, empty)) or at == start:
                return spot, empty
            empty, near = at, 2 * near

    def _first(self, start: int, stop: int) -> Spot | None:
        """The first line between two offsets whose stamp can be compared."""
        for piece in self._held:
            if piece.start < stop and start < piece.start + len(piece.data):
                low, high = max(start - piece.start, 0), min(stop - piece.start, len(piece.data))
                if spot := self._first_of(piece, low, high):
                    return spot
        return None

    def _first_of(self, piece: Piece, at: int, stop: int) -> Spot | None:
        data = piece.data
        while self._left > 0:
            clock = _CLOCK.search(data, at, stop)
            self._left -= (clock.end() if clock else stop) - at
            if clock is None:
                return None
            above = max(at, clock.start() - LOOK)
            start = max(data.rfind(b"\n", above, clock.start()), data.rfind(b"\r", above, clock.start())) + 1 or at
            end = min((end for end in (data.find(b"\n", clock.end()), data.find(b"\r", clock.end(), clock.end() + LOOK)) if end >= 0),
                      default=len(data) - 1) + 1  # fmt: skip
            if clock.end() - start <= LOOK and (spot := self._spot(piece, start, end)):
                return spot
            at = end
        self._unsure.append(piece.start + at)
        return None

    def _spot(self, piece: Piece, start: int, end: int) -> Spot | None:
        self._left -= READ
        line = read_line(piece.data[start : min(end, start + LOOK)].decode("utf-8", "replace"), 0)
        if line.time is None:
            return None
        seconds = self.clock.seconds(line.time) if self.clock else line.time.seconds
        if seconds is None:
            self._unsure.append(piece.start + start)
            return None
        return Spot(piece.start + start, piece.start + end, seconds, line, piece)

    def _line_start(self, at: int) -> int:
        """Where the line begins that holds an offset."""
        piece = next((piece for piece in reversed(self._held) if piece.start <= at), None)
        if piece is None:
            return max(at, 0)
        return piece.start + piece.data.rfind(b"\n", 0, at - piece.start) + 1
