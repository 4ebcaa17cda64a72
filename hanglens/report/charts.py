"""The timeline as inline SVG: a row for each rank (equal rows are one), stages as bands, silence hatched, errors as marks.

Colours come from the page's style sheet by class, so that the chart follows its theme; every mark has a title.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from markupsafe import Markup

from hanglens.report.moments import EPOCH, Timed, comparable
from hanglens.report.view import ranges
from hanglens.verdict import TimelineSpan

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 960, 110, 24, 12, 28, 18
MAX_ROWS = 40
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)  # seconds
_MARKS = {"error": "M0-6 L6 0 L0 6 L-6 0 Z", "timeout": "M0-6 L6 5 L-6 5 Z"}


@dataclass(frozen=True, slots=True)
class _Scale:
    """Seconds to pixels; one long stretch in which nothing begins or ends (`rest_from` to `rest_to`) is drawn shorter."""

    first: float
    last: float
    rest_from: float
    rest_to: float

    @property
    def rest(self) -> float:
        """How long the shortened stretch is drawn: as long as all the rest together."""
        return min(self.rest_to - self.rest_from, self.last - self.first - (self.rest_to - self.rest_from))

    def x(self, moment: float) -> float:
        """The pixel of a moment."""
        inside = min(max(moment - self.rest_from, 0.0), self.rest_to - self.rest_from)
        squeezed = inside * (1 - self.rest / (self.rest_to - self.rest_from)) if self.rest_to > self.rest_from else 0.0
        drawn = self.last - self.first - (self.rest_to - self.rest_from) + self.rest
        return LEFT + (WIDTH - LEFT - RIGHT) * (moment - self.first - squeezed) / drawn

    def ticks(self) -> list[float]:
        """Round moments outside of the shortened stretch, at least 80 pixels apart."""
        step = next((s for s in _STEPS if self.x(self.first + s) - self.x(self.first) >= 80), _STEPS[-1])
        first = int(self.first // step) * step
        count = min(int((self.last - first) // step) + 1, 4000)
        chosen: list[float] = []
        for moment in (first + step * n for n in range(count)):
            shown = self.first <= moment <= self.last and not self.rest_from < moment < self.rest_to
            if shown and (not chosen or self.x(moment) - self.x(chosen[-1]) >= 80):
                chosen.append(float(moment))
        return chosen


def timeline(spans: Sequence[TimelineSpan], culprits: Sequence[int]) -> Markup:
    """The chart; empty if no span has times that can be compared."""
    bars = comparable(spans)
    if not bars:
        return Markup()
    rows = _rows(bars, frozenset(culprits))
    scale = _scale(bars)
    height = TOP + ROW * len(rows) + 30
    body = Markup().join(
        [_axis(scale, height), *(_row(label, row, scale, n, blamed=blamed) for n, (label, blamed, row) in enumerate(rows))]
    )
    return Markup(
        '<svg class="timeline" role="img" aria-labelledby="timeline-title" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" class="hatch-ground"/><line x1="0" y1="0" x2="0" y2="6" class="hatch-line"/></pattern></defs>'
        "{}</svg>"
    ).format(WIDTH, height, WIDTH, height, body)


def _scale(bars: Sequence[Timed]) -> _Scale:
    moments = sorted({moment for bar in bars for moment in (bar.start, bar.end)})
    first, last = moments[0], max(moments[-1], moments[0] + 1)
    before, after = max(pairwise(moments), key=lambda pair: pair[1] - pair[0], default=(first, first))
    squeeze = 0 < last - first - (after - before) < (after - before) / 2
    return _Scale(first, last, before, after) if squeeze else _Scale(first, last, first, first)


def _rows(bars: Sequence[Timed], culprits: frozenset[int]) -> list[tuple[Markup, bool, list[Timed]]]:
    """Rows with their labels, by rank; what belongs to no rank comes last. Where there are too many, culprits stay."""
    by_rank: dict[int | None, list[Timed]] = {}
    for bar in bars:
        by_rank.setdefault(bar.span.rank, []).append(bar)
    equal: dict[object, list[int]] = {}
    for rank in sorted(rank for rank in by_rank if rank is not None):
        equal.setdefault((rank in culprits, *((b.start, b.end, b.span.kind, b.span.label) for b in by_rank[rank])), []).append(rank)
    ordered = sorted(equal.values(), key=lambda ranks: ranks[0] not in culprits)
    rows = [(_label(ranks, culprits), ranks[0] in culprits, by_rank[ranks[0]]) for ranks in sorted(ordered[:MAX_ROWS])]
    if None in by_rank:
        rows.append((Markup('<tspan lang="en">job</tspan><tspan lang="zh">任务</tspan>'), False, by_rank[None]))
    if hidden := sum(map(len, ordered[MAX_ROWS:])):
        rows.append((Markup("… +{}").format(hidden), False, []))
    return rows


def _label(ranks: Sequence[int], culprits: frozenset[int]) -> Markup:
    text = ranges(ranks)
    short = text if len(text) <= 10 else text[:9] + "…"
    return Markup("{}rank {}<title>{}</title>").format("▶ " if ranks[0] in culprits else "", short, text)


def _axis(scale: _Scale, height: int) -> Markup:
    bottom = height - 26
    ticks = (
        Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/><text class="tick" x="{0:.1f}" y="{3}">{4}</text>').format(
            scale.x(moment), TOP - 6, bottom, bottom + 16, _clock(moment, scale.last - scale.first)
        )
        for moment in scale.ticks()
    )
    middle = (scale.x(scale.rest_from) + scale.x(scale.rest_to)) / 2
    rest = Markup('<text class="tick" x="{:.1f}" y="{}">⋯ {} ⋯</text>').format(
        middle, bottom + 16, _length(scale.rest_to - scale.rest_from)
    )
    return Markup().join([*ticks, rest if scale.rest_to > scale.rest_from else Markup()])


def _clock(moment: float, length: float) -> str:
    return f"{EPOCH + timedelta(seconds=moment):{'%m-%d %H:%M' if length > 86400 else '%H:%M:%S'}}"


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _row(label: Markup, bars: Sequence[Timed], scale: _Scale, number: int, *, blamed: bool) -> Markup:
    top = TOP + ROW * number
    text = Markup('<text class="row{}" x="{}" y="{}">{}</text>').format(" blamed" if blamed else "", LEFT - 10, top + 14, label)
    in_front = sorted(bars, key=lambda bar: bar.span.kind in _MARKS)
    return Markup("<g>{}{}</g>").format(text, Markup().join(_bar(bar, scale, top) for bar in in_front))


def _bar(bar: Timed, scale: _Scale, top: int) -> Markup:
    span, left = bar.span, scale.x(bar.start)
    title = Markup("<title>{}: {} ({} – {})</title>").format(span.kind, span.label, span.start, span.end)
    if span.kind in _MARKS:
        return Markup('<path class="mark-{}" d="{}" transform="translate({:.1f} {})">{}</path>').format(
            span.kind, _MARKS[span.kind], left, top + BAR / 2, title
        )
    width = max(scale.x(bar.end) - left, 2.0)
    room = int((width - 8) / 6.6)
    words = span.label if len(span.label) <= room else span.label[: room - 1] + "…" if room > 4 else ""
    caption = Markup('<text class="caption" x="{:.1f}" y="{}">{}</text>').format(left + 5, top + 13, words) if words else Markup()
    return Markup('<g>{}<rect class="bar-{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/>{}</g>').format(
        title, span.kind, left, top, width, BAR, caption if span.kind != "silence" else Markup()
    )
