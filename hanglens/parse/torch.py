"""Lines of torch.distributed: watchdog, flight-recorder signals, stores, barriers, torchelastic (PyTorch 1.12 to 2.13).

Formats: `torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp`, `ProcessGroupWrapper.cpp`, `ProcessGroupGloo.cpp`,
`torch/distributed/elastic/multiprocessing/`.
"""

from __future__ import annotations

from hanglens.scan import Pattern

PATTERNS = (
    Pattern(
        "torch.timeout",
        r"\[Rank (?P<group_rank>\d{1,6})\] Watchdog caught collective operation timeout:\s*WorkNCCL\("
        r"(?:SeqNum=(?P<seq>\d{1,18}), )?OpType=(?P<op>\w+)(?:, NumelIn=(?P<numel>\d{1,18}))?(?:, NumelOut=(?P<numel_out>\d{1,18}))?"
        r", Timeout\(ms\)=(?P<limit>\d{1,18})\)(?: ran for (?P<ran>\d{1,18}) milliseconds)?",
        literals=("Watchdog caught collective operation timeout",),
        wraps=True,
    ),
    Pattern(
        "torch.timeout_torn",
        r"Watchdog caught collective operation timeout:\s*WorkNCCL\(SeqNum=(?P<seq>\d{1,18}), OpType=(?P<op>\w+)",
        literals=("Watchdog caught collective operation timeout",),
        wraps=True,
    ),
    Pattern(
        "torch.status",
        r"\[PG (?:ID )?(?P<pg>\d{1,18})(?: PG GUID (?P<group>\d{1,18}))?(?: ?\((?P<description>[^()]{1,100})\))?"
        r" Rank (?P<group_rank>\d{1,6})\]"
        r".{0,120}?(?:sequence id|work|NCCL work): (?P<seq>\d{1,18}),? .{0,20}?last enqueued (?:NCCL )?work: (?P<enqueued>-?\d{1,18}), "
        r"last completed (?:NCCL )?work: (?P<completed>-?\d{1,18})",
        literals=("last enqueue",),
        wraps=True,
    ),
    Pattern(
        "torch.dump_signal",
        r"Received a dump signal due to a collective timeout from (?: ?rank (?P<origin>\d{1,6})|this local rank).{0,400}?"
        r"Last enqueued NCCL work: (?P<enqueued>-?\d{1,18}), last completed NCCL work: (?P<completed>-?\d{1,18})",
        literals=("Received a dump signal due to a collective timeout",),
    ),
    Pattern("torch.dump_observed", r"Observed flight recorder dump signal from another rank via TCPStore"),
    Pattern("torch.watchdog_stuck", r"watchdog got stuck for (?P<seconds>\d{1,18}) seconds"),
    Pattern("torch.exit", r"failed \(exitcode: (?P<code>-?\d{1,10})\) local_rank: (?P<local_rank>\d{1,6}) \(pid: (?P<pid>\d{1,10})\)"),
    Pattern("torch.sigterm", r"Sending process (?P<pid>\d{1,10}) closing signal SIG(?P<signal>\w+)"),
    Pattern("torch.running", r"Running collective: CollectiveFingerPrint\(SequenceNumber=(?P<seq>\d{1,18}),? ?OpType=(?P<op>\w+)"),
    Pattern("torch.world", r"\bworld_size=(?P<world>\d{1,6}),? rank=(?P<rank>\d{1,6})"),
    Pattern("torch.store_barrier",
            r"\(world_size=(?P<world>\d{1,6}), (?:worker_count|num_workers_joined)=(?P<arrived>\d{1,6}), timeout=(?P<limit>[\d:]+)[ )]",
            literals=(", worker_count=", ", num_workers_joined=")),
)  # fmt: skip
