"""What is hidden does not change what is found: the verdict with redaction is the one without."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanglens.knowledge.load import RulePack, load_rules
from hanglens.pipeline import diagnose_parts
from hanglens.privacy.redactor import Redactor
from hanglens.reading import read_paths
from hanglens.serialize import redacted

FIXTURES = sorted((Path(__file__).resolve().parents[2] / "fixtures").glob("*/evidence"))


@pytest.fixture(scope="module")
def pack() -> RulePack:
    """The rules."""
    return load_rules(())


@pytest.mark.parametrize("evidence", FIXTURES, ids=lambda path: path.parent.name)
def test_verdict_is_kept(evidence: Path, pack: RulePack) -> None:
    """Verdict, cause, confidence, culprits, victims and world size are the same, and no address is left."""
    plain = diagnose_parts(read_paths([str(evidence)], lambda: pack), pack)
    redactor = Redactor(names=True)
    hidden = redacted(diagnose_parts(read_paths([str(evidence)], lambda: pack, redactor=redactor), pack), redactor)
    assert hidden.verdict == plain.verdict
    assert (hidden.culprit_ranks, hidden.victim_ranks, hidden.world_size) == (plain.culprit_ranks, plain.victim_ranks, plain.world_size)
    assert [(one.pid, one.rank) for one in hidden.culprit_processes] == [(one.pid, one.rank) for one in plain.culprit_processes]
    assert (hidden.root_cause is None) == (plain.root_cause is None)
    if hidden.root_cause and plain.root_cause:
        assert (hidden.root_cause.id, hidden.root_cause.confidence) == (plain.root_cause.id, plain.root_cause.confidence)
