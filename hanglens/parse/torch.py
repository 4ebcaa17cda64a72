"""Lines of torch.distributed: watchdog, flight-recorder signals, stores, barriers, torchelastic (PyTorch 1.12 to 2.13).

Formats: `torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp`, `ProcessGroupWrapper.cpp`, `ProcessGroupGloo.cpp`,
`torch/distributed/elastic/multiprocessing/`.
"""

from __future__ import annotations

from hanglens.scan import Pattern

PATTERNS = (
    Pattern(
        "torch.timeout",
        r"\[Rank (?P<group_rank>\d+)\] Watchdog caught collective operation timeout:\s*WorkNCCL\("
        r"(?:SeqNum=(?P<seq>\d+), )?OpType=(?P<op>\w+)(?:, NumelIn=(?P<numel>\d+))?(?:, NumelOut=(?P<numel_out>\d+))?"
        r", Timeout\(ms\)=(?P<limit>\d+)\)(?: ran for (?P<ran>\d+) milliseconds)?",
        literals=("Watchdog caught collective operation timeout",),
        wraps=True,
    ),
    Pattern(
        "torch.timeout_torn",
        r"Watchdog caught collective operation timeout:\s*WorkNCCL\(SeqNum=(?P<seq>\d+), OpType=(?P<op>\w+)",
        literals=("Watchdog caught collective operation timeout",),
        wraps=True,
    ),
    Pattern(
        "torch.status",
        r"\[PG (?:ID )?(?P<pg>\d+)(?: PG GUID (?P<group>\d+))?(?: ?\((?P<description>\w+)\))? Rank (?P<group_rank>\d+)\]"
        r".{0,120}?(?:sequence id|work|NCCL work): (?P<seq>\d+),? .{0,20}?last enqueued (?:NCCL )?work: (?P<enqueued>\d+), "
        r"last completed (?:NCCL )?work: (?P<completed>-?\d+)",
        literals=("last enqueue",),
        wraps=True,
    ),
    Pattern(
        "torch.dump_signal",
        r"Received a dump signal due to a collective timeout from (?: ?rank (?P<origin>\d+)|this local rank).{0,400}?"
        r"Last enqueued NCCL work: (?P<enqueued>-?\d+), last completed NCCL work: (?P<completed>-?\d+)",
        literals=("Received a dump signal due to a collective timeout",),
    ),
    Pattern("torch.dump_observed", r"Observed flight recorder dump signal from another rank via TCPStore"),
    Pattern("torch.watchdog_stuck", r"watchdog got stuck for (?P<seconds>\d+) seconds"),
    Pattern("torch.exit", r"failed \(exitcode: (?P<code>-?\d+)\) local_rank: (?P<local_rank>\d+) \(pid: (?P<pid>\d+)\)"),
    Pattern("torch.sigterm", r"Sending process (?P<pid>\d+) closing signal SIG(?P<signal>\w+)"),
    Pattern("torch.running", r"Running collective: CollectiveFingerPrint\(SequenceNumber=(?P<seq>\d+), ?OpType=(?P<op>\w+)"),
    Pattern("torch.world", r"\bworld_size=(?P<world>\d+),? rank=(?P<rank>\d+)"),
    Pattern("torch.store_barrier", r"\(world_size=(?P<world>\d+), worker_count=(?P<arrived>\d+), timeout=(?P<limit>[\d:]+)\)"),
)  # fmt: skip
