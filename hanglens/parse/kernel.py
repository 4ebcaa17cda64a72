"""Lines of the kernel log that name a process: killed for memory, hung in the kernel, struck by an Xid of the GPU driver.

Formats: Linux `mm/oom_kill.c` and `kernel/hung_task.c` (4.15 to 6.x), NVIDIA driver (`NVRM: Xid`, 450 to 580).
"""

from __future__ import annotations

from hanglens.scan import Pattern

PATTERNS = (
    Pattern("kernel.oom_kill", r"[Oo]ut of memory: Kill(?:ed)? process (?P<pid>\d{1,10})", literals=("of memory: Kill",)),
    Pattern("kernel.hung_task", r"task (?P<task>\S+?):(?P<pid>\d{1,10}) blocked for more than (?P<seconds>\d{1,9}) seconds"),
    Pattern("kernel.d_state", r"task:\S+\s+state:D.{0,60}?\bpid:\s*(?P<pid>\d{1,10})", literals=("state:D",)),
    Pattern("kernel.xid", r"NVRM: Xid \([^)]{1,40}\): (?P<xid>\d{1,3})(?:, pid='?(?P<pid>\d{1,10}))?", literals=("NVRM: Xid",)),
)
