"""The fuzzer catches what it is there to catch, and can make what it found again."""

from __future__ import annotations

import gzip
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from msgspec import structs

from hanglens import pipeline
from hanglens.errors import InputError
from hanglens.verdict import Diagnosis, Evidence, Finding, GapRow, InputRow, LastEvent, RankRow, Text, TimelineSpan
from tests.fuzz import invariants, trial
from tests.fuzz.evidence import LARGEST, Case, fixtures, rule_files, trimmed
from tests.fuzz.found import keep, kept
from tests.fuzz.fuzz import main
from tests.fuzz.guard import bounded
from tests.fuzz.invariants import OUR_FAULT, Fault
from tests.fuzz.mutants import FORMATS, Mutant, make
from tests.fuzz.packs import tar
from tests.fuzz.smaller import smaller
from tests.fuzz.trial import Bench

NOTHING = Text(en="", zh="")
LINE = "n1:7:7 [0] NCCL INFO Bootstrap : Using eth0"
SOUND = Diagnosis(verdict="unknown", summary=NOTHING, tool_version="0")

needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="what runs away is ended by a signal that this system has not")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Where mutants are tried; the rules are read once."""
    return Bench(tmp_path_factory.mktemp("fuzz") / "mutant")


def finding(evidence: Evidence) -> Finding:
    """A finding that cites this."""
    return Finding(rule="a/b", category="a", role="cause", confidence="likely", title=NOTHING, explanation=NOTHING, evidence=(evidence,))


def row(**more: object) -> RankRow:
    """What is known of rank 0, or of another one."""
    return RankRow(**{"rank": 0, "state": "gone", "collected": True} | more)


def span(start: str, end: str) -> TimelineSpan:
    """A silence of nobody."""
    return TimelineSpan(rank=None, start=start, end=end, kind="silence", label="")


PLANTED: dict[str, tuple[tuple[str, str], Diagnosis]] = {
    "own fault": (("gap", "KeyError:"), structs.replace(SOUND, gaps=(GapRow(what="a.log", why=f"{OUR_FAULT}: KeyError: 'x'"),))),
    "another line": (("cited line", "a/b"), structs.replace(SOUND, findings=(finding(Evidence(file="a.log", line=1, text="NCCL WARN")),))),
    "no such line": (("cited line", "a/b"), structs.replace(SOUND, findings=(finding(Evidence(file="a.log", line=9, text=LINE)),))),
    "no such file": (("cited file", "a/b"), structs.replace(SOUND, findings=(finding(Evidence(file="b.log", line=1, text=LINE)),))),
    "last event": (
        ("cited line", "last event"),
        structs.replace(SOUND, ranks=(row(last_event=LastEvent(text="x y", file="a.log", line=1)),)),
    ),
    "culprit": (("beyond the world", "culprit_ranks"), structs.replace(SOUND, world_size=2, culprit_ranks=(2,))),
    "victim": (("beyond the world", "victim_ranks"), structs.replace(SOUND, world_size=2, victim_ranks=(0, 7))),
    "row": (("beyond the world", "ranks"), structs.replace(SOUND, world_size=1, ranks=(row(rank=1),))),
    "negative rank": (("negative", "rank"), structs.replace(SOUND, inputs=(InputRow(file="a.log", kind="log", bytes=1, rank=-1),))),
    "negative in a list": (("negative", "culprit_ranks"), structs.replace(SOUND, culprit_ranks=(-3,))),
    "no time": (("time", "timeline silence"), structs.replace(SOUND, timeline=(span("2024-02-30T00:00:00", "2024-03-01T00:00:00"),))),
    "another age": (
        ("time", "evidence"),
        structs.replace(SOUND, findings=(finding(Evidence(file="a.log", text="", time="0001-01-01T00:00:00")),)),
    ),
    "backwards": (("backwards", "timeline silence"), structs.replace(SOUND, timeline=(span("10:00:01", "10:00:00.5"),))),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violations_are_caught(bench: Bench, name: str) -> None:
    """A diagnosis in which one thing is wrong is reported as just that."""
    kind, wrong = PLANTED[name]
    with patch.object(trial, "diagnose", lambda *_: wrong):
        assert [fault.kind for fault in bench.faults(Mutant({"a.log": LINE.encode()}))] == [kind]


def test_what_is_right_is_no_fault(bench: Bench) -> None:
    """A line cited as it stands, also one that was cut, in an archive or in UTF-16, and a diagnosis without anything else."""
    whole = structs.replace(
        SOUND, world_size=2, culprit_ranks=(1,), findings=(finding(Evidence(file="a.log", line=2, text=f"…{LINE[9:]}")),)
    )
    for text in (f"\n{LINE}\n".encode(), f"\ufeff\n{LINE}".encode("utf-16-le"), f"\n\x1b[31m{LINE[:20]}\x1b[0m\0{LINE[20:]}".encode()):
        with patch.object(trial, "diagnose", lambda *_: whole):
            assert bench.faults(Mutant({"a.log": text})) == []


@pytest.mark.parametrize("form", FORMATS[:4])
@pytest.mark.parametrize("sign", ["\t", "\r", "\x1b", "\x9b", "\u202e", "\u2069"])
def test_what_a_terminal_obeys_is_caught(bench: Bench, form: str, sign: str) -> None:
    """One control or bidi character in an output is reported, with the format."""
    with patch.object(trial, "diagnose", lambda *_: SOUND), patch.dict(trial.RENDERERS, {form: lambda _: f'"{sign}"'}):
        assert ("obeyed", form) in [fault.kind for fault in bench.faults(Mutant({"a.log": b"x"}))]


def test_another_diagnosis_in_the_json_is_caught(bench: Bench) -> None:
    """What JSON loses is reported."""
    less = trial.RENDERERS["json"](SOUND)
    more = structs.replace(SOUND, world_size=2)
    with patch.object(trial, "diagnose", lambda *_: more), patch.dict(trial.RENDERERS, {"json": lambda _: less}):
        assert [fault.kind for fault in bench.faults(Mutant({"a.log": b"x"}))] == [("round trip", "json")]


def _raises(error: BaseException) -> Callable[..., Diagnosis]:
    def diagnose(*_: object) -> Diagnosis:
        raise error

    return diagnose


def test_errors_are_caught_but_for_the_documented_one(bench: Bench) -> None:
    """Only evidence without anything to read may end in an error."""
    with patch.object(trial, "diagnose", _raises(ValueError("x"))):
        assert [fault.kind[0] for fault in bench.faults(Mutant({"a.log": b"x"}))] == ["ValueError"]
    with patch.object(trial, "diagnose", _raises(InputError("this is no diagnosis"))):
        assert [fault.kind[0] for fault in bench.faults(Mutant({"a.log": b"x"}))] == ["InputError"]
    assert bench.faults(Mutant({"a.bin": bytes(range(1, 9)) * 99})) == []


def test_the_frame_that_failed_is_told(bench: Bench) -> None:
    """A fault is named by the innermost function of HangLens, so that it is reported once."""
    with patch.object(pipeline, "summary", _raises(KeyError("x"))):
        kinds = [fault.kind for fault in bench.faults(Mutant({"a.log": LINE.encode()}))]
    assert kinds[0] == ("KeyError", "pipeline.py:diagnose_parsed")


@needs_timer
def test_run_aways_are_ended() -> None:
    """Work that takes too much of the processor is ended where it is, though it catches every Exception."""
    faults: list[Fault] = []
    with bounded(faults, seconds=0.1):
        while True:
            with suppress(Exception):
                sum(range(1000))
    assert [fault.kind[0] for fault in faults] == ["RunAway"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of the memory is read from Linux's /proc")
def test_memory_is_measured() -> None:
    """Work that fills the memory is reported, though it gives it back."""
    faults: list[Fault] = []
    with bounded(faults):
        del [bytearray(b"x") * (600 << 20)][0]
    assert [fault.kind[0] for fault in faults] == ["memory"]


def test_rule_files_are_accounted_for(bench: Bench) -> None:
    """A rule file that neither loads nor is complained of is reported, and so is a good one that is refused."""
    good = rule_files()["nccl-shm/dev-shm-too-small.yaml"]
    mutant = Mutant({"a.log": LINE.encode()}, rules={"nccl-shm/kept-a.yaml": good, "nccl-shm/b.yaml": b"title: ["})
    assert bench.faults(mutant) == []
    with patch.object(trial, "load_rules", lambda *_, **__: bench.pack):
        kinds = {fault.kind for fault in bench.faults(mutant)}
    assert kinds == {("rule file", "neither loaded nor told")}


def test_a_mutant_is_made_again_from_its_number() -> None:
    """Seed and number say all of a mutant; another number is another mutant."""
    cases, rules = fixtures()[:4], rule_files()
    made = [[make(seed, number, cases, rules) for number in range(30)] for seed in (1, 1, 2)]
    assert made[0] == made[1]
    assert made[0] != made[2]
    assert len({str(sorted(mutant.files.items())) for mutant in made[0]}) > 20


def test_a_failing_mutant_becomes_small() -> None:
    """Files, lines, bytes and options that the fault does not need are left out."""
    files = {"odd\x1b.log": b"a\n" * 300 + b"one BAD thing\n" + b"b\n" * 300, "other.log": b"c\n"}
    small = smaller(Mutant(files, given=("other.log",), redact=True), lambda mutant: any(b"BAD" in data for data in mutant.files.values()))
    assert small == Mutant({"file0.log": b"BAD"})


def test_a_failing_mutant_is_unpacked(bench: Bench) -> None:
    """An archive that is not what fails is not part of what is kept."""
    packed = Mutant({"evidence.tar.gz": gzip.compress(tar(Random(4), {"a.log": b"one BAD thing\n"}))})
    small = smaller(packed, lambda mutant: any(b"BAD" in data for data in mutant.files.values()), bench.unpacked)
    assert small == Mutant({"evidence.tar.gz/a.log": b"BAD"})


def test_a_failing_mutant_is_kept(tmp_path: Path) -> None:
    """What is kept is read as the same mutant."""
    mutant = Mutant({"n0/a.log": b"\xff\n", "n1/b.log": b"\0"}, ("n0", "n1"), {"oom/x.yaml": b"title: 1"}, redact=True)
    home = keep(mutant, Fault(("ValueError", "parse/smi.py:feed"), "invalid"), tmp_path)
    assert home.name == "valueerror-parse-smi-feed"
    assert kept(home) == mutant


def test_large_files_are_cut_down_to_what_tells() -> None:
    """The beginning, the end, and the telling lines between of a large log."""
    log = b"begin\n" + b"noise\n" * 40_000 + b"NCCL WARN error\n" + b"noise\n" * 40_000 + b"end\n"
    cut = trimmed(log)
    assert len(cut) <= LARGEST
    assert cut.startswith(b"begin\n")
    assert b"NCCL WARN error\n" in cut
    assert cut.endswith(b"end\n")


@needs_timer
def test_a_fault_is_told_and_kept_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The loop prints the fault once, keeps the smallest input, counts, and fails; without a fault it ends with 0."""
    one_case = patch("tests.fuzz.fuzz.fixtures", lambda: [Case("one", {"a.log": f"{LINE}\n".encode() * 5})])
    with one_case, patch.object(trial, "diagnose", _raises(ValueError("planted"))):
        assert main(["--seed", "7", "--rounds", "3", "--keep", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("planted") == 2  # in its sentence, and in its stack
    assert "fuzz: 3 mutants in " in printed
    assert printed.endswith("1 faults (seed 7)\n")
    assert [home.name for home in tmp_path.iterdir()] == ["valueerror-no-frame-of-ours"]
    with one_case, patch.object(trial, "diagnose", lambda *_: SOUND):
        assert main(["--seed", "7", "--rounds", "2", "--keep", str(tmp_path / "none")]) == 0
    assert not (tmp_path / "none").exists()


def test_invariants_are_all_used() -> None:
    """None is written and forgotten."""
    made = {
        value for value in vars(invariants).values() if callable(value) and getattr(value, "__annotations__", {}).get("return") == "Faults"
    }
    private = {one for one in made if one.__name__.startswith("_")}
    assert made - private - set(invariants.OF_A_DIAGNOSIS) == {invariants.cited, invariants.same_again, invariants.harmless}
