"""What this user may do to other processes."""

from __future__ import annotations

import pytest

from hanglens.collect import permissions as module
from hanglens.collect.permissions import Permissions, permissions, unlock_tracing


@pytest.mark.parametrize(
    ("scope", "capable", "reach"),
    [
        (None, False, "own"), (0, False, "own"), (1, False, "children"), (2, False, "none"), (3, False, "none"), (9, False, "none"),
        (None, True, "all"), (0, True, "all"), (1, True, "all"), (2, True, "all"), (3, True, "none"),
    ],
)  # fmt: skip
def test_reach(monkeypatch: pytest.MonkeyPatch, scope: int | None, capable: bool, reach: str) -> None:
    """Yama's scope and the capability decide together whose processes may be traced; scope 3 forbids it to everyone."""
    texts = {"/proc/sys/kernel/yama/ptrace_scope": "" if scope is None else f"{scope}\n"}
    texts["/proc/self/status"] = f"CapEff:\t{'000001ffffffffff' if capable else '00000000a80425fb'}\n"
    monkeypatch.setattr(module, "_read", lambda path: texts.get(path, ""))
    found = permissions()
    assert (found.reach, found.scope, found.capable) == (reach, scope, capable)


@pytest.mark.parametrize(
    ("options", "root", "hidden"),
    [("rw,hidepid=2", False, True), ("rw,hidepid=invisible,gid=4", False, True), ("rw,hidepid=0", False, False),
     ("rw,hidepid=2", True, False), ("rw", False, False)],
)  # fmt: skip
def test_hidden_processes(monkeypatch: pytest.MonkeyPatch, options: str, root: bool, hidden: bool) -> None:
    """With hidepid other users' processes are not seen, but by root."""
    monkeypatch.setattr(module, "_read", lambda path: f"proc /proc proc {options} 0 0\n" if path == "/proc/mounts" else "")
    monkeypatch.setattr(module.os, "geteuid", lambda: 0 if root else 1000)
    assert permissions().hidden is hidden


@pytest.mark.parametrize(
    ("scope", "container", "says"),
    [(3, True, "reboot"), (1, True, "--cap-add SYS_PTRACE"),
     (1, False, "ptrace_scope=0"), (2, False, "ptrace_scope=0"), (None, False, "sudo hanglens")],
)  # fmt: skip
def test_what_unlocks_it(scope: int | None, container: bool, says: str) -> None:
    """Each rule has the command that lifts it; a container is started otherwise."""
    now = Permissions(reach="none", scope=scope, root=False, capable=False, hidden=False, container=container)
    assert says in unlock_tracing(now)
