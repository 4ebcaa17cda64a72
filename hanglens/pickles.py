"""Pickles of plain data, read so that nothing runs: whatever imports, calls or asks for memory it cannot fill is refused beforehand.

Format: CPython `Lib/pickletools.py`, protocols 2 to 5; PyTorch writes protocol 2 (`torch/csrc/jit/serialization/pickler.cpp`).
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections import deque
from pathlib import Path

MOST_TUPLES = 50_000  # a tuple nested deeper than some 100 000 levels overflows the C stack when it is hashed
MOST_CONTAINERS = 5_000_000  # a list or dict takes one byte in the file, and about a hundred in memory

_STOP, _PROTO = 0x2E, 0x80
_TUPLES = frozenset(b")t\x85\x86\x87")
_TEXTS = {0x58: 4, 0x8C: 1}  # BINUNICODE, SHORT_BINUNICODE: how many bytes their length takes
_LONG1 = 0x8A
# Instructions of a fixed size that make scalars, lists, dicts and memo entries. A memo index (`r`) stays below 4 Mi,
# since the unpickler makes room for the highest index it sees. Bounded, because `re` keeps a state for each repetition.
_PLAIN = re.compile(rb"(?:[(\]e}uN\x88\x89as\x94]|[hKq\x80].|M..|[Jj].{4}|\x8a\x08.{8}|r..[\x00-\x3f]\x00|[G\x95].{8}){1,1000}", re.DOTALL)


class PickleRefused(ValueError):
    """The pickle is damaged, or wants more than plain data; the message says what."""


def is_pickle(head: bytes) -> bool:
    """Whether these first bytes are the header of a pickle of protocol 2 to 5."""
    return len(head) > 2 and head[0] == _PROTO and 2 <= head[1] <= 5


def load_plain(data: bytes, *, confined: bool = False) -> object:
    """Load a pickle that holds only dicts, lists, tuples, texts, numbers, booleans and None.

    Every instruction is checked before the first one is carried out. In a process of its own whose memory is `confined` that is not
    needed, and takes most of the time: nothing can be imported there, and what asks for endless memory ends itself.
    Raises PickleRefused.
    """
    if data.count(b"}") + data.count(b"]") > MOST_CONTAINERS:
        raise PickleRefused(f"holds more than {MOST_CONTAINERS} lists and dicts: not read")
    if not confined or sum(data.count(code) for code in _TUPLES) > MOST_TUPLES:
        _check(data)
    try:
        return _PlainUnpickler(io.BufferedReader(io.BytesIO(data))).load()  # buffered: it reads ahead
    except PickleRefused:
        raise
    except Exception as error:  # the unpickler answers damage with nearly any exception
        if confined:
            _check(data)  # it knows better what is wrong
        raise PickleRefused(f"is damaged: {type(error).__name__}") from error


def confine(more: int = 2 << 30) -> bool:
    """Let this process have only so many bytes more; False where the system does not limit that. For helpers, not for a user's process."""
    try:
        import resource

        in_use = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limits = resource.getrlimit(resource.RLIMIT_AS)
        most = min([in_use + more, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])  # never more than the user allows
        resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    except (ImportError, OSError, ValueError):
        return False
    return True


class _PlainUnpickler(pickle.Unpickler):
    """The second lock: `_check` lets no instruction through that would get here."""

    def find_class(self, module: str, name: str) -> object:
        raise PickleRefused(_import(f"{module}.{name}"))

    def persistent_load(self, pid: object) -> object:
        raise PickleRefused("wants a persistent object: refused, nothing was executed")


def _check(data: bytes) -> None:
    position, tuples, texts = 0, 0, deque[str](maxlen=2)
    while position < len(data):
        run = _PLAIN.match(data, position)
        position = run.end() if run else position
        code = data[position] if position < len(data) else -1
        if code == _STOP:
            return
        if code in _TUPLES:
            position, tuples = position + 1, tuples + 1
            if tuples > MOST_TUPLES:
                raise PickleRefused(f"holds more than {MOST_TUPLES} tuples: not read")
        elif code in _TEXTS:
            start = position + 1 + _TEXTS[code]
            position = start + int.from_bytes(data[position + 1 : start], "little")
            texts.append(data[start : min(position, start + 100)].decode("utf-8", "replace"))
        elif code == _LONG1:
            position += 2 + int.from_bytes(data[position + 1 : position + 2], "little")
        elif run is None:
            raise PickleRefused(_refusal(data[position : position + 4096], texts))
    raise PickleRefused(f"is cut off: it ends after {len(data)} bytes without its end mark")


def _refusal(data: bytes, texts: deque[str]) -> str:
    """Why the instruction that `data` begins with is refused; `texts` are the last ones before it."""
    try:
        opcode, argument, _ = next(pickletools.genops(data))
    except (ValueError, StopIteration):
        return f"is damaged: there is no instruction 0x{data[0]:02x}"
    if opcode.name in ("GLOBAL", "INST"):
        return _import(str(argument).replace(" ", "."))
    if opcode.name == "STACK_GLOBAL":
        return _import(".".join(texts))
    return f"holds the instruction {opcode.name}, which plain data does not need: refused, nothing was executed"


def _import(name: str) -> str:
    return f"wants to import {name[:100]}: refused, nothing was executed"
