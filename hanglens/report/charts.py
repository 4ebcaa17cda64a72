"""The timeline as inline SVG: stages as bands, silence hatched, errors and time-outs as marks.

Colours come from the page's style sheet by class, so that the chart follows its theme. Every mark has a title, and carries in `data-`
attributes what the page's script shows of it under the pointer and the arrow keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from markupsafe import Markup

from hanglens.report.i18n import pick
from hanglens.report.moments import EPOCH, Timed
from hanglens.report.plain import cut
from hanglens.report.timeline import Row, Scale, Timeline, length
from hanglens.verdict import TimelineSpan

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 960, 110, 24, 12, 28, 18
APART = 80  # pixels between two ticks
LETTER = 6.6  # pixels
LONGEST = 240  # characters of the line that a mark shows

_MARKS = {"error": "M0-6 L6 0 L0 6 L-6 0 Z", "timeout": "M0-6 L6 5 L-6 5 Z"}
_CHART = Markup(
    '<svg class="timeline" role="application" tabindex="0" aria-labelledby="timeline-title" aria-describedby="timeline-hint"'
    ' viewBox="0 0 {0} {1}" width="{0}" height="{1}">'
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" class="hatch-ground"/><line x1="0" y1="0" x2="0" y2="6" class="hatch-line"/></pattern></defs>{2}</svg>'
)
_TICK = Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/><text class="tick" x="{0:.1f}" y="{3}">{4}</text>')
_MARK = Markup(
    '<g class="mark" data-at="{:.1f}" data-kind="{}" data-what="{}" data-when="{}" data-place="{}" data-line="{}"><title>{}</title>{}</g>'
)
_JOB = Markup('<tspan lang="en">job</tspan><tspan lang="zh">任务</tspan>')


def draw(timeline: Timeline | None) -> Markup:
    """The chart; empty if there is nothing to draw."""
    if timeline is None:
        return Markup()
    height = TOP + ROW * (len(timeline.rows) + bool(timeline.hidden)) + 30
    rows = [_row(row, timeline.scale, TOP + ROW * number) for number, row in enumerate(timeline.rows)]
    if timeline.hidden:
        rows.append(_label(Markup("… +{}").format(timeline.hidden), TOP + ROW * len(rows), blamed=False))
    return _CHART.format(WIDTH, height, Markup().join([_axis(timeline.scale, height), *rows]))


def _x(scale: Scale, moment: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * scale.at(moment)


def _axis(scale: Scale, height: int) -> Markup:
    bottom = height - 26
    moments = scale.ticks(APART / (WIDTH - LEFT - RIGHT))
    ticks = [
        _TICK.format(_x(scale, moment), TOP - 6, bottom, bottom + 16, words)
        for moment, words in zip(moments, _clocks([EPOCH + timedelta(seconds=moment) for moment in moments]), strict=True)
    ]
    if scale.rest:
        middle = (_x(scale, scale.rest_from) + _x(scale, scale.rest_to)) / 2
        ticks.append(Markup('<text class="tick" x="{:.1f}" y="{}">⋯ {} ⋯</text>').format(middle, bottom + 16, length(scale.rest)))
    return Markup().join(ticks)


def _clocks(moments: Sequence[datetime]) -> Iterator[str]:
    """The time of day, with its date where one begins, if there are several."""
    several = len({moment.date() for moment in moments}) > 1
    day: date | None = None
    for moment in moments:
        yield f"{moment:{'%m-%d %H:%M' if several and moment.date() != day else '%H:%M:%S'}}"
        day = moment.date()


def _row(row: Row, scale: Scale, top: int) -> Markup:
    short = cut(row.ranks, 10)
    word = "rank" if row.ranks.isdecimal() else "ranks"
    words = Markup("{}{} {}<title>{}</title>").format("▶ " if row.blamed else "", word, short, row.ranks) if row.ranks else _JOB
    in_front = sorted(row.spans, key=lambda timed: list(_MARKS).index(timed.span.kind) if timed.span.kind in _MARKS else -1)
    teller = f"rank {row.teller}: " if row.teller != row.ranks else ""
    marks = Markup().join(_mark(timed, scale, top, teller) for timed in in_front)
    return Markup('<g class="rank-row">{}{}</g>').format(_label(words, top, blamed=row.blamed), marks)


def _label(words: Markup, top: int, *, blamed: bool) -> Markup:
    return Markup('<text class="row{}" x="{}" y="{}">{}</text>').format(" blamed" if blamed else "", LEFT - 10, top + 14, words)


def _mark(timed: Timed, scale: Scale, top: int, teller: str) -> Markup:
    """`teller` is whose line it is, where the row is of several ranks."""
    span = timed.span
    what = span.label if span.title or not span.text else ""
    when = span.start if span.start == span.end else f"{span.start} – {span.end} ({length(timed.end - timed.start)})"
    place = f"{span.file}:{span.line}" if span.line is not None else span.file
    line = cut(teller + span.text, LONGEST) if span.text else ""
    shape = _sign(timed, scale, top) if span.kind in _MARKS else _bar(timed, scale, top)
    title = f"{span.kind}: {span.label} ({when})"
    return _MARK.format(_x(scale, timed.start), span.kind, what, when, place, line, title, shape)


def _sign(timed: Timed, scale: Scale, top: int) -> Markup:
    kind, x, y = timed.span.kind, _x(scale, timed.start), top + BAR / 2
    return Markup('<path class="mark-{}" d="{}" transform="translate({:.1f} {})"/>').format(kind, _MARKS[kind], x, y)


def _bar(timed: Timed, scale: Scale, top: int) -> Markup:
    left = _x(scale, timed.start)
    width = max(_x(scale, timed.end) - left, 2.0)
    caption = Markup() if timed.span.kind == "silence" else _caption(timed.span, left, width, top)
    return Markup('<rect class="bar-{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/>{}').format(
        timed.span.kind, left, top, width, BAR, caption
    )


def _caption(span: TimelineSpan, left: float, width: float, top: int) -> Markup:
    room = int((width - 8) / LETTER)
    both = (span.label, pick(span.title, "zh")) if span.title else (span.label, "")
    if room <= 4:
        return Markup()
    english, chinese = cut(both[0], room), cut(both[1], max(room // 2, 2))
    words = Markup('<tspan lang="en">{}</tspan><tspan lang="zh">{}</tspan>').format(english, chinese) if chinese else english
    return Markup('<text class="caption" x="{:.1f}" y="{}">{}</text>').format(left + 5, top + 13, words)
