"""From files to a Diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hanglens.analyze
from hanglens.errors import OUR_FAULT, HangLensError, InputError, UsageError
from hanglens.incident import Incident
from hanglens.knowledge.load import RulePack, load_rules
from hanglens.pipeline import diagnose, diagnose_parsed, diagnose_parts, test_rules
from hanglens.serialize import from_json, to_json
from hanglens.verdict import Fact
from tests.builders import event, log, nccl_init, parsed, read, rule, stack

ANALYSES = hanglens.analyze.ANALYSES
NO_RULES = RulePack(())


def dump(pid: int, *frames: str) -> str:
    """A py-spy dump with these frames, innermost first."""
    body = "\n".join(f"    {text}" for text in frames)
    return f'Process {pid}: python train.py\nPython v3.11.9 (/usr/bin/python3.11)\n\nThread {pid} (idle): "MainThread"\n{body}\n'


def init(rank: int, world: int, pid: int) -> str:
    """NCCL's Init line."""
    return (
        f"n1:{pid}:{pid} [{rank}] NCCL INFO ncclCommInitRank comm 0xa{rank} rank {rank} nranks {world} cudaDev {rank} nvmlDev {rank} "
        f"busId 1b000 commId 0x8f1a - Init COMPLETE\n"
    )


BARRIER = ("barrier (torch/distributed/distributed_c10d.py:4818)", "fit (train.py:9)", "<module> (train.py:60)")
READS = ("next_batch (reader.py:44)", "fit (train.py:7)", "<module> (train.py:60)")
HANG = {
    "job.log": "".join(init(rank, 3, 10 + rank) for rank in range(3)),
    **{f"rank{rank}.pyspy.txt": dump(10 + rank, *(READS if rank == 2 else BARRIER)) for rank in range(3)},
}


def test_all_but_one_at_a_barrier() -> None:
    """The missing rank is the culprit, the others are victims that wait for it, and the cause stands on cited lines."""
    pack = load_rules()
    diagnosis = diagnose_parsed(read(HANG, *pack.rules), pack)
    assert diagnosis.root_cause
    assert (diagnosis.verdict, diagnosis.root_cause.category, diagnosis.culprit_ranks) == ("hung", "missing-rank", (2,))
    assert (diagnosis.victim_ranks, diagnosis.world_size) == ((0, 1), 3)
    assert [(process.pid, process.rank) for process in diagnosis.culprit_processes] == [(12, 2)]
    assert [(wait.who, wait.for_whom) for wait in diagnosis.waits] == [(0, 2), (1, 2)]
    assert any(entry.text.strip() == READS[0] and entry.line == 5 for entry in diagnosis.findings[0].evidence)


def test_without_rules_nothing_is_concluded() -> None:
    """The tables are there, the cause is not, and what to collect is said."""
    diagnosis = diagnose_parsed(read(HANG), NO_RULES)
    assert (diagnosis.root_cause, diagnosis.findings, diagnosis.culprit_ranks) == (None, (), ())
    assert [(row.rank, row.state, row.pid, row.how_known) for row in diagnosis.ranks] == [
        (0, "waiting", 10, "NCCL Init line"), (1, "waiting", 11, "NCCL Init line"), (2, "running", 12, "NCCL Init line"),
    ]  # fmt: skip
    assert [group.ranks for group in diagnosis.stack_groups] == [(0, 1), (2,)]
    assert diagnosis.next_evidence


def test_the_order_of_files_does_not_matter() -> None:
    """The same evidence in another order has the same cause and culprits."""
    pack = load_rules()
    turned = diagnose_parsed(read(dict(reversed(HANG.items())), *pack.rules), pack)
    assert turned.root_cause
    assert (turned.root_cause.category, turned.culprit_ranks) == ("missing-rank", (2,))


def test_a_path_that_is_not_there() -> None:
    """Wrong usage is told as such."""
    with pytest.raises(UsageError):
        diagnose(["/no/such/path"], NO_RULES)


