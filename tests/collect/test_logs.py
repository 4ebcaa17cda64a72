"""The job's own logs: where its output goes, and what is copied of it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.collect.foreign import Found
from hanglens.collect.job import Job
from hanglens.collect.logs import Copying, collect_logs, find_logs, read_ends
from hanglens.collect.proctable import ProcTable
from hanglens.collect.staging import Staging
from hanglens.manifest import Item
from tests.collect.processes import Processes, job_of, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="logs are found through Linux's /proc")

WRITES = "import sys, time; print('hello', flush=True); print('ready', file=sys.stderr, flush=True); time.sleep(60)"
TOLD = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


def collected(job: Job, staging: Staging, *, extra: Sequence[Path] = (), limit: int = 1 << 20) -> dict[str, list[Item]]:
    """The items of logs, and those of outputs that no file holds."""
    table = ProcTable.now()
    collect_logs(job, table, staging, Copying(extra=extra, limit=limit))
    items = staging.close()
    return {what: [item for item in items if item.what == what] for what in ("log", "output of the process")}


def written(path: Path) -> None:
    """Wait until something stands in a file."""
    wait_until(lambda: path.exists() and path.stat().st_size)


def started(start: Processes, log: Path, code: str = WRITES, **environ: str) -> subprocess.Popen[bytes]:
    """A process whose output goes into this file, and has come there."""
    with log.open("ab") as file:
        process = start.python(code, stdout=file, stderr=file, environ=environ)
    written(log)
    return process


def test_output_into_a_file(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """The file that standard output and error go to is copied once, under its own name."""
    process = started(start, tmp_path / "job.log")
    found = collected(job_of(process.pid), staging)
    assert [(i.status, i.file, i.pid) for i in found["log"]] == [("ok", "logs/job.log", None)]
    assert (staging.folder / "logs" / "job.log").read_text().startswith("hello\n")
    assert found["output of the process"] == []


def test_a_deleted_file_is_read_still(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A log that somebody removed is there as long as the job holds it open."""
    process = started(start, tmp_path / "job.log")
    (tmp_path / "job.log").unlink()
    (item,) = collected(job_of(process.pid), staging)["log"]
    assert (item.status, item.file) == ("ok", "logs/job.log")
    assert "(deleted)" not in item.command
    assert (staging.folder / item.file).read_text().startswith("hello\n")


