"""What became of each rank's process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hanglens.analyze.processes import process_facts
from hanglens.model import DumpFailure, Frame, Process, SourceRef, Speaker, Traceback
from hanglens.verdict import Fact
from tests.builders import event, facts, incident, member, parsed, process


def told(*values: object, of: Process | None = None) -> dict[str, list[Fact]]:
    """The facts about rank 1, process 101."""
    return facts(incident(member(1, process=of), evidence=parsed(*values)), process_facts)


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (process(101, state="T"), "rank.stopped"),
        (process(101, state="T", tracer=0), "rank.stopped"),
        (process(101, state="T", tracer=77), "rank.traced"),
        (process(101, state="t", tracer=77), "rank.traced"),
        (process(101, state="D"), "rank.uninterruptible"),
        (process(101, state="Z"), "rank.gone"),
        (process(101, state="X"), "rank.gone"),
        (process(101, state="S"), None),
        (process(101, state="R"), None),
        (None, None),
    ],
    ids=lambda value: getattr(value, "state", value),
)
def test_states(of: Process | None, name: str | None) -> None:
    """Stopped, traced, in the kernel or dead, by the state letter and the tracer; what sleeps or runs is unsuspicious."""
    found = told(of=of)
    assert list(found) == ([name] if name else [])
    assert all(fact.ranks == (1,) and fact.evidence for same in found.values() for fact in same)


def test_a_dump_that_failed_is_cited_with_the_state() -> None:
    """The words of the dumper that could not attach stand beside the state that explains them."""
    failure = DumpFailure("Failed to suspend process; retry", SourceRef("rank1.txt", 1), 101)
    about = incident(replace(member(1, process=process(101, state="T")), failures=(failure,)))
    (fact,) = facts(about, process_facts)["rank.stopped"]
    assert [entry.text for entry in fact.evidence] == ["State:\tT", "Failed to suspend process"]


@pytest.mark.parametrize(
    ("code", "name"),
    [(-9, "rank.gone"), (-11, "rank.gone"), (-15, None), (-6, None), (0, None), (1, "rank.failed")],
)
def test_exit_codes_of_the_launcher(code: int, name: str | None) -> None:
    """Killed or crashed is gone, 1 is failed; -15 the launcher did itself, -6 a watchdog did, 0 is an ordinary end."""
    found = told(event("torch.exit", code=code, local_rank=1, pid_=101))
    assert {key: [fact.ranks for fact in same] for key, same in found.items()} == ({name: [(1,)]} if name else {})


def test_an_exit_of_an_unknown_process_names_no_rank() -> None:
    """A local rank is no global rank: without the pid nobody is named."""
    assert [fact.ranks for fact in told(event("torch.exit", code=-9, local_rank=1, pid_=999))["rank.gone"]] == [()]


def traceback(error: str, rank: int | None = 1, line: int = 9) -> Traceback:
    """A traceback of a rank that ends in `error`."""
    ref = SourceRef("job.log", line)
    return Traceback((Frame("f", "train.py", 3, "File train.py"),), error, ref, ref, error, Speaker(rank=rank))


@pytest.mark.parametrize(
    ("error", "own"),
    [
        ("ValueError: bad shape", True),
        ("torch.OutOfMemoryError: CUDA out of memory", True),
        ("", False),
        ("KeyboardInterrupt", False),
        ("torch.distributed.DistBackendError: NCCL error: remote process exited or there was a network error", False),
        ("RuntimeError: [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7)", False),
        ("RuntimeError: Connection closed by peer [127.0.0.1]:3", False),
        ("torch.distributed.DistStoreError: Timed out after 61 seconds waiting for clients. 1/2 clients joined.", False),
        ("ray.exceptions.ActorDiedError: The actor died unexpectedly", False),
        ("BrokenPipeError: [Errno 32] Broken pipe", False),
        ("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: train.py FAILED", False),
        ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue", False),
        ("SystemExit: 1", False),
    ],
)
def test_errors_of_ones_own(error: str, own: bool) -> None:
    """A victim's cry (time-outs, lost connections, dead peers, interrupts) is no failure of the rank that utters it."""
    assert bool(told(traceback(error)).get("rank.failed")) is own


def test_the_first_error_of_each_rank() -> None:
    """What a rank raises later follows from what it raised first."""
    found = told(traceback("ValueError: a"), traceback("KeyError: b", line=20), traceback("ValueError: c", None, 30))["rank.failed"]
    assert [(fact.ranks, fact.values["error"]) for fact in found] == [((1,), "ValueError: a"), ((), "ValueError: c")]
    assert [entry.line for entry in found[0].evidence] == [9, 9]


@pytest.mark.parametrize(("error", "failed"), [("RuntimeError: Connection reset by peer", False), ("ValueError: bad shape", True)])
def test_exit_code_1_after_a_victims_cry(error: str, failed: bool) -> None:
    """A rank that ended with 1 because it lost a peer has not failed by itself."""
    assert ("rank.failed" in told(traceback(error), event("torch.exit", code=1, local_rank=1, pid_=101))) is failed
