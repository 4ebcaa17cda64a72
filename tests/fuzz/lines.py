"""Mutations of the lines of a text: their order, their number, and what logs of this field print in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from tests.fuzz.octets import NUMBERS

_DATE = re.compile(rb"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(rb"\d\d:\d\d:\d\d(?:[.,]\d+)?")
_RANK = re.compile(rb"(?i)(rank[ =:_]{0,2}|\[rank|local_rank=|\[)(\d+)")
_SIZE = re.compile(rb"(?i)(nranks[ =]|world[_ ]size[ =:]{1,3}|localranks |nnodes[ =]|tp[=_ ]?)(\d+)")
_SEQUENCE = re.compile(rb"(?i)(seqnum=|sequence number |opcount |seq(?:_id)?[=: ]{1,2}|\bpid[ =:]{1,2}|numel(?:in|out)=)([0-9a-f]+)")
_DATES = (b"0001-01-01", b"9999-12-31", b"0000-00-00", b"2024-13-45", b"2023-02-29", b"1969-12-31", b"2100-01-01", b"99999-01-01", b"13-45")
_CLOCKS = (b"24:00:00", b"23:59:60", b"99:99:99", b"00:00:00", b"23:59:59.9999999999", b"12:00:00+99:99", b"12:00:00Z", b"12:00:00 0001")
_RANKS = (b"-1", b"-7", b"2", b"3", b"7", b"64", b"65535", b"1048576", b"99999999999", b"00", "²".encode(), b"9" * 5000)
_SIZES = (b"0", b"1", b"2", b"3", b"1024", b"-2", b"100000", b"4294967296", b"9" * 4301)

Lines = list[bytes]


def _drop(rng: Random, lines: Lines) -> Lines:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + rng.choice((1, 1, 5, 50)) :]


def _double(rng: Random, lines: Lines) -> Lines:
    at, length = rng.randrange(len(lines)), rng.choice((1, 1, 8))
    return lines[: at + length] + lines[at : at + length] + lines[at + length :]


def _shuffle(rng: Random, lines: Lines) -> Lines:
    at, length = rng.randrange(len(lines)), rng.choice((3, 20, len(lines)))
    return lines[:at] + rng.sample(lines[at : at + length], len(lines[at : at + length])) + lines[at + length :]


def _swap(rng: Random, lines: Lines) -> Lines:
    one, other, out = rng.randrange(len(lines)), rng.randrange(len(lines)), list(lines)
    out[one], out[other] = out[other], out[one]
    return out


def _cut(rng: Random, lines: Lines) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], lines[at][: rng.randint(0, len(lines[at]))] + b"\n", *lines[at + 1 :]]


def _torn(rng: Random, lines: Lines) -> Lines:
    at, out = rng.randrange(len(lines)), list(lines)
    middle = rng.randint(0, len(out[at]))
    return [*out[:at], out[at][:middle] + b"\n" + out[at][middle:], *out[at + 1 :]]


def _glue(rng: Random, lines: Lines) -> Lines:
    out = list(lines)
    for _ in range(rng.choice((1, 1, 10))):
        at = rng.randrange(len(out))
        out[at] = out[at].rstrip(b"\n") + rng.choice((b"", b"", b" ", b"\r"))
    return out


def _many(rng: Random, lines: Lines) -> Lines:
    at, times = rng.randrange(len(lines)), rng.choice((20, 200, 1000))
    return [*lines[:at], *([lines[at][:200].rstrip(b"\n") + b"\n"] * times), *lines[at:]]


def _reverse(rng: Random, lines: Lines) -> Lines:
    return lines[::-1]


def _long(rng: Random, lines: Lines) -> Lines:
    at = rng.randrange(len(lines))
    return [
        *lines[:at],
        lines[at].rstrip(b"\n") + rng.choice((b" x", b"1", b"[", b"\\", b"a:")) * rng.choice((300, 9000)) + b"\n",
        *lines[at:],
    ]


_ORDERS = (_drop, _double, _shuffle, _swap, _cut, _torn, _glue, _many, _reverse, _long)


def reorder(rng: Random, data: bytes) -> bytes:
    """Lines lost, doubled, moved, cut, torn, glued together, or a thousand times."""
    lines = data.splitlines(keepends=True)
    return b"".join(rng.choice(_ORDERS)(rng, lines)) if lines else data


def interleave(rng: Random, data: bytes, other: bytes) -> bytes:
    """The lines of two files as if both had been written to one."""
    lines, more = data.splitlines(keepends=True), other.splitlines(keepends=True)
    at = sorted(rng.randint(0, len(lines)) for _ in more)
    for place, line in zip(reversed(at), reversed(more), strict=True):
        lines.insert(place, line)
    return b"".join(lines)


def _one_of(pattern: re.Pattern[bytes], values: tuple[bytes, ...]) -> Callable[[Random, bytes], bytes]:
    """Replaces some matches, or each, by one of the values; a first group of the pattern stays."""

    def mutate(rng: Random, data: bytes) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return reorder(rng, data)
        new = rng.choice(values)
        number = len(found) if rng.random() < 0.15 and len(new) < 100 else min(rng.choice((1, 1, 3)), len(found))
        for match in sorted(rng.sample(found, number), key=lambda one: -one.start()):
            data = data[: match.start()] + (match[1] if pattern.groups else b"") + new + data[match.end() :]
        return data

    return mutate


def settings(rng: Random, data: bytes) -> bytes:
    """A setting of the job added, as a line or as an entry of /proc/PID/environ."""
    name = rng.choice((b"WORLD_SIZE", b"RANK", b"LOCAL_RANK", b"LOCAL_WORLD_SIZE", b"NODE_RANK", b"NCCL_DEBUG", b"CUDA_VISIBLE_DEVICES"))
    setting = name + b"=" + rng.choice((*_RANKS, *_SIZES, b"", b"a", b"0,1,1,-1"))
    end = b"\0" if b"\0" in data else b"\n"
    return setting + end + data if rng.random() < 0.5 else data + end + setting + end


dates, clocks = _one_of(_DATE, _DATES), _one_of(_CLOCK, _CLOCKS)
ranks, sizes, sequences = _one_of(_RANK, _RANKS), _one_of(_SIZE, _SIZES), _one_of(_SEQUENCE, NUMBERS)
MUTATIONS = (reorder, reorder, reorder, dates, clocks, ranks, ranks, sizes, sequences, settings)
