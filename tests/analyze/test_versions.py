"""Versions in the report."""

from __future__ import annotations

import pytest

from hanglens.model import RasReport, SourceRef
from tests.builders import event, incident, parsed, setting, surroundings


def rows(*values: object) -> dict[str, tuple[str, str]]:
    """The rows of these values."""
    return surroundings(incident(evidence=parsed(*values)))


def printed(version: str, rank: int | None = None, pid: int | None = None, file: str = "job.log") -> object:
    """NCCL's line with its version."""
    return event("nccl.version", version=version, rank=rank, pid=pid, file=file)


def test_nccl_of_ranks() -> None:
    """Two versions of NCCL on the ranks of a job are marked, with who has which."""
    values = [printed("2.18.3", rank) for rank in range(4)] + [printed("2.20.5", rank) for rank in range(4, 8)]
    told = "2.18.3 on ranks 0-3, 2.20.5 on ranks 4-7: ranks of one communicator need one version"
    assert rows(*values)["NCCL"] == ("2.18.3, 2.20.5", told)


def test_nccl_of_nobody() -> None:
    """Lines that name no process are those of several."""
    assert rows(printed("2.20.5"), printed("2.21.5"))["NCCL"][1].startswith("the log prints more than one")


@pytest.mark.parametrize("values", [[printed("2.20.5", 0), printed("2.20.5", 1)], [printed("2.20.5", pid=7), printed("2.21.5", pid=7)]])
def test_nccl_is_not_marked(values: list[object]) -> None:
    """One version, or two libraries in one process."""
    assert rows(*values)["NCCL"][1] == ""


def test_installed_nccl_stands_beside_what_runs() -> None:
    """A list of packages may be of another environment: it is told, and not marked; an answer of RAS is of the job itself."""
    report = RasReport(SourceRef("ras.txt", 1))
    values = [setting("nccl.version", "2.21.5", "pip.txt"), setting("nccl.version", "2.20.5", "ras.txt"), report]
    assert rows(*values)["NCCL"] == ("2.20.5 (installed: 2.21.5)", "")
    assert rows(setting("nccl.version", "2.21.5"), setting("nccl.version", "2.19.3"))["NCCL"] == ("2.21.5, 2.19.3", "")


@pytest.mark.parametrize(
    ("setting_name", "name"), [("driver.version", "NVIDIA driver"), ("torch.version", "PyTorch"), ("lmdeploy.version", "LMDeploy")]
)
def test_versions_of_hosts(setting_name: str, name: str) -> None:
    """What differs between files is marked, what is equal in them is not."""
    found = rows(setting(setting_name, "1.1", "n1.txt"), setting(setting_name, "1.2", "n2.txt"))
    assert found[name][1].startswith("1.1 in n1.txt, 1.2 in n2.txt: ")
    assert rows(setting(setting_name, "1.1", "n1.txt"), setting(setting_name, "1.1", "n2.txt")) == {name: ("1.1", "")}


def test_a_build_is_no_other_version() -> None:
    """pip says 2.8.0 where PyTorch says 2.8.0+cu128; of two builds each is itself."""
    plain, build, other = (setting("torch.version", v, f"{v}.txt") for v in ("2.8.0", "2.8.0+cu128", "2.8.0+cu126"))
    assert rows(plain, build)["PyTorch"] == ("2.8.0+cu128", "")
    assert rows(build, other)["PyTorch"][1]


@pytest.mark.parametrize(
    ("torch", "driver", "marked"),
    [("2.9.0+cu130", "12.4", True), ("2.9.0+cu128", "12.4", False), ("1.10.0+cu92", "8.0", False), ("12.0", "11.0", False)],
)
def test_cuda_beyond_the_driver(torch: str, driver: str, marked: bool) -> None:
    """PyTorch for a newer major version of CUDA than the driver's; a newer minor one runs."""
    found = rows(setting("torch.version", torch), setting("driver.cuda_version", driver))
    assert (found["CUDA (driver)"][1] != "") is marked


def test_order() -> None:
    """The engine first, then PyTorch, NCCL, the driver and CUDA; many values are cut, none is shown twice."""
    values = [setting(f"{n}.version", "1.2") for n in ("python", "cuda", "torch", "driver", "nccl", "sglang")]
    values += [setting("triton.version", f"3.{n}") for n in range(6)]
    found = rows(event("vllm.start", version="0.9.0"), *values, *values)
    assert list(found) == ["vLLM", "SGLang", "PyTorch", "NCCL", "NVIDIA driver", "CUDA (toolkit)", "Triton", "Python"]
    assert found["Triton"] == ("3.0, 3.1, 3.2, 3.3, … (+2)", "")