def test_nothing_readable(tmp_path: Path) -> None:
    """A folder with nothing that can be read is an error that says why, not a diagnosis."""
    (tmp_path / "core").write_bytes(bytes(range(32)) * 100)
    with pytest.raises(InputError, match="nothing readable"):
        diagnose([str(tmp_path)], NO_RULES)


def test_several_hosts(tmp_path: Path) -> None:
    """Several paths are one incident in which equal pids are different processes."""
    for host, rank in (("a", 0), ("b", 1)):
        (tmp_path / host).mkdir()
        (tmp_path / host / "job.log").write_text(init(rank, 2, 7))
    diagnosis = diagnose([str(tmp_path / "a"), str(tmp_path / "b")], NO_RULES)
    assert [(row.rank, row.pid) for row in diagnosis.ranks] == [(0, 7), (1, 7)]


def test_files_of_one_host_given_one_by_one(tmp_path: Path) -> None:
    """`logs/*` is the same incident as `logs`: files are no hosts, and no file's name is shown as one."""
    (tmp_path / "job.log").write_text(init(0, 2, 7) + init(1, 2, 8))
    (tmp_path / "7.pyspy.txt").write_text('Process 7: python\nThread 7 (idle): "MainThread"\n    work (x.py:1)\n')
    folder = diagnose([str(tmp_path)], NO_RULES)
    files = diagnose([str(path) for path in sorted(tmp_path.iterdir())], NO_RULES)
    assert [(r.rank, r.pid, r.host) for r in files.ranks] == [(r.rank, r.pid, r.host) for r in folder.ranks]


def test_each_file_is_named_as_it_is_read() -> None:
    """Progress names the files in their order, and an input row stands for each."""
    assert [row.file for row in diagnose_parsed(read({"b.log": "x\n", "a.log": "y\n"}), NO_RULES).inputs] == ["b.log", "a.log"]


def test_a_wait_without_anybody_to_blame_has_no_culprit() -> None:
    """Ranks that all wait alike are victims, if anything; nobody is accused."""
    pack = load_rules()
    members = [nccl_init(rank, 2, 10 + rank) for rank in range(2)]
    diagnosis = diagnose_parsed(parsed(*members, *(stack("\n".join(BARRIER), pid=10 + rank) for rank in range(2)), log()), pack)
    assert (diagnosis.culprit_ranks, diagnosis.victim_ranks) == ((), (0, 1))
    assert diagnosis.root_cause is None or diagnosis.root_cause.confidence == "possible"


def test_empty_evidence_is_unknown() -> None:
    """One line that says nothing is no hang."""
    diagnosis = diagnose_parsed(parsed(event("x"), log()), load_rules())
    assert (diagnosis.verdict, diagnosis.root_cause) == ("unknown", None)
    assert diagnosis.next_evidence


@pytest.mark.parametrize(
    ("snippets", "failures"),
    [
        ({"match": ["and it broke here"], "near_miss": ["it went well"]}, []),
        ({"match": ["it went well"], "near_miss": ["it broke here"]}, ["tests.match.0 does not match", "tests.near_miss.0 matches"]),
        ({"match": [{"text": "it broke here", "confidence": "likely"}], "near_miss": []}, ["tests.match.0 is possible, not likely"]),
        ({"match": [{"a.log": "fine", "b.log": "it broke here"}], "near_miss": []}, []),
    ],
    ids="good turned confidence files".split(),
)
def test_snippets_inside_a_rule(snippets: object, failures: list[str]) -> None:
    """A snippet that must match, must not, or must match with a confidence; one that does not is told by rule and number."""
    made = rule({"pattern": "it broke here"}, tests=snippets)
    assert test_rules(RulePack((made,))) == [f"{made.id}: {failure}" for failure in failures]


