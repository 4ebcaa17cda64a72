"""The drawn sections of a report as plain lines, for the terminal and for Markdown: timeline, stacks, collectives, environment, inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from hanglens.report.i18n import CALL_STATES, KINDS, STANDINGS, Lang, pick, say, those
from hanglens.report.moments import Timed
from hanglens.report.plain import cut
from hanglens.report.stacktree import StackForest, StackNode
from hanglens.report.timeline import Row, Timeline, length
from hanglens.report.view import InputGroup, Matrix
from hanglens.verdict import CollectiveCell, StackGroup, Surrounding, TimelineSpan

INNERMOST = 2  # frames of a place that are told
FRAME = 160  # characters
LABEL = 60
DAY = 86400  # seconds


def timeline_lines(timeline: Timeline, lang: Lang, most: int) -> list[str]:
    """A line for each row: where it stands, its errors and time-outs, since when it is silent."""
    days = timeline.scale.last - timeline.scale.first >= DAY
    ordered = sorted(timeline.rows, key=lambda row: not row.blamed)
    rows = [_timeline_row(row, lang, days=days) for row in ordered[:most]]
    return rows + _and_more(len(ordered[most:]), lang)


def _timeline_row(row: Row, lang: Lang, *, days: bool) -> str:
    """Whose row it is, and the last of each kind, in the order in which they began; of the silences before the last one the longest."""
    end = max(timed.end for timed in row.spans)
    over = sorted((timed for timed in row.spans if timed.span.kind == "silence" and timed.end < end), key=_duration)
    last = {timed.span.kind: timed for timed in row.spans if timed not in over}
    parts = []
    for timed in sorted([*last.values(), *over[-1:]], key=lambda timed: timed.start):
        span = timed.span
        words = pick(span.title, lang) if span.title else _words(span, lang)
        lasted = f" ({length(timed.end - timed.start)})" if span.kind == "silence" else ""
        others = f" {say('and {n} shorter ones', lang, n=len(over) - 1)}" if timed in over and len(over) > 1 else ""
        day, _, clock = span.start.rpartition("T")
        parts.append(f"{day + ' ' if days and day else ''}{clock[:8]} {words}{lasted}{others}")
    who = ("▶ " if row.blamed else "") + (those(row.ranks, lang) or say("job", lang))
    return f"{who}: {' · '.join(parts)}"


def _duration(timed: Timed) -> float:
    return timed.end - timed.start


def _words(span: TimelineSpan, lang: Lang) -> str:
    kind = "" if span.kind in ("stage", "progress") else say(KINDS[span.kind], lang)
    return " ".join(part for part in (kind, "" if span.kind == "silence" else cut(span.label, LABEL)) if part)


def stack_lines(forest: StackForest, lang: Lang, most: int) -> list[str]:
    """Each place where somebody stands, with its innermost frames; those to blame first."""
    leaves = forest.leaves
    lines = [line for leaf in leaves[:most] for line in _leaf(leaf, lang)]
    return lines + _and_more(len(leaves[most:]) + forest.left_out, lang)


def _leaf(leaf: StackNode, lang: Lang) -> Iterator[str]:
    yield _who(leaf, lang) + (f": {_standing(leaf.standing, lang)}" if leaf.standing else "")
    yield from (f"    {cut(frame, FRAME)}" for frame in leaf.frames[::-1][:INNERMOST])


def tree_lines(forest: StackForest, lang: Lang) -> list[str]:
    """The merged stacks as an indented tree, outermost frame first."""
    return [line for tree in forest.trees for line in _tree(tree, lang, "")]


def _tree(node: StackNode, lang: Lang, indent: str) -> Iterator[str]:
    yield f"{indent}{_who(node, lang)}" + (f": {_standing(node.standing, lang)}" if node.standing else "")
    yield from (f"{indent}    {cut(frame, FRAME)}" for frame in node.frames)
    for branch in node.branches:
        yield from _tree(branch, lang, indent + "    ")


def _who(node: StackNode, lang: Lang) -> str:
    who = ", ".join(part for part in (those(node.ranks, lang), node.processes) if part)
    absent = f" | {say('not here: {ranks}', lang, ranks=node.absent)}" if node.absent else ""
    return ("▶ " if node.culprit else "") + who + absent


def _standing(group: StackGroup, lang: Lang) -> str:
    kind = group.waiting_in or ""
    moving = {None: "one sample: whether it moves is not known", True: "moved between samples", False: "the same in every sample"}
    return ", ".join(part for part in (say(STANDINGS.get(kind, kind), lang), say(moving[group.moving], lang)) if part)


def collective_lines(matrix: Matrix, lang: Lang, most: int) -> list[str]:
    """What each rank called at the first sequence number with an odd call, else the first at which ranks differ, else the last."""
    told = [(ranks, cells) for ranks, cells in matrix.rows if any(cells)]
    columns = [[cells[at] for _, cells in told] for at in range(len(matrix.seqs))]
    odd = (n for n, column in enumerate(columns) if any(cell and cell.odd for cell in column))
    differing = (n for n, column in enumerate(columns) if len({cell and (cell.op, cell.size) for cell in column}) > 1)
    at = next(chain(odd, differing), len(columns) - 1)
    alike: dict[tuple[bool, str], list[str]] = {}
    for ranks, cells in matrix.rows:
        cell = cells[at]
        call = _call(cell, lang) if any(cells) else say("no record of it was given", lang)
        alike.setdefault((not (cell and cell.odd), call), []).append(ranks)
    rows = [f"    {those(','.join(ranks), lang)}: {call}" for (_, call), ranks in sorted(alike.items(), key=lambda row: row[0][0])]
    return [f"{say('group {name}', lang, name=matrix.title)} #{matrix.seqs[at]}", *rows[:most], *_and_more(len(rows[most:]), lang)]


def _call(cell: CollectiveCell | None, lang: Lang) -> str:
    if cell is None:
        return say("no call recorded", lang)
    state = say(CALL_STATES.get(cell.state, cell.state), lang)
    return ("≠ " if cell.odd else "") + " ".join(part for part in (cell.op, cell.size, state) if part)


def environment_lines(environment: Sequence[Surrounding], lang: Lang) -> list[str]:
    """What is unusual a line each, all else in one."""
    unusual = [f"{row.name} = {row.value}: {pick(row.unusual, lang)}" for row in environment if row.unusual]
    usual = " · ".join(f"{row.name} {row.value}" for row in environment if not row.unusual)
    return [*unusual, *([usual] if usual else [])]


def input_line(groups: Sequence[InputGroup], lang: Lang) -> str:
    """How many files of which kinds were read."""
    kinds = ", ".join(f"{group.count} × {group.kind}" for group in groups)
    number = sum(group.count for group in groups)
    return f"{say('1 file' if number == 1 else '{n} files', lang, n=number)}: {kinds}"


def _and_more(number: int, lang: Lang) -> list[str]:
    return [say("… and {n} more", lang, n=number)] if number else []
