from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanglens.report import i18n
from hanglens.report.i18n import catalogue, label, pick
from hanglens.verdict import Text

PACKAGE = Path(i18n.__file__).parent
TABLES = (i18n.VERDICTS, i18n.CONFIDENCES, i18n.CONFIDENCE_WORDS, i18n.STATES, i18n.KINDS, i18n.ROLES)


def in_templates() -> Iterator[str]:
    """The labels that templates print."""
    for template in (PACKAGE / "templates").glob("*.html"):
        yield from re.findall(r'\bt\("([^"]+)"', template.read_text(encoding="utf-8"))


def in_code() -> Iterator[str]:
    """The labels that renderers print, and the words for the values of the diagnosis."""
    for module in PACKAGE.glob("*.py"):
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", "")) in {
                "label",
                "say",
                "heading",
                "listed",
            }:
                yield from (
                    c.value for c in ast.walk(call) if isinstance(c, ast.Constant) and isinstance(c.value, str) and c.value[:1].isalpha()
                )
    for table in TABLES:
        yield from table.values()


def labels() -> set[str]:
    """All labels; a constant inside of a call that is no label (a name, a separator) has no capital, space or brace."""
    return set(in_templates()) | {english for english in in_code() if re.search(r"[A-Z {]", english) or english in catalogue()}


@pytest.mark.parametrize("english", sorted(labels()))
def test_every_label_has_chinese(english: str) -> None:
    """No report shows an English label to a Chinese reader, and placeholders are the same in both languages."""
    chinese = catalogue()[english]

    assert chinese
    assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese))


def test_the_catalogue_has_no_dead_entries() -> None:
    """A label that is not printed any more leaves the catalogue too."""
    source = "".join(p.read_text(encoding="utf-8") for p in [*PACKAGE.glob("*.py"), *(PACKAGE / "templates").glob("*.html")])

    assert [english for english in catalogue() if f'"{english}"' not in source and f"'{english}'" not in source] == []


def test_a_label_is_filled_in_both_languages() -> None:
    """Values are put into the text as they are; braces in them mean nothing."""
    assert label("{n} files", n="{x}") == Text(en="{x} files", zh="{x} 个文件")


def test_a_label_without_translation_is_shown_in_english() -> None:
    """A forgotten translation does not lose the label."""
    assert label("no such label") == Text(en="no such label", zh="no such label")


def test_a_missing_language_is_replaced_by_the_other() -> None:
    """A text that a rule gives in one language only is shown in that one."""
    assert pick(Text(en="only", zh=""), "zh") == "only"
    assert pick(Text(en="", zh="只有"), "en") == "只有"
