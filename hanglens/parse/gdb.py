"""Stacks of native debuggers: gdb and cuda-gdb (also Python frames of `py-bt`), lldb, pystack, and UCX crash handlers.

Formats: gdb 7 to 15 `thread apply all bt`, lldb `thread backtrace all`, pystack 1.x `remote`, UCX `src/ucs/debug/debug.c`.
"""

from __future__ import annotations

import re

from hanglens.parse.blocks import BlockKind
from hanglens.parse.dumps import Dialect, Header, Spot, as_number, dialect_kind, python_spot, split_location

_INDENTED = re.compile(r"\s{2,}\S")

_GDB_THREAD = re.compile(r"\s*\[?(?:Switching to |Current )?[Tt]hread (?:is )?(?P<number>\d{1,9}) \((?=Thread 0x|LWP |process )")
_GDB_ID = re.compile(r"\b(?:LWP|process) (\d{1,9})")
_GDB_NAME = re.compile(r'"([^"]{1,100})"')
_GDB_FRAME = re.compile(r"\s*#(?P<number>\d{1,6})\s+(?P<address>0x[0-9a-fA-F]{1,16} in )?(?P<rest>\S.*)")
_GDB_FILLER = re.compile(
    r"\(More stack frames|Backtrace stopped|--Type <|\((?:cuda-)?gdb\)|No (?:locals|symbol table)|\[(?:New|Inferior)|warning: |\s{2,}\S"
)
_BRACKETS = re.compile(r"[<>()]")
_PYTHON_LIST = re.compile(r"\s*Traceback \(most recent call first\)")

_LLDB_THREAD = re.compile(r"\s*\*?\s*thread #(?P<number>\d{1,9})\b")
_LLDB_ID = re.compile(r"\btid = (0x[0-9a-fA-F]{1,16}|\d{1,16})")
_LLDB_NAME = re.compile(r"\bname = '([^']{1,100})'")
_LLDB_FRAME = re.compile(r"\s*\*?\s*frame #(?P<number>\d{1,6}): 0x[0-9a-fA-F]{1,16} (?P<library>[^`]{1,500})`(?P<rest>.+)")
_LLDB_OFFSET = re.compile(r" \+ \d{1,12}$")
_COLUMN = re.compile(r"(:\d{1,9}):\d{1,9}$")

_PYSTACK_THREAD = re.compile(
    r"\s*Traceback for thread (?P<id>\d{1,9})(?: \((?P<name>[^)]{0,100})\))?(?P<notes>[^(]{0,100})\(most recent call last\)"
)
_PYSTACK_FRAME = re.compile(r'\s*\((?P<language>Python|C|Cython)\) File "(?P<file>[^"]*)", line (?P<line>\d{1,9}), in (?P<function>.+)')

_UCX_THREAD = re.compile(r"=+ ?backtrace \(tid: {0,12}(?P<id>\d{1,9})\) ?=+")
_UCX_FRAME = re.compile(r"\s*(?P<number>\d{1,6})\s+0x[0-9a-fA-F]{1,16} (?P<function>\S.*)\s(?P<place>\S+:\d{1,9})$")
_UCX_LIBRARY = re.compile(r"\s*(?P<number>\d{1,6})\s+(?P<file>[^\s(]{1,500})\((?P<function>[^()]{0,500})\) ?\[0x")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _gdb_header(text: str) -> Header | None:
    found = _GDB_THREAD.match(text)
    return Header(id=_first(_GDB_ID, text) or found["number"], name=_first(_GDB_NAME, text)) if found else None


def _gdb_spot(text: str) -> Spot | None:
    found = _GDB_FRAME.match(text)
    if found is None or not (found["address"] or " (" in found["rest"] or found["rest"].startswith("<signal handler")):
        return None
    call, file, line = _gdb_place(found["rest"])
    return Spot(_without_arguments(call), file, line, int(found["number"]))


def _gdb_place(rest: str) -> tuple[str, str, int | None]:
    """The call, and the source file and line, or the library, that it is in."""
    for word in (" at ", " from "):
        call, found, place = rest.rpartition(word)
        if found and ")" not in place:
            return (call, *split_location(place))
    return rest, "", None


