"""Which literals stand where in a block, with and without Hyperscan, in one thread and in several."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hanglens import scan
from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from hanglens.scan import Hits, Pattern, Scanner
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
    for floods in (frozenset[int](), frozenset(range(0, len(encoded), 2))):
        fast, plain = scan._hyperscan(tuple(encoded), floods), scan._plain(tuple(encoded), floods)
        assert fast is not None
        assert {which: list(ends) for which, ends in fast(block).items()} == plain(block)


@pytest.mark.parametrize("case", ["nccl-missing-rank-watchdog", "lmdeploy-0.7-tp4-config-sync"])
def test_the_diagnosis_needs_no_hyperscan(case: str, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to search lead to the same diagnosis."""
    paths, pack = [str(fixtures_dir / case / "evidence")], load_rules()
    fast = to_json(diagnose(paths, pack))
    monkeypatch.setattr(scan, "_hyperscan", lambda _literals, _floods: None)
    assert to_json(diagnose(paths, pack)) == fast


def test_a_scanner_without_literals_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No literals, no hits."""
    assert Scanner([]).hits(b"anything").ends == {}
    monkeypatch.setattr(scan, "_hyperscan", lambda _literals, _floods: None)
    assert Scanner([]).hits(b"anything").ends == {}


@pytest.mark.parametrize("cores", [1, 3])
def test_blocks_are_searched_in_other_threads(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks are searched at once, each with its own hits; on a single core this thread does it all."""
    monkeypatch.setattr(scan, "cores", lambda: cores)
    monkeypatch.setattr(scan, "WORTH_A_THREAD", 2)
    scanner = Scanner(["mark", "other"])
    blocks = [b"-" * n + b"mark" * (n % 3) + b"other" for n in range(200)]
    threads: set[str] = set()

    def search(block: bytes) -> Hits:
        threads.add(threading.current_thread().name)
        return scanner.hits(block)

    assert [found() for found in [scanner.begin(search, block) for block in blocks]] == [scanner.hits(block) for block in blocks]
    assert scanner.hits(b"-mark-markother").ends == {0: [4, 9], 1: [14]}
    assert all(name.startswith("scan") for name in threads) is (cores > 1)


@pytest.mark.parametrize("without", [False, True])
def test_a_flood_is_told_of_once(monkeypatch: pytest.MonkeyPatch, *, without: bool) -> None:
    """Of a literal that has flooded a large block only the first place is told from then on, of others all; the rest is to be had."""
    monkeypatch.setattr(scan, "WORTH_A_THREAD", 100)
    if without:
        monkeypatch.setattr(scan, "_hyperscan", lambda _literals, _floods: None)
    scanner = Scanner(["mark", "other"])
    flood = b"mark " * (scan.FLOOD + 1) + b"other other"
    before, after = scanner.hits(flood), scanner.hits(flood)
    assert (len(before.ends[0]), before.floods) == (scan.FLOOD + 1, frozenset())
    assert (after.ends, after.floods) == ({0: [3], 1: before.ends[1]}, {0})
    assert scanner.places(flood, after, {0, 1}) == scanner.places(flood, before, {0, 1}) == before.ends
    assert scanner.places(flood, after, {1}) == {1: before.ends[1]}


def test_a_small_block_is_no_flood() -> None:
    """Where telling all places is cheap, all are told."""
    scanner = Scanner(["mark"])
    block = b"mark" * 100
    assert scanner.hits(block) == scanner.hits(block)


def test_of_a_very_long_literal_the_beginning_is_searched() -> None:
    """Hyperscan takes none of several thousand characters, and where all of it stands the beginning does too."""
    long = Pattern("p", "x" * 40_000)
    (literal,) = long.required()
    scanner = Scanner([literal])
    assert scanner.hits(b"y" + b"x" * 40_000).ends
    assert not scanner.hits(b"x" * 100).ends
