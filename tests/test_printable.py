"""Text of strangers, made fit to be shown."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from hanglens.printable import printable

ANY = st.text(st.characters(exclude_categories=[]))


@given(ANY)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """Neither a control of C0 or C1, nor a mark of direction, nor a separator of lines, nor half of a character; and it is one line."""
    shown = printable(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_people_write_stays(text: str) -> None:
    """Letters, numbers and signs of any script are left as they are."""
    assert printable(text) == text


def test_what_is_escaped_can_be_read() -> None:
    """As in the source of Python."""
    assert printable("a\x1b[31m\n\x9b\u202e\u2028\udcff") == r"a\x1b[31m\n\x9b\u202e\u2028\udcff"
