"""The host: kernel messages, PCI access control, the kernel's command line, shared memory as the job sees it, network interfaces."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from hanglens.collect.commands import Outcome, find_program, run
from hanglens.collect.gpu import has_gpu
from hanglens.collect.job import Job
from hanglens.collect.staging import Attempt, Staging

DEADLINE = 10.0
MOST_KERNEL_LOG = 2 << 20  # bytes of its end


def collect_host(job: Job, staging: Staging) -> None:
    """All of it."""
    _kernel_log(staging)
    _access_control(staging)
    _command_line(staging)
    _shared_memory(job, staging)
    _interfaces(staging)


def read_kernel_log() -> tuple[str, Outcome]:
    """The command that gave the kernel's messages, and what came of it: dmesg, else the journal's copy. Not ok: those of dmesg, why."""
    first: tuple[str, Outcome] | None = None
    for command in (["dmesg", "-T"], ["journalctl", "-k", "-b", "--no-pager", "-o", "short-iso", "-n", "20000"]):
        program = find_program(command[0])
        if program is None:
            continue
        outcome = run([program, *command[1:]], deadline=DEADLINE)
        if outcome.status == "ok" and outcome.output.strip() and not outcome.output.startswith(b"-- No entries"):
            return " ".join(command), outcome
        first = first or (" ".join(command), replace(outcome, status="failed"))
    return first or ("dmesg -T", Outcome("failed", b"", "", 0.0, "neither dmesg nor journalctl is installed"))


def _kernel_log(staging: Staging) -> None:
    command, outcome = read_kernel_log()
    attempt = Attempt(what="kernel messages", command=command)
    if outcome.status == "ok":
        staging.keep(attempt, "host/dmesg.txt", outcome.output[-MOST_KERNEL_LOG:])
        return
    denied = "Operation not permitted" in outcome.error or "Permission denied" in outcome.error
    why = (
        "only root may read them on this host (kernel.dmesg_restrict)" if denied else outcome.reason or "there are none, as in a container"
    )
    staging.miss(attempt, "refused" if denied else "failed", why, "on the host itself: sudo dmesg -T > dmesg.txt")


def _access_control(staging: Staging) -> None:
    """PCI access control of the switches between GPUs; only root sees it."""
    program = find_program("lspci")
    if not has_gpu():
        return
    attempt, how = Attempt(what="PCI access control", command="lspci -vvv"), "sudo lspci -vvv | grep -E '^[0-9a-f]|ACSCtl' > lspci.txt"
    if program is None:
        staging.miss(attempt, "failed", "lspci is not installed", how)
        return
    outcome = run([program, "-vvv"], deadline=DEADLINE)
    told = [line for line in outcome.output.splitlines(keepends=True) if line[:1].strip() or b"ACSCtl" in line]
    if any(b"ACSCtl" in line for line in told):
        staging.keep(attempt, "host/lspci.txt", b"".join(told))
    elif b"access denied" in outcome.output:
        staging.miss(attempt, "refused", "only root sees it", how)
    else:
        staging.miss(attempt, "failed", "no device here shows it, as in a virtual machine", how)


def _command_line(staging: Staging) -> None:
    attempt = Attempt(what="kernel command line", command="cat /proc/cmdline")
    try:
        line = Path("/proc/cmdline").read_bytes()
    except OSError as error:
        staging.miss(attempt, "failed", str(error.strerror))
    else:
        staging.keep(attempt, "host/kernel-command-line.txt", b"Kernel command line: " + line)


def _shared_memory(job: Job, staging: Staging) -> None:
    """/dev/shm as the ranks see it: a container has its own, of 64 MiB unless told otherwise."""
    for target in job.working:
        attempt = Attempt(what="/dev/shm", pid=target.pid, rank=target.rank, command="df -k /dev/shm")
        try:
            room = os.statvfs(f"/proc/{target.pid}/root/dev/shm")
        except OSError:
            continue
        total, free = (blocks * room.f_frsize >> 10 for blocks in (room.f_blocks, room.f_bavail))
        share = 100 * (total - free) // total if total else 0
        rows = ["Filesystem 1K-blocks Used Available Use% Mounted on", f"shm {total} {total - free} {free} {share}% /dev/shm", ""]
        staging.keep(attempt, "host/dev-shm.txt", "\n".join(rows).encode())
        return


def _interfaces(staging: Staging) -> None:
    staging.keep(
        Attempt(what="network interfaces", command="ip addr"), "host/interfaces.txt", "".join(f"{row}\n" for row in _rows()).encode()
    )


def _rows() -> Iterator[str]:
    states = psutil.net_if_stats()
    families = {socket.AF_INET: "inet", socket.AF_INET6: "inet6", psutil.AF_LINK: "link"}
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        state = states.get(name)
        yield f"{name}: " + (f"{'UP' if state.isup else 'DOWN'} mtu {state.mtu} speed {state.speed} Mb/s" if state else "DOWN")
        yield from (
            f"    {families.get(a.family, a.family)} {a.address}" + (f" netmask {a.netmask}" if a.netmask else "") for a in addresses
        )
