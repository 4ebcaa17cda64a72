"""Who waits for whom, folded: as rows, and as a graph where somebody who is waited for waits as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hanglens.ranges import ranges
from hanglens.verdict import Wait

MOST_NODES = 14  # of a graph that is drawn: more are a tangle, and the rows tell them better

Party = int | str


@dataclass(frozen=True, slots=True)
class WaitView:
    """Everybody who waits for one rank or process in one place: `ranks` as ranges, `names` of processes."""

    ranks: str
    names: str
    for_rank: int | None
    for_name: str
    in_what: str
    culprit: bool


@dataclass(frozen=True, slots=True)
class WaitNode:
    """Parties that wait for the same and are waited for by the same; `layer` counts the longest way to somebody who waits for nobody."""

    ranks: str
    names: str
    culprit: bool
    layer: int


@dataclass(frozen=True, slots=True)
class WaitGraph:
    """Nodes, and edges between their indices: the first waits for the second in what the third says. In a `ring` layers mean nothing."""

    ring: bool = False
    nodes: tuple[WaitNode, ...] = ()
    edges: tuple[tuple[int, int, str], ...] = ()


def fold_waits(waits: Sequence[Wait], culprits: Collection[Party]) -> tuple[WaitView, ...]:
    """One row for each party waited for and place."""
    together: dict[tuple[Party, str], list[Wait]] = {}
    for wait in waits:
        together.setdefault((wait.for_whom, wait.in_what), []).append(wait)
    return tuple(
        WaitView(
            ranks=ranges(wait.who for wait in same if isinstance(wait.who, int)),
            names=", ".join(dict.fromkeys(wait.who for wait in same if isinstance(wait.who, str))),
            for_rank=whom if isinstance(whom, int) else None,
            for_name=whom if isinstance(whom, str) else "",
            in_what=in_what,
            culprit=whom in culprits,
        )
        for (whom, in_what), same in together.items()
    )


def graph(waits: Sequence[Wait], culprits: Collection[Party]) -> WaitGraph:
    """The graph where it says more than the rows do: somebody waited for waits too. Empty otherwise, and where it would be a tangle."""
    ahead: dict[Party, set[Party]] = defaultdict(set)
    behind: dict[Party, set[Party]] = defaultdict(set)
    for wait in waits:
        ahead[wait.who].add(wait.for_whom)
        behind[wait.for_whom].add(wait.who)
    if not ahead.keys() & behind.keys():
        return WaitGraph()
    alike: dict[object, list[Party]] = defaultdict(list)
    for party in dict.fromkeys([*ahead, *behind]):
        alike[frozenset(ahead[party]), frozenset(behind[party]), party in culprits].append(party)
    if len(alike) > MOST_NODES:
        return WaitGraph()
    of = {party: number for number, same in enumerate(alike.values()) for party in same}
    edges: dict[tuple[int, int], dict[str, None]] = defaultdict(dict)
    for wait in waits:
        if of[wait.who] != of[wait.for_whom]:
            edges[of[wait.who], of[wait.for_whom]][wait.in_what] = None
    layers = _layers(len(alike), list(edges))
    nodes = tuple(_node(same, culprits, layers[number] if layers else 0) for number, same in enumerate(alike.values()))
    return WaitGraph(layers is None, nodes, tuple((*edge, " · ".join(what)) for edge, what in sorted(edges.items())))


def _node(parties: Sequence[Party], culprits: Collection[Party], layer: int) -> WaitNode:
    return WaitNode(
        ranks=ranges(party for party in parties if isinstance(party, int)),
        names=", ".join(party for party in parties if isinstance(party, str)),
        culprit=any(party in culprits for party in parties),
        layer=layer,
    )


def _layers(number: int, edges: Sequence[tuple[int, int]]) -> dict[int, int] | None:
    """The longest way from each node to one that waits for nobody; None where some wait in a ring."""
    ahead: dict[int, set[int]] = {node: set() for node in range(number)}
    for who, whom in edges:
        ahead[who].add(whom)
    layers: dict[int, int] = {}
    while len(layers) < number:
        ready = [node for node in ahead if node not in layers and ahead[node] <= layers.keys()]
        if not ready:
            return None
        layers.update({node: max((layers[whom] + 1 for whom in ahead[node]), default=0) for node in ready})
    return layers
