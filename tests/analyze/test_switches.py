"""Switches in the report."""

from __future__ import annotations

import pytest

from hanglens.model import Process
from tests.builders import event, incident, member, parsed, process, surroundings


def set_in_log(name: str, value: str, rank: int | None = None) -> object:
    """NCCL's line for a variable that it found."""
    return event("nccl.switch", name_=name, value=value, rank=rank)


def test_what_changes_communication_is_listed() -> None:
    """From logs and processes, once each; not what is about logs, recorders, addresses or other programs."""
    noise = {"NCCL_DEBUG": "INFO", "TORCH_FR_BUFFER_SIZE": "2000", "NCCL_RAS_ADDR": "h:1", "MASTER_ADDR": "h", "NCCL_TOPO_DUMP_FILE": "/x"}
    processes = [process(n, NCCL_P2P_DISABLE="1", NCCL_ALGO="", **noise) for n in (7, 8)]
    found = surroundings(incident(evidence=parsed(set_in_log("NCCL_IB_DISABLE", "1"), set_in_log("NCCL_DEBUG", "INFO"), *processes)))
    assert found == {"NCCL_IB_DISABLE": ("1", ""), "NCCL_P2P_DISABLE": ("1", "")}


def test_a_switch_that_differs_between_ranks_is_marked() -> None:
    """With who has which."""
    about = incident(evidence=parsed(*(set_in_log("NCCL_ALGO", "Ring" if rank else "Tree", rank) for rank in range(4))))
    value, why = surroundings(about)["NCCL_ALGO"]
    assert value == "Tree, Ring"
    assert why.startswith("Ring on ranks 1-3, Tree on rank 0: ")


@pytest.mark.parametrize(
    "values",
    [
        [set_in_log("NCCL_ALGO", "Ring"), set_in_log("NCCL_ALGO", "Tree")],
        [set_in_log("NCCL_ALGO", "Ring", 0), set_in_log("NCCL_ALGO", "Ring", 1)],
        [set_in_log("NCCL_IB_HCA", "mlx5_0", 0), set_in_log("NCCL_IB_HCA", "mlx5_1", 1)],
    ],
    ids=["of nobody", "equal", "an adapter for each rank"],
)
def test_what_is_no_difference(values: list[object]) -> None:
    """Values of unknown ranks, equal ones, and those that each rank has for itself."""
    assert [why for _, why in surroundings(incident(evidence=parsed(*values))).values()] == [""]


def ranks_with(*processes: Process, logged: tuple[object, ...] = ()) -> dict[str, tuple[str, str]]:
    """The rows of ranks 0, 1, … that are these processes."""
    members = (member(rank, pid=p.pid) for rank, p in enumerate(processes))
    return surroundings(incident(*members, evidence=parsed(*processes, *logged)))


def test_a_rank_that_lacks_a_switch_is_marked() -> None:
    """A launcher started both, and only one has it."""
    found = ranks_with(process(7, RANK="0", NCCL_SHM_DISABLE="1"), process(8, RANK="1"))
    assert found["NCCL_SHM_DISABLE"][1].startswith("1 on rank 0, not set on rank 1: ")


def test_a_rank_that_may_have_set_it_later_is_not() -> None:
    """/proc shows what a process was started with: a parent that sets a variable for its children lacks it there, and a log may show it."""
    assert ranks_with(process(7), process(8, NCCL_SHM_DISABLE="1"))["NCCL_SHM_DISABLE"] == ("1", "")
    logged = (set_in_log("NCCL_SHM_DISABLE", "1", 1),)
    assert ranks_with(process(7, RANK="0", NCCL_SHM_DISABLE="1"), process(8, RANK="1"), logged=logged)["NCCL_SHM_DISABLE"] == ("1", "")


@pytest.mark.parametrize(
    ("name", "odd", "ordinary"),
    [
        ("CUDA_LAUNCH_BLOCKING", "1", "0"),
        ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", "1"),
        ("NCCL_ASYNC_ERROR_HANDLING", "0", "3"),
        ("TORCH_NCCL_ENABLE_MONITORING", "0", "1"),
    ],
)
def test_values_that_are_unlike_the_ordinary(name: str, odd: str, ordinary: str) -> None:
    """Launches that wait, and a watchdog that is off."""
    for value, marked in ((odd, True), (ordinary, False)):
        found = surroundings(incident(evidence=parsed(process(7, **{name: value}))))
        assert (found[name][0], found[name][1] != "") == (value, marked)


def test_an_odd_value_on_one_rank_is_told_with_its_rank() -> None:
    """Who has it, and what it does."""
    found = ranks_with(process(7, RANK="0", CUDA_LAUNCH_BLOCKING="1"), process(8, RANK="1"))
    assert found["CUDA_LAUNCH_BLOCKING"][1].startswith("1 on rank 0, not set on rank 1: every kernel launch waits")


@pytest.mark.parametrize(("interface", "hosts", "marked"), [("lo", 2, True), ("lo", 1, False), ("eth0", 2, False)])
def test_loopback(interface: str, hosts: int, marked: bool) -> None:
    """It serves on one host, and reaches no other."""
    lines = [event("x", host=f"n{n}") for n in range(hosts)]
    found = surroundings(incident(evidence=parsed(set_in_log("NCCL_SOCKET_IFNAME", interface), *lines)))
    assert (found["NCCL_SOCKET_IFNAME"][1] != "") is marked


def test_rows_stay_few_and_short() -> None:
    """A hostile environment does not fill the report."""
    environ = {f"NCCL_IB_X{n}": "1" for n in range(500)} | {"LD_PRELOAD": "/x" * 400}
    found = surroundings(incident(evidence=parsed(process(7, **environ))))
    assert len(found) == 40
    assert len(found["LD_PRELOAD"][0]) == 80
