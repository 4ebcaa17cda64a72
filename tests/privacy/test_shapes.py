"""A token goes by its looks alone, in prose and behind an escape, and what only begins like one stays."""

from __future__ import annotations

import json

import pytest

from hanglens.privacy.redactor import Redactor
from hanglens.privacy.shapes import SHAPES, Shape


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shape_is_hidden(shape: Shape) -> None:
    """Nothing is left of what makes a token secret, wherever it stands."""
    for text in (f"login with {shape.example} failed", f"({shape.example})", json.dumps(f"a\n{shape.example}\nb")):
        redactor = Redactor()
        assert shape.example[-6:] not in redactor.text(text)
        assert redactor.counts == {"secret": 1}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_looks_alike_stays(shape: Shape) -> None:
    """A word that begins like a token is left as it is."""
    text = f"about {shape.near_miss} here"
    assert Redactor().text(text) == text


@pytest.mark.parametrize("row", sorted({shape.literal for shape in SHAPES}))
def test_repeated_beginning_is_no_secret_and_no_burden(row: str) -> None:
    """A beginning said again and again does not make the search go back and forth."""
    text = f"{row} " * 2000
    assert Redactor().text(text).count("\n") == 0
