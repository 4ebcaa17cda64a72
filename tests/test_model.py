"""What was read: values that many ranks share."""

from __future__ import annotations

import pytest

from hanglens.model import Frame, SourceRef


@pytest.mark.parametrize(
    ("below", "head", "where"),
    [
        (3, SourceRef("a.txt", 5), SourceRef("a.txt", 8)),
        (0, SourceRef("a.txt", 5), SourceRef("a.txt", 5)),
        (None, SourceRef("a.txt", 5), SourceRef("a.txt", 5)),
        (None, SourceRef("a.json", record=2), SourceRef("a.json", record=2)),
    ],
)
def test_a_frame_stands_below_the_head_of_its_stack(below: int | None, head: SourceRef, where: SourceRef) -> None:
    """One frame of many ranks stands in each one's file where that one's stack has it; without lines it stands where the stack does."""
    assert Frame("step", "train.py", 3, below=below).ref(head) == where
