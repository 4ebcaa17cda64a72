"""How many ranks the job has, of statements that compete."""

from __future__ import annotations

import pytest

from hanglens.analyze.worldsize import world_size
from tests.builders import event, members_of, nccl_init, parsed, process, ras


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), (None, "")),
        ((event("torch.world", world=8, rank_=0),), (8, "world_size in the log")),
        ((nccl_init(0, 8, 1), nccl_init(0, 2, 1)), (8, "NCCL communicator")),
        ((nccl_init(0, 16, 1), event("torch.world", world=8, rank_=0)), (8, "world_size in the log")),
        ((event("lmdeploy.start", tp=2), process(1, WORLD_SIZE="4")), (4, "WORLD_SIZE of a process")),
        ((event("lmdeploy.start", tp=2), ras({}, size=8)), (8, "NCCL RAS")),
        ((members_of("3", 0, 1, description="tp"), members_of("0", 0, 1, 2, description="")), (3, "flight recorder")),
        ((process(1, WORLD_SIZE="many"),), (None, "")),
        ((event("torch.world", world=10**9, rank_=0), event("vllm.parallel", tp=4)), (4, "tensor parallel size")),
        ((event("torch.world", world=0, rank_=0),), (None, "")),
    ],
    ids="nothing printed largest-communicator trust tp-is-less ras default-group not-a-number absurd zero".split(),
)
def test_the_most_trusted_statement_wins(values: tuple[object, ...], expected: tuple[int | None, str]) -> None:
    """What is printed as the world size outweighs sizes of communicators; of equal ones the largest, since sub-groups are smaller."""
    world = world_size(parsed(*values))
    assert (world.size, world.how, world.gap) == (*expected, None)


@pytest.mark.parametrize("size", ["²", "9" * 5000, "-4", "0x4", "1e3", "٤", "99999999"])
def test_what_no_job_can_have_is_no_size(size: str) -> None:
    """Digits of other scripts, thousands of digits and sizes beyond any job are left aside."""
    assert world_size(parsed(process(1, WORLD_SIZE=size))).size is None


def test_a_size_without_room_for_a_rank_that_is_there_is_not_believed() -> None:
    """A smaller statement that has room for it is; where none has, the size is unknown, and a gap says what contradicts it."""
    seen = (process(1, WORLD_SIZE="2", RANK="0"), process(2, RANK="3"))
    unknown = world_size(parsed(*seen))
    assert unknown.size is None
    assert unknown.gap is not None
    assert "rank 3" in unknown.gap.why
    assert world_size(parsed(*seen, event("lmdeploy.start", tp=4))).size == 4
