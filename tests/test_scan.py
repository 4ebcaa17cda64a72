"""Which literals stand where in a block, with and without Hyperscan, in one thread and in several."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hanglens import scan
from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from hanglens.scan import Pattern, Scanner
from hanglens.serialize import to_json


def test_given_literals_win() -> None:
    """A pattern that names its literals is found by those."""
    assert Pattern("p", "(?i)watchdog", literals=("atchdog",)).required() == ("atchdog",)
    assert Pattern("p", "watchdog").required() == ("watchdog",)


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=5), st.binary(max_size=80), st.data())
@example(["a.c", "a\0", "ü", "(", "\ud800"], b"", None)
def test_hyperscan_and_plain_search_agree(literals: list[str], noise: bytes, data: st.DataObject | None) -> None:
    """The same hits with and without Hyperscan, overlapping and special characters included."""
    pytest.importorskip("hyperscan")
    encoded = sorted({literal.encode("utf-8", "replace") for literal in literals})
    block = b"".join(data.draw(st.lists(st.sampled_from([*encoded, noise, b"\n"]), max_size=12))) if data else b"aacca\0\xc3\xbc("
    fast, plain = scan._hyperscan(tuple(encoded)), scan._plain(tuple(encoded))
    assert fast is not None
    assert not block or {which: list(ends) for which, ends in fast(block).items()} == plain(block)


@pytest.mark.parametrize("case", ["nccl-missing-rank-watchdog", "lmdeploy-0.7-tp4-config-sync"])
def test_the_diagnosis_needs_no_hyperscan(case: str, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to search lead to the same diagnosis."""
    paths, pack = [str(fixtures_dir / case / "evidence")], load_rules()
    fast = to_json(diagnose(paths, pack))
    monkeypatch.setattr(scan, "_hyperscan", lambda _: None)
    assert to_json(diagnose(paths, pack)) == fast


def test_a_scanner_without_literals_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No literals, no hits."""
    assert Scanner([]).hits(b"anything") == {}
    monkeypatch.setattr(scan, "_hyperscan", lambda _: None)
    assert Scanner([]).hits(b"anything") == {}


@pytest.mark.parametrize("cores", [1, 3])
def test_blocks_are_searched_in_other_threads(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks are searched at once, each with its own hits; on a single core this thread does it all."""
    monkeypatch.setattr(scan, "_cores", lambda: cores)
    monkeypatch.setattr(scan, "WORTH_A_THREAD", 2)
    scanner = Scanner(["mark", "other"])
    blocks = [b"-" * n + b"mark" * (n % 3) + b"other" for n in range(200)]
    assert [found() for found in [scanner.begin(block) for block in blocks]] == [scanner.hits(block) for block in blocks]
    assert scanner.hits(b"-mark-markother") == {0: [4, 9], 1: [14]}
    assert scanner.threads == (cores if cores > 1 else 0)
