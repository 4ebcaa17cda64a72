"""The NCCL_DEBUG lines that analyses need, in the wordings of NCCL 2.4 to 2.30 (`src/init.cc`, `src/debug.cc`, `src/proxy.cc`)."""

from __future__ import annotations

from hanglens.scan import Pattern

_NCCL = frozenset({"nccl"})

PATTERNS = (
    Pattern(
        "nccl.init",
        r"comm (?P<comm>0x[0-9a-f]+) rank (?P<rank>\d{1,6}) nranks (?P<nranks>\d{1,6}) cudaDev (?P<device>\d{1,6})"
        r".{0,80}?commId (?P<id>0x[0-9a-f]+) ?- Init (?P<state>START|COMPLETE)",
        _NCCL,
        literals=("- Init START", "- Init COMPLETE"),
    ),
    Pattern("nccl.topology", r"comm 0x[0-9a-f]+ rank (?P<rank>\d{1,6}) nRanks (?P<nranks>\d{1,6}) nNodes (?P<nodes>\d{1,6})", _NCCL),
    Pattern("nccl.version", r"^\**(?:NCCL version )(?P<version>\d+\.\d+(?:\.\d+)?)", _NCCL),
    Pattern("nccl.network", r"Using network (?P<network>\S+)", _NCCL),
    Pattern("nccl.bootstrap", r"Bootstrap ?: Using (?:\[0\])?(?P<interface>[^:\s]+):(?P<address>[^<\s]+)", _NCCL, literals=("Bootstrap",)),
    Pattern("nccl.channel", r"Channel \d+(?:/\d+)? : \S+ -> \S+ (?:\[\w+\] )?via (?P<transport>P2P|SHM|NET|direct shared memory)", _NCCL,
            literals=(" via P2P", " via SHM", " via NET", " via direct shared memory")),
    Pattern("nccl.connected", r"Connected all (?P<what>rings|trees)", _NCCL),
    Pattern("nccl.switch", r"(?P<name>NCCL_\w+) set by environment to (?P<value>\S*?)\.?$", _NCCL),
    Pattern("nccl.peer_closed", r"Connection closed by localRank (?P<peer>\d{1,6})", _NCCL),
    Pattern("nccl.remote_closed", r"Connection closed by remote peer (?P<peer>[^<\s]+)", _NCCL),
    Pattern("nccl.finished", r"(?:Destroy|Abort) COMPLETE", _NCCL, literals=("Destroy COMPLETE", "Abort COMPLETE")),
)  # fmt: skip
