from __future__ import annotations

from hanglens.report.waits import MOST_NODES, fold_waits, graph
from hanglens.verdict import Wait


def waits(*pairs: tuple[int | str, int | str]) -> list[Wait]:
    """Waits in one place."""
    return [Wait(who=who, for_whom=whom, in_what="barrier") for who, whom in pairs]


def test_those_who_wait_for_one_are_one_row() -> None:
    """Ranks as ranges, processes by name, and whether they wait for somebody to blame."""
    (row,) = fold_waits(waits((0, 3), (1, 3), ("api server", 3)), [3])

    assert (row.ranks, row.names, row.for_rank, row.culprit) == ("0-1", "api server", 3, True)


def test_rows_say_enough_where_nobody_waited_for_waits() -> None:
    """Three that wait for one are no chain, and get no graph."""
    assert graph(waits((0, 3), (1, 3), (2, 3)), [3]).nodes == ()


def test_a_chain_is_drawn() -> None:
    """Parties alike are one box, as many steps from the end as they wait for."""
    found = graph(waits((0, 3), (1, 3), (3, "lock a.lock"), ("api", 0)), [3])
    layers = {(node.ranks, node.names): node.layer for node in found.nodes}

    assert layers == {("3", ""): 1, ("", "lock a.lock"): 0, ("0", ""): 2, ("1", ""): 2, ("", "api"): 3}
    assert [node.ranks for node in found.nodes if node.culprit] == ["3"]


def test_a_ring_is_drawn() -> None:
    """Where everybody waits for the next one, nobody is at the end, and every box has its place."""
    found = graph(waits((0, 1), (1, 2), (2, 0)), [])

    assert found.ring
    assert len(found.nodes) == 3
    assert {(who, whom) for who, whom, _ in found.edges} == {(0, 1), (1, 2), (2, 0)}


def test_two_rings_are_drawn() -> None:
    """A ring that no other part leads to has its places too."""
    assert len(graph(waits((0, 1), (1, 0), (5, 6), (6, 5)), []).nodes) == 4


def test_a_tangle_is_not_drawn() -> None:
    """A long chain of single ranks is told by the rows alone."""
    assert graph(waits(*((rank, rank + 1) for rank in range(MOST_NODES + 5))), []).nodes == ()


def test_a_short_cut_does_not_shorten_the_way() -> None:
    """Who waits for two of which one waits for the other stands behind both: no edge stays within a column."""
    found = graph(waits((0, 1), (1, 2), (0, 2)), [])

    assert {node.ranks: node.layer for node in found.nodes} == {"0": 2, "1": 1, "2": 0}
    assert all(found.nodes[who].layer > found.nodes[whom].layer for who, whom, _ in found.edges)


def test_all_that_is_waited_in_is_told() -> None:
    """Two reasons between the same parties are one edge with both."""
    found = graph([Wait(who=0, for_whom=1, in_what="send"), Wait(who=0, for_whom=1, in_what="barrier"), *waits((1, 2))], [])

    assert ("send · barrier") in [what for _, _, what in found.edges]
