"""Versions and switches from environment reports."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.parse.blocks import Place
from hanglens.parse.environment import BLOCKS
from hanglens.parse.index import PatternIndex
from hanglens.parse.text import read_text

CHECK_ENV = """sys.platform: linux
Python: 3.10.14 (main, May  6 2024) [GCC 11.2.0]
CUDA available: True
GPU 0,1,2,3: NVIDIA A800-SXM4-80GB
NVCC: Cuda compilation tools, release 12.4, V12.4.131
PyTorch: 2.5.1+cu124
LMDeploy: 0.7.0.post3+
transformers: 4.48.1
triton: 3.1.0
gradio: Not Found
"""
COLLECT_ENV = """PyTorch version: 2.7.0+cu126
Is debug build: False
CUDA used to build PyTorch: 12.6
Python version: 3.12.3 (main)
CUDA runtime version: 12.6.85
GPU models and configuration:
GPU 0: NVIDIA H100 80GB HBM3
GPU 1: NVIDIA H100 80GB HBM3

Nvidia driver version: 550.54.15
[pip3] nvidia-nccl-cu12==2.26.2
[conda] ray                       2.44.1                   pypi_0    pypi
vLLM Version                 : 0.9.1
"""


def read(text: str) -> list[tuple[str, str]]:
    """Names and values of the settings of a file that holds this text."""
    return [(s.name, s.value) for s in read_text(io.BytesIO(text.encode()), Place("env.txt"), PatternIndex([], BLOCKS)).settings]


def test_lmdeploy_check_env() -> None:
    """Versions, and how many GPUs of which name; what is not installed is left out."""
    assert read(CHECK_ENV) == [
        ("python.version", "3.10.14"),
        ("gpu.name", "NVIDIA A800-SXM4-80GB"),
        ("gpu.count", "4"),
        ("cuda.version", "12.4"),
        ("torch.version", "2.5.1+cu124"),
        ("lmdeploy.version", "0.7.0.post3+"),
        ("transformers.version", "4.48.1"),
        ("triton.version", "3.1.0"),
    ]


def test_torch_and_vllm_collect_env() -> None:
    """GPUs a line each are counted; packages of pip and conda, and padded labels, are read."""
    assert read(COLLECT_ENV) == [
        ("torch.version", "2.7.0+cu126"),
        ("torch.cuda_version", "12.6"),
        ("python.version", "3.12.3"),
        ("cuda.version", "12.6.85"),
        ("gpu.name", "NVIDIA H100 80GB HBM3"),
        ("gpu.count", "2"),
        ("driver.version", "550.54.15"),
        ("nccl.version", "2.26.2"),
        ("ray.version", "2.44.1"),
        ("vllm.version", "0.9.1"),
    ]


def test_gpus_of_two_kinds() -> None:
    """`nvidia-smi -L` with unlike GPUs gives both names; the unique ids are not part of them."""
    text = "GPU 0: NVIDIA A100-PCIE-40GB (UUID: GPU-1234)\nGPU 1: NVIDIA RTX A6000 (UUID: GPU-5678)\n"
    assert read(text) == [("gpu.name", "NVIDIA A100-PCIE-40GB"), ("gpu.name", "NVIDIA RTX A6000"), ("gpu.count", "2")]


@pytest.mark.parametrize(("second", "value"), [("SrcValid-", "off"), ("SrcValid+", "on")])
def test_acs(second: str, value: str) -> None:
    """One bridge with source validation or redirection switched on makes ACS on; what a bridge only could do does not count."""
    row = "                ACSCtl: {} TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-\n"
    capability = "                ACSCap: SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans+\n"
    assert read(capability + row.format("SrcValid-") + row.format(second)) == [("pci.acs", value)]


@pytest.mark.parametrize(
    "line",
    [
        "BOOT_IMAGE=/vmlinuz-5.15 root=UUID=1 ro quiet intel_iommu=on iommu=pt",
        "[    0.000000] Kernel command line: root=/dev/sda intel_iommu=on iommu=pt",
    ],
)
def test_iommu_of_the_kernel_command_line(line: str) -> None:
    """The switches are kept as they stand, from /proc/cmdline or the kernel's log."""
    assert read(line + "\n") == [("kernel.iommu", "intel_iommu=on iommu=pt")]


@pytest.mark.parametrize(
    "line",
    [
        "NCCL version 2.21.5+cuda12.4",
        "We use transformers: the library",
        "GPU 0: 100 % busy",
        "set iommu=pt to help",
        'pip install "torch==2.5.1"',
        "Python: not found",
    ],
)
def test_look_alikes_are_no_settings(line: str) -> None:
    """Only the lines of the reports count."""
    assert read(line + "\n") == []


@given(st.lists(st.sampled_from((CHECK_ENV + COLLECT_ENV).splitlines()) | st.text(max_size=60), max_size=20))
def test_torn_reports_never_raise(lines: list[str]) -> None:
    """Lines in any order, mixed with anything, give what they give."""
    read("\n".join(lines))
