from __future__ import annotations

from hanglens.report.stacktree import MOST_PLACES, StackForest, StackNode
from hanglens.report.stacktree import forest as merged
from hanglens.verdict import StackGroup


def group(ranks: tuple[int, ...], *frames: str, processes: tuple[str, ...] = ()) -> StackGroup:
    """Ranks at one place; frames outermost first."""
    return StackGroup(ranks=ranks, frames=frames[::-1], processes=processes)


def forest(groups: list[StackGroup], blamed: list[int | str]) -> StackForest:
    """The merged stacks."""
    return merged(groups, frozenset(blamed))


def shape(node: StackNode) -> tuple[object, ...]:
    """Ranks, the absent, frames and branches."""
    return node.ranks, node.absent, node.frames, tuple(map(shape, node.branches))


def test_where_the_ranks_part() -> None:
    """Common frames are told once, with every line at which ranks are; then each branch says who is there and who is not."""
    waiting = group((0, 1, 2), "main (t.py:9)", "step (t.py:40)", "gather_object (d.py:3)")
    loading = group((3,), "main (t.py:9)", "step (t.py:38)", "load (t.py:5)", "read (io.py:1)")
    (tree,) = forest([waiting, loading], [3]).trees

    assert shape(tree) == (
        "0-3", "", ("main (t.py:9)", "step (t.py:38|40)"),
        (("3", "", ("load (t.py:5)", "read (io.py:1)"), ()), ("0-2", "3", ("gather_object (d.py:3)",), ())),
    )  # fmt: skip
    assert [branch.culprit for branch in tree.branches] == [True, False]


def test_a_place_on_the_way_of_others() -> None:
    """Who stands in a function through which others went on is a branch beside them."""
    (tree,) = forest([group((0,), "main (t.py:1)"), group((1,), "main (t.py:1)", "step (t.py:2)")], []).trees[:1]

    assert [leaf.ranks for leaf in forest([group((0,), "a"), group((1,), "a", "b")], []).leaves] == ["0", "1"]
    assert tree.standing is not None or tree.branches


def test_processes_that_started_otherwise_are_trees_of_their_own() -> None:
    """A launcher shares no outermost frame with its workers, and nobody is absent from a tree as a whole."""
    trees = forest([group((0, 1), "worker", "wait"), group((), "launcher", "poll", processes=("pid 7",))], []).trees

    assert [(tree.ranks, tree.processes, tree.absent) for tree in trees] == [("0-1", "", ""), ("", "pid 7", "")]


def test_nothing_to_merge() -> None:
    """No stack is no tree; a stack without frames is still somebody's."""
    assert forest([], []).trees == ()
    assert forest([group((0,))], []).trees[0].frames == ("?",)


def test_too_many_places_keep_the_culprit() -> None:
    """Of a thousand places the culprit's is drawn, and those left out are counted."""
    drawn = forest([group((rank,), "main", f"own_{rank}") for rank in range(1000)], [777])

    assert drawn.trees[0].branches[0].ranks == "777"
    assert len(drawn.leaves) == MOST_PLACES
    assert drawn.left_out == 1000 - MOST_PLACES


def test_many_lines_of_one_function_are_cut() -> None:
    """Ranks that are all over one loop do not make its line longer than a screen."""
    (tree,) = forest([group((rank,), f"loop (t.py:{rank + 1})", f"f{rank}") for rank in range(9)], []).trees

    assert tree.frames == ("loop (t.py:1|2|3|…)",)


def test_a_culprit_without_a_rank() -> None:
    """A process of which no rank is known is marked by its name, and comes first."""
    groups = [group((), "main", "wait", processes=("pid 11", "pid 12")), group((), "main", "own", processes=("pid 13",))]
    (tree,) = forest(groups, ["pid 13"]).trees

    assert [(leaf.processes, leaf.culprit) for leaf in tree.branches] == [("pid 13", True), ("pid 11, pid 12", False)]


def test_thousands_of_processes_at_one_place_are_counted() -> None:
    """The first few are named, and how many there are."""
    (tree,) = forest([group((), "main", processes=tuple(f"pid {n}" for n in range(9000)))], []).trees

    assert tree.processes == "pid 0, pid 1, pid 2, pid 3, pid 4, pid 5, … (9000)"
