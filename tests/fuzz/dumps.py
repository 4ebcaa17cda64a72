"""Mutations of pickles and JSON documents that keep them readable: other values, types and keys; and of the instructions of a pickle."""

from __future__ import annotations

import json
import pickle
import pickletools
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from hanglens.pickles import load_plain
from tests.fuzz.octets import flip, number

_NUMBERS = (0, 1, -1, 2, 3, 7, 64, -(2**31), 2**31, 2**53, 2**63 - 1, 2**63, -(2**70), 10**30, 1.5, -0.0, float("inf"), float("nan"))
_TEXTS = (
    "", "0", "-1", "9" * 5000, "²", "\ud800", "\u202e\x1b[31m\x9b", "a\nb\0c\r", "</script>", "[0, 1, 99999999]", "[]", "x" * 3000,
    "completed", "scheduled", "nccl:all_reduce", "nccl:send 0->9", "gloo:barrier", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "rank",
)  # fmt: skip
_DEEP = 5000
_PLAIN_CODES = b"].}e()NKJMGhqrusat0\x88\x89\x85\x86\x87\x8aXb"

_Slot = tuple[Any, Any]  # a container, and a key or index of it


def _odd(rng: Random) -> Any:
    """Anything that JSON or a pickle may hold."""
    return rng.choice((
        lambda: rng.choice(_NUMBERS), lambda: rng.choice(_NUMBERS), lambda: rng.choice(_TEXTS), lambda: None, lambda: rng.random() < 0.5,
        list, dict, lambda: [[[]]], lambda: {"a": {"b": []}}, lambda: [rng.choice(_NUMBERS)] * rng.choice((1, 3, 500)),
        lambda: [rng.choice(_TEXTS), rng.choice(_NUMBERS)],
    ))()  # fmt: skip


def _slots(value: object) -> Iterator[_Slot]:
    pending = [value]
    while pending:
        holder = pending.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ():
            yield holder, key
            pending.append(holder[key])


def _replace(rng: Random, slot: _Slot) -> None:
    holder, key = slot
    old = holder[key]
    same = type(old) is int and rng.random() < 0.6
    holder[key] = rng.choice(_NUMBERS) if same else _odd(rng)


def _remove(rng: Random, slot: _Slot) -> None:
    holder, key = slot
    del holder[key]


def _nest(rng: Random, slot: _Slot) -> None:
    holder, key = slot
    holder[key] = rng.choice(([holder[key]], {"x": holder[key]}, str(holder[key])[:200]))


def _double(rng: Random, slot: _Slot) -> None:
    holder, key = slot
    if isinstance(holder, list):
        holder[key:key] = [holder[key]] * rng.choice((1, 1, 50))
    else:
        holder[f"{key}{rng.choice(('', ' ', '2'))}"] = holder[key]


def _rename(rng: Random, slot: _Slot) -> None:
    holder, key = slot
    if isinstance(holder, dict):
        holder[rng.choice(_TEXTS)] = holder.pop(key)
    else:
        holder.reverse()


def change(rng: Random, value: object) -> bool:
    """Change a value in one to five places; False if it has none."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        slots = list(_slots(value))
        if not slots:
            return False
        rng.choice((_replace, _replace, _replace, _remove, _nest, _double, _rename))(rng, rng.choice(slots))
    return True


def _document(rng: Random, data: bytes) -> bytes:
    value = [json.loads(data)]
    change(rng, value[0]) or _replace(rng, (value, 0))
    return json.dumps(value[0] if value else None, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")


def _text_of_document(rng: Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data))
    piece = rng.choice((b"[" * _DEEP, b'{"a":' * _DEEP, b"\\ud800", b"\\u0000", b"NaN", b"1e400", b",", b'"', b"\x1f", b'"rank":-1,', b"}"))
    return rng.choice((data[:at] + piece + data[at:], data[:at], data + data, number(rng, data)))


def _pickle(rng: Random, data: bytes) -> bytes:
    value = _thawed(load_plain(data))  # by now it may be a mutant, and name anything
    change(rng, value)
    return pickle.dumps(_frozen(value), rng.choice((2, 2, 2, 4, 5)))


def _thawed(value: object) -> object:
    """The same with lists for tuples, so that each slot of it can be changed."""
    if isinstance(value, dict):
        return {key: _thawed(item) for key, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, (list, tuple)) else value


def _frozen(value: object, key: object = None) -> object:
    """The same with a tuple where the flight recorder has one."""
    if isinstance(value, dict):
        return {name: _frozen(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(value) if key == "process_group" else [_frozen(item) for item in value]
    return value


def _instructions(rng: Random, data: bytes) -> bytes:
    """Some instructions of a pickle exchanged, doubled or lost."""
    try:
        places = [place for _, _, place in pickletools.genops(data) if place is not None]
    except (ValueError, IndexError, KeyError, OverflowError):
        places = list(range(len(data)))
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 4)) if places else 0):
        at = min(rng.choice(places), len(out) - 1)
        change = rng.random()
        out[at : at + (change < 0.8)] = b"" if change < 0.2 else bytes([rng.choice(_PLAIN_CODES) if change < 0.7 else rng.randrange(256)])
    return bytes(out)


_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, RecursionError, MemoryError, OverflowError)


def structure(rng: Random, data: bytes) -> bytes:
    """A document or a pickle with other values in it; of anything else, and of what is broken by now, some bits are flipped."""
    ways: tuple[Callable[[Random, bytes], bytes], ...] = ()
    if data[:1] in (b"{", b"["):
        ways = (_document, _document, _document, _text_of_document)
    elif data[:1] == b"\x80":
        ways = (_pickle, _pickle, _pickle, _instructions)
    try:
        return rng.choice(ways)(rng, data) if ways else flip(rng, data)
    except _FAULTS:
        return flip(rng, data)
