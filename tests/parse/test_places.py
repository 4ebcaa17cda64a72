"""What file names hint at."""

from __future__ import annotations

import pytest

from hanglens.parse.blocks import Place
from hanglens.parse.places import read_place


@pytest.mark.parametrize(
    ("name", "group", "pid", "rank"),
    [
        ("rank0.pyspy.txt", "rank0", None, 0),
        ("rank1.log", "rank1", None, 1),
        ("rank_12.proc-wchan.txt", "rank_12", None, 12),
        ("rank3.log.gz", "rank3", None, 3),
        ("pid419.proc-stat.txt", "pid419", 419, None),
        ("enginecore.pyspy.txt", "enginecore", None, None),
        ("nccl.vm.3081.log", "", 3081, None),
        ("nccl_debug.node-7.88123", "", 88123, None),
        ("nccl_trace_rank_3", "", None, 3),
        ("comm_lib_trace_rank_0", "", None, 0),
        ("_dump_14", "", None, 14),
        ("trace_container-node02_5", "", None, 5),
        ("nccl_trace_rank_7.json", "", None, 7),
        ("nvidia-smi.txt", "", None, None),
        ("local_rank0.txt", "", None, None),
        ("traceback-2.log", "traceback-2", None, None),
        ("frank3.txt", "", None, None),
    ],
)
def test_names(name: str, group: str, pid: int | None, rank: int | None) -> None:
    """Group, pid and rank are read from the names that tools and people give; other names hint at nothing."""
    assert read_place(f"some/rank9/{name}") == Place(f"some/rank9/{name}", group, pid, rank)
