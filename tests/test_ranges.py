from __future__ import annotations

import pytest

from hanglens.ranges import ranges


@pytest.mark.parametrize(
    ("ranks", "written"),
    [((), ""), ((3,), "3"), ((0, 1, 2, 5), "0-2,5"), ((5, 1, 0, 1), "0-1,5"), (range(1024), "0-1023")],
)
def test_ranks_are_written_as_ranges(ranks: tuple[int, ...], written: str) -> None:
    """Runs of ranks are joined, in order and without doubles."""
    assert written == ranges(ranks)