def test_the_snippets_of_our_own_rules() -> None:
    """Every packaged rule does what its snippets say."""
    assert test_rules(load_rules()) == []


test_rules.__test__ = False  # type: ignore[attr-defined]  # it is the engine's own, no test of ours


def fails_on(name: str) -> object:
    """An analysis with a fault that shows on one file."""

    def analysis(about: Incident) -> Iterator[Fact]:
        if any(file.file == name and file.tail for file in about.parsed.inputs):
            raise ZeroDivisionError(name)
        yield Fact(name="all.well")

    return analysis


def test_a_file_on_which_an_analysis_fails_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gap names the file and the fault, the file stays listed, and what the other files show is concluded all the same."""
    monkeypatch.setattr("hanglens.analyze.ANALYSES", (*ANALYSES, fails_on("bad.log")))
    pack = load_rules()
    files = {**dict(list(HANG.items())[:2]), "bad.log": "x\n", **dict(list(HANG.items())[2:])}
    diagnosis = diagnose_parts([read({name: text}, *pack.rules) for name, text in files.items()], pack)
    assert [gap.what for gap in diagnosis.gaps if gap.why.startswith(OUR_FAULT)] == ["bad.log"]
    assert "ZeroDivisionError" in diagnosis.gaps[0].why
    assert (diagnosis.verdict, diagnosis.culprit_ranks) == ("hung", (2,))
    assert "bad.log" in [row.file for row in diagnosis.inputs]


def test_several_such_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is left out for itself."""
    monkeypatch.setattr("hanglens.analyze.ANALYSES", (fails_on("a.log"), fails_on("c.log")))
    parts = [read({name: "x\n"}) for name in ("a.log", "b.log", "c.log")]
    assert [gap.what for gap in diagnose_parts(parts, NO_RULES).gaps] == ["a.log", "c.log"]


def test_a_fault_that_no_file_causes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not hidden behind gaps."""

    def analysis(_about: Incident) -> Iterator[Fact]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr("hanglens.analyze.ANALYSES", (analysis,))
    with pytest.raises(ZeroDivisionError):
        diagnose_parts([read({"a.log": "x\n"})], NO_RULES)


def test_an_error_with_a_next_step_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the user as it is."""

    def analysis(_about: Incident) -> Iterator[Fact]:
        raise HangLensError("what is wrong", "the next step")
        yield

    monkeypatch.setattr("hanglens.analyze.ANALYSES", (analysis,))
    with pytest.raises(HangLensError, match="what is wrong"):
        diagnose_parts([read({"a.log": "x\n"})], NO_RULES)


HUGE = "9" * 5000
ABSURD = {
    "the version of NCCL": f"n1:7:9 [0] NCCL INFO NCCL version 2.{HUGE}+cuda12.4\n",
    "memory of nvidia-smi": (
        "| NVIDIA-SMI 580.1   Driver Version: 580.1   CUDA Version: 13.0 |\n"
        "|   0  NVIDIA H200     On  |   00000000:00:06.0 Off |   0 |\n"
        f"| N/A 40C P0 152W / 700W | {HUGE}MiB / {HUGE}MiB | {HUGE}%  Default |\n"
    ),
    "a table of nvidia-smi": f"index, name, utilization.gpu [%], memory.used [MiB]\n{HUGE}, NVIDIA H200, {HUGE} %, ² MiB\n",
    "a matrix of links": f"        GPU0    GPU1    CPU Affinity\nGPU{HUGE}   X   NV4\n",
    "NCCL RAS": (
        "Communicators... (0.00s)\n=============\n\n"
        "Group     Comms     Nodes     Ranks     Ranks     Ranks    Status  Errors\n"
        f"    0      {HUGE}      1      8      {HUGE}     8  RUNNING    OK\n"
        f"Errors\n======\n\n#0-0 (ab12) INCOMPLETE\n  Missing communicator data from 1 job process\n  The missing ranks: {HUGE}-{HUGE},²\n"
        f"  Rank {HUGE} -- GPU {HUGE} managed by process {HUGE} on node ²\n"
    ),
    "RANK and WORLD_SIZE": f"RANK=²\0WORLD_SIZE={HUGE}\0",
    "time-outs": "[rank3]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=٤, OpType=ALLREDUCE, NumelIn=٤, Timeout(ms)=٤)\n",
    "progress": f"Loading safetensors checkpoint shards: {HUGE}% Completed | {HUGE}/{HUGE}\n",
    "throughput": f"[2026-11-22 10:00:00 TP0] Decode batch, #running-req: 1, gen throughput (token/s): {HUGE}, #queue-req: {HUGE}\n" * 4,
    "years": "0001-01-01 00:00:00 - INFO - x\n9999-12-31 23:59:59 - INFO - y\n",
    "ranks": f"[rank999999]: Traceback (most recent call last):\n[{HUGE},0]<stdout>: x\n(TP{HUGE} pid={HUGE}) y\n",
}


