"""The host around the job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hanglens.collect import host
from hanglens.collect.host import collect_host
from hanglens.collect.job import Job
from hanglens.collect.staging import Staging
from hanglens.manifest import Item
from tests.collect.processes import job_of, program

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a host is looked at through Linux's /proc")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes shell scripts the only programs of this host."""

    def become(**scripts: str) -> None:
        paths = {name: program(tmp_path / "bin", name, script) for name, script in scripts.items()}
        monkeypatch.setattr(host, "find_program", paths.get)
        monkeypatch.setattr(host, "has_gpu", lambda: "lspci" in scripts)

    return become


def item(staging: Staging, what: str, job: Job | None = None) -> Item | None:
    """What came of one thing."""
    collect_host(job or Job(()), staging)
    return next((found for found in staging.close() if found.what == what), None)


def test_kernel_messages(programs, staging: Staging) -> None:
    """What dmesg says is kept, with times that a person can read."""
    programs(dmesg='echo "[Mon Jan 1 00:00:00 2026] asked $*"')
    assert item(staging, "kernel messages").status == "ok"
    assert (staging.folder / "host" / "dmesg.txt").read_text().endswith("asked -T\n")


def test_the_journal_has_a_copy(programs, staging: Staging) -> None:
    """Where dmesg is refused the journal's copy is taken."""
    programs(
        dmesg="echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1", journalctl="echo 2026-01-01 kernel: NVRM"
    )
    found = item(staging, "kernel messages")
    assert found.status == "ok"
    assert found.command.startswith("journalctl -k")


def test_a_journal_without_entries_is_no_copy(programs, staging: Staging) -> None:
    """journalctl ends well and says that it has nothing: that is not collected, and the refusal of dmesg is what counts."""
    programs(dmesg="echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1", journalctl="echo '-- No entries --'")
    found = item(staging, "kernel messages")
    assert found
    assert (found.status, found.file) == ("refused", "")


def test_refused_kernel_messages(programs, staging: Staging) -> None:
    """A refusal is told from a host that has none, and how to get them is said."""
    programs(dmesg="echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1")
    found = item(staging, "kernel messages")
    assert (found.status, found.file) == ("refused", "")
    assert "only root" in found.reason
    assert "sudo dmesg -T" in found.how_to_collect


@pytest.mark.parametrize("scripts", [{}, {"dmesg": "true"}], ids=["no dmesg", "an empty one"])
def test_no_kernel_messages(programs, staging: Staging, scripts: dict[str, str]) -> None:
    """A container without them says so, and that is no refusal."""
    programs(**scripts)
    found = item(staging, "kernel messages")
    assert (found.status, found.file) == ("failed", "")
    assert found.reason


@pytest.mark.parametrize(
    ("script", "status", "kept"),
    [
        (r"printf '00:06.0 PCI bridge\n\tACSCtl: SrcValid+\n\tOther: x\n'", "ok", "00:06.0 PCI bridge\n\tACSCtl: SrcValid+\n"),
        (r"printf '00:06.0 PCI bridge\n\tCapabilities: <access denied>\n'", "refused", ""),
        (r"printf '00:06.0 PCI bridge\n'", "failed", ""),
    ],
)
def test_access_control(programs, staging: Staging, script: str, status: str, kept: str) -> None:
    """Of lspci the devices and their access control are kept; what only root sees is a refusal, what no device has is none."""
    programs(lspci=script)
    found = item(staging, "PCI access control")
    assert found.status == status
    assert not kept or (staging.folder / found.file).read_text() == kept


def test_what_every_host_has(programs, staging: Staging) -> None:
    """The kernel's command line, shared memory as the job sees it, and the network interfaces are there without any program."""
    programs()
    collect_host(job_of(os.getpid()), staging)
    found = {i.what: i.file for i in staging.close() if i.status == "ok"}
    assert (staging.folder / found["kernel command line"]).read_text().startswith("Kernel command line: ")
    assert "/dev/shm" in (staging.folder / found["/dev/shm"]).read_text()
    assert "lo" in (staging.folder / found["network interfaces"]).read_text()
    assert "PCI access control" not in found
