"""Lines of NCCL in the wordings of its versions."""

from __future__ import annotations

import io

import pytest

from hanglens.model import Event
from hanglens.parse.blocks import Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.nccl import PATTERNS
from hanglens.parse.text import read_text

INDEX = PatternIndex(PATTERNS, ())
P = "n1:7:9 [1] NCCL INFO "
COMM = "comm 0x55d0 rank 1 nranks 8 cudaDev 1"


def read(line: str) -> dict[str, Event]:
    """The events of one line by name."""
    return {event.name: event for event in read_text(io.BytesIO(line.encode()), Place("a.log"), INDEX).events}


@pytest.mark.parametrize(
    ("line", "name", "fields"),
    [
        (f"{COMM} nvmlDev 1 busId 2 commId 0xc0 - Init START", "nccl.init", {"id": "0xc0", "rank": "1", "nranks": "8", "state": "START"}),
        (f"ncclCommInitRank {COMM} nvmlDev 1 busId 2 commId 0xc0 - Init COMPLETE", "nccl.init", {"state": "COMPLETE", "comm": "0x55d0"}),
        (f"[Rank 1] ncclCommInitRankConfig {COMM} nvmlDev 1 busId 2 commId 0xc0 - Init START", "nccl.init", {"device": "1"}),
        (f"ncclCommSplit {COMM} busId 2 parent 0x1 splitCount 2 color 0 key 1 commId 0xc0- Init START", "nccl.init", {"id": "0xc0"}),
        ("comm 0x55d0 rank 1 nRanks 8 nNodes 2 localRanks 4 localRank 1 MNNVL 0", "nccl.topology", {"nranks": "8", "nodes": "2"}),
        ("NCCL version 2.27.3+cuda12.9", "nccl.version", {"version": "2.27.3"}),
        ("Using network Socket", "nccl.network", {"network": "Socket"}),
        ("Using network IBext_v8", "nccl.network", {"network": "IBext_v8"}),
        ("Bootstrap : Using eth0:10.0.0.1<0>", "nccl.bootstrap", {"interface": "eth0", "address": "10.0.0.1"}),
        ("Bootstrap: Using eth0:10.0.0.1<0>", "nccl.bootstrap", {"interface": "eth0"}),
        ("Bootstrap : Using [0]eth0:10.0.0.1<0>", "nccl.bootstrap", {"interface": "eth0"}),
        ("Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read", "nccl.channel", {"transport": "P2P"}),
        ("Channel 00/0 : 0[0] -> 8[0] [send] via NET/IB/0/GDRDMA", "nccl.channel", {"transport": "NET"}),
        ("Channel 00 : 0[1a000] -> 1[1b000] via SHM/direct/direct", "nccl.channel", {"transport": "SHM"}),
        ("Channel 00 : 0[0] -> 1[1] via direct shared memory", "nccl.channel", {"transport": "direct shared memory"}),
        ("Connected all rings", "nccl.connected", {"what": "rings"}),
        ("Connected all rings, use ring PXN 0 GDR 1", "nccl.connected", {"what": "rings"}),
        ("Connected all trees", "nccl.connected", {"what": "trees"}),
        ("NCCL_P2P_DISABLE set by environment to 1.", "nccl.switch", {"name": "NCCL_P2P_DISABLE", "value": "1"}),
        ("NCCL_SOCKET_IFNAME set by environment to =eth0", "nccl.switch", {"value": "=eth0"}),
        ("[Service thread] Connection closed by localRank 3", "nccl.peer_closed", {"peer": "3"}),
        ("socketProgress: Connection closed by remote peer n2<40000>", "nccl.remote_closed", {"peer": "n2"}),
        ("Net : Connection closed by remote peer 10.0.0.2<40000>", "nccl.remote_closed", {"peer": "10.0.0.2"}),
        (f"{COMM} busId 2 - Destroy COMPLETE", "nccl.finished", {}),
        (f"{COMM} busId 2 - Abort COMPLETE", "nccl.finished", {}),
    ],
)
def test_wordings(line: str, name: str, fields: dict[str, str]) -> None:
    """Each line of interest is recognised in the wordings of 2.4 to 2.30, with its numbers and names."""
    events = read(P + line)
    assert list(events) == [name]
    assert fields.items() <= events[name].fields.items()


@pytest.mark.parametrize(
    "line",
    [
        f"{COMM} - Abort START",
        "Init timings - ncclCommInitRank: rank 1 nranks 8 total 0.43",
        "Channel 00/16 : 0 1 2 3",
        "Connected NVLS tree",
        "Connected binomial trees",
        "NET/Socket : Using [0]eth0:10.0.0.1<0>",
        "Bootstrap timings total 0.01 (create 0.0)",
        "Channel 00/0 : 0[0] -> 1[1] via other",
        "comm 0x55d0 rank 1 nranks 8 cudaDev 1 commId 0xc0 - Init",
        f"comm 0x1 rank {'9' * 9} nranks {'9' * 5000} cudaDev 1 commId 0xc0 - Init START",
    ],
)
def test_near_misses(line: str) -> None:
    """Lines that look alike, and numbers that no job has, give nothing."""
    assert read(P + line) == {}


def test_only_nccl_says_so() -> None:
    """The same words from another program are no line of NCCL."""
    assert read("2025-01-01 00:00:00,000 - lmdeploy - INFO - a.py:1 - Connected all rings\n") == {}
    assert read("[0] Using network Socket") == {}


def test_the_bare_version_line() -> None:
    """The version stands without any prefix, too."""
    assert read("NCCL version 2.18.3+cuda12.1")["nccl.version"].fields == {"version": "2.18.3"}