@pytest.mark.parametrize("text", ABSURD.values(), ids=ABSURD)
def test_absurd_numbers_end_no_analysis(text: str) -> None:
    """Beside good evidence they change nothing that it shows, and what was made of them is valid JSON."""
    pack = load_rules()
    name = "rank0.proc-environ.txt" if "\0" in text else "absurd.log"
    diagnosis = diagnose_parts([read({name: text}, *pack.rules) for name, text in {**HANG, name: text}.items()], pack)
    assert not [gap for gap in diagnosis.gaps if gap.why.startswith(OUR_FAULT)]
    assert from_json(to_json(diagnosis)) == diagnosis
    if "rank" not in text:
        assert (diagnosis.verdict, diagnosis.culprit_ranks, diagnosis.world_size) == ("hung", (2,), 3)


def test_no_rank_beyond_the_world_is_blamed() -> None:
    """What lines say of a rank that the job does not have reaches neither culprits nor victims nor rows."""
    pack = load_rules()
    texts = {**HANG, "other.log": "[rank0]: x\n[rank0]: Rank 7 failed to pass monitoredBarrier in 1000 ms\n"}
    diagnosis = diagnose_parts([read({name: text}, *pack.rules) for name, text in texts.items()], pack)
    ranks = {*diagnosis.culprit_ranks, *diagnosis.victim_ranks, *(row.rank for row in diagnosis.ranks)}
    assert diagnosis.world_size == 3
    assert ranks <= {0, 1, 2}


def test_a_rule_that_runs_away_is_left_out() -> None:
    """It costs seconds in all, a gap names it, nothing is concluded from it, and the other rules still are."""
    slow = rule({"pattern": r"step \d+ (?:a|aa)+$", "literal": "step "}, "nccl-bug/slow")
    quick = rule({"pattern": "it broke here"}, "nccl-bug/quick")
    lines = "".join(f"step {n} {'a' * 80}!\n" for n in range(400)) + "step 1 aaa\nit broke here\n"
    seen = read({"a.log": lines}, slow, quick)
    diagnosis = diagnose_parsed(seen, RulePack((slow, quick)))
    assert [finding.rule for finding in diagnosis.findings] == ["nccl-bug/quick"]
    assert [gap.what for gap in diagnosis.gaps] == ["rule nccl-bug/slow"]


def test_a_rule_that_runs_away_on_stacks_is_left_out() -> None:
    """The same where the frames of threads are searched."""
    slow = rule({"source": "stack", "pattern": r"(?:a|aa)+$"}, "nccl-bug/slow")
    stacks = [stack(f"{'a' * 60}! (x.py:{n})", pid=n + 1) for n in range(40)]
    diagnosis = diagnose_parsed(parsed(*stacks, log()), RulePack((slow,)))
    assert (diagnosis.findings, [gap.what for gap in diagnosis.gaps]) == ((), ["rule nccl-bug/slow"])
