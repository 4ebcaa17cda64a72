"""nvidia-smi in all its forms, alone and in the middle of a log."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.smi import BLOCKS
from hanglens.parse.text import read_text

NEW = """Sun Nov 22 15:18:25 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.159.04             Driver Version: 580.159.04     CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA H200                    On  |   00000000:00:06.0 Off |                    0 |
| N/A   40C    P0            120W /  700W |   31018MiB / 143771MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA H200                    On  |   00000000:00:07.0 Off |                    0 |
| N/A   42C    P0            138W /  700W |   23335MiB / 143771MiB |    100%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+

+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0   N/A  N/A            3800      C   /usr/local/venvs/bin/python3           7974MiB |
|    0   N/A  N/A            3802      C   /usr/local/venvs/bin/python3           7220MiB |
|    1   N/A  N/A            3801      C   /usr/local/venvs/bin/python3           7746MiB |
+-----------------------------------------------------------------------------------------+
"""
OLD = """+-----------------------------------------------------------------------------+
| NVIDIA-SMI 418.67       Driver Version: 418.67       CUDA Version: 10.1     |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  Tesla V100-SXM2...  On   | 00000000:1A:00.0 Off |                    0 |
| N/A   42C    P0    38W / 300W |    812MiB / 16160MiB |     97%      Default |
+-------------------------------+----------------------+----------------------+
|   1  GeForce RTX 208...  Off  | 00000000:1B:00.0 Off |                  N/A |
| 30%   33C    P8    N/A /  N/A |      0MiB / 11019MiB |     N/A      Default |
+-------------------------------+----------------------+----------------------+

+-----------------------------------------------------------------------------+
| Processes:                                                       GPU Memory |
|  GPU       PID   Type   Process name                             Usage      |
|=============================================================================|
|    0     20521      C   python                                       800MiB |
+-----------------------------------------------------------------------------+
"""


def read(text: str) -> Parsed:
    """Parse a file that holds this text."""
    return read_text(io.BytesIO(text.encode()), Place("smi.txt"), PatternIndex([], BLOCKS))


def test_the_table_since_driver_530() -> None:
    """Load, power, memory and processes of each GPU are read; the line quoted is the one with the load."""
    first, second = read(NEW).gpus
    assert (first.index, first.name, first.utilisation, first.power, first.power_cap) == (0, "NVIDIA H200", 0, 120, 700)
    assert (second.utilisation, second.memory_used, second.memory_total) == (100, 23335, 143771)
    assert (first.pids, second.pids) == ((3800, 3802), (3801,))
    assert (second.ref.line, second.text[:16]) == (14, "| N/A   42C    P")


def test_the_table_before_driver_530() -> None:
    """The narrow layout reads alike; what the GPU does not tell is None."""
    first, second = read(OLD).gpus
    assert (first.name, first.utilisation, first.power, first.memory_used, first.pids) == ("Tesla V100-SXM2...", 97, 38, 812, (20521,))
    assert (second.utilisation, second.power, second.memory_total, second.pids) == (None, None, 11019, ())


def test_the_driver_is_a_setting() -> None:
    """The head gives the driver's version and the newest CUDA that it can run, which is not the installed one."""
    assert [(s.name, s.value) for s in read(NEW).settings] == [("driver.version", "580.159.04"), ("driver.cuda_version", "13.0")]


def test_repeated_tables_in_a_log_stay_apart() -> None:
    """Two samples in one log give each GPU twice, in order, whatever stands between them."""
    gpus = read("INFO start\n" + NEW + "INFO later\n" + NEW.replace("100%", " 99%")).gpus
    assert [(g.index, g.utilisation) for g in gpus] == [(0, 0), (1, 100), (0, 0), (1, 99)]
    assert len(read(OLD + OLD).gpus) == 4


UNITS = """index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB], power.draw [W]
0, NVIDIA A100-SXM4-80GB, 0 %, 812 MiB, 81920 MiB, 61.12 W
1, NVIDIA A100-SXM4-80GB, 100 %, 900 MiB, 81920 MiB, [N/A]
"""
NO_UNITS = """index, power.draw, name, memory.total, utilization.gpu, memory.used
0, 61.12, NVIDIA A100-SXM4-80GB, 81920, 0, 812
1, [N/A], NVIDIA A100-SXM4-80GB, 81920, 100, 900
"""


@pytest.mark.parametrize("text", [UNITS, NO_UNITS])
def test_queries_are_read_by_their_header(text: str) -> None:
    """Column order and units are free; a value that is not available is None."""
    gpus = read("a log line\n" + text + "another, with, commas\n").gpus
    assert [(g.index, g.name, g.utilisation, g.memory_used, g.memory_total, g.power) for g in gpus] == [
        (0, "NVIDIA A100-SXM4-80GB", 0, 812, 81920, 61),
        (1, "NVIDIA A100-SXM4-80GB", 100, 900, 81920, None),
    ]


def test_topology() -> None:
    """Each pair of GPUs is joined once, whatever other devices stand in the matrix; colours do not matter."""
    text = (
        "\t\x1b[4mGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\tNUMA Affinity\x1b[0m\n"
        "GPU0\t X \tNV4\tSYS\tPIX\t0-13\t0\nGPU1\tNV4\t X \tPHB\tPIX\t0-13\t0\nGPU2\tSYS\tPHB\t X \tNODE\t0-13\t0\n"
        "NIC0\tPIX\tPIX\tNODE\t X \n\nLegend:\n  X    = Self\n"
    )
    links = read("$ nvidia-smi topo -m\n" + text).gpu_links
    assert [(k.a, k.b, k.kind, k.ref.line) for k in links] == [(0, 1, "NV4", 3), (0, 2, "SYS", 3), (1, 2, "PHB", 4)]


def test_peer_access_is_no_link() -> None:
    """`nvidia-smi topo -p2p` prints a matrix of the same form, of OK and NS, which says nothing of how GPUs are joined."""
    text = "\tGPU0\tGPU1\tGPU2\n GPU0\tX\tOK\tNS\n GPU1\tOK\tX\tOK\n GPU2\tNS\tOK\tX\n\nLegend:\n  X    = Self\n"
    assert read(text).gpu_links == ()


def test_fabric_state() -> None:
    """The state and status of the NVSwitch fabric are settings; other states of `nvidia-smi -q` are not."""
    fabric = "    Fabric\n        State                             : In Progress\n        Status                            : N/A\n"
    text = f"    Performance State : P0\n{fabric}    Processes : None\n"
    assert [(s.name, s.value, s.ref.line) for s in read(text).settings] == [("fabric.state", "In Progress", 3), ("fabric.status", "N/A", 4)]


def test_a_failed_nvidia_smi_is_a_gap() -> None:
    """The driver's refusal is kept in its own words."""
    text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    assert [gap.why for gap in read(text).gaps] == [text.strip()]


@given(st.lists(st.sampled_from((NEW + OLD).splitlines()) | st.text(max_size=80), max_size=40))
def test_torn_tables_never_raise(lines: list[str]) -> None:
    """Lines in any order, mixed with anything, give what they give."""
    read("\n".join(lines))
