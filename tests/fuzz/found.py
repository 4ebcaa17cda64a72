"""The inputs that broke something, kept as folders: `evidence/`, maybe `rules/`, and one line that says what happened, in reason.json."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.fuzz.evidence import ROOT, read
from tests.fuzz.invariants import Fault
from tests.fuzz.mutants import Mutant

FOUND = Path(__file__).with_name("found")  # what may be published; each of them is a test
PRIVATE = ROOT / "build" / "fuzz"  # what is made of other people's evidence
REASON = "reason.json"


class Reason(msgspec.Struct, omit_defaults=True):
    """What broke, and how the evidence was given."""

    fault: str
    given: list[str] = []
    redact: bool = False


def keep(mutant: Mutant, fault: Fault, folder: Path) -> Path:
    """Write a mutant below a folder; where it lies now."""
    slug = re.sub(r"[^a-z0-9]+", "-", " ".join(fault.kind).lower().replace(".py", "")).strip("-")[:80]
    home = folder / slug
    mutant.write(home)
    if not mutant.rules:
        (home / "rules").rmdir()
    reason = Reason(fault=str(fault)[:300], given=list(mutant.given), redact=mutant.redact)
    (home / REASON).write_bytes(msgspec.json.encode(reason) + b"\n")
    return home


def kept(home: Path) -> Mutant:
    """A mutant that `keep` wrote."""
    reason = msgspec.json.decode((home / REASON).read_bytes(), type=Reason)
    rules = home / "rules"
    return Mutant(
        read(home / "evidence", whole=True), tuple(reason.given), read(rules, whole=True) if rules.is_dir() else {}, reason.redact
    )
