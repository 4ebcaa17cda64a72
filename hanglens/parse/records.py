"""The records of one flight-recorder dump as columns: a job of thousands of ranks has millions of them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any

from hanglens.model import COMPLETED, STATES, Call, GroupRecords
from hanglens.number import integer

SHORT = 8  # elements; a list that is longer is looked at once, and known by its identity afterwards
MOST_FRAMES = 256
LARGEST_COUNT = (1 << 63) - 1

_STATE = {name: number for number, name in enumerate(STATES)}
_UNRETIRED = len(STATES)  # a point-to-point call that says completed and was not retired: the newest one may still be under way
_TORCH = re.compile(r"(?:^|/)torch/|^<|^\?\?$")


def as_scalar(value: object) -> str | int | float | None:
    """The value, or None for a container: no text is ever made of those, since they may nest without end."""
    return value if isinstance(value, (str, int, float)) and value.__class__ is not bool else None


def as_integer(value: object, default: int) -> int:
    """An integer that fits 64 bits, also one written as text; else the default."""
    if type(value) is int:
        return value if abs(value) <= LARGEST_COUNT else default
    found = integer(value) if isinstance(value, str) else None
    return default if found is None else found


@dataclass(frozen=True, slots=True)
class _Book:
    """The growing columns of one group."""

    seqs: array[int] = field(default_factory=lambda: array("q"))
    calls: array[int] = field(default_factory=lambda: array("I"))
    states: bytearray = field(default_factory=bytearray)
    places: array[int] = field(default_factory=lambda: array("I"))

    def add(self, seq: int, call: int, state: int, place: int) -> None:
        """One more row."""
        self.seqs.append(seq)
        self.calls.append(call)
        self.states.append(state)
        self.places.append(place)

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in this order."""
        self.seqs[:] = array("q", map(self.seqs.__getitem__, rows))
        self.calls[:] = array("I", map(self.calls.__getitem__, rows))
        self.states[:] = bytearray(map(self.states.__getitem__, rows))
        self.places[:] = array("I", map(self.places.__getitem__, rows))

    def sort(self) -> None:
        """Bring the rows into the order of the file."""
        self.keep(sorted(range(len(self.places)), key=self.places.__getitem__))


def _joined(books: list[_Book]) -> _Book:
    """One book of all rows, in the order of the file."""
    first, *others = books
    for other in others:
        for mine, theirs in ((first.seqs, other.seqs), (first.calls, other.calls), (first.places, other.places)):
            mine.extend(theirs)
        first.states.extend(other.states)
    if others:
        first.sort()
    return first


def _states(book: _Book) -> bytes:
    """What was not retired is under way if it is the newest, and was forgotten if it is not."""
    older = bytes(book.states[:-1]).replace(bytes([_UNRETIRED]), bytes([COMPLETED]))
    return older + bytes(book.states[-1:]).replace(bytes([_UNRETIRED]), bytes([_STATE["started"]]))


_Raw = tuple[object, object, object]  # process_group, pg_id, is_p2p of a record
_Row = tuple[_Book, int, int]  # where a record goes, its call and its state


