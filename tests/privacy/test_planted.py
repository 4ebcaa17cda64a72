"""Planted secrets of many kinds, where a list of them lies beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hanglens.privacy.redactor import Redactor

PLANTED = Path(__file__).resolve().parents[3] / "shared" / "hostile" / "secrets.jsonl"


@pytest.mark.skipif(not PLANTED.is_file(), reason="no list of planted secrets beside the checkout")
def test_no_planted_secret_is_left() -> None:
    """With names on nothing is left of any; without them only what is a name or a prompt."""
    rows = [json.loads(line) for line in PLANTED.read_text().splitlines()]
    for names, most in ((True, 0), (False, 4)):
        left = [row["kind"] for row in rows if any(needle in Redactor(names=names).text(row["line"]) for needle in row["needles"])]
        assert len(left) <= most, left
