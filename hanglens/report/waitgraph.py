"""The wait graph as inline SVG: boxes from those that only wait, on the left, to those that wait for nobody, on the right."""

from __future__ import annotations

from collections import defaultdict

from markupsafe import Markup

from hanglens.report.plain import cut
from hanglens.report.waits import WaitGraph, WaitNode

BOX, BOX_HEIGHT, ACROSS, DOWN, MARGIN = 150, 34, 250, 62, 12
LONGEST = 20  # characters in a box

_HEAD = Markup(
    '<svg class="wait-graph" role="img" aria-labelledby="waits-title" viewBox="0 0 {0} {1}" width="{0}" height="{1}">'
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
    '<path class="tip" d="M0 0 L8 4 L0 8 Z"/></marker></defs>{2}</svg>'
)
_BOX = Markup(
    '<g class="party-box{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="6"/><text x="{}" y="{}">{}</text></g>'
)
_EDGE = Markup('<path class="edge" d="M{} {} C{} {} {} {} {} {}" marker-end="url(#tip)"><title>{}</title></path>')


def draw(graph: WaitGraph) -> Markup:
    """The drawing; empty for an empty graph. What each edge waits in is its title, and stands in the rows beside the graph."""
    if not graph.nodes:
        return Markup()
    places = _places(graph)
    width = max(x for x, _ in places) + BOX + MARGIN
    height = max(y for _, y in places) + BOX_HEIGHT + MARGIN
    edges = (_edge(places[who], places[whom], what) for who, whom, what in graph.edges)
    boxes = (_box(node, place) for node, place in zip(graph.nodes, places, strict=True))
    return _HEAD.format(width, height, Markup().join([*edges, *boxes]))


def _places(graph: WaitGraph) -> list[tuple[int, int]]:
    """The left upper corner of each box: a column for each layer, its boxes in the middle of the height."""
    last = max(node.layer for node in graph.nodes)
    columns: dict[int, list[int]] = defaultdict(list)
    for number, node in enumerate(graph.nodes):
        columns[node.layer].append(number)
    tallest = max(map(len, columns.values()))
    places = [(0, 0)] * len(graph.nodes)
    for layer, numbers in columns.items():
        above = (tallest - len(numbers)) * DOWN // 2
        for row, number in enumerate(numbers):
            places[number] = MARGIN + (last - layer) * ACROSS, MARGIN + above + row * DOWN
    return places


def _box(node: WaitNode, place: tuple[int, int]) -> Markup:
    x, y = place
    words = ", ".join(part for part in (f"rank {node.ranks}" if node.ranks else "", node.names) if part)
    mark = "▶ " if node.culprit else ""
    blamed = " blamed" if node.culprit else ""
    return _BOX.format(blamed, words, x, y, BOX, BOX_HEIGHT, x + BOX // 2, y + 22, mark + cut(words, LONGEST - len(mark)))


def _edge(who: tuple[int, int], whom: tuple[int, int], what: str) -> Markup:
    """From the right side of one box to the left side of the next; a way back, as in a ring, runs beneath."""
    (x1, y1), (x2, y2) = who, whom
    forward = x2 > x1
    start, end = (x1 + BOX, x2) if forward else (x1 + BOX // 2, x2 + BOX // 2)
    sag = 0 if forward else BOX_HEIGHT
    top, bottom = y1 + (BOX_HEIGHT // 2 if forward else BOX_HEIGHT), y2 + (BOX_HEIGHT // 2 if forward else BOX_HEIGHT)
    bend = (end - start) // 2 if forward else 0
    return _EDGE.format(start, top, start + bend, top + sag, end - bend, bottom + sag, end, bottom, what)
