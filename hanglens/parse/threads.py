"""The table of threads that `hanglens collect` writes of a process at one sample.

Format: columns PID TID STATE VOLUNTARY INVOLUNTARY CPU_MS SYSCALL NAME, out of /proc/PID/task/TID/{status,stat,syscall}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hanglens.model import Parsed, SourceRef, ThreadState
from hanglens.parse.blocks import BlockKind, Place
from hanglens.parse.lines import Line

_COLUMNS = ["PID", "TID", "STATE", "VOLUNTARY"]
_ROW = re.compile(
    r"\s*(?P<pid>\d{1,9}) +(?P<tid>\d{1,9}) +(?P<state>[A-Za-z?]) +(?P<voluntary>\d{1,15}) +\d{1,15} +\d{1,15} +(?P<syscall>\S{1,20}) ?"
)


@dataclass(slots=True)
class _Threads:
    place: Place
    threads: list[ThreadState] = field(default_factory=list)

    def feed(self, line: Line) -> bool:
        found = _ROW.match(line.message)
        if not found:
            return False
        ref, text = SourceRef(self.place.file, line.number), line.message.strip()[:500]
        self.threads.append(
            ThreadState(ref, int(found["pid"]), found["tid"], found["state"], int(found["voluntary"]), found["syscall"], text)
        )
        return True

    def close(self) -> Parsed:
        return Parsed(threads=tuple(self.threads))


def _start(line: Line, place: Place) -> _Threads | None:
    return _Threads(place) if line.message.split()[:4] == _COLUMNS else None


BLOCKS = (BlockKind("threads", ("VOLUNTARY INVOLUNTARY",), _start),)
