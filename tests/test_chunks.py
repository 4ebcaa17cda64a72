"""Streams in pieces of whole lines: numbers, neighbours, long lines, and what was found where."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens import chunks as module
from hanglens import newlines, scan
from hanglens.chunks import Chunk, chunks
from hanglens.scan import NOTHING, Scanner


def read(data: bytes, literals: tuple[str, ...] = ("mark",)) -> list[Chunk]:
    """All chunks of some bytes."""
    return list(chunks(io.BytesIO(data), Scanner(literals)))


def marked(pieces: list[Chunk]) -> list[tuple[int, bytes]]:
    """Number and text of the lines with a hit."""
    starts = ((piece, at) for piece in pieces for at in piece.line_starts(piece.hits.ends.get(0, ())))
    return [(piece.number(at), piece.data[at : piece.line_end(at)]) for piece, at in starts]


@given(st.lists(st.sampled_from(["mark", "a mark, a mark", "", "other", "mar", "é"]), max_size=12), st.integers(1, 40), st.booleans())
def test_lines_and_numbers_do_not_depend_on_the_chunk_size(lines: list[str], size: int, end: bool) -> None:
    """Chunks are cut at line ends: together they are the stream, and every hit has the number of its line."""
    data = ("\n".join(lines) + "\n" * end).encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "CHUNK", size)
        pieces = read(data)
    assert b"".join(piece.data for piece in pieces) == data
    assert all(piece.data.endswith(b"\n") for piece in pieces[:-1])
    assert marked(pieces) == [(n, line.encode()) for n, line in enumerate(lines, 1) if "mark" in line]


def test_a_chunk_knows_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands above and below an offset is known across the border of chunks."""
    monkeypatch.setattr(module, "CHUNK", 8)
    first, second, third = read(b"one 111\ntwo 222\nthree")
    assert (second.above, second.below) == (b"one 111\n", b"three")
    assert (second.before(0), second.before(4), second.after(4)) == (b"one 111\n", b"one 111\ntwo ", b"222\nthree")
    assert (first.before(0), third.after(0), third.before(0)) == (b"", b"three", b"one 111\ntwo 222\n")


def test_neighbours_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most BORDER bytes are given out on either side."""
    monkeypatch.setattr(module, "BORDER", 4)
    chunk = Chunk(b"0123456789", 1, (0,), NOTHING, b"wxyz", b"abcd")
    assert (chunk.before(2), chunk.before(9), chunk.after(1), chunk.after(9)) == (b"yz01", b"5678", b"1234", b"9abc")


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_the_beginning_of_a_long_line_is_kept(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exceeds the longest line is dropped, memory stays bounded, and later lines keep their numbers."""
    monkeypatch.setattr(module, "CHUNK", size)
    monkeypatch.setattr(module, "LONGEST_LINE", 32)
    pieces = read(b"first mark\nlong mark " + b"x" * 5000 + b"\nthird mark\n")
    assert [number for number, _ in marked(pieces)] == [1, 2, 3]
    assert max(len(piece.data) for piece in pieces) <= 32 + size
    assert [text for _, text in marked(pieces)][::2] == [b"first mark", b"third mark"]


def test_an_endless_line_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without any line end gives its beginning only."""
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "LONGEST_LINE", 30)
    (piece,) = read(b"mark" + b"x" * 10_000)
    assert piece.data == (b"mark" + b"x" * 10_000)[:30]


@pytest.mark.parametrize("longest", [40, 20])
@pytest.mark.parametrize("before", range(20))
def test_a_long_progress_bar_keeps_its_last_state(before: int, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that a bar rewrote for hours is cut where it did, wherever it begins, and all its parts have the number of the line."""
    monkeypatch.setattr(module, "CHUNK", 20)
    monkeypatch.setattr(module, "LONGEST_LINE", longest)
    data = b"-" * before + b"\n" + b"".join(b"\rstep %04d mark" % n for n in range(1000)) + b"\nend mark"
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
    start = time.process_time()
    _, piece = read(b"head\n" + b"mark" * 200_000)
    assert (piece.line_starts(piece.hits.ends[0]), time.process_time() - start < 5) == ([0], True)


def test_a_line_counts_once() -> None:
    """The lines of some places are told once each, however many of the places are in one."""
    (piece,) = read(b"mark\nmark mark\nnone\nmark\n")
    assert piece.line_starts(piece.hits.ends[0]) == [0, 5, 20]
    assert [piece.number(at) for at in (0, 4, 5, 14, 20, 25)] == [1, 1, 2, 2, 4, 5]


def test_a_window_is_one_line_and_its_neighbourhood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line taken out of its chunk has the same number, and knows what stands next to it."""
    monkeypatch.setattr(module, "CHUNK", 8)
    monkeypatch.setattr(newlines, "PART", 3)
    monkeypatch.setattr(module, "PART", 3)
    _, second, _ = read(b"one 111\ntwo 222\nthree")
    window = second.window(0)
    assert (window.data, window.number(0), window.before(0), window.after(7)) == (b"two 222", 2, b"one 111\n", b"\nthree")


def test_a_stream_without_literals_is_read_all_the_same() -> None:
    """No literals, no hits."""
    assert [(piece.data, piece.hits) for piece in read(b"a\nb\n", ())] == [(b"a\nb\n", NOTHING)]


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_it_does_not_matter_how_many_threads_help(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks come in the order of the stream, with the same hits, on any number of cores."""
    monkeypatch.setattr(scan, "cores", lambda: cores)
    monkeypatch.setattr(scan, "WORTH_A_THREAD", 10)
    monkeypatch.setattr(module, "CHUNK", 16)
    lines = [b"mark" if n % 3 == 0 else b"line %d" % n for n in range(500)]
    pieces = read(b"\n".join(lines))
    assert b"".join(piece.data for piece in pieces) == b"\n".join(lines)
    assert [number for number, _ in marked(pieces)] == list(range(1, 501, 3))


def test_a_stream_that_fails_gives_what_it_gave_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the stream reaches the reader, whichever thread met it, and no thread reads on after the reader has stopped."""
    monkeypatch.setattr(scan, "cores", lambda: 3)
    monkeypatch.setattr(scan, "WORTH_A_THREAD", 4)
    monkeypatch.setattr(module, "CHUNK", 8)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise OSError("gone")
            return data

    reading = chunks(Broken(b"line 1\nline 2\nline 3\n" * 9), Scanner(["line"]))
    given: list[bytes] = []
    with pytest.raises(OSError, match="gone"):
        given.extend(piece.data for piece in reading)
    assert b"".join(given) == b"line 1\nline 2\nline 3\n" * 9
    stream = io.BytesIO(b"line 1\nline 2\n" * 50)
    stopped = chunks(stream, Scanner(["line"]))
    next(stopped)
    stopped.close()
    at = stream.tell()
    time.sleep(0.05)
    assert stream.tell() == at
