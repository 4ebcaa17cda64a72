"""The wait graph as inline SVG: boxes from those that only wait, on the left, to those that wait for nobody; a ring as a ring."""

from __future__ import annotations

import math
from collections import defaultdict

from markupsafe import Markup

from hanglens.report.plain import cut
from hanglens.report.waits import WaitGraph, WaitNode

BOX, BOX_HEIGHT, ACROSS, DOWN, MARGIN = 150, 34, 250, 62, 12
LONGEST = 20  # characters in a box

Point = tuple[float, float]

_HEAD = Markup(
    '<svg class="wait-graph" role="img" aria-labelledby="waits-title" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}">'
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
    '<path class="tip" d="M0 0 L8 4 L0 8 Z"/></marker></defs>{2}</svg>'
)
_BOX = Markup(
    '<g class="party-box{}"><title>{}</title><rect x="{:.0f}" y="{:.0f}" width="{}" height="{}" rx="6"/>'
    '<text x="{:.0f}" y="{:.0f}">{}</text></g>'
)
_EDGE = Markup('<path class="edge" d="M{:.1f} {:.1f} L{:.1f} {:.1f}" marker-end="url(#tip)"><title>{}</title></path>')


def draw(graph: WaitGraph) -> Markup:
    """The drawing; empty for an empty graph. What each edge waits in is its title, and stands in the rows beside the graph."""
    if not graph.nodes:
        return Markup()
    places = _around(len(graph.nodes)) if graph.ring else _in_columns(graph)
    width = max(x for x, _ in places) + BOX / 2 + MARGIN
    height = max(y for _, y in places) + BOX_HEIGHT / 2 + MARGIN
    edges = (_edge(places[who], places[whom], what) for who, whom, what in graph.edges)
    boxes = (_box(node, place) for node, place in zip(graph.nodes, places, strict=True))
    return _HEAD.format(width, height, Markup().join([*edges, *boxes]))


def _around(number: int) -> list[Point]:
    """The middles of boxes on an ellipse, on which no box stands between two others."""
    across, down = max(170, 60 * number), max(60, 30 * number)
    angles = [2 * math.pi * n / number - math.pi / 2 for n in range(number)]
    return [(MARGIN + BOX / 2 + across * (1 + math.cos(angle)), MARGIN + BOX_HEIGHT / 2 + down * (1 + math.sin(angle))) for angle in angles]


def _in_columns(graph: WaitGraph) -> list[Point]:
    """The middles of boxes, a column for each layer. Columns are shifted against each other, so that no edge hides behind a box."""
    last = max(node.layer for node in graph.nodes)
    columns: dict[int, list[int]] = defaultdict(list)
    for number, node in enumerate(graph.nodes):
        columns[node.layer].append(number)
    tallest = max(map(len, columns.values()))
    long_ways = any(graph.nodes[who].layer - graph.nodes[whom].layer > 1 for who, whom, _ in graph.edges)
    places: list[Point] = [(0.0, 0.0)] * len(graph.nodes)
    for layer, numbers in columns.items():
        shift = DOWN * (layer % 2) if long_ways else 0
        above = (tallest - len(numbers)) * DOWN / 2 + shift
        for row, number in enumerate(numbers):
            places[number] = MARGIN + BOX / 2 + (last - layer) * ACROSS, MARGIN + BOX_HEIGHT / 2 + above + row * DOWN
    return places


def _box(node: WaitNode, place: Point) -> Markup:
    x, y = place
    words = ", ".join(part for part in (f"rank {node.ranks}" if node.ranks else "", node.names) if part)
    mark = "▶ " if node.culprit else ""
    blamed = " blamed" if node.culprit else ""
    left, top = x - BOX / 2, y - BOX_HEIGHT / 2
    return _BOX.format(blamed, words, left, top, BOX, BOX_HEIGHT, x, y + 5, mark + cut(words, LONGEST - len(mark)))


def _edge(who: Point, whom: Point, what: str) -> Markup:
    """Straight from border to border; two that wait for each other have a line each, side by side."""
    (x1, y1), (x2, y2) = who, whom
    length = math.hypot(x2 - x1, y2 - y1)
    aside_x, aside_y = -(y2 - y1) / length * 5, (x2 - x1) / length * 5
    (a, b), (c, d) = _border(who, whom), _border(whom, who)
    return _EDGE.format(a + aside_x, b + aside_y, c + aside_x, d + aside_y, what)


def _border(of: Point, towards: Point) -> Point:
    """Where the line between the middles of two boxes leaves the first one."""
    (x1, y1), (x2, y2) = of, towards
    across, down = abs(x2 - x1), abs(y2 - y1)
    part = min(BOX / 2 / across if across else 1.0, BOX_HEIGHT / 2 / down if down else 1.0)
    return x1 + (x2 - x1) * part, y1 + (y2 - y1) * part
