"""Which processes belong to a job, and which ranks they are."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hanglens.collect import job as job_module
from hanglens.collect.candidates import find_candidates
from hanglens.collect.job import Job, RayPlace, Target, find_job, ray_place, root_of
from hanglens.collect.proctable import ProcTable
from tests.collect.processes import NO_PID, SLEEP, Processes, fake, job_of, table_of, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found through Linux's /proc")

SPAWNS = """
import multiprocessing, time
def rank(number):
    time.sleep(60)
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=rank, args=(n,)) for n in range(2)]
    [r.start() for r in ranks]
    print(*(r.pid for r in ranks), flush=True)
    time.sleep(60)
"""
FORKS = "import os, time\nif os.fork():\n    print('ready', flush=True)\ntime.sleep(60)"


@pytest.fixture
def port() -> str:
    """A port that nobody else has for a meeting point."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def told(rank: int, port: str, *, world: int = 2) -> dict[str, str]:
    """The environment of a rank."""
    return {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def faked(monkeypatch: pytest.MonkeyPatch, environs: dict[int, dict[str, str]]) -> None:
    """Processes of a made-up table have these environments."""
    monkeypatch.setattr(job_module, "environ_of", lambda pid: environs.get(pid - NO_PID, {}))


def ranks_of(job: Job) -> dict[int, int | None]:
    """The ranks by made-up pid."""
    return {target.pid - NO_PID: target.rank for target in job.targets}


def test_spawned_children_are_found_from_any_pid(tmp_path: Path, start: Processes) -> None:
    """From the parent and from each child the same processes are found, the parent first and a launcher, the tracker a helper."""
    script = tmp_path / "spawns.py"
    script.write_text(SPAWNS)
    (tmp_path / "out").touch()
    parent = start.run([sys.executable, str(script)], stdout=(tmp_path / "out").open("w"))
    wait_until(lambda: (tmp_path / "out").read_text().endswith("\n"))
    ranks = [int(pid) for pid in (tmp_path / "out").read_text().split()]
    jobs = [job_of(pid) for pid in (parent.pid, *ranks)]
    assert len({frozenset(t.pid for t in job.targets) for job in jobs}) == 1
    roles = {t.pid: t.role for t in jobs[1].targets}
    assert next(iter(roles)) == parent.pid
    assert roles.pop(parent.pid) == "launcher"
    assert [roles.pop(pid) for pid in ranks] == ["worker", "worker"]
    assert list(roles.values()) == ["helper"]
    assert {t.pid for t in jobs[0].pythons} == {parent.pid, *ranks}


def test_forked_child_belongs_to_its_parent(start: Processes) -> None:
    """A process with its parent's own command line was forked by it, and leads to it."""
    parent = start.python(FORKS)
    (child,) = ProcTable.now().children[parent.pid]
    assert [t.pid for t in job_of(child).targets] == [parent.pid, child]


def test_two_jobs_of_one_shell_stay_apart(start: Processes) -> None:
    """A shell that started two programs is no part of either, and neither is who started the shell."""
    one = f"{sys.executable} -c 'import time; time.sleep(60)'"
    shell = start.run(["sh", "-c", f"{one} & {one} & echo ready; wait"])
    first, second = sorted(ProcTable.now().children[shell.pid])
    assert [[t.pid for t in job_of(pid).targets] for pid in (first, second)] == [[first], [second]]
    assert {t.pid for t in job_of(first, second).targets} == {first, second}


def test_a_python_that_runs_other_programs_is_not_climbed_into(start: Processes) -> None:
    """A Python program, as we are here, may start several jobs: none of them leads to it."""
    first, second = start.python(), start.python()
    table = ProcTable.now()
    assert [root_of(table, process.pid) for process in (first, second)] == [first.pid, second.pid]


@pytest.mark.parametrize(
    ("parent", "name", "climbs"),
    [
        (("python3", "/usr/bin/torchrun", "train.py"), "torchrun", True),
        (("python3", "-m", "torch.distributed.run", "train.py"), "python3", True),
        (("/opt/bin/mpirun", "-np", "2", "python3", "train.py"), "mpirun", True),
        (("python3", "-m", "lmdeploy", "serve", "api_server"), "python3", True),
        (("bash", "-c", "torchrun train.py"), "bash", False),
        (("sh", "run-vllm.sh"), "sh", False),
        (("python3", "-m", "torchrun_helper"), "python3", False),
        (("make", "train"), "make", False),
        (("tmux", "new", "-d", "torchrun x.py"), "tmux: server", False),
        (("python3", "sweep.py", "--out", "/data/vllm"), "python3", False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_starters_belong_to_the_job_and_shells_do_not(parent: tuple[str, ...], name: str, climbs: bool) -> None:
    """Programs that start ranks lead to all that they started; a shell does not, whatever its command line says."""
    table = table_of(fake(1, 0, *parent, name=name), fake(2, 1), fake(3, 1))
    found = [t.pid - NO_PID for t in find_job(table, [NO_PID + 2]).targets]
    assert found == ([1, 2, 3] if climbs else [2])
    assert root_of(table, NO_PID + 2) == NO_PID + (1 if climbs else 2)


def test_plain_ranks_meet_at_their_port(start: Processes, port: str) -> None:
    """Ranks that were started one by one and told the same meeting point are one job; others are not."""
    ranks = [start.python(environ=told(n, port)) for n in range(2)]
    other = start.python(environ=told(0, str(int(port) - 1 or 1)))
    passer_by = start.python(environ={"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
    for given in ranks:
        found = job_of(given.pid)
        assert {t.pid: t.rank for t in found.targets} == {r.pid: n for n, r in enumerate(ranks)}
        assert {t.how_known for t in found.targets} == {"environment: RANK=0", "environment: RANK=1"}
        assert {t.role for t in found.targets} == {"rank"}
    assert [t.pid for t in job_of(other.pid).targets] == [other.pid]
    assert [t.pid for t in job_of(passer_by.pid).targets] == [passer_by.pid]


def test_a_child_that_inherits_its_rank_is_no_second_one(start: Processes, port: str) -> None:
    """A data loader has its rank's environment: it is found as a worker without a rank."""
    rank = start.python(FORKS, environ=told(1, port))
    found = {t.pid: (t.rank, t.role) for t in job_of(rank.pid).targets}
    assert found.pop(rank.pid) == (1, "rank")
    assert list(found.values()) == [(None, "worker")]


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({"RANK": "3", "WORLD_SIZE": "4"}, 3),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, 1),
        ({"RANK": "4", "WORLD_SIZE": "4"}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "", "WORLD_SIZE": "4"}, None),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, None),
        ({"RANK": "one", "WORLD_SIZE": "two"}, None),
        ({"RANK": "1"}, None),
    ],
    ids=str,
)
def test_rank_in_the_environment(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], rank: int | None) -> None:
    """A rank needs a world that it fits into, and one process is no world."""
    faked(monkeypatch, {1: environ})
    assert ranks_of(find_job(table_of(fake(1)), [NO_PID + 1])) == {1: rank}


