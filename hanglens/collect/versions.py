"""Versions of what the job runs, by the names of its own installed packages' folders: nothing of it is imported, nor opened.

Format: `NAME-VERSION.dist-info` (packaging.python.org, recording installed projects), printed as `pip freeze` does.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from hanglens.collect.foreign import names_in
from hanglens.collect.job import Job, Target
from hanglens.collect.proctable import executable_of, libraries_of
from hanglens.collect.staging import Attempt, Staging

_WORTH_KNOWING = re.compile(
    r"(?i)(?:torch|torchvision|triton|lmdeploy|vllm|sglang|sgl-kernel|transformers|ray|deepspeed|accelerate|megatron-core|flash-attn|flashinfer\S*"
    r"|xformers|deep-ep|deep-gemm|nixl|mooncake\S*|cupy\S*|numpy|nvidia-\S+|py-spy|hanglens|dlinfer\S*|uvloop|pyzmq|safetensors)$"
)
_DIST_INFO = re.compile(r"([A-Za-z0-9._]{1,100})-([0-9][\w.+!]{0,60})\.dist-info")
_SITE = re.compile(r"(.*/(?:site|dist)-packages)/")
_KERNEL = Path("/proc/driver/nvidia/version")


def collect_versions(job: Job, staging: Staging) -> None:
    """Packages of the first rank, and of every other that runs from somewhere else; the driver's version beside them."""
    seen: set[tuple[str, ...]] = set()
    ranks = [t for t in job.pythons if t.rank is not None] or list(job.pythons)
    for target in ranks:
        sites, root = _sites(target), _root(target)
        if sites and (root, *sites) not in seen:
            seen.add((root, *sites))
            _keep(target, sites, staging)
    if _KERNEL.exists():
        staging.keep(Attempt(what="driver version", command=f"cat {_KERNEL}"), "host/driver-version.txt", _KERNEL.read_bytes())


def _sites(target: Target) -> tuple[str, ...]:
    """The folders of packages that a process has loaded libraries from, as it sees them."""
    return tuple(sorted({match[1] for path in libraries_of(target.pid) if (match := _SITE.match(path))}))


def _root(target: Target) -> str:
    """What its paths are relative to: processes of one container have one."""
    try:
        return os.readlink(f"/proc/{target.pid}/ns/mnt")
    except OSError:
        return ""


def _keep(target: Target, sites: tuple[str, ...], staging: Staging) -> None:
    attempt = Attempt(what="package versions", pid=target.pid, rank=target.rank, command="pip freeze")
    rows = {f"{name}=={version}" for name, version in _packages(target.pid, sites) if _WORTH_KNOWING.match(name)}
    if rows:
        python = os.path.basename(executable_of(target.pid))
        lines = [f"# packages of pid {target.pid} ({python})", *sorted(rows, key=str.lower), ""]
        staging.keep(attempt, f"versions/pid{target.pid}.packages.txt", "\n".join(lines).encode())


def _packages(pid: int, sites: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names and versions, by the names of the folders that installers leave: `NAME-VERSION.dist-info` (PEP 627). No file is opened."""
    found = []
    for site in sites:
        with suppress(OSError):
            found += [match.groups() for name in names_in(pid, site) if (match := _DIST_INFO.fullmatch(name))]
    return [(name.replace("_", "-"), version) for name, version in found]
