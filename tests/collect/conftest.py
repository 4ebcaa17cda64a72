"""What the tests of the collector share: small real processes that are ended behind each test, and a bundle that grows."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanglens.collect.commands import find_program, run
from hanglens.collect.staging import Staging
from tests.collect.processes import HIM, MAY_NOT_TRACE, SECRET, Processes, staged


@pytest.fixture
def start() -> Iterator[Processes]:
    """Starts small processes."""
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """A bundle in a folder of its own."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    return staged(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that all may enter: in `his` the other user does as he likes, `secret` only root may read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "his").mkdir()
        if os.geteuid() == 0:
            os.chown(folder / "his", HIM, HIM)
        (folder / "secret").write_bytes(SECRET)
        (folder / "secret").chmod(0o600)
        yield folder


@pytest.fixture(scope="session")
def py_spy() -> str:
    """py-spy, where it is installed and may look into a child of ours."""
    program = find_program("py-spy")
    if program is None:
        pytest.skip("needs py-spy: pip install py-spy")
    processes = Processes()
    try:
        child = processes.python()
        tried = run([program, "dump", "--pid", str(child.pid)], deadline=20)
    finally:
        processes.end()
    if tried.status != "ok":
        pytest.skip(f"{MAY_NOT_TRACE}: {tried.reason}")
    return program


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """A shell starts what runs in its background with SIGINT ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