def test_a_launcher_is_no_rank_though_it_was_told_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cluster tells torchrun the number of its node as RANK, the ranks are those that torchrun tells its own children."""
    ranks = {2: {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, 3: {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}}
    faked(monkeypatch, {1: {"RANK": "0", "WORLD_SIZE": "2"}, **ranks})
    table = table_of(fake(1, 0, "python3", "/usr/bin/torchrun", "train.py", name="torchrun"), fake(2, 1), fake(3, 1))
    assert ranks_of(find_job(table, [NO_PID + 3])) == {1: None, 2: 0, 3: 1}


def test_hostile_numbers_are_no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a digit to Unicode only, or has thousands of them, is no rank and ends nothing."""
    faked(monkeypatch, {1: {"RANK": "\u00b2", "WORLD_SIZE": "4"}, 2: {"RANK": "1", "WORLD_SIZE": "9" * 9000, "LOCAL_RANK": "\u00b2"}})
    job = find_job(table_of(fake(1), fake(2, 1)), [NO_PID + 1, NO_PID + 2])
    assert set(ranks_of(job).values()) == {None}
    assert job.expected_ranks == []


def test_a_child_shows_the_rank_that_its_parent_set_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine's worker that puts RANK into its own environment is known by what its compile workers inherited."""
    faked(monkeypatch, {3: {"RANK": "1", "WORLD_SIZE": "2"}})
    helper = fake(3, 2, "python3", "/x/torch/_inductor/compile_worker/__main__.py")
    job = find_job(table_of(fake(1), fake(2, 1, "python3", "-c", "from multiprocessing.spawn import spawn_main"), helper), [NO_PID + 2])
    found = {t.pid - NO_PID: (t.rank, t.role) for t in job.targets}
    assert found[2] == (1, "rank")
    assert found[3] == (None, "helper")