def _without_arguments(call: str) -> str:
    """The function of `f<a (b)> (x=1)`: the arguments gdb adds begin at the first ` (` outside of all brackets."""
    depth = 0
    for bracket in _BRACKETS.finditer(call):
        at = bracket.start()
        if bracket[0] == "(" and depth == 0 and at and call[at - 1] == " ":
            return call[: at - 1]
        if bracket[0] in "(<":
            depth += 1
        elif call[at - 1 : at] != "-":
            depth = max(depth - 1, 0)
    return call.partition(" (")[0]


def _gdb_wraps(frame: str, text: str) -> bool:
    rest = text.strip()
    if frame.count("(") > frame.count(")"):
        return bool(rest) and not rest.startswith("#")
    return rest.startswith(("from ", "at ")) and not _gdb_place(frame)[1]


def _python_list_header(text: str) -> Header | None:
    return Header() if _PYTHON_LIST.match(text) else None


def _lldb_header(text: str) -> Header | None:
    found = _LLDB_THREAD.match(text)
    return Header(id=_first(_LLDB_ID, text) or found["number"], name=_first(_LLDB_NAME, text)) if found else None


def _lldb_spot(text: str) -> Spot | None:
    found = _LLDB_FRAME.match(text)
    if found is None:
        return None
    symbol, at, place = found["rest"].rpartition(" at ")
    file, line = split_location(_COLUMN.sub(r"\1", place)) if at else (found["library"], None)
    return Spot(_LLDB_OFFSET.sub("", symbol or place), file, line, int(found["number"]))


def _pystack_header(text: str) -> Header | None:
    found = _PYSTACK_THREAD.match(text)
    if found is None:
        return None
    return Header(id=found["id"], name=found["name"] or "", state="active+gil" if "Has the GIL" in found["notes"] else "")


def _pystack_spot(text: str) -> Spot | None:
    found = _PYSTACK_FRAME.match(text)
    if found is None:
        return None
    function, library = found["function"], ""
    if found["language"] == "C" and function.endswith(")"):
        function, _, library = function[:-1].rpartition(" (")
    known = found["file"] not in ("", "???")
    return Spot(function, found["file"], int(found["line"])) if known else Spot(function, library)


def _ucx_header(text: str) -> Header | None:
    found = _UCX_THREAD.match(text)
    return Header(id=found["id"]) if found else None


def _ucx_spot(text: str) -> Spot | None:
    if found := _UCX_FRAME.match(text):
        file, line = split_location(found["place"])
        known = file != "???"
        return Spot(found["function"].strip(), file if known else "", line if known else None, as_number(found["number"]))
    if found := _UCX_LIBRARY.match(text):
        return Spot(found["function"].partition("+")[0] or "??", found["file"], None, as_number(found["number"]))
    return None


GDB = Dialect("gdb", _gdb_header, _gdb_spot, _GDB_FILLER, wraps=_gdb_wraps)
PYTHON_LIST = Dialect("gdb", _python_list_header, python_spot, _INDENTED)
LLDB = Dialect("lldb", _lldb_header, _lldb_spot, re.compile(r"\(lldb\)|Process \d{1,9} stopped"))
PYSTACK = Dialect("pystack", _pystack_header, _pystack_spot, _INDENTED, outermost_first=True)
UCX = Dialect("backtrace", _ucx_header, _ucx_spot, re.compile(r"=+$"))

BLOCKS: tuple[BlockKind, ...] = (
    dialect_kind("gdb", (" (LWP ", " in ?? ()", *(f"#{number}  " for number in range(10))), GDB),
    dialect_kind("gdb-python", ("Traceback (most recent call first)",), PYTHON_LIST),
    dialect_kind("lldb", ("thread #", "frame #0: 0x"), LLDB),
    dialect_kind("pystack", ("Traceback for thread ", '(Python) File "', '(C) File "'), PYSTACK),
    dialect_kind("backtrace", ("backtrace (tid:",), UCX),
)
