"""The last lines of a file that a pattern may match."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import chunks as module
from hanglens.chunks import Chunk, chunks
from hanglens.parse import late
from hanglens.parse.late import LateLines
from hanglens.scan import Scanner

WORDS = ("mark", "sign")


def line_offset(chunk: Chunk, number: int) -> int:
    """Where a line begins, if it is in the chunk or below it; before the chunk: -1."""
    lines = chunk.data.split(b"\n")[: number - chunk.first_line]
    return sum(len(line) + 1 for line in lines) if number >= chunk.first_line else -1


@given(
    st.lists(st.sampled_from(["mark", "sign", "mark sign mark", "none", ""]), max_size=60),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(0, 20),
)
def test_the_last_lines_of_each_are_remembered(lines: list[str], size: int, most: int, above: int) -> None:
    """Whatever the size of chunks, and however many of them go by: of each word the last lines, with number and neighbours.

    Of those lines only that stand below the first few, of which enough was kept.
    """
    scanner = Scanner(WORDS)
    remembered = LateLines(most, scanner)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "CHUNK", size)
        patched.setattr(late, "MOST_CHUNKS", 2)
        for chunk in chunks(io.BytesIO("\n".join(lines).encode()), scanner):
            below = dict.fromkeys(WORDS, line_offset(chunk, above))
            remembered.add(chunk, {WORDS[which]: frozenset({which}) for which in chunk.hits.ends}, below)
        found = {
            word: [(chunk.number(at), chunk.data[at : chunk.line_end(at)].decode(), chunk.before(at)) for chunk, at in reversed(places)]
            for word, places in remembered.last(most).items()
            if places
        }
    holding = {word: [number for number, line in enumerate(lines, 1) if word in line and number > above][-most:] for word in WORDS}
    assert found == {
        word: [(n, lines[n - 1], "".join(f"{line}\n" for line in lines[: n - 1]).encode()) for n in numbers]
        for word, numbers in holding.items()
        if numbers
    }


def test_the_parts_of_a_long_bar_are_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the same number, and each is remembered once."""
    monkeypatch.setattr(module, "CHUNK", 20)
    monkeypatch.setattr(module, "LONGEST_LINE", 20)
    scanner = Scanner(["mark"])
    remembered = LateLines(3, scanner)
    for chunk in chunks(io.BytesIO(b"\r".join(b"mark %04d" % n for n in range(30)) + b"\n"), scanner):
        remembered.add(chunk, {"mark": frozenset({0})}, {"mark": -1})
    parts = [chunk.data for chunk, _ in remembered.last(3)["mark"]]
    assert len(set(parts)) == 3
    assert {chunk.number(at) for chunk, at in remembered.last(3)["mark"]} == {1}
    assert b"mark 0029" in parts[0]


def test_only_few_chunks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However rare a word is, no more memory is held than some chunks, and for each line its neighbourhood."""
    monkeypatch.setattr(module, "CHUNK", 50_000)
    data = b"".join(b"mark\n" + b"x" * 49_999 + b"\n" for _ in range(80))
    scanner = Scanner(["mark"])
    remembered = LateLines(40, scanner)
    for chunk in chunks(io.BytesIO(data), scanner):
        remembered.add(chunk, {"mark": frozenset({0})} if chunk.hits.ends else {}, {"mark": -1})
    held = {id(chunk): chunk for chunk, _ in remembered.last(40)["mark"]}
    assert len(held) == 40
    assert sum(len(chunk.data) > module.NEAR for chunk in held.values()) < 2 * late.MOST_CHUNKS
