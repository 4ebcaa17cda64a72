"""Lines of real logs that patterns of the pack recognise, as templates: what a benchmark plants among lines that say nothing.

The wordings are those of NCCL 2.28, PyTorch 2.9, LMDeploy 0.18 and the kernel. Each is one line, and begins no block.
"""

from __future__ import annotations

from dataclasses import dataclass

_NCCL = "{host}:{pid}:{thread} [{gpu}] NCCL INFO "
_WARNED = "[{second}] {host}:{pid}:{thread} [{gpu}] "
_ENGINE = "{stamp} - lmdeploy - DEBUG - "
_TOLD = "{stamp} - lmdeploy - INFO - "
_TORCH = "[rank{rank}]:[E{glog} ProcessGroupNCCL.cpp:684] "


@dataclass(frozen=True)
class Marker:
    """A template and the patterns that recognise its lines: each that some marker names; none where it only holds a literal of one."""

    text: str
    names: tuple[str, ...]


FLOODS = (  # what fills logs at level DEBUG
    Marker(_NCCL + "Channel {small:02d}/0 : {gpu}[{gpu}] -> {peer}[{peer}] via P2P/CUMEM/read", ("nccl.channel",)),
    Marker(_ENGINE + "op_backend.py:116 - Op OpType.Linear fallback to default implementation.",
           ("observation/lmdeploy-fallback-lines#when",)),
    Marker(_ENGINE + "agent.py:812 - <ForwardTask> rank[{rank}]: Sampling.", ("lmdeploy.rank",)),
    Marker(_ENGINE + "mp_executor.py:621 - proc[{rank}] call method: <forward_async>.", ("lmdeploy.rank",)),
)  # fmt: skip
RARE = (
    Marker(_NCCL + "Using network Socket", ("nccl.network",)),
    Marker(_NCCL + "Connected all rings, use ring PXN 0 GDR 1", ("nccl.connected",)),
    Marker(_NCCL + "NCCL version 2.28.9+cuda13.0", ("nccl.version",)),
    Marker(_NCCL + "Bootstrap: Using eth0:192.0.2.{small}<0>", ("nccl.bootstrap",)),
    Marker(_NCCL + "NCCL_NVLS_ENABLE set by environment to 0.", ("nccl.switch",)),
    Marker(_NCCL + "comm 0x{pointer} rank {rank} nRanks 8 nNodes 1 localRanks 8 localRank {gpu} MNNVL 0", ("nccl.topology",)),
    Marker(_NCCL + "ncclCommInitRankConfig comm 0x{pointer} rank {rank} nranks 8 cudaDev {gpu} nvmlDev {gpu} busId 6{gpu}000"
           " commId 0x{other} - Init COMPLETE", ("nccl.init",)),
    Marker(_NCCL + "[Service thread] Connection closed by localRank {gpu}", ("nccl.peer_closed",)),
    Marker(_WARNED + "misc/socket.cc:509 NCCL WARN socketPollConnect poll() returned 1, no POLLOUT events", ("log.error",)),
    Marker(_TORCH + "[Rank {rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum={number}, OpType=ALLREDUCE,"
           " NumelIn=4096, NumelOut=4096, Timeout(ms)=600000) ran for 600012 milliseconds before timing out.",
           ("torch.timeout", "log.error")),
    Marker(_TORCH + "[PG ID 0 PG GUID 0(default_pg) Rank {rank}]  failure detected by watchdog at work sequence id: {number}"
           " PG status: last enqueued work: {number}, last completed work: {small}", ("torch.status", "log.error")),
    Marker(_TORCH + "[PG ID 0 PG GUID 0(default_pg) Rank {rank}] Observed flight recorder dump signal from another rank via TCPStore.",
           ("torch.dump_observed", "log.error")),
    Marker("W0{glog} {pid} torch/distributed/elastic/multiprocessing/api.py:900] Sending process {pid} closing signal SIGTERM",
           ("torch.sigterm",)),
    Marker(_TOLD + "async_engine.py:571 - session={number}, input_tokens={small}, max_new_tokens=512, prep=True", ("lmdeploy.accepted",)),
    Marker(_TOLD + 'async_engine.py:640 - session {number} finished, reason "stop", input_tokens {small}', ("lmdeploy.finished",)),
    Marker(_TOLD + "mp_executor.py:251 - Creating processes.", ("stage:lmdeploy-mp/processes",)),
    Marker(_TOLD + "base.py:430 - Building Model.", ("stage:lmdeploy-mp/building-model",)),
    Marker(_ENGINE + "agent.py:1404 - rank[{rank}] - loading weights.", ("stage:lmdeploy-mp/load-weights", "lmdeploy.rank")),
    Marker(_TOLD + "base.py:432 - Updating configs.", ("stage:lmdeploy-mp/configs",)),
    Marker(_TOLD + "base.py:434 - Building GraphRunner and warmup ops, please waiting.", ("stage:lmdeploy-mp/graph-runner",)),
    Marker(_TOLD + "base.py:446 - Warming up model.", ("stage:lmdeploy-mp/warmup",)),
    Marker(_ENGINE + "agent.py:513 - Warmup prefill start.", ("stage:lmdeploy-mp/warmup-prefill",)),
    Marker("[{number}.004211] NVRM: Xid (PCI:0000:3b:00): 31, pid={pid}, name=python3, Ch 00000008, intr 00000000. MMU Fault",
           ("kernel.xid",)),
    Marker("[{number}.118201] Out of memory: Killed process {pid} (python3) total-vm:98123456kB, anon-rss:61234567kB",
           ("kernel.oom_kill",)),
)  # fmt: skip
