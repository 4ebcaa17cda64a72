"""Whole diagnoses of recorded hangs: ours as expected, and not one firm wrong answer.

A case is a folder with `evidence/` and one file that says what is known of it: `expected.json`, the one right answer, or `truth.yaml`,
the answers that may be given. The maintainers keep more cases than may be published in ../shared; they pass the same checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path

import msgspec
import pytest
import yaml

from hanglens.knowledge.load import RulePack, load_rules
from hanglens.pipeline import diagnose
from hanglens.verdict import Confidence, Diagnosis, Evidence, Verdict
from tests.conftest import PRIVATE, ROOT

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
    """truth.yaml of a case, as far as these tests ask: the categories to accept, and what the evidence decides."""

    accept: list[str]
    decidable: str
    verdicts: list[str]
    must_not: list[str] = []
    culprit_ranks: list[int] | None = None


@cache
def rules() -> RulePack:
    """The packaged rules, read once."""
    return load_rules()


@cache
def diagnosed(*given: Path) -> Diagnosis:
    """The diagnosis of what is given to `hanglens analyze`; the checks of one case share it."""
    return diagnose([str(path) for path in given], rules())


def evidence_of(diagnosis: Diagnosis) -> list[Evidence]:
    """All that the findings cite."""
    return list(chain.from_iterable(finding.evidence for finding in diagnosis.findings))


def cases(*marks: str) -> list[Path]:
    """The folders that hold a file of one of these names, here and beside the checkout."""
    places = (ROOT / "fixtures", *(PRIVATE / name for name in ("cases", "cases-live")))
    return sorted({path.parent for place in places for mark in marks for path in place.glob(f"*/{mark}")})


def each(folders: Iterable[Path]) -> pytest.MarkDecorator:
    """One test a case; where tests run in parallel, all of one case run in one process, which diagnoses it once."""
    return pytest.mark.parametrize("case", [pytest.param(f, id=f.name, marks=pytest.mark.xdist_group(f.name)) for f in folders])


def hosts_of(case: Path) -> list[Path]:
    """The bundles of a case of several hosts."""
    return sorted(path.parent for path in case.glob("evidence/*/manifest.json"))


def check(diagnosis: Diagnosis, case: Path) -> None:
    """Verdict, cause, confidence, culprits and world size are as recorded, and the telling lines are cited."""
    expected = msgspec.json.decode((case / "expected.json").read_bytes(), type=Expected)
    root = diagnosis.root_cause
    assert (diagnosis.verdict, root and root.id, root and root.category, root and root.confidence) == (
        expected.verdict, expected.root_cause, expected.category, expected.confidence,
    )  # fmt: skip
    assert (list(diagnosis.culprit_ranks), diagnosis.world_size) == (expected.culprit_ranks, expected.world_size)
    text = "\n".join(entry.text for entry in evidence_of(diagnosis))
    assert [piece for piece in expected.cited if piece not in text] == []


@each(case for case in cases("expected.json") if not hosts_of(case))
def test_recorded_hangs(case: Path) -> None:
    """A recorded hang is explained as it came about."""
    check(diagnosed(case / "evidence"), case)


@each(case for case in cases("expected.json") if hosts_of(case))
def test_bundles_of_several_hosts(case: Path) -> None:
    """Bundles given one by one are the hosts of one job, though a pid of one host is a pid of the other, too."""
    check(diagnosed(*hosts_of(case)), case)
    members = {(row.host, row.pid) for row in diagnosed(*hosts_of(case)).ranks}
    assert members == {(host, pid) for host in ("node-a", "node-b") for pid in (8, 9, 10)}


@each(case for case in cases("expected.json") if hosts_of(case))
def test_one_folder_of_several_bundles(case: Path) -> None:
    """A folder that holds the bundles is the same as the bundles, however deep they lie in it."""
    for folder in (case / "evidence", case):
        rows, given = diagnosed(folder).ranks, diagnosed(*hosts_of(case)).ranks
        assert [(row.rank, row.host, row.pid, row.state) for row in rows] == [(row.rank, row.host, row.pid, row.state) for row in given]
        check(diagnosed(folder), case)


@each(cases("truth.yaml"))
def test_no_firm_wrong_answer(case: Path) -> None:
    """A firm cause is one that the truth accepts and the evidence decides; healthy and slow are said of such jobs only."""
    truth = msgspec.convert(yaml.safe_load((case / "truth.yaml").read_text(encoding="utf-8")), Truth)
    diagnosis = diagnosed(case / "evidence")
    category = diagnosis.root_cause.category if diagnosis.root_cause else BY_VERDICT.get(diagnosis.verdict, "unknown")
    if diagnosis.root_cause:
        assert category not in truth.must_not
    if diagnosis.root_cause and diagnosis.root_cause.confidence != "possible":
        assert category in truth.accept
        assert truth.decidable == "yes" or (truth.decidable == "partly" and truth.accept[0] == category)
        assert truth.culprit_ranks is None or set(diagnosis.culprit_ranks) <= set(truth.culprit_ranks)
    if diagnosis.verdict in BY_VERDICT:
        assert "not-hung" in truth.verdicts


@each(cases("expected.json", "truth.yaml"))
def test_cited_lines_stand_where_they_are_cited(case: Path) -> None:
    """Each cited line is that line of that file, whole or cut."""
    files: dict[str, list[str]] = {}
    for entry in evidence_of(diagnosed(case / "evidence")):
        if entry.line is None:
            continue
        if entry.file not in files:
            files[entry.file] = (case / "evidence" / entry.file).read_bytes().decode(errors="replace").split("\n")
        assert 0 < entry.line <= len(files[entry.file])
        assert entry.text.strip().strip("…").strip()[:60] in files[entry.file][entry.line - 1]


@each(cases("expected.json", "truth.yaml"))
def test_something_to_collect_unless_confirmed(case: Path) -> None:
    """Whatever is not confirmed names what would settle it."""
    diagnosis = diagnosed(case / "evidence")
    confirmed = diagnosis.root_cause is not None and diagnosis.root_cause.confidence == "confirmed"
    assert confirmed or diagnosis.next_evidence
