"""What can be collected on a host, and what unlocks the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hanglens.collect import doctor
from hanglens.collect import host as host_probe
from hanglens.collect.doctor import Check, examine
from hanglens.collect.permissions import Permissions
from hanglens.collect.proctable import ProcTable
from tests.collect.processes import Processes, job_of, program, stop

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a host is looked at through Linux's /proc")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The checks of a host that has these shell scripts for programs, and these permissions."""

    def become(
        reach: str = "all", *, scope: int | None = None, container: bool = False, gpu: bool = False, **scripts: str
    ) -> dict[str, Check]:
        paths = {name.replace("_", "-"): program(tmp_path / "bin", name, script) for name, script in scripts.items()}
        for module in (doctor, host_probe):
            monkeypatch.setattr(module, "find_program", paths.get)
        monkeypatch.setattr(doctor, "has_gpu", lambda: gpu)
        now = Permissions(reach=reach, scope=scope, root=reach == "all", capable=reach == "all", hidden=False, container=container)
        monkeypatch.setattr(doctor, "permissions", lambda: now)
        return {check.what: check for check in examine(ProcTable())}

    return become


def test_whatever_is_not_ok_has_its_command(host) -> None:
    """On a host where nothing works each check that fails says what would unlock it."""
    checks = host("none", scope=3, container=True, gpu=True)
    assert all(check.unlock for check in checks.values() if check.health != "ok")
    assert {name for name, check in checks.items() if check.health == "missing"} >= {"stack dumps", "right to trace (ptrace)"}


@pytest.mark.parametrize(("reach", "health"), [("all", "ok"), ("own", "limited"), ("children", "missing"), ("none", "missing")])
def test_right_to_trace(host, reach: str, health: str) -> None:
    """A job is nobody's child, so that the right to trace one's children is none."""
    assert host(reach)["right to trace (ptrace)"].health == health


def test_py_spy_is_tried(host) -> None:
    """py-spy is not only looked for: if it cannot dump a child of ours, it cannot dump a job."""
    assert host(py_spy='[ "$1" = --version ] && echo "py-spy 0.4.1"; exit 0')["stack dumps"].says.startswith("py-spy 0.4.1 dumps")
    failing = host(py_spy='[ "$1" = --version ] && echo "py-spy 0.4.1" && exit 0; exit 1')["stack dumps"]
    assert failing.health == "missing"
    assert "SYS_PTRACE" in failing.unlock


@pytest.mark.parametrize(
    ("script", "health", "says"),
    [("printf 'GPU 0: H100\\nGPU 1: H100\\n'", "ok", "2 GPUs"), ("exit 9", "missing", "exit code 9"), ("true", "missing", "names no GPU")],
)
def test_nvidia_smi_is_tried(host, monkeypatch: pytest.MonkeyPatch, script: str, health: str, says: str) -> None:
    """An nvidia-smi that fails or names no GPU is as good as none."""
    found = host(gpu=True, **{"nvidia-smi": script})["GPUs"]
    assert found.health == health
    assert says in found.says


def test_kernel_messages(host) -> None:
    """dmesg, else the journal; without both the command that allows it."""
    assert host(dmesg="echo line")["kernel messages (Xid, OOM)"].says == "dmesg shows them"
    assert host(dmesg="exit 1", journalctl="echo line")["kernel messages (Xid, OOM)"].health == "ok"
    assert host(dmesg="exit 1", journalctl="echo '-- No entries --'")["kernel messages (Xid, OOM)"].health == "missing"
    assert "dmesg_restrict=0" in host(dmesg="exit 1")["kernel messages (Xid, OOM)"].unlock


def test_a_job_that_is_stopped(host, start: Processes) -> None:
    """Of a job its processes are counted, those that stand are named, and that its output goes to no file is said."""
    host("all")
    child = start.python()
    stop(child.pid)
    table = ProcTable.now()
    checks = {check.what: check for check in examine(table, job_of(child.pid))}
    assert "1 processes, 0 of them" in checks["job"].says
    assert f"pid {child.pid} " in checks["stopped processes"].says
    assert checks["logs"].health == "missing"
    assert "tee job.log" in checks["logs"].unlock
