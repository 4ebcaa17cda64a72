"""Jobs on this host that somebody may mean who gives no pid: by a name, or by what they run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from hanglens.collect.job import Job, find_job, is_helper, is_python, root_of, uses_gpus_or_torch
from hanglens.collect.proctable import Proc, ProcTable


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that may be meant, by the topmost of its processes."""

    root: Proc
    job: Job

    @property
    def ranks(self) -> list[int]:
        """The ranks that the host says are here."""
        return sorted(t.rank for t in self.job.targets if t.rank is not None)


def find_candidates(table: ProcTable, name: str | None) -> list[Candidate]:
    """Jobs whose command line holds `name` as a word; without a name those that have loaded CUDA, NCCL or PyTorch. The newest first."""
    ours = {os.getpid(), *(proc.pid for proc in table.above(os.getpid()))}
    word = re.compile(rf"(?i)(?<![\w-]){re.escape(name)}(?![\w-])") if name else None
    procs = [
        proc for proc in table.procs.values() if proc.pid not in ours and proc.state != "Z" and is_python(proc) and not is_helper(proc)
    ]
    fitting = [proc for proc in procs if (word.search(proc.line) if word else uses_gpus_or_torch(proc.pid))]
    found: dict[frozenset[int], Candidate] = {}
    for pid in dict.fromkeys(root_of(table, proc.pid) for proc in fitting):
        job = find_job(table, [pid])
        found.setdefault(frozenset(t.pid for t in job.targets), Candidate(table.procs[pid], job))
    return sorted(found.values(), key=lambda c: -c.root.started)
