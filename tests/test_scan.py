"""Patterns, their literals, and lines out of streams."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hanglens import scan
from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from hanglens.scan import Chunk, Pattern, Scanner, chunks, fault, required_literals, required_pieces, search
from hanglens.serialize import to_json


@pytest.fixture
def without_hyperscan(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a platform that Hyperscan has no wheel for."""
    monkeypatch.setattr(scan, "_hyperscan", lambda _: None)


def read(data: bytes, literals: tuple[str, ...] = ("mark",)) -> list[Chunk]:
    """All chunks of some bytes."""
    return list(chunks(io.BytesIO(data), Scanner(literals)))


def marked(pieces: list[Chunk]) -> list[tuple[int, bytes]]:
    """Number and text of the lines with a hit."""
    return [
        (piece.first_line + piece.data.count(b"\n", 0, at), piece.data[at:].split(b"\n")[0])
        for piece in pieces
        for at in sorted(piece.hits)
    ]


@pytest.mark.parametrize(
    ("expression", "literals"),
    [
        (r"Rank (?P<r>\d+) failed to pass", (" failed to pass",)),
        (r"block num: \d+", ("block num: ",)),
        (r"(?:Destroy|Abort) COMPLETE", ("Abort COMPLETE", "Destroy COMPLETE")),
        (r"via (?:P2P|SHM)(?:/IPC)?", ("via P2P", "via SHM")),
        (r"(?:a|b|c|d|e)(?:1|2|3|4)-tail", ("-tail",)),
        (r"Destroy COMPLETE|Abort COMPLETE", ("Abort COMPLETE", "Destroy COMPLETE")),
        (r"(?P<a>one (?:two(?:three|fourth)))", ("one twofourth", "one twothree")),
        (r"(?P<a>on(?P<b>.three|a fourth))", ("a fourth", "three")),
        (r"(x)?(?(1)yesyes|nonono)later", ("later",)),
        (r"\[Gemm2\] Tuning\.", ("[Gemm2] Tuning.",)),
        (r"a\.b\tc\\d", ("a.b\tc\\d",)),
        (r"(?:abcd){2,}x", ("abcd",)),
        (r"abcd+efgh", ("efgh",)),
        (r"(?m)^abcde$", ("abcde",)),
        ("等待 rank", ("等待 rank",)),
    ],
)
def test_literals_are_derived(expression: str, literals: tuple[str, ...]) -> None:
    """Of every expression the longest piece that each match must hold is found, one for each alternative, as long as they are few."""
    assert required_literals(expression) == literals


def test_all_pieces_are_derived() -> None:
    """Every part that a match must hold is a piece, each as its alternatives; short ones are left out."""
    expected = (("recv (", "send ("), ("distributed_c10d.py", "parallel_state.py"))
    assert required_pieces(r"(?:recv|send) \(\S*(?:distributed_c10d|parallel_state)\.py") == expected


@pytest.mark.parametrize(
    "expression",
    [
        r"(?:maybe)?",
        r"(?:never)*",
        r"(?:known|)",
        r"(?:longer|\d+)",
        r"[abcd][efgh]",
        r"\d+ \w+",
        r"abc",
        r"(?i)no case",
        r"(?i:no case)",
        r"(?:(?i:no)|(?i:case))",
        r"(?!forbidden)",
        r"(?=ahead)",
        r"(unclosed",
        r"",
        r".*",
    ],
)
def test_no_literal_where_none_is_sure(expression: str) -> None:
    """Optional parts, classes, short pieces and parts in any case are not relied on; nor is what does not parse."""
    assert required_literals(expression) == ()


@given(st.data())
def test_literals_stand_in_every_match(data: st.DataObject) -> None:
    """Whatever an expression matches holds one of its literals."""
    words = st.text("abXY. ", min_size=1, max_size=6)
    parts = data.draw(
        st.lists(
            st.tuples(words, st.sampled_from(["{}", "(?:{})?", "(?:{})+", "(?P<g{n}>{}|other)", "(?i:{})", "(?:{}){{2}}"])), max_size=4
        )
    )
    expression = "".join(shape.format(scan.re.escape(word), n=n) for n, (word, shape) in enumerate(parts))
    text = data.draw(st.from_regex(expression, fullmatch=True))
    literals = required_literals(expression)
    assert not literals or any(literal in text for literal in literals)
    assert all(any(literal in text for literal in piece) for piece in required_pieces(expression))


def test_given_literals_win() -> None:
    """A pattern that names its literals is found by those."""
    assert Pattern("p", "(?i)watchdog", literals=("atchdog",)).required() == ("atchdog",)
    assert Pattern("p", "watchdog").required() == ("watchdog",)


@pytest.mark.parametrize("expression", ["(", "a**", "(?P<n>a)(?P<n>b)", "a{99999999999999}", "(?L)a", "[z-a]", "\\", "(?P=x)"])
def test_faults_are_told(expression: str) -> None:
    """A faulty expression is described and never raises; a good one has nothing to tell."""
    assert fault(expression)
    assert not fault(r"(?P<good>\d+) (?:of|and) \S")


