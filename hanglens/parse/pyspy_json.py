"""The threads of `py-spy dump --json`, which dumps one process.

Format: py-spy `src/stack_trace.rs` (`StackTrace`, `Frame`, `LocalVariable`, `ProcessInfo`), 0.3 to 0.4. Any key may be absent or null.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from hanglens import number
from hanglens.model import Frame, Parsed, Process, SourceRef, Stack
from hanglens.parse.blocks import Place
from hanglens.parse.dumps import MAX_FRAMES, MAX_LOCAL, MAX_LOCALS, MAX_TEXT, MAX_THREADS

_Object = dict[object, object]


def read_threads(threads: list[object], place: Place) -> Parsed:
    """The stacks, and the processes that they name; what is no thread is left out."""
    known = [(record, thread) for record, thread in enumerate(threads[:MAX_THREADS]) if isinstance(thread, dict)]
    processes = {p.pid: p for record, thread in known for p in _processes(thread, SourceRef(place.file, record=record), place)}
    return Parsed(
        stacks=tuple(_stack(thread, SourceRef(place.file, record=record), place) for record, thread in known),
        processes=tuple(processes.values()),
    )


def _stack(thread: _Object, ref: SourceRef, place: Place) -> Stack:
    frames = [frame for frame in _list(thread, "frames")[:MAX_FRAMES] if isinstance(frame, dict)]
    pid, info = _number(thread, "pid"), thread.get("process_info")
    return Stack(
        frames=tuple(_frame(frame) for frame in frames), ref=ref, tool="py-spy", rank=place.rank, group=place.group,
        pid=pid if pid is not None else place.pid, thread=_text(thread, "thread_name"), thread_id=_thread_id(thread),
        state=_state(thread), command=_text(info, "command_line") if isinstance(info, dict) else "", locals=_locals(frames),
    )  # fmt: skip


def _frame(frame: _Object) -> Frame:
    name = _text(frame, "name")
    file = _text(frame, "short_filename") or _text(frame, "filename") or _text(frame, "module").rpartition("/")[2]
    return _shared_frame(name, file, _number(frame, "line") or None)  # native frames without symbols have line 0


@lru_cache(maxsize=1 << 15)  # ranks of one job stand in the same calls
def _shared_frame(name: str, file: str, line: int | None) -> Frame:
    return Frame(name, file, line, f"{name} ({file}:{line})" if line else f"{name} ({file})")


def _locals(frames: list[_Object]) -> dict[str, str]:
    """The variables of all frames; of two with one name the inner one."""
    found: dict[str, str] = {}
    for variable in (v for frame in frames for v in _list(frame, "locals") if isinstance(v, dict)):
        if len(found) < MAX_LOCALS:
            found.setdefault(_text(variable, "name"), _text(variable, "repr")[:MAX_LOCAL])
    return found


def _processes(thread: _Object, ref: SourceRef, place: Place) -> Iterator[Process]:
    info = thread.get("process_info")
    if isinstance(info, dict) and _number(info, "pid") is not None:
        yield Process(ref, _number(info, "pid"), ppid=_number(info, "ppid"), command=_text(info, "command_line"), group=place.group)


def _thread_id(thread: _Object) -> str:
    """The id of the system, as the text dump shows it; where that is not known, Python's own in hexadecimal."""
    of_system, of_python = _number(thread, "os_thread_id"), _number(thread, "thread_id")
    return str(of_system) if of_system is not None else f"0x{of_python:X}" if of_python is not None else ""


def _state(thread: _Object) -> str:
    if thread.get("active") is None:
        return ""
    return "idle" if not thread["active"] else "active+gil" if thread.get("owns_gil") else "active"


def _list(holder: _Object, key: str) -> list[object]:
    value = holder.get(key)
    return value if isinstance(value, list) else []


def _text(holder: _Object, key: str) -> str:
    value = holder.get(key)
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _number(holder: _Object, key: str) -> int | None:
    return number.counted(holder.get(key))
