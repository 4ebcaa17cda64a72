from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree as ET

import pytest

from hanglens.report.charts import draw
from hanglens.report.timeline import MAX_ROWS, lay_out
from hanglens.verdict import Text, TimelineSpan
from tests.samples import HUNG, large


def span(rank: int | None, start: str, end: str, kind: Literal["stage", "silence", "error"] = "stage", label: str = "load") -> TimelineSpan:
    """A span of a rank."""
    return TimelineSpan(rank=rank, start=start, end=end, kind=kind, label=label)


def timeline(spans: Sequence[TimelineSpan], culprits: Sequence[int]) -> str:
    """The chart of some spans."""
    return draw(lay_out(spans, culprits))


def xs(chart: str, mark: str) -> list[float]:
    """Where the bars of a class begin."""
    return [float(x) for x in re.findall(rf'class="{mark}" x="([\d.]+)"', chart)]


def test_a_row_for_each_rank_and_the_culprit_marked() -> None:
    """Ranks stand above each other, the culprit with a sign as well as a colour, the job's own marks last."""
    chart = timeline(HUNG.timeline, (3,))
    labels = ["".join(text.itertext()) for text in ET.fromstring(chart).iter("text") if "row" in text.get("class", "")]

    assert [label[:8] for label in labels] == ["rank 00", "rank 11", "rank 22", "▶ rank 3", "job任务"]
    assert chart.count('class="bar-silence"') == 4
    assert chart.count('class="mark-timeout"') == 1


def test_without_times_there_is_no_chart() -> None:
    """No span, or none with a time that can be read, gives nothing to draw."""
    assert timeline((), ()) == ""
    assert timeline((span(0, "soon", "later"), span(1, "2026-02-31T00:00:00", "2026-02-31T00:00:00")), ()) == ""


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01T02:00:00.5", "2026-03-01T02:00:09Z"),
        ("2026-03-01T02:00:00+08:00", "2026-03-01T02:00:09+08:00"),
        ("03-01T02:00:00", "03-01T02:00:09"),
        ("02-29T02:00:00", "02-29T02:00:09"),
        ("02:00:00", "02:00:09"),
    ],
)
def test_every_form_of_stamp_is_drawn(start: str, end: str) -> None:
    """Stamps with and without date and offset have their place."""
    assert "bar-stage" in timeline((span(0, start, end),), ())


def test_stamps_of_another_form_are_left_out() -> None:
    """A time of day is not compared with a full date: the spans of the commoner form are drawn."""
    chart = timeline((*[span(r, "2026-03-01T02:00:00", "2026-03-01T02:00:09") for r in range(2)], span(2, "02:00:00", "02:00:09")), ())

    assert "ranks 0-1" in chart
    assert "rank 2" not in chart


def test_a_long_rest_is_shortened_and_said() -> None:
    """Hours of silence after a minute of start-up do not squeeze the start-up to nothing."""
    chart = timeline(
        (span(0, "02:00:00", "02:01:00"), span(0, "02:01:00", "02:01:30", label="warm up"), span(0, "02:01:30", "08:01:30", "silence")), ()
    )

    assert xs(chart, "bar-silence")[0] > 400
    assert "⋯ 6 h 0 min ⋯" in chart


def test_an_instant_is_drawn() -> None:
    """A chart of one moment is possible, and spans that end before they begin do not break it."""
    assert "mark-error" in timeline((span(0, "02:00:00", "02:00:00", "error"),), ())
    assert 'width="2.0"' in timeline((span(0, "02:00:09", "02:00:01"), span(1, "02:00:00", "02:01:00")), ())


def test_many_ranks_stay_a_readable_chart() -> None:
    """Equal rows are one; of too many different ones the culprit's stays, and the number of the others is said."""
    assert timeline(large().timeline, (77,)).count('<g class="rank-row">') == 2

    different = tuple(span(r, "02:00:00", f"02:{r // 60:02}:{r % 60:02}") for r in range(1, 200))
    chart = timeline(different, (150,))
    assert "▶ rank 150" in chart
    assert f"… +{199 - MAX_ROWS}" in chart


def test_labels_become_no_markup() -> None:
    """A label from a log is text inside of the drawing."""
    chart = timeline((span(0, "02:00:00", "02:10:00", label="</text><script>alert(1)</script>"),), ())

    assert "<script" not in chart
    assert ET.fromstring(chart) is not None


def test_ranks_that_look_alike_are_one_row() -> None:
    """Milliseconds apart are not to be seen, and the words of a silence are not written; those of a stage are."""
    ranks = [span(r, "02:00:00", f"02:10:00.00{r}", "silence", label=f"line of rank {r}") for r in range(4)]

    assert timeline(ranks, ()).count('<g class="rank-row">') == 1
    assert timeline([*ranks[:3], span(3, "02:00:00", "02:10:00", label="load")], ()).count('<g class="rank-row">') == 2
    assert timeline([*ranks[:3], span(3, "02:05:00", "02:10:00", "silence")], ()).count('<g class="rank-row">') == 2


def test_a_mark_carries_its_line() -> None:
    """What the page shows under the pointer and the arrow keys: when, where, and the line itself."""
    at = TimelineSpan(
        rank=0, start="02:00:00", end="02:29:00", kind="silence", label="x", file="a.log", line=7, text="the last <line>", title=None
    )
    (mark,) = (g.attrib for g in ET.fromstring(timeline((at,), ())).iter("g") if g.get("class") == "mark")

    assert mark["data-when"] == "02:00:00 – 02:29:00 (29 min 0 s)"
    assert (mark["data-place"], mark["data-line"], mark["data-kind"]) == ("a.log:7", "the last <line>", "silence")


def test_a_stage_is_named_in_both_languages() -> None:
    """The words written into a band change with the page's language."""
    stage = TimelineSpan(rank=0, start="02:00:00", end="02:29:00", kind="stage", label="loaded", title=Text(en="loaded", zh="已加载"))

    assert '<tspan lang="en">loaded</tspan><tspan lang="zh">已加载</tspan>' in timeline((stage,), ())


def test_the_rank_that_failed_first_is_not_folded_away() -> None:
    """Its error is another one than the cries of the others at much the same moment; numbers make no difference."""
    others = [span(r, "02:30:00", "02:30:00", "error", label=f"peer {r} closed the connection") for r in (0, 1, 2)]
    chart = timeline(
        [*others, span(3, "02:29:58", "02:29:58", "error", label="an illegal memory access"), span(0, "02:00:00", "02:10:00")], ()
    )

    assert "illegal memory" in chart
    assert chart.count('<g class="rank-row">') == 3


def test_whose_line_it_is() -> None:
    """Of several ranks in one row the first tells, and it is said."""
    alike = [TimelineSpan(rank=r, start="02:00:00", end="02:29:00", kind="silence", label="x", text=f"line of {r}") for r in (4, 5)]

    assert 'data-line="rank 4: line of 4"' in timeline(alike, ())


def test_ticks_of_days() -> None:
    """A start-up of a minute before two days of silence: both sides of the rest have ticks, and each day is named once."""
    chart = timeline([span(0, "2026-03-01T02:00:00", "2026-03-01T02:01:00"), span(0, "2026-03-03T02:00:00", "2026-03-03T02:01:00")], ())
    ticks = re.findall(r'class="tick" x="[\d.]+" y="\d+">([\d: -]+)<', chart)

    assert ticks == ["03-01 02:00", "02:00:30", "02:01:00", "03-03 02:00", "02:00:30", "02:01:00"]