class Columns:
    """Takes records one after the other. `calls` are the distinct calls of the dump, `number` how many records were read.

    Long lists that several records share (by identity, as a pickle keeps it) are walked once: otherwise a small file could
    ask for endless work.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.number = 0
        self._known: dict[tuple[object, ...], int] = {}
        self._rows: dict[tuple[object, ...], _Row] = {}
        self._books: dict[_Raw, _Book] = {}
        self._sites: dict[int, str] = {}

    def read(self, entries: Iterable[object], first: int = 0) -> None:
        """Take the records from the `first` one on.

        One that lacks a field, or has one of an odd type, is cleaned first; what is no record is passed over.
        """
        self._read(islice(enumerate(entries), first, None))

    def _read(self, entries: Iterable[tuple[int, Any]]) -> None:
        # One loop without calls, since it runs for each of millions of records: what a record has in common with many others, all but its
        # number and its place, is looked up at once.
        rows, sites = self._rows, self._sites
        for place, entry in entries:
            try:
                group, number, p2p, seq, p2p_seq, op, state, sizes, dtypes, frames, retired = _FIELDS(entry)
                site = sites.get(id(frames)) if frames else ""
                key = (
                    tuple(group) if type(group) is list else group, number, p2p, op, state, retired,
                    self._site(frames) if site is None else site,
                    tuple(dtypes) if len(dtypes) <= SHORT else id(dtypes),
                    tuple(sizes[0]) if len(sizes) == 1 and len(sizes[0]) <= SHORT else _shapes(sizes),
                )  # fmt: skip
                row = rows.get(key)
                book, call, code = row or self._row(key, sizes, dtypes)
                book.seqs.append(p2p_seq if p2p is True else seq)  # refuses what is no integer
            except (LookupError, TypeError, AttributeError, OverflowError):
                if isinstance(entry, dict):
                    self._read([(place, _clean(entry))])
                continue
            book.calls.append(call)
            book.states.append(code)
            book.places.append(place)
            self.number += 1

    def _row(self, key: tuple[Any, ...], sizes: object, dtypes: object) -> _Row:
        group, number, p2p, op, state, retired, site, *tensors = key
        book = self._books.setdefault((group, number, p2p), _Book())
        code = COMPLETED if retired is True and not op.startswith(_WITH_EVENTS) else _STATE.get(state, _STATE[""])
        if p2p is True and code == COMPLETED and retired is False:
            code = _UNRETIRED
        call = self._known.setdefault((op, site, *tensors), len(self.calls))
        if call == len(self.calls):
            self.calls.append(_call(op, sizes, dtypes, site))
        row = self._rows[key] = book, call, code
        return row

    def _site(self, frames: list[object]) -> str:
        """The innermost line outside of torch."""
        site = self._sites[id(frames)] = next(filter(None, map(self._site_of, frames[:MOST_FRAMES])), "")
        return site

    def _site_of(self, frame: object) -> str:
        site = self._sites.get(id(frame))
        if site is None:
            site = self._sites[id(frame)] = _site_of(frame)
        return site

    def named(self) -> Iterator[tuple[int, str]]:
        """The process's own number of each group that a record names, with that name."""
        for group, number, _ in self._books:
            name = _name(group)
            if type(number) is int and name:
                yield number, name

    def groups(self, name_of: Callable[[str], str]) -> Iterator[GroupRecords]:
        """The columns of each group; `name_of` names those that the records know by number only."""
        merged: dict[tuple[str, str, bool], list[_Book]] = {}
        for (group, number, p2p), book in self._books.items():
            name = _name(group) or name_of(str(as_integer(number, -1)))
            merged.setdefault((name, _description(group), p2p is True), []).append(book)
        books = {key: _joined(parts) for key, parts in merged.items()}
        for book in books.values():
            self._drop_unnumbered(book)
        for name, description, p2p in books:
            if p2p and (name, description, False) in books:
                self._close(books[name, description, False], books[name, description, True])
        for (name, description, p2p), book in books.items():
            if book.seqs:
                yield GroupRecords(name, description, p2p, book.seqs, book.calls, _states(book), book.places)

    def _drop_unnumbered(self, book: _Book) -> None:
        """A call without a number in its group cannot be compared with those of other ranks."""
        if book.seqs and min(book.seqs) < 0:
            numbered = [row for row, seq in enumerate(book.seqs) if seq >= 0]
            self.number -= len(book.seqs) - len(numbered)
            book.keep(numbered)

    def _close(self, collectives: _Book, p2p: _Book) -> None:
        """Give each record that closes a batch of point-to-point calls its place behind them.

        PyTorch records it as a collective with the number of the last one, and tells it alone that the batch has ended (2.5 to 2.11).
        """
        closing = {number for number, call in enumerate(self.calls) if call.op == "coalesced"}
        seqs = dict(zip(p2p.places, p2p.seqs, strict=True))
        rows = [row for row, call in enumerate(collectives.calls) if call in closing and collectives.places[row] - 1 in seqs]
        for row in rows:
            place = collectives.places[row]
            p2p.add(seqs[place - 1], collectives.calls[row], collectives.states[row], place)
        if rows:
            moved = set(rows)
            collectives.keep([row for row in range(len(collectives.seqs)) if row not in moved])
            p2p.sort()


# What is taken of each record, and in which order.
_FIELDS = itemgetter(
    "process_group", "pg_id", "is_p2p", "collective_seq_id", "p2p_seq_id", "profiling_name", "state", "input_sizes", "input_dtypes",
    "frames", "retired",
)  # fmt: skip

