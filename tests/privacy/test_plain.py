"""What a reader sees of a text, and where it stands in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.privacy.plain import Plain

PIECES = (
    "\x1b[1;31m", "\\x1b[0m", "\\u001b[0m", "\\033[0m", "\\\n   ", "\\\r\n", "%3D", "%3a", "%253D",
    "：", "＝", "ab", "x", " ", "%", "\\", "\x1b", "İ",
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("a\x1b[1;31mb\x1b[0m", "ab"),
        ("a\\\n  b", "ab"),
        ("k%3Dv%3a%253D", "k=v:="),
        ("k：v＝", "k:v="),
        ("100% \\n \x1b", "100% \\n \x1b"),
    ],
)
def test_view(raw: str, seen: str) -> None:
    """Colours, lines that go on and other ways to write `=` and `:` are read as a person does."""
    assert Plain(raw).text == seen


def test_origin_of_a_part() -> None:
    """What is found in the view is put back around the whole of it, without the colours beside it."""
    raw = "\x1b[1mpw\x1b[0m=\x1b[1mab%3D\x1b[0mc\x1b[0m."
    start, end = Plain(raw).origin((3, 6))
    assert raw[start:end] == "ab%3D"
    start, end = Plain(raw).origin((3, 7))
    assert raw[start:end] == "ab%3D\x1b[0mc"


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.data())
def test_origin_of_any_part(raw: str, data: st.DataObject) -> None:
    """The place of any part of the view shows that part, when it is looked at in the same way."""
    view = Plain(raw)
    assert len(view.low) == len(view.text)
    if view.text:
        start = data.draw(st.integers(0, len(view.text) - 1))
        end = data.draw(st.integers(start + 1, len(view.text)))
        first, last = view.origin((start, end))
        assert 0 <= first < last <= len(raw)
        assert Plain(raw[:first]).text == view.text[:start] or raw[first - 1 : first] in ("\\", "%", "\x1b")