def test_output_through_tee_into_a_file(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Behind a pipe the file is found that its reader writes."""
    log = tmp_path / "tee.log"
    code = "import time; print('hello', flush=True); time.sleep(60)"
    shell = start.run(["sh", "-c", '"$0" -c "$1" 2>&1 | tee "$2"', sys.executable, code, str(log)])
    written(log)
    (process,) = [pid for pid in ProcTable.now().children[shell.pid] if "tee" not in ProcTable.now().procs[pid].name]
    found = collected(job_of(process), staging)
    assert [(i.status, i.file) for i in found["log"]] == [("ok", "logs/tee.log")]
    assert found["output of the process"] == []


def test_a_pipe_whose_reader_writes_no_file(start: Processes, staging: Staging) -> None:
    """It is said who reads the output, and how it can be had."""
    code = "import time; print('hello', flush=True); time.sleep(60)"
    shell = start.run(["sh", "-c", '"$0" -c "$1" 2>/dev/null | cat', sys.executable, code], stderr=subprocess.DEVNULL)
    table = ProcTable.now()
    children = {table.procs[pid].name: pid for pid in table.children[shell.pid]}
    reader = children.pop("cat")
    (process,) = children.values()
    found = collected(job_of(process), staging)
    assert found["log"] == []
    assert [f"(pid {reader}), which keeps it where it likes" in i.reason for i in found["output of the process"]] == [True, False]
    assert "--log" in found["output of the process"][0].how_to_collect


@pytest.mark.parametrize("place", ["/dev/null", "terminal"])
def test_output_that_no_file_holds(tmp_path: Path, start: Processes, staging: Staging, place: str) -> None:
    """Output that is thrown away, or that a terminal shows, is told once with what to do."""
    mark = tmp_path / "began"
    code = f"import time; open({str(mark)!r}, 'w').write('x'); time.sleep(60)"
    controller, device = pty.openpty() if place == "terminal" else (-1, os.open("/dev/null", os.O_WRONLY))
    try:
        process = start.python(code, stdout=device, stderr=device)
        written(mark)
        (item,) = collected(job_of(process.pid), staging)["output of the process"]
    finally:
        for descriptor in {controller, device} - {-1}:
            os.close(descriptor)
    assert (item.status, item.pid) == ("failed", process.pid)
    assert place in item.reason
    assert "2>&1 | tee job.log" in item.how_to_collect


@pytest.mark.parametrize("relative", [False, True])
def test_logs_that_the_environment_names(tmp_path: Path, start: Processes, staging: Staging, relative: bool) -> None:
    """NCCL_DEBUG_FILE names one by host and pid, from where the process works; LMDEPLOY_LOG_FILE another."""
    place = "" if relative else f"{tmp_path}/"
    code = "import time; print('ready', flush=True); time.sleep(60)"
    environ = {"NCCL_DEBUG_FILE": f"{place}nccl.%h.%p.log", "LMDEPLOY_LOG_FILE": str(tmp_path / "engine.log")}
    process = start.python(code, stderr=subprocess.DEVNULL, environ=environ, cwd=tmp_path)
    name = f"nccl.{os.uname().nodename.split('.')[0]}.{process.pid}.log"
    (tmp_path / name).write_text("NCCL INFO\n")
    (tmp_path / "nccl.other.1.log").write_text("another's\n")
    (tmp_path / "engine.log").write_text("engine\n")
    found = collected(job_of(process.pid), staging)["log"]
    assert {i.file for i in found if "engine" in i.file or "nccl" in i.file} == {f"logs/{name}", "logs/engine.log"}


def test_logs_that_are_held_open(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A file that is open for writing and named like a log is one; other files, and what is only read, are not."""
    (tmp_path / "read.log").write_text("x")
    code = (
        "import sys, time; d = sys.argv[1]; files = [open(f'{d}/{n}', 'w') for n in ('a.log', 'b.log.2', 'weights.bin')]\n"
        "[f.write('x') and f.flush() for f in files]; r = open(f'{d}/read.log'); print('ready', flush=True); time.sleep(60)"
    )
    process = start.python(code, str(tmp_path), stderr=subprocess.DEVNULL)
    found = find_logs(job_of(process.pid), ProcTable(dict(list(ProcTable.now().procs.items())[:0])))
    assert [Path(log.shown).name for log in found] == ["a.log", "b.log.2"]


def test_a_log_that_one_rank_writes_is_named_for_it(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Of a log per rank each is named by its pid, so that its lines are that rank's; one that all write is nobody's."""
    port = str(40000 + os.getpid() % 20000)
    shared = (tmp_path / "all.log").open("wb")
    ranks = []
    for number in range(2):
        with (tmp_path / f"rank{number}.out").open("wb") as own:
            environ = TOLD | {"RANK": str(number), "MASTER_PORT": port}
            ranks.append(start.python(WRITES, stdout=own, stderr=shared, environ=environ))
    shared.close()
    for number in range(2):
        written(tmp_path / f"rank{number}.out")
    wait_until(lambda: (tmp_path / "all.log").read_text().count("ready") == 2)
    found = {i.file: (i.pid, i.rank) for i in collected(job_of(ranks[0].pid), staging)["log"]}
    own = {f"logs/pid{process.pid}.rank{n}.out": (process.pid, n) for n, process in enumerate(ranks)}
    assert found == own | {"logs/all.log": (None, None)}


def test_a_rank_with_children_is_still_the_only_writer(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A data loader's worker shares its rank's output; the log is the rank's all the same."""
    child = started(start, tmp_path / "rank0.log", "import os; print('a line', flush=True); os.fork(); import time; time.sleep(60)",
                    RANK="0", WORLD_SIZE="2")  # fmt: skip
    written(tmp_path / "rank0.log")
    logs = collected(job_of(child.pid), staging)["log"]
    assert [(log.pid, log.rank) for log in logs] == [(child.pid, 0)]


def test_names_that_no_file_system_takes_are_cut(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A name of 250 characters fits into the bundle, and bytes that are no UTF-8 end nothing."""
    strange = tmp_path / ("x" * 246 + ".log")
    strange.write_text("a line\n")
    foreign = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xc4\xa3.log"))
    foreign.write_text("a line\n")
    child = start.python()
    logs = collected(job_of(child.pid), staging, extra=[strange, foreign])["log"]
    assert {log.status for log in logs} == {"ok"}
    assert all((staging.folder / log.file).is_file() for log in logs)


def test_extra_logs(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """What the user names is copied too, and once only if it is one of the job's."""
    process = started(start, tmp_path / "job.log")
    (tmp_path / "more.txt").write_text("more\n")
    found = collected(job_of(process.pid), staging, extra=[tmp_path / "more.txt", tmp_path / "job.log"])
    assert [i.file for i in found["log"]] == ["logs/job.log", "logs/more.txt"]


def test_logs_of_one_name_are_told_apart(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Where several logs have one name as many of their folders are put before it as it needs."""
    process = started(start, tmp_path / "job.log")
    paths = [tmp_path / folder / "stdout.log" for folder in ("a/0", "a/1", "b/0")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(str(path))
    found = collected(job_of(process.pid), staging, extra=paths)
    assert [i.file for i in found["log"]] == ["logs/job.log", "logs/a_0_stdout.log", "logs/1_stdout.log", "logs/b_0_stdout.log"]


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """A log without a line is no file of the bundle, and no failure."""
    process = started(start, tmp_path / "job.log")
    (tmp_path / "empty.log").touch()
    _, empty = collected(job_of(process.pid), staging, extra=[tmp_path / "empty.log"])["log"]
    assert (empty.file, empty.status) == ("", "ok")
    assert "is empty" in empty.reason


def test_a_file_that_the_environment_names_must_be_the_jobs_own(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """An environment may name any file of the host: a link, and what is another user's, is no log of this job."""
    (tmp_path / "private").write_text("not for everybody")
    (tmp_path / "nccl.log").symlink_to(tmp_path / "private")
    process = started(start, tmp_path / "job.log", NCCL_DEBUG_FILE=str(tmp_path / "nccl.log"))
    logs = collected(job_of(process.pid), staging)["log"]
    assert [log.file for log in logs] == ["logs/job.log"]


def test_a_log_that_cannot_be_read_says_so(tmp_path: Path, start: Processes, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is noted with the log's path, and the others are copied."""
    process = started(start, tmp_path / "job.log")
    (tmp_path / "more.txt").write_text("more\n")

    def refuse(_: Found) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Found, "read", refuse)
    refused, more = collected(job_of(process.pid), staging, extra=[tmp_path / "more.txt"])["log"]
    assert (refused.status, refused.reason) == ("refused", f"{tmp_path / 'job.log'}: Permission denied")
    assert "--log" in refused.how_to_collect
    assert more.file == "logs/more.txt"


def test_a_long_log_is_cut_in_its_middle(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Of a log above the limit its beginning and its end are there, and the item says what is not."""
    process = started(start, tmp_path / "job.log")
    rows = [f"line {n}\n" for n in range(1000)]
    (tmp_path / "long.txt").write_text("".join(rows))
    item = collected(job_of(process.pid), staging, extra=[tmp_path / "long.txt"], limit=400)["log"][1]
    kept = (staging.folder / item.file).read_text().splitlines()
    assert item.cut
    assert item.cut.bytes == sum(map(len, rows))
    assert kept[0] == "line 0"
    assert kept[-1] == "line 999"
    assert kept[item.cut.after_line] == f"[hanglens: {item.cut.left_out} bytes are left out here]"
    assert len("\n".join(kept)) < 500


@given(
    lines=st.lists(st.binary(min_size=0, max_size=30).map(lambda b: b.replace(b"\n", b"x")), max_size=60),
    limit=st.integers(4, 600),
    ended=st.booleans(),
)
def test_ends_of_any_file(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], limit: int, ended: bool) -> None:
    """A short file is whole; of a longer one whole lines of both ends are kept, and what is left out is counted and marked."""
    path = tmp_path_factory.getbasetemp() / "any.log"
    data = b"\n".join(lines) + b"\n" * ended
    path.write_bytes(data)
    with path.open("rb") as file:
        kept, cut = read_ends(file, limit)
    if len(data) <= limit:
        assert (kept, cut) == (data, None)
        return
    assert cut
    mark = b"[hanglens: %d bytes are left out here]\n" % cut.left_out
    head, found, tail = kept.partition(mark)
    assert found
    assert cut.bytes == len(data)
    assert data.endswith(tail)
    assert data.startswith(head[:-1])
    assert not tail or data[: len(data) - len(tail)].endswith(b"\n")
    assert head.count(b"\n") == cut.after_line
    assert len(head.rstrip(b"\n")) + len(tail) <= limit
