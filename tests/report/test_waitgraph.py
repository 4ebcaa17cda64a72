from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree as ET

from hanglens.report.waitgraph import draw
from hanglens.report.waits import WaitGraph, graph
from hanglens.verdict import Wait


def drawn(*pairs: tuple[int | str, int | str]) -> ET.Element:
    """The drawing of some waits, rank 3 to blame."""
    return ET.fromstring(draw(graph([Wait(who=who, for_whom=whom, in_what="<barrier>") for who, whom in pairs], [3])))


def boxes(chart: ET.Element) -> dict[str, tuple[float, float]]:
    """The left upper corner of each box, by its words."""
    groups = [group for group in chart.iter("g") if "party-box" in group.get("class", "")]
    return {g.findtext("text") or "": (number(g.find("rect"), "x"), number(g.find("rect"), "y")) for g in groups}


def edges(chart: ET.Element) -> list[tuple[float, ...]]:
    """Begin and end of each edge."""
    return [tuple(map(float, re.findall(r"-?[\d.]+", edge.get("d", "")))) for edge in chart.iter("path") if edge.get("class") == "edge"]


def number(element: ET.Element | None, name: str) -> float:
    """An attribute as a number."""
    assert element is not None
    return float(element.get(name, "nan"))


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


def test_all_is_inside_of_the_drawing() -> None:
    """Nothing is cut off at an edge of the drawing."""
    for pairs in CHARTS:
        chart = drawn(*pairs)
        width, height = number(chart, "width"), number(chart, "height")

        assert all(0 <= x <= width - 150 and 0 <= y <= height - 34 for x, y in boxes(chart).values())
        assert all(0 <= x <= width and 0 <= y <= height for line in edges(chart) for x, y in (line[:2], line[2:]))


def test_an_edge_goes_from_who_waits_to_whom() -> None:
    """Each begins at the border of one box and ends at the border of the other, the arrow's tip there."""
    for pairs in CHARTS:
        chart = drawn(*pairs)
        middles = {words.removeprefix("▶ ").removeprefix("rank "): (x + 75, y + 17) for words, (x, y) in boxes(chart).items()}
        ends = {(near(line[:2], middles), near(line[2:], middles)) for line in edges(chart)}

        assert ends == {(str(who), str(whom)) for who, whom in pairs}


def near(point: tuple[float, ...], middles: dict[str, tuple[float, float]]) -> str:
    """The box at whose border a point is."""
    (found,) = (name for name, (x, y) in middles.items() if abs(point[0] - x) <= 81 and abs(point[1] - y) <= 23)
    return found


def test_no_edge_hides_behind_a_box() -> None:
    """The line of an edge crosses only the boxes of its own ends."""
    for pairs in CHARTS:
        chart = drawn(*pairs)
        for line in edges(chart):
            (x1, y1, x2, y2) = line
            along = [(x1 + (x2 - x1) * part / 40, y1 + (y2 - y1) * part / 40) for part in range(5, 36)]
            assert not [box for box in boxes(chart).values() for x, y in along if box[0] < x < box[0] + 150 and box[1] < y < box[1] + 34]


CHARTS: list[list[tuple[int | str, int | str]]] = [
    [("0", "3"), ("1", "3"), ("3", "lock"), ("api", "0")],
    [("0", "1"), ("1", "2"), ("0", "2")],
    [("0", "1"), ("1", "0")],
    [("0", "1"), ("1", "2"), ("2", "0")],
    [(str(n), str((n + 1) % 8)) for n in range(8)],
    [(str(a), str(b)) for a, b in combinations(range(4), 2)],
]
