"""YAML read strictly, and the line of every field."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanglens.errors import RuleError
from hanglens.knowledge.yamlfile import LARGEST, line_of, read_yaml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to write to."""
    return tmp_path / "a.yaml"


def test_plain_values(file: Path) -> None:
    """Words that YAML 1.1 reads as truth values are keys like any other, and a date stays a text."""
    file.write_text("on: every rank\nyes: [1, 2.5, true, null, 2024-01-02]\ntext: |\n  a\n  b\n", encoding="utf-8")
    assert read_yaml(file, "a") == {"on": "every rank", "yes": [1, 2.5, True, None, "2024-01-02"], "text": "a\nb\n"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' stands twice"),
        ("a:\n  - {b: 1, c: 2,\n     b: 3}\n", 3, "'b' stands twice"),
        ("a: 1\nb: [\n", 3, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
        ("a: 'open\n", 2, "not valid YAML"),
        ("? [a]\n: 1\n", 1, "must be a word"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "not valid YAML"),
        ("a: &x [*x]\n", 1, "not valid YAML"),
        ("- a\n- b\n", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
        ("just words", 1, "must be a mapping"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
    ],
)
def test_faults_have_a_line(file: Path, text: str, line: int, says: str) -> None:
    """What is no mapping of plain values is refused with the line of the fault."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RuleError, match=f"^a:{line}: .*{says}") as told:
        read_yaml(file, "a")
    assert (told.value.file, told.value.line) == ("a", line)


@pytest.mark.parametrize(
    "data", [b"a: \xff", b"a: \0", b"a: !!int x", b"a: !!timestamp 2024-99-99 x:", b"a: " + b"[" * 100_000, b"a: " + b"x" * LARGEST]
)
def test_hostile_files(file: Path, data: bytes) -> None:
    """Bytes that are no text, wrong tags, endless nesting and huge files are refused in one line; nothing crashes."""
    file.write_bytes(data)
    with pytest.raises(RuleError) as told:
        read_yaml(file, "a")
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    """It is named."""
    with pytest.raises(RuleError, match="gone"):
        read_yaml(file, "gone")
    assert line_of(file, "a") is None


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("a", 1),
        ("b", 3),
        ("b.c.0", 3),
        ("b.c.1", 4),
        ("b.c.1.d", 5),
        ("b.c.1.e", 4),
        ("b.c.9", 3),
        ("missing", 1),
        ("", 1),
        ("a.deeper", 1),
    ],
)
def test_the_line_of_a_field(file: Path, field: str, line: int) -> None:
    """A field's value is found by its path; of a path that ends early the deepest part counts."""
    file.write_text("a: 1\nb:\n  c: [x,\n    {z: 1,\n     d: 2}]\n", encoding="utf-8")
    assert line_of(file, field) == line


@given(st.binary(max_size=60) | st.text("ab:-[]{}&*!|>?'\"#\n ", max_size=60).map(str.encode), st.text(max_size=10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_rule_errors(file: Path, data: bytes, field: str) -> None:
    """Any bytes are a mapping or a RuleError, and line_of never raises."""
    file.write_bytes(data)
    line_of(file, field)
    with suppress(RuleError):
        assert isinstance(read_yaml(file, "a"), dict)
