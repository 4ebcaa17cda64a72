"""Each input that once broke something breaks nothing any more."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fuzz.found import FOUND, REASON, kept
from tests.fuzz.trial import Bench

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="what runs away is ended by a signal that this system has not")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Where they are tried; the rules are read once."""
    return Bench(tmp_path_factory.mktemp("found") / "mutant")


@pytest.mark.parametrize("home", sorted(path.parent for path in FOUND.glob(f"*/{REASON}")), ids=lambda home: home.name)
def test_found_inputs_are_stood(bench: Bench, home: Path) -> None:
    """No exception, nothing invented, nothing that a terminal obeys, and soon enough: whatever reason.json says happened before."""
    assert [str(fault) for fault in bench.faults(kept(home))] == []
