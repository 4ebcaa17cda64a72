"""The timeline as rows on one scale: ranks that would be drawn alike are one row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from hanglens.ranges import ranges
from hanglens.report.moments import Timed, comparable
from hanglens.verdict import TimelineSpan

MAX_ROWS = 40
MOST_TICKS = 400
WORTH_SEEING = 1.0  # seconds of beginnings and ends for which a long rest is drawn shorter
GRAIN = 250  # steps of the whole width in which two beginnings or ends look alike
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)  # seconds


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds to a fraction of the width; one long stretch in which nothing begins or ends (`rest_from` to `rest_to`) is drawn shorter."""

    first: float
    last: float
    rest_from: float
    rest_to: float

    @property
    def rest(self) -> float:
        """How long the shortened stretch is; 0 if there is none."""
        return self.rest_to - self.rest_from

    def at(self, moment: float) -> float:
        """Where a moment is drawn, 0..1."""
        busy = self.last - self.first - self.rest
        kept = min(self.rest, busy)  # it is drawn as long as all the rest together
        inside = min(max(moment - self.rest_from, 0.0), self.rest)
        squeezed = inside * (1 - kept / self.rest) if self.rest else 0.0
        return (moment - self.first - squeezed) / (busy + kept)

    def ticks(self, apart: float) -> list[float]:
        """Round moments outside of the shortened stretch, at least so far apart as a fraction of the width."""
        step = next((s for s in _STEPS if self.at(self.first + s) >= apart), _STEPS[-1])
        stretches = [(self.first, self.rest_from), (self.rest_to, self.last)] if self.rest else [(self.first, self.last)]
        chosen: list[float] = []
        for begin, end in stretches:
            first = ceil(begin / step)
            for moment in (float(step * n) for n in range(first, min(int(end // step), first + MOST_TICKS) + 1)):
                if not chosen or self.at(moment) - self.at(chosen[-1]) >= apart:
                    chosen.append(moment)
        return chosen


@dataclass(frozen=True, slots=True)
class Row:
    """What some ranks did, told by the first of them, `teller`; `ranks` is empty for what belongs to no rank."""

    ranks: str
    teller: str
    blamed: bool
    spans: tuple[Timed, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows by rank; `hidden` counts the ranks for which there was no room."""

    scale: Scale
    rows: tuple[Row, ...]
    hidden: int = 0


def lay_out(spans: Sequence[TimelineSpan], culprits: Sequence[int]) -> Timeline | None:
    """Fold the spans into rows; None if none has times that can be compared. Where rows are too many, those of culprits stay."""
    timed = comparable(spans)
    if not timed:
        return None
    scale, blamed = _scale(timed), frozenset(culprits)
    by_rank: dict[int | None, list[Timed]] = {}
    for span in timed:
        by_rank.setdefault(span.span.rank, []).append(span)
    alike: dict[object, list[int]] = {}
    for rank in sorted(rank for rank in by_rank if rank is not None):
        alike.setdefault((rank in blamed, tuple(_look(span, scale) for span in by_rank[rank])), []).append(rank)
    ordered = sorted(alike.values(), key=lambda ranks: ranks[0] not in blamed)
    rows = [Row(ranges(ranks), str(ranks[0]), ranks[0] in blamed, tuple(by_rank[ranks[0]])) for ranks in sorted(ordered[:MAX_ROWS])]
    job = [Row("", "", blamed=False, spans=tuple(by_rank[None]))] if None in by_rank else []
    return Timeline(scale, (*rows, *job), sum(map(len, ordered[MAX_ROWS:])))


def _look(timed: Timed, scale: Scale) -> tuple[object, ...]:
    """All that can be seen of a span, with the words that matter: of errors, numbers aside; the last line before a silence is anybody's."""
    span = timed.span
    words = "" if span.kind in ("silence", "progress") else _NUMBERS.sub("#", span.label)
    return span.kind, words, round(scale.at(timed.start) * GRAIN), round(scale.at(timed.end) * GRAIN)


def _scale(spans: Sequence[Timed]) -> Scale:
    moments = sorted({moment for span in spans for moment in (span.start, span.end)})
    first, last = moments[0], max(moments[-1], moments[0] + 1)
    before, after = max(pairwise(moments), key=lambda pair: pair[1] - pair[0], default=(first, first))
    busy = last - first - (after - before)
    squeeze = WORTH_SEEING <= busy < (after - before) / 2
    return Scale(first, last, before, after) if squeeze else Scale(first, last, first, first)


def length(seconds: float) -> str:
    """How long something takes, in words that both languages read.

    >>> length(1740.2)
    '29 min 0 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
