"""Ranks, and other numbers of a row, as people write them."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(numbers: Iterable[int], most: int | None = None) -> str:
    """Numbers in order, neighbours joined; of more than `most` pieces the first, and an ellipsis.

    >>> ranges((0, 1, 2, 5))
    '0-2,5'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    pieces = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ",".join(pieces[:most]) + (",…" if most is not None and len(pieces) > most else "")
