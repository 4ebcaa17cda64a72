"""The last lines of a file that a pattern may match."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import chunks as module
from hanglens.chunks import chunks
from hanglens.parse import late
from hanglens.parse.late import LateLines
from hanglens.scan import Scanner

WORDS = ("mark", "sign")


@given(st.lists(st.sampled_from(["mark", "sign", "mark sign mark", "none", ""]), max_size=60), st.integers(1, 40), st.integers(1, 5))
def test_the_last_lines_of_each_are_remembered(lines: list[str], size: int, most: int) -> None:
    """Whatever the size of chunks, and however many of them go by, of each word the last lines are there, with number and neighbours."""
    scanner = Scanner(WORDS)
    remembered = LateLines(most, scanner)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "CHUNK", size)
        patched.setattr(late, "MOST_CHUNKS", 2)
        for chunk in chunks(io.BytesIO("\n".join(lines).encode()), scanner):
            remembered.add(chunk, {WORDS[which]: frozenset({which}) for which in chunk.hits.ends})
        found = [
            (chunk.number(at), chunk.data[at : chunk.line_end(at)].decode(), chunk.before(at), sorted(names))
            for chunk, at, names in remembered.by_line()
        ]
    last = {word: [number for number, line in enumerate(lines, 1) if word in line][-most:] for word in WORDS}
    numbers = sorted({number for of_word in last.values() for number in of_word})
    assert found == [
        (n, lines[n - 1], "".join(f"{line}\n" for line in lines[: n - 1]).encode(), [word for word in WORDS if n in last[word]])
        for n in numbers
    ]


def test_only_few_chunks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However rare a word is, no more memory is held than some chunks, and for each line its neighbourhood."""
    monkeypatch.setattr(module, "CHUNK", 50_000)
    data = b"".join(b"mark\n" + b"x" * 49_999 + b"\n" for _ in range(80))
    scanner = Scanner(["mark"])
    remembered = LateLines(40, scanner)
    for chunk in chunks(io.BytesIO(data), scanner):
        remembered.add(chunk, {"mark": frozenset({0})} if chunk.hits.ends else {})
    held = {id(chunk): chunk for chunk, _, _ in remembered.by_line()}
    assert len(held) == 40
    assert sum(len(chunk.data) > module.NEAR for chunk in held.values()) < 2 * late.MOST_CHUNKS
