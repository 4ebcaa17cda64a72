"""Real jobs of torch, gloo and CPU: what is collected from them, and what the diagnosis of it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from hanglens.collect.collector import Collected, Request, collect
from hanglens.collect.proctable import state_of
from hanglens.knowledge.load import load_rules
from hanglens.manifest import decode
from hanglens.pipeline import diagnose
from hanglens.verdict import Diagnosis
from tests.collect.jobs import LiveJob, started
from tests.collect.processes import MAY_NOT_TRACE

ODD = 2  # the rank that train.py lets go astray

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a live job is looked at through Linux's /proc"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module", autouse=True)
def may_trace() -> None:
    """Live tests need the right to trace processes that are not our children."""
    from hanglens.collect.permissions import permissions

    if permissions().reach not in ("all", "own"):
        pytest.skip(MAY_NOT_TRACE)


def collected(job: LiveJob, folder: Path, pid: int | None = None, **options: object) -> Collected:
    """A bundle of the job, two samples a second and a half apart."""
    asked = {"samples": 2, "interval": 1.5, "pids": [pid or job.pid], "output": folder / "bundle"} | options
    return collect(Request(**asked))


def explained(job: LiveJob, folder: Path, pid: int | None = None) -> Diagnosis:
    """The diagnosis of such a bundle."""
    return diagnose([str(collected(job, folder, pid).bundle)], load_rules([]))


@pytest.mark.parametrize("launcher", ["torchrun", "spawn"])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("read", "missing-rank/busy-or-blocked-in-python"),
        ("lock", "python-deadlock/lock"),
        ("stopped", "missing-rank/stopped-process"),
    ],
)
def test_the_rank_that_holds_the_others_up_is_named_with_its_cause(tmp_path, fault, cause, launcher) -> None:
    """A rank that blocks in a read, waits for a lock, or was stopped is the culprit, with that cause, whatever started the job."""
    with started(tmp_path, fault, launcher) as job:
        found = explained(job, tmp_path)
        assert found.verdict == "hung"
        assert found.root_cause
        assert found.root_cause.id == cause
        assert found.root_cause.confidence in ("likely", "confirmed")
        assert found.culprit_ranks == (ODD,)
        assert [process.pid for process in found.culprit_processes] == [job.ranks[ODD]]


@pytest.mark.parametrize("launcher", ["torchrun", "spawn"])
def test_a_killed_rank_is_told_from_the_log_of_the_job(tmp_path, launcher) -> None:
    """The launcher ends a job of which a rank was killed: its log, which is all that is left, names the rank's end."""
    with started(tmp_path, "killed", launcher) as job:
        ends = time.monotonic() + 30
        while psutil.pid_exists(job.pid) and psutil.Process(job.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < ends:
            time.sleep(0.1)
        found = diagnose([str(job.log)], load_rules([]))
        assert found.verdict == "failed"
        assert found.root_cause
        assert found.root_cause.category == "rank-dead"
        told = " ".join(entry.text for entry in found.findings[0].evidence)
        assert found.culprit_ranks == (ODD,) if launcher == "torchrun" else f"process {ODD} terminated" in told


@pytest.mark.parametrize("launcher", ["torchrun", "spawn"])
def test_a_job_that_moves_is_healthy(tmp_path, launcher) -> None:
    """Of a healthy loop, in which every sample may show the same collective, the kernel's counts show that it moves."""
    with started(tmp_path, "healthy", launcher) as job:
        found = explained(job, tmp_path)
        assert found.verdict == "healthy"
        assert not found.culprit_ranks


def test_an_idle_server_is_never_called_hung(tmp_path) -> None:
    """Rank 0 waits for a request and the others to be handed it: nothing in that says hung, and nobody is blamed."""
    with started(tmp_path, "idle", "torchrun") as job:
        found = explained(job, tmp_path)
        assert found.verdict in ("unknown", "healthy")
        assert not found.culprit_ranks


@pytest.mark.parametrize("given", ["launcher", "rank 0", "rank 3"])
@pytest.mark.parametrize("launcher", ["torchrun", "spawn"])
def test_the_whole_job_is_found_from_any_of_its_pids(tmp_path, launcher, given) -> None:
    """Given the launcher or any rank, all four ranks are found, each with how its number is known."""
    with started(tmp_path, "read", launcher) as job:
        pid = job.pid if given == "launcher" else job.ranks[int(given[-1])]
        manifest = collected(job, tmp_path, pid, samples=1).manifest
        ranks = {process.rank: process for process in manifest.processes if process.rank is not None}
        assert {rank: process.pid for rank, process in ranks.items()} == job.ranks
        assert all(re.search("environment|variable", process.how_known) for process in ranks.values())
        assert job.pid in {process.pid for process in manifest.processes}


def test_log_in_a_file_is_collected(tmp_path) -> None:
    """Output that goes to a file is in the bundle, with the file's own name."""
    with started(tmp_path, "read", "torchrun") as job:
        bundle = collected(job, tmp_path, samples=1).bundle
        assert "warm-up steps done" in (bundle / "logs" / "job.log").read_text()


@pytest.mark.parametrize(("output", "says"), [("pipe", None), ("terminal", "terminal")])
def test_log_that_is_no_file_is_followed_or_said_to_be_missing(tmp_path, output, says) -> None:
    """Output into a pipe is found in the file that its reader writes; of a terminal's the bundle says how to add it."""
    with started(tmp_path, "read", "torchrun", output=output) as job:
        result = collected(job, tmp_path, samples=1)
        if says is None:
            assert "warm-up steps done" in (result.bundle / "logs" / "job.log").read_text()
        else:
            missed = [item for item in result.manifest.items if item.what == "output of the process"]
            assert [says in item.reason for item in missed] == [True]
            assert "--log" in missed[0].how_to_collect


def test_job_is_as_it_was_before(tmp_path) -> None:
    """A stopped rank is still stopped and every other one still runs; each process is paused for less than half a second a sample."""
    with started(tmp_path, "stopped", "torchrun") as job:
        before = {pid: state_of(pid) for pid in (job.pid, *job.ranks.values())}
        result = collected(job, tmp_path)
        assert {pid: state_of(pid) for pid in before} == before
        assert before[job.ranks[ODD]] == "T"
        dumps = [item for item in result.manifest.items if item.what == "py-spy dump"]
        assert {item.status for item in dumps} == {"ok"}
        assert max(item.seconds for item in dumps) < 2


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("after", [0.3, 0.9, 1.6])
def test_interrupted_collection_keeps_what_it_has_and_leaves_nothing_stopped(tmp_path, after) -> None:
    """Ctrl+C at any moment ends with a whole bundle, no draft beside it, and no process that was left standing."""
    with started(tmp_path, "read", "torchrun") as job:
        command = [sys.executable, "-m", "hanglens", "collect", "--pid", str(job.pid), "-o", str(tmp_path), "--interval", "20"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        assert {state_of(pid) for pid in job.ranks.values()} <= {"S", "R"}
        assert not [path for path in tmp_path.iterdir() if ".partial" in path.name]
        if output:  # interrupted before it began, there is none
            with tarfile.open(output.decode().strip()) as archive:
                name = next(member for member in archive.getnames() if member.endswith("manifest.json"))
                manifest = decode(archive.extractfile(name).read())
            assert manifest.interrupted


def test_collect_and_analyze_in_one_go(tmp_path) -> None:
    """`--analyze` goes straight to the report, and the path of the bundle comes first on standard output."""
    with started(tmp_path, "read", "torchrun") as job:
        command = [sys.executable, "-m", "hanglens", "collect", "--pid", str(job.pid), "--interval", "1", "--analyze"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        bundle, _, report = done.stdout.partition("\n")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / bundle).is_file()
        assert "To blame  rank 2" in report
        assert (tmp_path / "hanglens-report.html").is_file()


_AS_NOBODY = """
import os, sys, tempfile
from hanglens.cli import main
with tempfile.TemporaryDirectory() as place:  # once as we are: Python's own modules, which that user may not read, are loaded then
    try:
        main(["-q", "collect", "--pid", str(os.getpid()), "-o", place + "/first", "--samples", "1"])
    except SystemExit:
        pass
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
main(sys.argv[1:])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_refused_collection_says_what_was_refused_and_how_to_be_allowed(tmp_path) -> None:
    """As another user no process may be traced: exit code 4, the state of every process is there still, and each refusal has its advice."""
    with started(tmp_path, "read", "torchrun") as job, tempfile.TemporaryDirectory() as place:
        os.chown(place, 65534, 65534)
        command = [sys.executable, "-c", _AS_NOBODY, "collect", "--pid", str(job.pid), "-o", f"{place}/bundle", "--interval", "1"]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 4, done.stderr
        assert "sudo" in done.stderr
        assert "ptrace" in done.stderr
        found = diagnose([f"{place}/bundle"], load_rules([]))
        assert found.verdict == "unknown"
        assert not found.culprit_ranks
        assert any(gap.why.startswith("refused") and "hanglens collect" in gap.how_to_collect for gap in found.gaps)
        assert list(Path(place, "bundle", "processes").glob("*.proc-status.txt"))


def _processor_time() -> float:
    """Seconds of this process and of its children that have ended: the same on a busy machine."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def test_sixty_four_processes_are_collected_in_fifteen_seconds_of_processor_time(tmp_path) -> None:
    """64 idle ranks in one tree, two samples a second apart, take less than 15 s of processor time."""
    script = (
        "import os, sys, time, multiprocessing as mp\n"
        "def rank(n):\n    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    ranks = [mp.get_context('fork').Process(target=rank, args=(n,)) for n in range(64)]\n"
        "    [r.start() for r in ranks]; print('ready', flush=True); [r.join() for r in ranks]\n"
    )
    path = tmp_path / "ranks.py"
    path.write_text(script)
    launcher = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert launcher.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        began = _processor_time()
        result = collect(Request(pids=[launcher.pid], output=tmp_path / "bundle", samples=2, interval=1.0))
        assert _processor_time() - began < 15
    finally:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
    dumps = [item for item in result.manifest.items if item.what == "py-spy dump" and item.file.endswith(".json")]
    assert len(dumps) == 2 * 65
    assert {item.status for item in dumps} == {"ok"}


def test_bundle_says_what_was_tried_on_whom(tmp_path) -> None:
    """Every file of the bundle stands in its manifest with what it is, its pid, its start in UTC, its seconds and its status."""
    with started(tmp_path, "read", "torchrun") as job:
        bundle = collected(job, tmp_path, samples=1).bundle
        manifest = json.loads((bundle / "manifest.json").read_text())
        files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()} - {"manifest.json"}
        assert {item["file"] for item in manifest["items"] if item.get("file")} == files
        assert all(item["what"] and item["status"] and item["start"].endswith("+00:00") for item in manifest["items"])
