"""Whole diagnoses of recorded hangs: ours as expected, and the labelled cases without one firm wrong answer."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from pathlib import Path

import msgspec
import pytest
import yaml

from hanglens.knowledge.load import RulePack, load_rules
from hanglens.pipeline import diagnose
from hanglens.verdict import Confidence, Diagnosis, Evidence, Verdict

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases"
BY_VERDICT = {"healthy": "healthy", "slow": "slow-not-hung"}


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """expected.json of a fixture; `cited` are pieces of text that the evidence of the findings must hold."""

    verdict: Verdict
    root_cause: str | None
    category: str | None
    confidence: Confidence | None
    culprit_ranks: list[int]
    world_size: int | None
    cited: list[str]


class Truth(msgspec.Struct):
    """truth.yaml of a labelled case, as far as these tests ask: the categories to accept, and what the evidence decides."""

    accept: list[str]
    decidable: str
    verdicts: list[str]
    must_not: list[str] = []


@lru_cache(maxsize=1)
def rules() -> RulePack:
    """The packaged rules, read once."""
    return load_rules()


@lru_cache(maxsize=1)
def diagnosed(case: Path) -> Diagnosis:
    """The diagnosis of a case's evidence; cases come one after the other."""
    return diagnose([str(case / "evidence")], rules())


def evidence_of(diagnosis: Diagnosis) -> list[Evidence]:
    """All that the findings cite."""
    return list(chain.from_iterable(finding.evidence for finding in diagnosis.findings))


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("fixtures/*/expected.json")))
def test_recorded_hangs(name: str) -> None:
    """Verdict, cause, confidence, culprits and world size are as recorded, and the telling lines are cited."""
    folder = ROOT / "fixtures" / name
    expected = msgspec.json.decode((folder / "expected.json").read_bytes(), type=Expected)
    diagnosis = diagnosed(folder)
    root = diagnosis.root_cause
    assert (diagnosis.verdict, root and root.id, root and root.category, root and root.confidence) == (
        expected.verdict, expected.root_cause, expected.category, expected.confidence,
    )  # fmt: skip
    assert (list(diagnosis.culprit_ranks), diagnosis.world_size) == (expected.culprit_ranks, expected.world_size)
    text = "\n".join(entry.text for entry in evidence_of(diagnosis))
    assert [piece for piece in expected.cited if piece not in text] == []


labelled = pytest.mark.parametrize("case", sorted(path.parent for path in CASES.glob("*/truth.yaml")), ids=lambda path: path.name)


@labelled
def test_no_firm_wrong_answer(case: Path) -> None:
    """A firm cause is one that the truth accepts and the evidence decides; healthy and slow are said of such jobs only."""
    truth = msgspec.convert(yaml.safe_load((case / "truth.yaml").read_text(encoding="utf-8")), Truth)
    diagnosis = diagnosed(case)
    category = diagnosis.root_cause.category if diagnosis.root_cause else BY_VERDICT.get(diagnosis.verdict, "unknown")
    if diagnosis.root_cause:
        assert category not in truth.must_not
    if diagnosis.root_cause and diagnosis.root_cause.confidence != "possible":
        assert category in truth.accept
        assert truth.decidable == "yes" or (truth.decidable == "partly" and truth.accept[0] == category)
    if diagnosis.verdict in BY_VERDICT:
        assert "not-hung" in truth.verdicts


@labelled
def test_cited_lines_stand_where_they_are_cited(case: Path) -> None:
    """Each cited line is that line of that file, whole or cut."""
    files: dict[str, list[str]] = {}
    for entry in evidence_of(diagnosed(case)):
        if entry.line is None:
            continue
        if entry.file not in files:
            files[entry.file] = (case / "evidence" / entry.file).read_bytes().decode(errors="replace").split("\n")
        assert 0 < entry.line <= len(files[entry.file])
        assert entry.text.strip().strip("…").strip()[:60] in files[entry.file][entry.line - 1]


@labelled
def test_something_to_collect_unless_confirmed(case: Path) -> None:
    """Whatever is not confirmed names what would settle it."""
    diagnosis = diagnosed(case)
    confirmed = diagnosis.root_cause is not None and diagnosis.root_cause.confidence == "confirmed"
    assert confirmed or diagnosis.next_evidence
