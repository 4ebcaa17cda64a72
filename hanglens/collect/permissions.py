"""What this user may do to other processes on this host, and by which rule: capabilities, Yama, the mount options of /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hanglens import number

CAP_SYS_PTRACE = 19  # bit of CapEff in /proc/self/status (capability.h)
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_HIDEPID = re.compile(r"^\S+ /proc proc \S*?\bhidepid=(?P<value>[^,\s]+)", re.MULTILINE)

Reach = Literal["all", "own", "children", "none"]


@dataclass(frozen=True, slots=True)
class Permissions:
    """`reach`: whose processes may be traced. `scope` is Yama's, None without it. `hidden`: /proc shows own processes only."""

    reach: Reach
    scope: int | None
    root: bool
    capable: bool
    hidden: bool
    container: bool


def permissions() -> Permissions:
    """Ours, now."""
    root, capable, scope = os.geteuid() == 0, _capable(), _scope()
    return Permissions(_reach(scope, capable=capable), scope, root, capable, _hidden(), in_container())


def _reach(scope: int | None, *, capable: bool) -> Reach:
    """Yama (Documentation/admin-guide/LSM/Yama.rst): 0 own processes, 1 own descendants, 2 with the capability only, 3 nobody."""
    if scope == 3:
        return "none"
    if capable:
        return "all"
    return {None: "own", 0: "own", 1: "children"}.get(scope, "none")  # type: ignore[return-value]


def _capable() -> bool:
    found = re.search(r"^CapEff:\s+([0-9a-f]+)$", _read("/proc/self/status"), re.MULTILINE)
    return bool(found and int(found[1], 16) >> CAP_SYS_PTRACE & 1)


def _scope() -> int | None:
    text = _read(str(_YAMA)).strip()
    return number.whole(text)


def _hidden() -> bool:
    found = _HIDEPID.search(_read("/proc/mounts"))
    return bool(found and found["value"] not in ("0", "off") and os.geteuid() != 0)


def in_container() -> bool:
    """Whether we seem to be inside of a container, and so see its processes only."""
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    return (
        any(mark.exists() for mark in marks) or "container=" in _read("/proc/1/environ") or bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def unlock_tracing(now: Permissions) -> str:
    """The command that would let us trace the processes of the job."""
    if now.scope == 3:
        return "nobody may trace here until a reboot (kernel.yama.ptrace_scope=3): set it to 1 in /etc/sysctl.d and reboot"
    if now.container:
        kubernetes = "Kubernetes: securityContext.capabilities.add: [SYS_PTRACE]"
        return f"start the container with --cap-add SYS_PTRACE ({kubernetes}), or collect from its host"
    if now.scope in (1, 2):
        return "sudo hanglens collect …, or until the next boot: sudo sysctl kernel.yama.ptrace_scope=0"
    return "sudo hanglens collect …, or as the user of the job"
