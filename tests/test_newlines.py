"""How many lines end before a place."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import newlines
from hanglens.newlines import NewlineCounter


@given(st.lists(st.sampled_from([b"\n", b"a", b"\n\n", b"line\n", b"\0\r"]), max_size=40), st.integers(1, 9))
def test_numpy_counts_the_same(pieces: list[bytes], part: int) -> None:
    """Before each part, and in all, as many line feeds are counted with numpy as without."""
    block = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(newlines, "PART", part)
        without = NewlineCounter().count(block)
        patched.setattr(newlines, "WORTH_NUMPY", 0)
        assert NewlineCounter().count(block) == without
    assert without == tuple(block.count(b"\n", 0, at) for at in [*range(0, len(block), part), len(block)])


def test_numpy_is_for_large_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not loaded before so much has been counted that it pays."""
    monkeypatch.setattr(newlines, "WORTH_NUMPY", 5)
    monkeypatch.setattr(newlines, "_by_numpy", lambda _block: iter([7]))
    counter = NewlineCounter()
    assert [counter.count(b"a\nb") for _ in range(3)] == [(0, 1), (0, 7), (0, 7)]


def test_without_numpy_python_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numpy is not installed, large logs are counted all the same."""
    monkeypatch.setattr(newlines, "WORTH_NUMPY", 5)
    monkeypatch.setitem(sys.modules, "numpy", None)
    counter = NewlineCounter()
    assert [counter.count(b"a\nb\n") for _ in range(3)] == [(0, 2)] * 3
