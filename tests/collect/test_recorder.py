"""Flight-recorder dumps: those that a live rank writes when asked, and those that lie there already."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hanglens.collect import recorder
from hanglens.collect.job import Job
from hanglens.collect.recorder import collect_recorder
from hanglens.collect.staging import Staging
from hanglens.manifest import Item
from tests.collect.processes import SLEEP, Processes, job_of, stop

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="dumps are found through Linux's /proc")

RANK = """
import os, time
name = os.environ["TORCH_NCCL_DEBUG_INFO_PIPE_FILE"] + os.environ["RANK"] + ".pipe"
os.mkfifo(name)
pipe = os.open(name, os.O_RDWR)
print("ready", flush=True)
if os.read(pipe, 10):
    with open(os.environ["TORCH_FR_DUMP_TEMP_FILE"] + os.environ["RANK"], "wb") as dump:
        dump.write(b"a dump")
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits as long as a user would."""
    monkeypatch.setattr(recorder, "DEADLINE", 5.0)
    monkeypatch.setattr(recorder, "SETTLED", 0.2)
    monkeypatch.setattr(recorder, "PATIENCE", 1.0)
    monkeypatch.setattr(recorder, "has_gpu", lambda: False)


def told(folder: Path, rank: int) -> dict[str, str]:
    """The environment of a rank that records into a folder."""
    prefixes = {"TORCH_NCCL_DEBUG_INFO_PIPE_FILE": f"{folder}/pipe_", "TORCH_FR_DUMP_TEMP_FILE": f"{folder}/dump_"}
    return prefixes | {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": str(20000 + os.getpid() % 20000), "TMPDIR": str(folder)}


def collected(job: Job, staging: Staging, stop: threading.Event | None = None) -> list[Item]:
    """What the recorder brought."""
    collect_recorder(job, staging, stop or threading.Event())
    return staging.close()


def test_a_rank_that_is_asked_writes_and_its_dump_is_copied(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Every rank with a pipe is asked, waited for, and what it wrote is in the bundle as it is."""
    ranks = [start.python(RANK, environ=told(tmp_path, n)) for n in range(2)]
    items = collected(job_of(ranks[1].pid), staging)
    assert sorted((i.what, i.status, i.file) for i in items) == [
        ("flight-recorder dump", "ok", "flight-recorder/dump_0"),
        ("flight-recorder dump", "ok", "flight-recorder/dump_1"),
    ]
    assert (staging.folder / "flight-recorder" / "dump_1").read_bytes() == b"a dump"


