"""Stacks that Python prints itself: tracebacks, faulthandler dumps, stacks of each thread, torch's stack of a failed collective.

Formats: CPython 3.8 to 3.14 `traceback` and `faulthandler`, Ray 2.x `RayTaskError`, PyTorch 2.5+ `ProcessGroupNCCL.cpp`
(`Stack trace of the failed collective`: where it was called, which need not be where the rank stands now).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from hanglens.model import Frame, Parsed, SourceRef, Speaker, Traceback
from hanglens.parse.blocks import Block, BlockKind, Place
from hanglens.parse.dumps import (
    MAX_FRAMES,
    MAX_TEXT,
    Dialect,
    Header,
    Spot,
    as_number,
    body,
    dialect_kind,
    dump_kind,
    make_frame,
    python_spot,
    split_location,
)
from hanglens.parse.lines import Line

_TRACEBACK = "Traceback (most recent call last)"
_GROUP_MARGIN = re.compile(r" {1,40}[|+](?: ?\|){0,20} ?")  # before each line of an ExceptionGroup's traceback
_ERROR = re.compile(r"\s*(?P<type>[A-Za-z_][\w.]{0,200})(?:\([\w.]{0,200}\))?(?P<message>:(?: |$)|$)")
_BARE_ERROR = re.compile(r"(?:Error|Exception|Exit|Interrupt|Iteration|Warning|Empty|Full|Timeout|Expired)$")
_LEVELS = ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL")
_NCCL_ERROR = re.compile(r"nccl[A-Z]\w{1,60}: ?|Last error:")  # further lines of a DistBackendError's message
_ERROR_LINES = 4
_REMOTE = re.compile(r"\bray::\S{1,200} \(pid=(?P<pid>\d{1,9})(?:, ip=(?P<host>[\w.:-]{1,60}))?")  # whose frames Ray lists below
_FLAT_FRAME = re.compile(r'File "[^"]{1,500}", line \d{1,9}, in \S{1,200}')
_FLAT_ERROR = re.compile(r"\b[A-Za-z_][\w.]{0,100}(?:Error|Exception): .{1,500}")

_FAULT_THREAD = re.compile(
    r"(?:Current thread|Thread) (?P<id>0x[0-9a-fA-F]{1,16})(?: \[(?P<name>[^\]]{0,100})\])? \(most recent call first\)"
)
_FAULT_STACK = re.compile(r"Stack \(most recent call first\)")
_FAULT_FRAME = re.compile(r'\s*File "(?P<file>[^"]*)", line (?P<line>\d{1,9}|\?\?\?) in (?P<function>.+)')
_FAULT_FILLER = re.compile(
    r"\s*(?:<no Python frame>|\.\.\.|Garbage-collecting|Binary file |Extension modules: |Timeout \(|Fatal Python error: "
    r"|Python runtime state|Current thread's C stack trace|<cannot get C stack)"
)
_COLLECTIVE = re.compile(r".{0,200}Stack trace of the failed collective:$")
_COLLECTIVE_FRAME = re.compile(r"\s*#(?P<number>\d{1,6}) (?P<rest>\S.*)")
_THREAD_LIST = re.compile(r"[-#=* ]{0,40}Stack(?: ?trace)? (?:for|of) thread:? (?P<id>\w{1,40})(?: \(?(?P<name>[\w. -]{0,100}))?")
_INDENTED = re.compile(r"\s{2,}\S")


@dataclass(slots=True)
class _Traceback:
    """A traceback that is being read. `first` is its heading, or its first frame where the heading is cut off.

    `headed`: its frames stand behind a logger's prefix, and so must its error.
    """

    first: Line
    place: Place
    frames: list[Frame] = field(default_factory=list)
    error: list[str] = field(default_factory=list)
    error_line: Line | None = None
    indent: int = 2
    headed: bool = False
    after_frame: bool = False

    def feed(self, line: Line) -> bool:
        """Take a frame, its source, or the error that ends the traceback."""
        text = _text(line)
        if self.error:
            return self._lengthen(text)
        if spot := python_spot(text):
            self._add(spot, text, line)
            return True
        after_frame, self.after_frame = self.after_frame, False
        if _TRACEBACK in text or (self.frames and not text):
            return False
        if self._ends_with(text, line):
            self.error, self.error_line = [text.strip()], line
            return _REMOTE.search(text) is None  # such a line also begins the traceback of the remote process
        return _indent(text) >= max(self.indent, 1) or after_frame or (not self.frames and not text.strip(" ."))

    def _add(self, spot: Spot, text: str, line: Line) -> None:
        if len(self.frames) < MAX_FRAMES:
            self.frames.append(make_frame(spot, line.raw, line.number - self.first.number))
        self.indent, self.headed, self.after_frame = _indent(text), bool(line.level), True

    def _ends_with(self, text: str, line: Line) -> bool:
        found = _ERROR.match(text)
        if found is None or _indent(text) >= max(self.indent, 1) or found["type"] in _LEVELS or bool(line.level) != self.headed:
            return False
        return bool(found["message"] or "." in found["type"] or _BARE_ERROR.search(found["type"]))

    def _lengthen(self, text: str) -> bool:
        goes_on = self.error[-1].endswith(":") or _NCCL_ERROR.match(text) is not None
        if not text.strip() or not goes_on or len(self.error) == _ERROR_LINES or _TRACEBACK in text:
            return False
        self.error.append(text.strip())
        return True

    def close(self) -> Parsed:
        """The traceback, unless only its heading was there."""
        if not self.frames and not self.error:
            return Parsed()
        end, file = self.error_line, self.place.file
        found = Traceback(
            frames=tuple(self.frames), error=" ".join(self.error)[:MAX_TEXT], ref=SourceRef(file, self.first.number),
            error_ref=SourceRef(file, end.number) if end else None, error_text=end.raw.strip()[:MAX_TEXT] if end else "",
            speaker=_speaker(self.first),
        )  # fmt: skip
        return Parsed(tracebacks=(found,))


def _text(line: Line) -> str:
    text = body(line)
    return _GROUP_MARGIN.sub("", text, count=1) if text.lstrip()[:1] in ("|", "+") else text


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _speaker(first: Line) -> Speaker:
    """Whose traceback it is: of a remote process if Ray says so, else of whoever speaks."""
    remote = _REMOTE.search(body(first))
    return replace(first.speaker, pid=int(remote["pid"]), host=remote["host"] or first.speaker.host) if remote else first.speaker


def _flattened(line: Line, place: Place) -> _Traceback | None:
    """A traceback that lost its line ends, as pasting and some loggers make it: at least two frames in one line."""
    text = body(line)
    found = list(_FLAT_FRAME.finditer(text))
    if len(found) < 2:
        return None
    traceback = _Traceback(line, place, headed=bool(line.level))
    spots = ((frame[0], python_spot(frame[0])) for frame in found)
    traceback.frames = [replace(make_frame(spot, line.raw, 0), text=part) for part, spot in spots if spot]
    if error := _FLAT_ERROR.search(text, found[-1].end()):
        traceback.error, traceback.error_line = [error[0]], line
    return traceback


def _start_traceback(line: Line, place: Place) -> Block | None:
    text = _text(line)
    if flat := _flattened(line, place):
        return flat
    if _TRACEBACK in text or _REMOTE.search(text):
        return _Traceback(line, place, headed=bool(line.level))
    if python_spot(text) is None:
        return None
    traceback = _Traceback(line, place)
    traceback.feed(line)
    return traceback


def _fault_header(text: str) -> Header | None:
    if found := _FAULT_THREAD.match(text):
        return Header(id=found["id"], name=found["name"] or "")
    return Header() if _FAULT_STACK.match(text) else None


def _fault_spot(text: str) -> Spot | None:
    found = _FAULT_FRAME.match(text)
    return Spot(found["function"], found["file"], as_number(found["line"])) if found else None


def _collective_header(text: str) -> Header | None:
    return Header() if _COLLECTIVE.match(text) else None


def _collective_spot(text: str) -> Spot | None:
    found = _COLLECTIVE_FRAME.match(text)
    function, parted, place = found["rest"].rpartition(" from ") if found else ("", "", "")
    file, line = split_location(place)
    return Spot(function, file, line, int(found["number"])) if found and parted and line is not None else None


def _list_header(text: str) -> Header | None:
    found = _THREAD_LIST.match(text)
    return Header(id=found["id"], name=(found["name"] or "").strip(" -")) if found else None


FAULTHANDLER = Dialect("faulthandler", _fault_header, _fault_spot, _FAULT_FILLER)
FAILED_COLLECTIVE = Dialect("torch", _collective_header, _collective_spot, re.compile(r"$"))
THREAD_LIST = Dialect("python", _list_header, python_spot, _INDENTED, outermost_first=True)

BLOCKS: tuple[BlockKind, ...] = (
    dialect_kind("faulthandler", ("(most recent call first)", 'File "'), FAULTHANDLER),
    dialect_kind("failed-collective", ("Stack trace of the failed collective:", " from /", " from <"), FAILED_COLLECTIVE),
    dialect_kind("thread-list", ("for thread", "of thread"), THREAD_LIST),
    dump_kind("traceback", (_TRACEBACK, '", line ', "ray::"), _start_traceback),
)
