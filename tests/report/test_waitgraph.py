from __future__ import annotations

from xml.etree import ElementTree as ET

from hanglens.report.waitgraph import draw
from hanglens.report.waits import WaitGraph, graph
from hanglens.verdict import Wait


def drawn(*pairs: tuple[int | str, int | str]) -> ET.Element:
    """The drawing of some waits, rank 3 to blame."""
    return ET.fromstring(draw(graph([Wait(who=who, for_whom=whom, in_what="<barrier>") for who, whom in pairs], [3])))


def boxes(chart: ET.Element) -> dict[str, tuple[int, int]]:
    """Where each box stands, by its words."""
    groups = [group for group in chart.iter("g") if "party-box" in group.get("class", "")]
    return {"".join(g.findtext("text") or ""): (int(g.find("rect").get("x")), int(g.find("rect").get("y"))) for g in groups}  # type: ignore[union-attr,arg-type]


def test_nothing_is_drawn_of_nothing() -> None:
    """An empty graph leaves no frame behind."""
    assert draw(WaitGraph()) == ""


def test_who_waits_stands_left_of_whom() -> None:
    """Boxes go from those that wait to the one that waits for nobody, and the culprit is marked without colour too."""
    places = boxes(drawn((0, 3), (1, 3), (3, "lock"), ("api", 0)))

    assert places["api"][0] < places["rank 0"][0] == places["rank 1"][0] < places["▶ rank 3"][0] < places["lock"][0]
    assert places["rank 0"][1] != places["rank 1"][1]


def test_what_is_waited_in_is_text() -> None:
    """An edge is titled by its call, which is no markup."""
    titles = [edge.findtext("title") for edge in drawn((0, 1), (1, 0)).iter("path") if edge.get("class") == "edge"]

    assert titles == ["<barrier>", "<barrier>"]


def test_all_boxes_are_inside_of_the_drawing() -> None:
    """Nothing is cut off at an edge of the drawing."""
    chart = drawn((0, 3), (1, 3), (2, 3), (3, "a lock with a very long name indeed"), ("api", 0))
    width, height = int(chart.get("width", 0)), int(chart.get("height", 0))

    assert all(0 <= x <= width - 150 and 0 <= y <= height - 34 for x, y in boxes(chart).values())