def test_expected_ranks_are_what_the_launcher_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """From one rank's place among the local ones follow the ranks of this host, those that are gone too."""
    local = {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
    environs = {1: {"A": "b"}, 2: local | {"RANK": "5", "LOCAL_RANK": "1"}, 3: local | {"RANK": "7", "LOCAL_RANK": "3"}}
    faked(monkeypatch, environs)
    table = table_of(fake(1, 0, "torchrun", name="torchrun"), fake(2, 1), fake(3, 1))
    job = find_job(table, [NO_PID + 3])
    assert job.expected_ranks == [4, 5, 6, 7]
    assert sorted(t.rank for t in job.targets if t.rank is not None) == [5, 7]


@pytest.mark.parametrize(
    ("environs", "why"),
    [
        ({1: {"A": "b"}, 2: {"RANK": "1", "WORLD_SIZE": "2"}}, "nothing of local ranks"),
        ({1: {"A": "b"}, 2: {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "9", "LOCAL_WORLD_SIZE": "2"}}, "a place outside of them"),
        ({1: {"A": "b"}, 2: {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "99999999"}}, "too many of them"),
        ({1: {}, 2: {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}}, "one process that may not be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_is_expected_that_nobody_told(monkeypatch: pytest.MonkeyPatch, environs: dict[int, dict[str, str]], why: str) -> None:
    """Where the launcher told nothing sensible, or not every process can be asked, no rank can be missing."""
    faked(monkeypatch, environs)
    table = table_of(fake(1, 0, "python3", "/usr/bin/torchrun"), fake(2, 1))
    assert find_job(table, [NO_PID + 2]).expected_ranks == []


def target(pid: int, ppid: int = 0, rank: int | None = None) -> Target:
    """A worker, or a rank."""
    return Target(fake(pid, ppid), "worker" if rank is None else "rank", {}, rank)


@pytest.mark.parametrize(
    ("targets", "found", "ranks"),
    [
        ([target(1), target(2, 1), target(3, 1)], {2: 0, 3: 1}, {1: None, 2: 0, 3: 1}),
        ([target(1), target(2, 1), target(3, 1)], {2: 0, 3: 0}, {1: None, 2: None, 3: None}),
        ([target(1), target(2, 1), target(3, 1), target(4, 2)], {2: 0, 3: 1, 4: 0}, {1: None, 2: 0, 3: 1, 4: None}),
        ([target(1), target(2, 1, rank=0), target(3, 1)], {3: 0}, {1: None, 2: 0, 3: None}),
        ([target(1), target(2, 1, rank=0), target(3, 1)], {2: 5, 3: 1}, {1: None, 2: 0, 3: 1}),
        ([target(1), target(2, 1), target(3, 1)], {1: 1, 2: 0, 3: 1}, {1: None, 2: 0, 3: 1}),
    ],
    ids=[
        "each its own",
        "two claim one",
        "a forked child",
        "told by the environment already",
        "the environment knows better",
        "left over from a loop",
    ],
)
def test_ranks_in_variables(targets: list[Target], found: dict[int, int], ranks: dict[int, int | None]) -> None:
    """A rank that one process's variables name is that process's; one that several claim, or that is another's, is nobody's."""
    job = Job(tuple(targets)).with_ranks({NO_PID + pid: (rank, "variable rank") for pid, rank in found.items()})
    assert ranks_of(job) == ranks
    newly = [t for t in job.targets if t.how_known]
    assert {t.role for t in newly} <= {"rank"}


def test_zombies_and_helpers_are_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended processes and resource trackers belong to the job and are not looked into; what is no Python has no stack."""
    tracker = ("python3", "-c", "from multiprocessing.resource_tracker import main;main(9)")
    faked(monkeypatch, {})
    table = table_of(
        fake(1, 0, "torchrun", name="torchrun"),
        fake(2, 1),
        fake(3, 1, state="Z"),
        fake(4, 1, *tracker),
        fake(5, 1, "/usr/bin/nvidia-smi", name="nvidia-smi"),
    )
    job = find_job(table, [NO_PID + 1])
    assert {t.pid - NO_PID: t.role for t in job.targets} == {1: "launcher", 2: "worker", 3: "worker", 4: "helper", 5: "other"}
    assert [t.pid - NO_PID for t in job.working] == [1, 2, 5]
    assert [t.pid - NO_PID for t in job.pythons] == [2]


OPENS = "import sys, time; file = open(sys.argv[1], 'w'); print('ready', flush=True); time.sleep(60)"


def test_ray_jobs_are_told_by_the_logs_they_hold_open(tmp_path: Path, start: Processes) -> None:
    """A driver and its workers are one job wherever Ray started them; workers of another job, or of another session, are not."""
    here, elsewhere = (tmp_path / f"session_2026-01-01_00-00-0{n}_000000_{n}" / "logs" for n in (1, 2))
    for folder in (here, elsewhere):
        folder.mkdir(parents=True)
    driver = start.python(OPENS, str(here / "python-core-driver-02000000ffffffff_11.log"))
    mine = start.python(OPENS, str(here / "worker-0123456789abcdef-02000000-12.out"))
    other = start.python(OPENS, str(here / "worker-0123456789abcdef-03000000-13.out"))
    namesake = start.python(OPENS, str(elsewhere / "worker-0123456789abcdef-02000000-14.out"))
    places = [ray_place(process.pid) for process in (driver, mine, other, namesake)]
    assert [place.job for place in places] == ["02000000", "02000000", "03000000", "02000000"]
    assert places[0].session == places[1].session != places[3].session
    assert ray_place(NO_PID) == RayPlace()
    for given in (driver, mine):
        assert {t.pid for t in job_of(given.pid).targets} == {driver.pid, mine.pid}
    assert {t.pid for t in job_of(other.pid).targets} == {other.pid}
    assert {t.pid for t in job_of(namesake.pid).targets} == {namesake.pid}


def test_workers_of_another_ray_job_below_the_same_raylet_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's daemon starts the workers of all jobs: those of others are not ours, and the daemon is."""
    jobs = {2: "01000000", 3: "02000000"}
    monkeypatch.setattr(job_module, "ray_place", lambda pid: RayPlace("session_1", jobs.get(pid - NO_PID)))
    faked(monkeypatch, {})
    table = table_of(fake(1, 0, "/ray/raylet/raylet", name="raylet"), fake(2, 1, "ray::Worker.run"), fake(3, 1, "ray::Worker.run"))
    assert [t.pid - NO_PID for t in find_job(table, [NO_PID + 2]).targets] == [1, 2]
    assert [t.pid - NO_PID for t in find_job(table, [NO_PID + 1]).targets] == [1, 2, 3]


def test_candidates_by_a_word_of_the_command_line(start: Processes, port: str) -> None:
    """A job is found by a word of its command line and not by a part of one, once for all its processes, the newest first."""
    word = f"word{port}"
    older = start.python(FORKS, word)
    start.python(SLEEP, f"{word}s")
    wait_until(lambda: ProcTable.now().children.get(older.pid))
    newer = start.python(SLEEP, "--name", word.upper())
    found = find_candidates(ProcTable.now(), word)
    assert sorted(c.root.pid for c in found) == sorted([older.pid, newer.pid])
    assert [c.root.started for c in found] == sorted((c.root.started for c in found), reverse=True)
    assert [len(c.job.targets) for c in found if c.root.pid == older.pid] == [2]
    assert find_candidates(ProcTable.now(), f"no-such-{word}") == []


def test_plain_ranks_are_one_candidate(start: Processes, port: str) -> None:
    """Ranks that were started one by one are offered as one job, with their ranks."""
    for n in range(2):
        start.python(SLEEP, f"word{port}", environ=told(n, port))
    (found,) = find_candidates(ProcTable.now(), f"word{port}")
    assert found.ranks == [0, 1]


def test_candidates_without_a_name_have_loaded_what_jobs_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word those count that have mapped CUDA, NCCL or PyTorch; other Pythons and helpers do not."""
    libraries = {1: ["/x/libtorch_cpu.so"], 2: ["/x/libc.so.6"], 3: ["/x/libnccl.so.2"], 4: ["/x/libcuda.so.1"], 5: ["/x/libcuda.so.1"]}
    monkeypatch.setattr(job_module, "libraries_of", lambda pid: libraries.get(pid - NO_PID, []))
    faked(monkeypatch, {})
    helper = fake(4, 0, "python3", "-c", "from multiprocessing.resource_tracker import main")
    table = table_of(fake(1), fake(2), fake(3), helper, replace(fake(5), state="Z"))
    assert sorted(c.root.pid - NO_PID for c in find_candidates(table, None)) == [1, 3]


def test_shown_program_without_the_right_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user's process the program is told from its command line, a title that an engine set, or its name."""
    monkeypatch.setattr(job_module, "executable_of", lambda _: "")
    assert job_module.is_python(fake(1, 0, "/opt/env/bin/python3.11", "x.py", name="pt_main_thread"))
    assert job_module.is_python(fake(1, 0, "VLLM::Worker_TP1", name="VLLM::Worker_TP"))
    assert job_module.is_python(fake(1, 0, "ray::Worker.run", name="ray::Worker"))
    assert not job_module.is_python(fake(1, 0, "/usr/bin/nvidia-smi", name="nvidia-smi"))
