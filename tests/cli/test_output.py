"""Results are written whole, or not at all."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hanglens.cli import output
from hanglens.errors import HangLensError


def small_files() -> None:
    """In a child: no file may have more than 4 KiB, as on a disk that fills up."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_full_disk_leaves_the_old_report_and_no_draft(fixtures_dir, tmp_path):
    """The error says what to do; what was there is whole, and nothing else is there."""
    (tmp_path / "r.html").write_text("old")
    command = [sys.executable, "-m", "hanglens", "-q", "analyze", str(fixtures_dir / "nccl-rank-stopped" / "evidence"), "-o", "r.html"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, preexec_fn=small_files, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot write r.html" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"r.html": "old"}


@pytest.mark.parametrize("raised", [KeyboardInterrupt, MemoryError, OSError])
def test_whatever_ends_the_writing_leaves_no_draft(raised, tmp_path, monkeypatch):
    """An interrupt too."""

    def fail(*_):
        raise raised

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((raised, HangLensError)):
        output.write_whole(str(tmp_path / "r.txt"), "text")
    assert not list(tmp_path.iterdir())


def test_what_utf8_cannot_hold_is_escaped(tmp_path):
    """Half of a surrogate pair does not end the report."""
    output.write_whole(str(tmp_path / "r.txt"), "a\udcffb")
    assert (tmp_path / "r.txt").read_text() == "a\\udcffb"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    """`-o >(gzip > r.gz)` is no file to be replaced; without a reader it is an error."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(HangLensError, match="choose another place"):
        output.write_whole(str(fifo), "text")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        output.write_whole(str(fifo), "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault_of_ours(closed, fixtures_dir, tmp_path):
    """What is shown nowhere is lost, and the report is written all the same."""
    command = f"{sys.executable} -m hanglens analyze {fixtures_dir / 'nccl-rank-stopped' / 'evidence'} -o {tmp_path / 'r.txt'} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "rank 1" in (tmp_path / "r.txt").read_text()


def test_closed_standard_input_holds_nothing_to_read():
    """`analyze - <&-` says so in one line, with the next step."""
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m hanglens analyze - <&-"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "nothing readable" in done.stderr
    assert done.stderr.count("\n") == 1
