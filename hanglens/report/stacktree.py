"""The stacks of all ranks merged from their outermost frames on: where they part is where to look (as STAT draws them)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hanglens.ranges import ranges
from hanglens.report.plain import few
from hanglens.verdict import StackGroup

MOST_PLACES = 64  # stack groups that are drawn
MOST_NAMES = 6  # of processes without a rank
MOST_LINES = 3  # line numbers of one function

Blamed = frozenset[int | str]  # ranks, and the names of processes without one

_LINE = re.compile(r":([0-9]{1,9})\)$")


@dataclass(frozen=True, slots=True)
class StackNode:
    """Frames, outermost first, that some ranks and processes share, until they part into `branches` or stand.

    `ranks` and `processes` name them; `absent` are the ranks that came as far as the frames above and are not here, told where they
    are the fewer. `standing` is the group that stands at the last frame.
    """

    frames: tuple[str, ...]
    ranks: str
    processes: str
    absent: str
    culprit: bool
    standing: StackGroup | None
    branches: tuple[StackNode, ...] = ()

    def leaves(self) -> Iterator[StackNode]:
        """Every place where somebody stands, in the order of drawing."""
        if self.standing:
            yield self
        for branch in self.branches:
            yield from branch.leaves()


@dataclass(frozen=True, slots=True)
class StackForest:
    """The trees, one for each outermost frame; `left_out` counts the places that are not drawn."""

    trees: tuple[StackNode, ...] = ()
    left_out: int = 0

    @property
    def leaves(self) -> tuple[StackNode, ...]:
        """Every place where somebody stands; those to blame first."""
        found = [leaf for tree in self.trees for leaf in tree.leaves()]
        return tuple(sorted(found, key=lambda leaf: not leaf.culprit))


@dataclass(slots=True)
class _Trie:
    """Frames by function and file, whatever their line."""

    lines: dict[str, None] = field(default_factory=dict)
    groups: list[StackGroup] = field(default_factory=list)
    ending: StackGroup | None = None
    below: dict[str, _Trie] = field(default_factory=dict)

    def add(self, group: StackGroup, frames: Sequence[str]) -> None:
        """Take a stack in, outermost frame first."""
        at = self
        at.groups.append(group)
        for number, frame in enumerate(frames):
            last = number == len(frames) - 1
            key = _LINE.sub(")", frame) + (f"\0{id(group)}" if last else "")  # a place is a node of its own
            at = at.below.setdefault(key, _Trie())
            at.lines[frame] = None
            at.groups.append(group)
        at.ending = group

    @property
    def ranks(self) -> frozenset[int]:
        return frozenset(rank for group in self.groups for rank in group.ranks)


def forest(groups: Sequence[StackGroup], blamed: Blamed) -> StackForest:
    """Merge stack groups; where there are too many, those of culprits and the largest are drawn."""
    ordered = sorted(groups, key=lambda group: (blamed.isdisjoint(_who(group)), -len(_who(group))))
    root = _Trie()
    for group in ordered[:MOST_PLACES]:
        root.add(group, group.frames[::-1] or ("?",))
    return StackForest(_branches(root, frozenset(), blamed), max(len(ordered) - MOST_PLACES, 0))


def _who(group: StackGroup) -> tuple[int | str, ...]:
    return (*group.ranks, *group.processes)


def _branches(trie: _Trie, here: frozenset[int], blamed: Blamed) -> tuple[StackNode, ...]:
    nodes = [_node(child, here, blamed) for child in trie.below.values()]
    return tuple(sorted(nodes, key=lambda node: not node.culprit))


def _node(trie: _Trie, above: frozenset[int], blamed: Blamed) -> StackNode:
    frames = [_frame(trie)]
    while trie.ending is None and len(trie.below) == 1:
        (trie,) = trie.below.values()
        frames.append(_frame(trie))
    ranks = trie.ranks
    missing = above - ranks
    return StackNode(
        frames=tuple(frames),
        ranks=ranges(ranks),
        processes=few((name for group in trie.groups for name in group.processes), MOST_NAMES),
        absent=ranges(missing) if len(missing) < len(ranks) else "",
        culprit=blamed.issuperset(who for group in trie.groups for who in _who(group)),
        standing=trie.ending,
        branches=_branches(trie, ranks, blamed),
    )


def _frame(trie: _Trie) -> str:
    """`function (file:line)`, with several lines where the ranks are at several.

    >>> _frame(_Trie(lines={"main (train.py:38)": None, "main (train.py:40)": None}))
    'main (train.py:38|40)'
    """
    frames = list(trie.lines)
    numbers = sorted({int(found[1]) for frame in frames if (found := _LINE.search(frame))})
    if len(numbers) < 2:
        return frames[0]
    shown = "|".join(map(str, numbers[:MOST_LINES])) + ("|…" if len(numbers) > MOST_LINES else "")
    return _LINE.sub(f":{shown})", frames[0])
