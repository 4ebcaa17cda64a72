"""The text of a py-spy dump, made from its JSON: so that a process is stopped once a sample and not twice.

Format: py-spy 0.4 `src/dump.rs` (`print_traces`) and `src/stack_trace.rs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from hanglens.printable import printable

# Of the variables only those small numbers are kept that say who a process is: the others hold prompts, tokens and weights.
_IDENTITY = re.compile(
    r"(?:(?:global|world|local|tp|pp|dp|ep|node)_)?rank(?:_id)?$|(?:local_)?world_size$|(?:tp|dp|pp|ep)_size$|proc_id$|nprocs$"
)
_SMALL_NUMBER = re.compile(r"\d{1,6}$")
_SPAWNED = ("_wrap", "torch/multiprocessing/spawn.py")  # there `i` is the index of a process that mp.spawn started


class Variable(msgspec.Struct):
    """A variable of a frame; `repr` is None where py-spy could not read it."""

    name: str
    repr: str | None = None
    arg: bool = False


class Call(msgspec.Struct):
    """A frame, named as py-spy names it."""

    name: str
    filename: str = ""
    module: str | None = None
    short_filename: str | None = None
    line: int = 0
    locals: list[Variable] | None = None
    is_entry: bool = False
    is_shim_entry: bool = False


class ThreadDump(msgspec.Struct):
    """A thread, innermost frame first."""

    pid: int
    thread_id: int
    frames: list[Call]
    thread_name: str | None = None
    os_thread_id: int | None = None
    active: bool = False
    owns_gil: bool = False


# Made before any thread uses it: several threads that make it at one time crash msgspec.
_DECODER = msgspec.json.Decoder(list[ThreadDump])


def read_dump(raw: bytes) -> list[ThreadDump]:
    """What `py-spy dump --json` printed, without the variables that say nothing of who a process is.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    threads = _DECODER.decode(raw)
    for call in (call for thread in threads for call in thread.frames):
        call.locals = [v for v in call.locals or () if _tells_identity(call, v)] or None
    return threads


def _tells_identity(call: Call, variable: Variable) -> bool:
    spawned = (call.name, call.short_filename) == _SPAWNED and variable.name == "i"
    return bool((spawned or _IDENTITY.match(variable.name)) and variable.repr and _SMALL_NUMBER.match(variable.repr))


def rank_of(threads: Sequence[ThreadDump]) -> tuple[int, str] | None:
    """The rank that a process's variables name, and where: the outermost `rank`, else tensor parallelism's, else mp.spawn's index."""
    calls = [call for thread in threads for call in reversed(thread.frames)]
    for wanted in (("global_rank", "world_rank"), ("rank", "rank_id"), ("tp_rank",), ("i",)):
        for call in calls:
            found = next((v.repr for v in call.locals or () if v.name in wanted and v.repr), None)
            if found is not None:
                name = next(v.name for v in call.locals or () if v.name in wanted)
                return int(found), f"variable {name} of {call.name} ({call.short_filename or call.filename}:{call.line})"
    return None


def as_json(threads: Sequence[ThreadDump]) -> bytes:
    """The threads as py-spy's JSON, indented as py-spy does."""
    return msgspec.json.format(msgspec.json.encode(threads), indent=2) + b"\n"


def as_text(threads: Sequence[ThreadDump], pid: int, command: str) -> str:
    """The threads as `py-spy dump` prints them, with the variables that were kept; a line end in a name makes no further line."""
    return "\n".join(map(printable, _lines(threads, pid, command))) + "\n"


def _lines(threads: Sequence[ThreadDump], pid: int, command: str) -> Iterator[str]:
    yield f"Process {pid}: {command}"
    yield ""
    for thread in reversed(threads):
        yield _head(thread)
        for call in thread.frames:
            place = call.short_filename or call.filename or call.module or ""
            yield f"    {call.name} ({place}:{call.line})" if call.line else f"    {call.name} ({place})"
            yield from _variables(call)


def _head(thread: ThreadDump) -> str:
    number = str(thread.os_thread_id) if thread.os_thread_id is not None else f"0x{thread.thread_id:X}"
    state = "active+gil" if thread.active and thread.owns_gil else "active" if thread.active else "idle"
    return f'Thread {number} ({state}): "{thread.thread_name}"' if thread.thread_name else f"Thread {number} ({state})"


def _variables(call: Call) -> Iterator[str]:
    for title, arguments in (("Arguments:", True), ("Locals:", False)):
        rows = [v for v in call.locals or () if v.arg is arguments]
        if rows:
            yield f"        {title}"
            yield from (f"            {v.name}: {v.repr}" for v in rows)
