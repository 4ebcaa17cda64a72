"""The stacks of all ranks merged from their outermost frames on: where they part is where to look (as STAT draws them)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hanglens.report.ranges import ranges
from hanglens.verdict import StackGroup

MOST_PLACES = 64  # stack groups that are drawn
MOST_LINES = 3  # line numbers of one function

_LINE = re.compile(r":(\d+)\)$")


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
    """The trees, one for each outermost frame; `left_out` are the ranks of places that are not drawn."""

    trees: tuple[StackNode, ...] = ()
    left_out: str = ""

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


def forest(groups: Sequence[StackGroup], culprits: Sequence[int]) -> StackForest:
    """Merge stack groups; where there are too many, those of culprits and the largest are drawn."""
    blamed = frozenset(culprits)
    ordered = sorted(groups, key=lambda group: (blamed.isdisjoint(group.ranks), -len(group.ranks)))
    root = _Trie()
    for group in ordered[:MOST_PLACES]:
        root.add(group, group.frames[::-1] or ("?",))
    left_out = ranges(rank for group in ordered[MOST_PLACES:] for rank in group.ranks)
    return StackForest(_branches(root, frozenset(), blamed), left_out)


def _branches(trie: _Trie, here: frozenset[int], blamed: frozenset[int]) -> tuple[StackNode, ...]:
    nodes = [_node(child, here, blamed) for child in trie.below.values()]
    return tuple(sorted(nodes, key=lambda node: not node.culprit))


def _node(trie: _Trie, above: frozenset[int], blamed: frozenset[int]) -> StackNode:
    frames = [_frame(trie)]
    while trie.ending is None and len(trie.below) == 1:
        (trie,) = trie.below.values()
        frames.append(_frame(trie))
    ranks = trie.ranks
    missing = above - ranks
    return StackNode(
        frames=tuple(frames),
        ranks=ranges(ranks),
        processes=", ".join(name for group in trie.groups for name in group.processes),
        absent=ranges(missing) if len(missing) < len(ranks) else "",
        culprit=not blamed.isdisjoint(ranks) and blamed.issuperset(ranks),
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
