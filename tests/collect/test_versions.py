"""Versions of what the job runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hanglens.collect import versions
from hanglens.collect.staging import Staging
from hanglens.collect.versions import collect_versions
from tests.collect.processes import Processes, job_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="packages are found through Linux's /proc")


def site(folder: Path, **packages: str) -> str:
    """A folder of installed packages; the path of a library in it."""
    place = folder / "lib" / "site-packages"
    for name, version in packages.items():
        about = place / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    return str(place / "torch" / "lib" / "libtorch_cpu.so")


def test_packages_of_the_job(tmp_path: Path, start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the packages where the job's libraries lie those are listed that matter for a hang, as pip freeze does."""
    library = site(tmp_path, torch="2.9.0", nvidia_nccl_cu12="2.27.5", requests="2.0", vllm="0.11.0")
    (Path(library).parents[2] / "broken-1.dist-info").mkdir()
    monkeypatch.setattr(versions, "libraries_of", lambda _: [library, "/usr/lib/libc.so.6"])
    child = start.python()
    collect_versions(job_of(child.pid), staging)
    (item,) = [i for i in staging.close() if i.what == "package versions"]
    lines = (staging.folder / item.file).read_text().splitlines()
    assert item.file == f"versions/pid{child.pid}.packages.txt"
    assert lines[1:] == ["nvidia-nccl-cu12==2.27.5", "torch==2.9.0", "vllm==0.11.0"]


def test_processes_of_one_place_are_listed_once(
    tmp_path: Path, start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks that run from the same packages are one list; one that runs from others has its own."""
    here, there = site(tmp_path / "a", torch="2.9.0"), site(tmp_path / "b", torch="2.8.0")
    children = [start.python().pid for _ in range(3)]
    monkeypatch.setattr(versions, "libraries_of", lambda pid: [there if pid == children[2] else here])
    collect_versions(job_of(*children), staging)
    found = [i for i in staging.close() if i.what == "package versions"]
    assert [i.pid for i in found] == [children[0], children[2]]
    assert (staging.folder / found[1].file).read_text().endswith("torch==2.8.0\n")


def test_nothing_to_list(start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without packages has no list."""
    monkeypatch.setattr(versions, "libraries_of", lambda _: ["/usr/lib/libc.so.6"])
    collect_versions(job_of(start.python().pid), staging)
    assert [i for i in staging.close() if i.what == "package versions"] == []