# Backends that see on the GPU how far a call is. The others (gloo) leave the state at scheduled, and only retire what has ended.
_WITH_EVENTS = ("nccl:", "xccl:", "hccl:")


def _short(values: list[Any]) -> object:
    """A hashable stand-in for a list: its elements, or its identity if it is long."""
    return tuple(values) if len(values) <= SHORT else id(values)


def _shapes(shapes: list[Any]) -> object:
    """The same for a list of lists."""
    return tuple(map(_short, shapes)) if len(shapes) <= SHORT else id(shapes)


def _name(group: object) -> str:
    """Name of a record's process group; empty where the version does not keep it."""
    return group[0] if type(group) is tuple and len(group) == 2 and isinstance(group[0], str) else ""


def _description(group: object) -> str:
    return group[1] if _name(group) and type(group) is tuple and isinstance(group[1], str) else ""


def _clean(entry: Mapping[str, object]) -> dict[str, object]:
    """The record with what is missing in it or of another type at its default."""
    group, state, name = entry.get("process_group"), entry.get("state"), entry.get("profiling_name")
    pair = isinstance(group, (list, tuple)) and len(group) == 2 and all(isinstance(text, str) for text in group)
    seq, frames, retired = entry.get("collective_seq_id", entry.get("seq_id")), entry.get("frames"), entry.get("retired")
    return {
        "is_p2p": entry.get("is_p2p") is True,
        "process_group": tuple(group) if pair and isinstance(group, (list, tuple)) else None,
        "pg_id": as_integer(entry.get("pg_id"), -1),
        "frames": frames if isinstance(frames, list) else None,
        "profiling_name": name if isinstance(name, str) else "",
        "input_sizes": _lists(entry.get("input_sizes")),
        "input_dtypes": _texts(entry.get("input_dtypes")),
        "state": state if isinstance(state, str) else "",
        "retired": retired if isinstance(retired, bool) else None,
        "collective_seq_id": as_integer(seq, -1),
        "p2p_seq_id": as_integer(entry.get("p2p_seq_id"), -1),
    }


def _lists(value: object) -> list[list[int]]:
    shapes = [shape for shape in value[:MOST_FRAMES] if isinstance(shape, (list, tuple))] if isinstance(value, list) else []
    return [[size for size in shape[:MOST_FRAMES] if type(size) is int] for shape in shapes]


def _texts(value: object) -> list[str]:
    return [text for text in value[:MOST_FRAMES] if isinstance(text, str)] if isinstance(value, list) else []


def _call(op: object, sizes: object, dtypes: object, site: str) -> Call:
    name = _op(op) if isinstance(op, str) else ""
    return Call(name, _written(sizes), ",".join(_texts(dtypes)[:SHORT]), _elements(sizes), site)


def _written(sizes: object) -> str:
    shapes = _lists(sizes[:SHORT]) if isinstance(sizes, list) else []
    text = "×".join(f"[{', '.join(map(str, shape[:SHORT]))}]" for shape in shapes)
    more = len(sizes) - SHORT if isinstance(sizes, list) else 0
    return f"{text} and {more} more" if more > 0 else text


def _elements(sizes: object) -> int:
    """How many elements all tensors have; shapes longer than any tensor's are cut."""
    total = 0
    for shape in sizes if isinstance(sizes, list) else ():
        product = 1
        for size in shape[:MOST_FRAMES] if isinstance(shape, (list, tuple)) else (0,):
            product = min(product * (size if type(size) is int and 0 <= size <= LARGEST_COUNT else 0), LARGEST_COUNT)
        total = min(total + product, LARGEST_COUNT)
    return total


def _site_of(frame: object) -> str:
    """`file:line function`, or nothing for a frame of torch itself."""
    if not isinstance(frame, dict):
        return ""
    function, file, line = (as_scalar(frame.get(key)) for key in ("name", "filename", "line"))
    outside = isinstance(file, str) and file and not _TORCH.search(file)
    return f"{str(file)[-300:]}:{str(line)[:20]} {str(function)[:200]}" if outside else ""


@lru_cache(maxsize=4096)
def _op(profiling_name: str) -> str:
    """`nccl:send 1->2` is `send 1->2`."""
    backend, colon, op = profiling_name.partition(":")
    return op if colon and backend.isidentifier() else profiling_name
