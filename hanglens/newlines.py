"""How many lines end before a place. To count them is half of the work of a search, unless many bytes are compared at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate

PART = 1 << 16  # bytes between two places before which the line ends are known
WORTH_NUMPY = 64 << 20  # bytes: to load numpy takes longer than to count in so many without it


class NewlineCounter:
    """Counts the line feeds of blocks; when it has seen enough of them, by numpy, which is several times as fast and lets others work."""

    def __init__(self) -> None:
        self._seen, self._count = 0, _plain

    def count(self, block: bytes) -> tuple[int, ...]:
        """How many stand before each PART bytes, and in all."""
        before, self._seen = self._seen, self._seen + len(block)
        if before <= WORTH_NUMPY < self._seen:
            self._count = _by_numpy if _numpy_loads() else _plain
        return tuple(accumulate(self._count(block), initial=0))


def _numpy_loads() -> bool:
    """Without the threads of its linear algebra, each of which would take its share of the address space; False where it cannot be."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        import numpy as np
    except (ImportError, MemoryError):
        return False
    return bool(np)


def _plain(block: bytes) -> Iterator[int]:
    return (block.count(b"\n", at, at + PART) for at in range(0, len(block), PART))


def _by_numpy(block: bytes) -> Iterator[int]:
    import numpy as np

    ends = np.frombuffer(block, np.uint8) == ord("\n")
    return (int(np.count_nonzero(ends[at : at + PART])) for at in range(0, len(block), PART))
