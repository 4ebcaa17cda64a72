"""From the bytes of one file to what was read of them: recognise the kind by content, then hand it to its parser."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from hanglens.errors import HangLensError
from hanglens.faults import left_out
from hanglens.formats import HEAD
from hanglens.limits import BundleError
from hanglens.model import Gap, Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.dump_readers import DumpReaders
from hanglens.parse.flight_recorder import is_flight_recorder, load_dump
from hanglens.parse.places import input_of, read_place, with_input
from hanglens.parse.pyspy_file import LARGEST, is_pyspy_file, read_pyspy_file
from hanglens.streams import Again

if TYPE_CHECKING:
    from hanglens.parse.index import PatternIndex

_UTF8 = b"\xef\xbb\xbf"


def read_item(
    path: str, size: int, stream: io.BufferedReader, index: Callable[[], PatternIndex], dumps: DumpReaders
) -> Callable[[], Parsed]:
    """Read one file of the evidence; what is returned gives what was read, at once or when `dumps` have read it.

    `index`, what texts are searched for, is asked for when the first text comes. What cannot be read is a Gap in the result; this never
    raises for bad input.
    """
    place = read_place(path)
    try:
        reading = _begin(place, size, stream, index, dumps)
    except (HangLensError, OSError) as error:
        gap = Gap(path, str(error), "collect the file again, or unpack it and check it")
    except Exception as error:  # noqa: BLE001  a fault in one parser must not take the other files along
        gap = left_out(path, error)
    else:
        return lambda: _ended(reading, place, size)
    return lambda: _unreadable(gap, place, size)


def _ended(reading: Callable[[], Parsed], place: Place, size: int) -> Parsed:
    """What a reading gives, which another process may have done."""
    try:
        return reading()
    except Exception as error:  # noqa: BLE001  as above
        return _unreadable(left_out(place.file, error), place, size)


def _unreadable(gap: Gap, place: Place, size: int) -> Parsed:
    return Parsed(gaps=(gap,), inputs=(input_of(place, "unreadable", max(size, 0)),))


def _begin(
    place: Place, size: int, stream: io.BufferedReader, index: Callable[[], PatternIndex], dumps: DumpReaders
) -> Callable[[], Parsed]:
    if stream.peek(HEAD).startswith(_UTF8):
        stream.read(len(_UTF8))
    head = stream.peek(HEAD)[:HEAD]
    if is_flight_recorder(head):
        data = load_dump(stream, size)
        reading, length = dumps.read(data, place, size), max(size, len(data))
        return lambda: with_input(reading(), place, "flight recorder", length)
    begun = stream.read(LARGEST) if is_pyspy_file(head) else b""
    stacks = read_pyspy_file(begun, place, index()) if begun and _ends(stream) else None
    if stacks:
        return lambda: stacks
    from hanglens.parse.kinds import read_kind  # and with it all parsers

    parsed = read_kind(place, size, head, cast(BinaryIO, Again(begun, stream)) if begun else stream, index)
    return lambda: parsed


def _ends(stream: io.BufferedReader) -> bool:
    """Whether a stream has been read to its end, and not to damage."""
    try:
        return not stream.peek(1) and not stream.read(1)  # what it has is not taken from it; what it lacks by damage it raises
    except BundleError:
        return False