def test_a_pipe_without_a_reader(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A pipe that nobody reads is not waited for, and the reason is said."""
    os.mkfifo(tmp_path / "pipe_0.pipe")
    began = time.monotonic()
    (item,) = collected(job_of(start.python(environ=told(tmp_path, 0)).pid), staging)
    assert time.monotonic() - began < 3
    assert (item.what, item.status, item.rank) == ("flight-recorder pipe", "failed", 0)
    assert "nothing reads it" in item.reason


def test_an_earlier_dump_is_not_mixed_with_the_answers(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Where one rank answers, what the other wrote before it was asked is of another moment: it is named with its time and not copied."""
    silent = RANK.replace("if os.read(pipe, 10):", "if os.read(pipe, 10) and os.environ['RANK'] == '1':")
    ranks = [start.python(silent, environ=told(tmp_path, n)) for n in range(2)]
    (tmp_path / "dump_0").write_bytes(b"of old")
    time.sleep(0.25)
    items = {i.file or i.reason: i for i in collected(job_of(ranks[0].pid), staging)}
    assert items.pop("flight-recorder/dump_1").status == "ok"
    (old,) = items.values()
    assert old.status == "timed-out"
    assert "dump_0" in old.reason
    assert "did not answer" in old.reason


def test_a_stopped_rank_is_not_asked(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A process that stands would dump at an odd moment later: it is left alone, and that is said."""
    rank = start.python(RANK, environ=told(tmp_path, 0))
    stop(rank.pid)
    (item,) = collected(job_of(rank.pid), staging)
    assert item.status == "failed"
    assert "does not run" in item.reason
    os.kill(rank.pid, signal.SIGCONT)
    time.sleep(0.2)
    assert not (tmp_path / "dump_0").exists()


def test_only_a_pipe_is_written_to(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A file, and a link to one, of the pipe's name are left as they are."""
    (tmp_path / "pipe_0.pipe").write_text("mine")
    collected(job_of(start.python(environ=told(tmp_path, 0)).pid), staging, stopped())
    assert (tmp_path / "pipe_0.pipe").read_text() == "mine"


def test_a_link_is_not_followed(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A link of the pipe's name may lead anywhere: it is refused."""
    os.mkfifo(tmp_path / "elsewhere")
    reader = os.open(tmp_path / "elsewhere", os.O_RDONLY | os.O_NONBLOCK)
    try:
        (tmp_path / "pipe_0.pipe").symlink_to(tmp_path / "elsewhere")
        (item,) = collected(job_of(start.python(environ=told(tmp_path, 0)).pid), staging, stopped())
        assert item.status == "failed"
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)


def stopped() -> threading.Event:
    """Ctrl+C was pressed already."""
    event = threading.Event()
    event.set()
    return event


def test_dumps_that_lie_there_are_taken_unless_they_are_older_than_the_job(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A dump of an earlier run, an empty one, and one that still grows are not the job's evidence."""
    child = start.python(SLEEP, environ={"TORCH_NCCL_DEBUG_INFO_TEMP_FILE": f"{tmp_path}/old_style_"})
    job = job_of(child.pid)
    for rank, age in (("0", 0.5), ("1", 3600.0), ("2", -3600.0)):
        path = tmp_path / f"old_style_{rank}"
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
    (tmp_path / "old_style_3").touch()
    os.utime(tmp_path / "old_style_3", (time.time() - 0.5,) * 2)
    early = Job(tuple(replace(t, proc=replace(t.proc, started=time.time() - 60)) for t in job.targets))
    assert [i.file for i in collected(early, staging)] == ["flight-recorder/old_style_0"]


def test_dumps_at_their_default_place(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Where no prefix was set they are looked for where the process keeps its temporary files."""
    child = start.python(SLEEP, environ={"TMPDIR": str(tmp_path)})
    (tmp_path / "nccl_trace_rank_4").write_bytes(b"x")
    time.sleep(0.25)
    assert [i.file for i in collected(job_of(child.pid), staging)] == ["flight-recorder/nccl_trace_rank_4"]


def test_a_dump_that_is_too_large_is_named(tmp_path: Path, start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not copied, and the item says that it is there."""
    monkeypatch.setattr(recorder, "LARGEST", 3)
    child = start.python(SLEEP, environ={"TMPDIR": str(tmp_path)})
    (tmp_path / "nccl_trace_rank_4").write_bytes(b"large")
    time.sleep(0.25)
    (item,) = collected(job_of(child.pid), staging)
    assert (item.status, item.file) == ("failed", "")
    assert "nccl_trace_rank_4" in item.how_to_collect


def test_without_a_pipe_and_without_gpus(start: Processes, staging: Staging) -> None:
    """A job that has no GPUs is not expected to record."""
    child = start.python(SLEEP, environ={"TMPDIR": "/nowhere"})
    assert collected(job_of(child.pid), staging) == []


def test_without_a_pipe_on_gpus(start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job on GPUs that cannot be asked is told how the next run can be."""
    monkeypatch.setattr(recorder, "has_gpu", lambda: True)
    (item,) = collected(job_of(start.python(SLEEP, environ={"TMPDIR": "/nowhere"}).pid), staging)
    assert item.status == "failed"
    assert "no rank of the job can be asked" in item.reason
    assert "hanglens prepare" in item.how_to_collect


def test_no_job_no_dumps(staging: Staging) -> None:
    """Where nothing runs that could record there is nothing to say."""
    assert collected(Job(()), staging) == []


def test_links_in_place_of_dumps_are_no_dumps(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """In a folder that all may write to, a link may lead to what is none of its maker's, or to nothing: neither is copied."""
    child = start.python(SLEEP, environ={"TORCH_FR_DUMP_TEMP_FILE": f"{tmp_path}/dump_", "RANK": "0", "WORLD_SIZE": "2"})
    secret = tmp_path / "secret"
    secret.write_text("not for everybody")
    (tmp_path / "dump_0").symlink_to(secret)
    (tmp_path / "dump_1").symlink_to(tmp_path / "nowhere")
    (tmp_path / "dump_2").write_bytes(b"a dump")
    time.sleep(0.4)
    items = collected(job_of(child.pid), staging)
    assert [item.file for item in items if item.file] == ["flight-recorder/dump_2"]
