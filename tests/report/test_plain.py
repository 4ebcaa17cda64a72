from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.report.plain import LONGEST_LINE, LONGEST_PROSE, clean, line, visible
from hanglens.verdict import Diagnosis, Evidence, Finding
from tests.samples import HUNG, text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07x", "x"),
        ("\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jx", "x"),
        ("a\x00b\rc", "a␀b␍c"),
        ("a\tb", "a    b"),
        ("gpj.\u202eexe", "gpj.⟨U+202E⟩exe"),
        ("\u2066a\u2069\u200b\ufeff", "⟨U+2066⟩a⟨U+2069⟩⟨U+200B⟩⟨U+FEFF⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("中文 é ✓ 🎉", "中文 é ✓ 🎉"),
        ("one\r\ntwo\n", "one ⏎ two"),
    ],
)
def test_what_a_terminal_or_browser_would_obey_is_gone(raw: str, shown: str) -> None:
    """Escape sequences vanish, other control and direction characters are spelled out, letters stay."""
    assert shown == line(raw)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_no_control_character_survives(raw: str) -> None:
    """Whatever the evidence holds, a shown line has only characters that can be seen."""
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in line(raw))


@given(st.text(st.characters(max_codepoint=127), max_size=LONGEST_LINE))
def test_harmless_text_is_left_as_it_is(raw: str) -> None:
    """What can be printed and is ASCII stands in the report as it stood in the evidence."""
    assert not raw.isprintable() or line(raw) == visible(raw) == raw


def test_long_lines_are_cut_quickly() -> None:
    """A line of megabytes, even one of escape sequences without an end, becomes a short one."""
    assert len(line("x" * 1_000_000)) == LONGEST_LINE
    assert len(line("\x1b]" * 500_000)) <= LONGEST_LINE
    assert line("ab", longest=2) == "ab"


def test_prose_keeps_its_lines() -> None:
    """Line ends stay where several lines are meant."""
    assert visible("a\n  b") == "a\n  b"


def test_every_string_of_a_diagnosis_is_cleaned() -> None:
    """Nothing in a diagnosis escapes the cleaning, however deep it lies, and a clean one stays as it is."""
    finding = Finding(
        rule="a/b", category="a", role="cause", confidence="possible", title=text("\x1b[1mt\n2", "题"), explanation=text("y" * 9999, ""),
        evidence=(Evidence(file="a\x07", text="z" * 1_000_000, context=("\u202e",)),),
    )  # fmt: skip
    shown = clean(Diagnosis(verdict="hung", summary=text("s", "摘"), tool_version="1", findings=(finding,))).findings[0]

    assert clean(HUNG) == HUNG
    assert shown.title == text("t\n2", "题")
    assert len(shown.explanation.en) == LONGEST_PROSE
    assert shown.evidence[0].file == "a␇"
    assert len(shown.evidence[0].text) == LONGEST_LINE
    assert shown.evidence[0].context == ("⟨U+202E⟩",)
