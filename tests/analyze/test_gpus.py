"""GPUs in the report: number, models, memory, and whether there are enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import event, gpu, incident, joined, member, parsed, process, setting, surroundings


def rows(*values: object) -> dict[str, tuple[str, str]]:
    """The rows of these values."""
    return surroundings(incident(evidence=parsed(*values)))


def test_number_and_model() -> None:
    """GPUs of one model are counted once each, however often they were read."""
    first = [gpu(n, "NVIDIA A800 80GB PCIe") for n in range(4)]
    again = [gpu(n, "NVIDIA A800 80GB PCIe", file="load.csv") for n in range(4)]
    assert rows(*first, *again) == {"GPUs": ("4 × NVIDIA A800 80GB PCIe", "")}


def test_a_name_that_was_cut_off_is_no_other_model() -> None:
    """Old tables end long names with dots."""
    assert rows(gpu(0, "Tesla V100-SXM2..."), gpu(0, "Tesla V100-SXM2-32GB", file="q.csv"))["GPUs"] == ("1 × Tesla V100-SXM2-32GB", "")


def test_mixed_models_are_marked() -> None:
    """Each with its number, the most frequent first."""
    value, why = rows(gpu(0, "NVIDIA T400"), gpu(1), gpu(2))["GPUs"]
    assert value == "2 × NVIDIA H100, 1 × NVIDIA T400"
    assert why.startswith("different models")


def test_a_display_card_beside_the_jobs_gpus_is_not_marked() -> None:
    """Where the processes show which GPUs the job is on, only these count."""
    about = incident(member(0), member(1), evidence=parsed(gpu(0, "NVIDIA T400"), gpu(1, "NVIDIA H100", 100), gpu(2, "NVIDIA H100", 101)))
    assert surroundings(about)["GPUs"] == ("2 × NVIDIA H100, 1 × NVIDIA T400", "")


def test_the_display_card_of_a_workstation_is_not_marked() -> None:
    """A DGX Station has one beside its GPUs, and no job is on it."""
    assert rows(gpu(0, "NVIDIA DGX Display"), gpu(1), gpu(2))["GPUs"][1] == ""


def test_gpus_of_several_hosts_add_up() -> None:
    """GPU 0 of one host is not that of the other; two files of one host have the same."""
    values = [gpu(n, file=f"n{host}/smi.txt") for host in (1, 2) for n in range(8)]
    assert surroundings(joined(*values, several_hosts=True))["GPUs"][0] == "16 × NVIDIA H100"
    assert surroundings(joined(*values))["GPUs"][0] == "8 × NVIDIA H100"


@pytest.mark.parametrize(
    "values", [[gpu(n) for n in range(40)], [gpu(0), gpu(0, "NVIDIA A100", file="b.txt")]], ids=["read in a loop", "of two hosts"]
)
def test_gpus_that_cannot_be_counted_are_not(values: list[object]) -> None:
    """Rows without an index are one GPU again and again, and one index with two models is two hosts."""
    assert "×" not in rows(*values)["GPUs"][0]


def test_a_list_of_the_environment_serves_where_nvidia_smi_is_missing() -> None:
    """Names and number as `check_env` gives them."""
    names = [setting("gpu.name", "NVIDIA RTX A6000"), setting("gpu.count", "6")]
    assert rows(*names)["GPUs"] == ("6 × NVIDIA RTX A6000", "")
    assert rows(setting("gpu.name", "NVIDIA T400"), *names)["GPUs"][1]
    assert rows(gpu(0), *names)["GPUs"] == ("1 × NVIDIA H100", "")


@pytest.mark.parametrize(("used", "full"), [(81500, True), (81920, True), (81408, False), (40960, False), (0, False)])
def test_a_full_gpu_is_marked(used: int, full: bool) -> None:
    """Less than 512 MiB left; an engine that fills nine tenths of it is ordinary."""
    value, why = rows(gpu(0, used=20480), gpu(1, used=used))["GPU memory"]
    assert value.endswith(" of 80.0 GiB used")
    assert ("GPU 1 has less than 512 MiB left" in why) is full


def test_memory_of_unlike_gpus() -> None:
    """There is no one total to tell; GPUs of which no memory was read have no row."""
    assert rows(gpu(0, used=1024), gpu(1, used=2048, total=1 << 15))["GPU memory"] == ("1.0 to 2.0 GiB used", "")
    assert "GPU memory" not in rows(gpu(0))


@pytest.mark.parametrize(("parent", "marked"), [(700, True), (100, False), (50, False), (None, False)])
def test_a_stranger_on_the_jobs_gpu_is_marked(parent: int | None, marked: bool) -> None:
    """A process that descends from nothing of the job; not its own child, nor one of which the parent is not known."""
    ranks = [replace(process(pid), ppid=50) for pid in (100, 101)]
    other = [replace(process(666), ppid=parent), replace(process(700), ppid=1), replace(process(50), ppid=1)]
    gpus = [gpu(0, "NVIDIA H100", 100, 666, used=10), gpu(1, "NVIDIA H100", 101, used=10)]
    about = incident(member(0), member(1), evidence=parsed(*ranks, *other, *gpus))
    assert ("GPU 0 also runs pid 666" in surroundings(about)["GPU memory"][1]) is marked


def test_a_stranger_on_another_gpu_is_not() -> None:
    """It takes nothing from the job."""
    processes = [replace(process(100), ppid=1), replace(process(666), ppid=1)]
    gpus = [gpu(0, "NVIDIA H100", 100, used=10), gpu(1, "NVIDIA H100", 666, used=10)]
    assert surroundings(incident(member(0), evidence=parsed(*processes, *gpus)))["GPU memory"][1] == ""


def tensor_parallel(size: int) -> object:
    """The start line of an engine."""
    return event("lmdeploy.start", tp=size)


@pytest.mark.parametrize(("size", "marked"), [(4, True), (3, False), (2, False)])
def test_more_ranks_than_gpus_are_marked(size: int, marked: bool) -> None:
    """tp=4 with three GPUs in the evidence."""
    value, why = rows(tensor_parallel(size), *(gpu(n) for n in range(3)))["tensor parallel size"]
    assert value == str(size)
    assert why.startswith("more than the GPUs in the evidence (3)") is marked


def test_the_number_of_a_list_counts_as_well() -> None:
    """`check_env` says how many GPUs there are."""
    assert rows(tensor_parallel(8), setting("gpu.count", "6"))["tensor parallel size"][1]
    assert not rows(tensor_parallel(8))["tensor parallel size"][1]


@pytest.mark.parametrize(
    "more",
    [
        [event("x", host="n1"), event("x", host="n2")],
        [event("nccl.topology", nranks=16, nodes=2)],
        [gpu(0, "NVIDIA A100", file="b.txt")],
        [tensor_parallel(2)],
    ],
    ids=["two hosts speak", "two nodes", "two tables", "two sizes"],
)
def test_gpus_of_other_hosts_are_not_missed(more: list[object]) -> None:
    """A job of several hosts has more GPUs than one of them lists; nor is a size believed that is not one."""
    assert rows(tensor_parallel(16), *(gpu(n) for n in range(8)), *more)["tensor parallel size"][1] == ""


@pytest.mark.parametrize(
    ("visible", "marked"), [(["0,1,2"] * 4, True), (["0,1,2,3"] * 4, False), (["0", "1", "2", "3"], False), (["0"], False), ([""], False)]
)
def test_gpus_that_the_processes_may_not_see(visible: list[str], marked: bool) -> None:
    """CUDA_VISIBLE_DEVICES with fewer than tp; workers that were given one each are ordinary."""
    processes = [process(100 + n, CUDA_VISIBLE_DEVICES=one) for n, one in enumerate(visible)]
    why = rows(tensor_parallel(4), *(gpu(n) for n in range(8)), *processes)["tensor parallel size"][1]
    assert ("see 3 GPUs only (CUDA_VISIBLE_DEVICES=0,1,2)" in why) is marked
