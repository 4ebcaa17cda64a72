"""Named pipes whose writer comes, or does not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hanglens.errors import RuleError
from hanglens.knowledge.yamlfile import read_yaml
from hanglens.pipes import NobodyWrites, open_pipe
from hanglens.plainfile import NoFile, PlainFile
from tests.test_bundle import evidence, save

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe that nobody has opened."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_pipe_that_nobody_writes_to_is_a_gap_with_the_next_step(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a while, and no longer; other evidence is read."""
    monkeypatch.setattr("hanglens.pipes.PATIENCE", 0.2)
    save(fifo.parent / "z.log", b"z")
    found = evidence(fifo, fifo.parent / "z.log")
    assert found.texts == {"z.log": b"z"}
    assert "nobody writes" in found.gaps["fifo"]
    assert found.advice["fifo"]
    with pytest.raises(NobodyWrites):
        open_pipe(str(fifo))


def test_a_writer_may_come_late_and_be_slow(fifo: Path) -> None:
    """What it writes is read whole, from its first byte."""

    def write() -> None:
        time.sleep(0.3)
        with fifo.open("wb", buffering=0) as pipe:
            time.sleep(0.3)
            pipe.write(b"first ")
            time.sleep(0.3)
            pipe.write(b"second")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert evidence(fifo).texts == {"fifo": b"first second"}
    finally:
        thread.join()


def test_no_file_that_is_read_as_a_whole_waits(fifo: Path) -> None:
    """A pipe or a device in the place of a file is refused at once, a rule's too."""
    for path in (fifo, Path(os.devnull)):
        with pytest.raises(NoFile):
            PlainFile(str(path))
    with pytest.raises(RuleError, match="not a file"):
        read_yaml(fifo, "x.yaml")
    with pytest.raises(IsADirectoryError):
        PlainFile(str(fifo.parent))


def test_a_shell_pipes_into_the_command_line(fixtures_dir: Path) -> None:
    """`hanglens analyze <(cat log)` reads the log."""
    log = next((fixtures_dir / "nccl-missing-rank" / "evidence").glob("*.log"))
    command = f"{sys.executable} -m hanglens -q analyze --format json <(sleep 0.2; cat {log})"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"lines"' in done.stdout