def test_a_runaway_expression_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that would take for ever finds nothing, soon."""
    monkeypatch.setattr(scan, "REGEX_SECONDS", 0.05)
    start = time.monotonic()
    assert search(r"^(?:a|aa|a+b?)+$", "a" * 5000 + "!") is None
    assert time.monotonic() - start < 5


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=5), st.binary(max_size=80), st.data())
@example(["a.c", "a\0", "ü", "(", "\ud800"], b"", None)
def test_hyperscan_and_plain_search_agree(literals: list[str], noise: bytes, data: st.DataObject | None) -> None:
    """The same hits with and without Hyperscan, overlapping and special characters included."""
    pytest.importorskip("hyperscan")
    encoded = sorted({literal.encode("utf-8", "replace") for literal in literals})
    block = b"".join(data.draw(st.lists(st.sampled_from([*encoded, noise, b"\n"]), max_size=12))) if data else b"aacca\0\xc3\xbc("
    fast, plain = scan._hyperscan(tuple(encoded)), scan._plain(tuple(encoded))
    assert fast is not None
    assert not block or set(fast(block)) == set(plain(block))


@pytest.mark.parametrize("case", ["nccl-missing-rank-watchdog", "lmdeploy-0.7-tp4-config-sync"])
def test_the_diagnosis_needs_no_hyperscan(case: str, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to search lead to the same diagnosis."""
    paths, pack = [str(fixtures_dir / case / "evidence")], load_rules()
    fast = to_json(diagnose(paths, pack))
    monkeypatch.setattr(scan, "_hyperscan", lambda _: None)
    assert to_json(diagnose(paths, pack)) == fast


@pytest.mark.usefixtures("without_hyperscan")
def test_a_scanner_without_literals_finds_nothing() -> None:
    """No literals, no hits; the stream is read all the same."""
    assert Scanner([]).hits(b"anything") == []
    assert [piece.data for piece in read(b"a\nb\n", ())] == [b"a\nb\n"]


@given(st.lists(st.sampled_from(["mark", "a mark, a mark", "", "other", "mar", "é"]), max_size=12), st.integers(1, 40), st.booleans())
def test_lines_and_numbers_do_not_depend_on_the_chunk_size(lines: list[str], size: int, end: bool) -> None:
    """Chunks are cut at line ends: together they are the stream, and every hit has the number of its line."""
    data = ("\n".join(lines) + "\n" * end).encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scan, "CHUNK", size)
        pieces = read(data)
    assert b"".join(piece.data for piece in pieces) == data
    assert all(piece.data.endswith(b"\n") for piece in pieces[:-1])
    assert marked(pieces) == [(n, line.encode()) for n, line in enumerate(lines, 1) if "mark" in line]


def test_a_chunk_knows_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands above and below an offset is known across the border of chunks."""
    monkeypatch.setattr(scan, "CHUNK", 8)
    first, second, third = read(b"one 111\ntwo 222\nthree")
    assert (second.above, second.below) == (b"one 111\n", b"three")
    assert (second.before(0), second.before(4), second.after(4)) == (b"one 111\n", b"one 111\ntwo ", b"222\nthree")
    assert (first.before(0), third.after(0), third.before(0)) == (b"", b"three", b"one 111\ntwo 222\n")


def test_neighbours_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most BORDER bytes are given out on either side."""
    monkeypatch.setattr(scan, "BORDER", 4)
    chunk = Chunk(b"0123456789", 1, {}, b"wxyz", b"abcd")
    assert (chunk.before(2), chunk.before(9), chunk.after(1), chunk.after(9)) == (b"yz01", b"5678", b"1234", b"9abc")


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_the_beginning_of_a_long_line_is_kept(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exceeds the longest line is dropped, memory stays bounded, and later lines keep their numbers."""
    monkeypatch.setattr(scan, "CHUNK", size)
    monkeypatch.setattr(scan, "LONGEST_LINE", 32)
    pieces = read(b"first mark\nlong mark " + b"x" * 5000 + b"\nthird mark\n")
    assert [number for number, _ in marked(pieces)] == [1, 2, 3]
    assert max(len(piece.data) for piece in pieces) <= 32 + size
    assert [text for _, text in marked(pieces)][::2] == [b"first mark", b"third mark"]


def test_an_endless_line_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without any line end gives its beginning only."""
    monkeypatch.setattr(scan, "CHUNK", 10)
    monkeypatch.setattr(scan, "LONGEST_LINE", 30)
    (piece,) = read(b"mark" + b"x" * 10_000)
    assert piece.data == (b"mark" + b"x" * 10_000)[:30]


def test_a_long_progress_bar_keeps_its_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that a bar rewrote for hours is cut where it did, and all its parts have the number of the line."""
    monkeypatch.setattr(scan, "CHUNK", 20)
    monkeypatch.setattr(scan, "LONGEST_LINE", 40)
    data = b"start\n" + b"".join(b"\rstep %04d mark" % n for n in range(1000)) + b"\nend mark"
    pieces = read(data)
    assert b"".join(piece.data for piece in pieces) == data
    assert {number for number, _ in marked(pieces)} == {2, 3}
    assert any(b"step 0999" in piece.data for piece in pieces)


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (b"mark\rb\rmark", [1, 3]),
        (b"\rmark\r", [2]),
        (b"mark\r\nb\r\nmark", [1, 3]),
        (b"a\rb\nmark\r", [2]),
        (b"mark\n\xff\xfe\nmark", [1, 3]),
    ],
)
def test_line_ends(data: bytes, numbers: list[int]) -> None:
    """Line feeds end lines; carriage returns do so where there is no line feed at all."""
    assert [number for number, _ in marked(read(data))] == numbers


def test_many_hits_in_one_line_are_cheap() -> None:
    """A line of a mebibyte that holds nothing but literals is looked up once."""
    start = time.monotonic()
    _, piece = read(b"head\n" + b"mark" * 200_000)
    assert (piece.hits, time.monotonic() - start < 5) == ({0: {0}}, True)
