"""py-spy dumps: the text of `py-spy dump`, also in the middle of a log or cut off at its head, and its refusals.

Format: py-spy `src/dump.rs` and `src/stack_trace.rs`, 0.3 to 0.4; SGLang's watchdog puts `Pyspy dump for PID N:` before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern

import msgspec

from hanglens.model import DumpFailure, Frame, Gap, Parsed, Process, SourceRef, Stack
from hanglens.parse.blocks import Block, BlockKind, Place
from hanglens.parse.dumps import (
    MAX_LOCAL,
    MAX_LOCALS,
    MAX_TEXT,
    MAX_THREADS,
    Header,
    Spot,
    Thread,
    body,
    dump_kind,
    make_frame,
    split_location,
)
from hanglens.parse.lines import Line, read_line
from hanglens.parse.pyspy_json import read_threads

_PROCESS = re.compile(r"\s{0,8}Process (?P<pid>\d{1,9}): ?(?P<command>.*)")
_PARENT = re.compile(r"\s{0,8}Parent Process (?P<pid>\d{1,9})")
_PYTHON = re.compile(r"\s{0,8}Python v\d")
_THREAD = re.compile(
    r'\s{0,8}Thread (?P<id>0x[0-9A-Fa-f]{1,16}|\d{1,16}) \((?P<state>idle|active(?:\+gil)?)\)(?:: ?"?(?P<name>[^"]{0,200}))?'
)
_ANNOUNCED = re.compile(r"Pyspy dump for PID (?P<pid>\d{1,9})")
_COMMAND = re.compile(r".{0,80}?\bpy-spy dump .{0,200}?(?:--pid[ =]|-p ?)(?P<pid>\d{1,9})")
_RULER = re.compile(r"[-=]{3,}$")
_SECTIONS = ("Arguments:", "Locals:")
_NATIVE_FILE = re.compile(r"[^\s()]{1,300}(?:\.so[\w.]{0,20}|\.pyd|\.dylib|python[\d.]{0,8})$")
_PLAIN_FRAME = re.compile(r"    ([A-Za-z_<][^\s()]{0,200}) \(([^\s():]{1,200})(?::(\d{1,9}))?\)")  # nothing but a frame looks so
_CUT_FRAME = re.compile(r"    (?P<name>[\w.<>]{1,200}) \((?P<file>[\w./<>-]{1,300})$")

_REFUSALS = (
    "Failed to get stack traces", "Failed to suspend process", "Failed to find python version", "Failed to find a python interpreter",
    "Failed to copy Py_Version symbol", "Failed to copy PyRuntime", "Failed to open process - check",
    "Failed to get process executable name", "Failed to merge native and python frames", "unexpected waitpid result",
    "Permission Denied: Try running again", "It looks like you are running in a docker container",
)  # fmt: skip
_REFUSED = re.compile(r"\s*(?:Error: )?(?P<reason>(?:" + "|".join(map(re.escape, _REFUSALS)) + r").*)")
_ERROR = re.compile(r"Error: (?P<reason>.+)")
_CAUSE = re.compile(r"\s*(?:\d{1,3}: |Reason: )(?P<reason>.+)")
_SYSTEM = re.compile(r"(?P<reason>(?:Permission denied|Operation not permitted|No such process).*)")
_NOT_DUMPED = re.compile(r"Pyspy failed to dump PID (?P<pid>\d{1,9})\.? ?(?:Error: ?)?(?P<reason>.*)")
_TARGET = re.compile(r"\bPid\((\d{1,9})\)")


@dataclass(slots=True)
class _Refusal:
    """The error that py-spy printed instead of stacks, with its causes and without the backtrace of py-spy itself."""

    first: Line
    pid: int | None
    reasons: list[str]
    in_backtrace: bool = False

    def feed(self, text: str) -> bool:
        """Take a further line of the same error."""
        if text in ("", "Caused by:", "Stack backtrace:"):
            self.in_backtrace = self.in_backtrace or text == "Stack backtrace:"
            return True
        found = _CAUSE.match(text) or _REFUSED.match(text) or _SYSTEM.match(text)
        if found and not self.in_backtrace and len(self.reasons) < 8:
            self.reasons.append(found["reason"].strip())
        return found is not None or (self.in_backtrace and text.startswith("   "))

    def failure(self, place: Place) -> DumpFailure:
        """The refusal in one line."""
        reason = "; ".join(filter(None, self.reasons))[:MAX_TEXT]
        target = _TARGET.search(reason)
        known = (self.pid, int(target[1]) if target else None, self.first.speaker.pid, place.pid)
        pid = next((p for p in known if p is not None), None)
        return DumpFailure(reason or "no reason given", SourceRef(place.file, self.first.number), pid, place.group)


@dataclass(slots=True)
class Dump:
    """A dump that is being read; with `--subprocesses` it holds several processes."""

    place: Place
    pid: int | None = None
    command: str = ""
    unproven: Process | None = None  # named by a `Process N:` line, which other programs print too
    processes: list[Process] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)
    failures: list[DumpFailure] = field(default_factory=list)
    thread: Thread | None = None
    locals: dict[str, str] = field(default_factory=dict)
    locals_indent: int = 0  # of the `Locals:` line above, 0 outside
    refusal: _Refusal | None = None

    def feed(self, line: Line) -> bool:
        """Take any line that py-spy prints."""
        text = body(line)
        if self.refusal is not None and self.refusal.feed(text):
            return True
        self._end_refusal()
        told = self._in_locals(text) or self._heading(text, line) or self._framed(text, line) or self._plain_error(text, line)
        return told or not text or _RULER.match(text) is not None

    def _plain_error(self, text: str, line: Line) -> bool:
        """An error of words not known here is py-spy's only where no stack has come yet."""
        found = None if self.thread or self.stacks or self.unproven else _ERROR.match(text)
        if found:
            self.refused(found, line)
        return found is not None

    def _heading(self, text: str, line: Line) -> bool:
        found = next(((take, m) for pattern, take in _HEADINGS if (m := pattern.match(text))), None)
        if found:
            take, match = found
            take(self, match, line)
        return found is not None

    def process(self, found: re.Match[str], line: Line) -> None:
        """A line such as `Process 12: python train.py`."""
        self._end_thread()
        self.pid, self.command = int(found["pid"]), found["command"]
        self.unproven = Process(
            SourceRef(self.place.file, line.number), self.pid, line.speaker.host, command=self.command, text=line.raw.strip()[:MAX_TEXT],
            group=self.place.group,
        )  # fmt: skip

    def parent(self, found: re.Match[str], _line: Line) -> None:
        """A line such as `Parent Process 1: bash`."""
        if self.unproven:
            self.unproven = replace(self.unproven, ppid=int(found["pid"]))
        elif self.processes:
            self.processes[-1] = replace(self.processes[-1], ppid=int(found["pid"]))

    def proof(self, _found: object = None, _line: Line | None = None) -> None:
        """A line that only py-spy prints: the process named above it is one."""
        if self.unproven:
            self.processes.append(self.unproven)
            self.unproven = None

    def announced(self, found: re.Match[str], line: Line) -> None:
        """`Pyspy dump for PID 12:`; the role of whoever says so stands for the command until there is one."""
        self._end_thread()
        self.pid, self.command = int(found["pid"]), line.speaker.tag

    def header(self, found: re.Match[str], line: Line) -> None:
        """A line such as `Thread 12 (idle): "MainThread"`."""
        self.proof()
        self._end_thread()
        self.thread = Thread(line, self.place, Header(found["id"], found["name"] or "", found["state"]))

    def refused(self, found: re.Match[str], line: Line) -> None:
        """A line such as `Error: Failed to suspend process`."""
        self.proof()
        self._end_thread()
        pid = int(found["pid"]) if "pid" in found.groupdict() else self.pid
        self.refusal = _Refusal(line, pid, [found["reason"].strip()])

    def _framed(self, text: str, line: Line) -> bool:
        spot = _spot(text, loose=self.thread is not None)
        if spot:
            self.thread = self.thread or Thread(line, self.place)
            self.thread.add(spot, line)
        return spot is not None

    def _in_locals(self, text: str) -> bool:
        indent = len(text) - len(text.lstrip())
        if self.thread and text.strip() in _SECTIONS and indent >= 4:
            self.locals_indent = indent
            return True
        if not self.locals_indent or indent <= self.locals_indent:
            self.locals_indent = 0
            return False
        name, colon, value = text.strip().partition(": ")
        if colon and len(self.locals) < MAX_LOCALS:
            self.locals.setdefault(name[:MAX_LOCAL], value[:MAX_LOCAL])
        return True

    def _end_thread(self) -> None:
        if self.thread is not None and len(self.stacks) < MAX_THREADS:
            self.stacks.append(self.thread.stack("py-spy", self.pid, self.command, local=self.locals))
        self.thread, self.locals, self.locals_indent = None, {}, 0

    def _end_refusal(self) -> None:
        if self.refusal is not None and len(self.failures) < MAX_THREADS:
            self.failures.append(self.refusal.failure(self.place))
        self.refusal = None

    def close(self) -> Parsed:
        """The threads, the refusals and the processes."""
        self._end_thread()
        self._end_refusal()
        return Parsed(stacks=tuple(self.stacks), dump_failures=tuple(self.failures), processes=tuple(self.processes))


_HEADINGS: tuple[tuple[re.Pattern[str], Callable[[Dump, re.Match[str], Line], None]], ...] = (
    (_THREAD, Dump.header),
    (_PROCESS, Dump.process),
    (_PYTHON, Dump.proof),
    (_PARENT, Dump.parent),
    (_ANNOUNCED, Dump.announced),
    (_NOT_DUMPED, Dump.refused),
    (_COMMAND, Dump.announced),
    (_REFUSED, Dump.refused),
)
_OPENINGS = (_THREAD, _PROCESS, _ANNOUNCED, _NOT_DUMPED, _COMMAND, _REFUSED)


def _spot(text: str, *, loose: bool) -> Spot | None:
    """`name (file.py:12)` or `name (lib.so)`; `loose`, inside a thread, takes any file, and a last frame that is cut off."""
    indented = text.startswith("    ")
    if loose and (cut := _CUT_FRAME.match(text)):
        return Spot(cut["name"], cut["file"])
    if not text.endswith(")") or not (indented or loose):
        return None
    name, parted, inside = text.strip()[:-1].rpartition(" (")
    file, line = split_location(inside)
    sure = (line is not None and file.endswith((".py", ">", ".pyx"))) or _NATIVE_FILE.match(inside) is not None
    fits = (sure or loose) if indented else (sure and " " not in name)
    return Spot(name, file, line) if parted and fits else None


@lru_cache(maxsize=1 << 10)
def plain_frames(text: str) -> tuple[Frame, ...] | None:
    """The frames that stand below the head of a thread, one a line; None where a line holds anything else, or has a prefix."""
    frames = [_plain_frame(raw, below) for below, raw in enumerate(text.split("\n"), 1)]
    known = tuple(frame for frame in frames if frame)
    return known if len(known) == len(frames) else None


@lru_cache(maxsize=1 << 15)
def _plain_frame(raw: str, below: int) -> Frame | None:
    if found := _PLAIN_FRAME.fullmatch(raw):  # what `_spot` makes of it, in a quarter of the time
        function, file, line = found.groups()
        return Frame(intern(function), intern(file), int(line) if line else None, raw[4:], below)
    spot = _spot(_unprefixed(raw), loose=True)
    return make_frame(spot, raw, below) if spot else None


def _unprefixed(raw: str) -> str:
    """A line that is all message and no heading; nothing for others."""
    line = read_line(raw, 0)
    text = body(line)
    heads = text.strip() in _SECTIONS or any(pattern.match(text) for pattern, _ in _HEADINGS)
    return "" if heads or line.message != raw else text


def _start(line: Line, place: Place) -> Block | None:
    text = body(line)
    if not any(opening.match(text) for opening in _OPENINGS) and _spot(text, loose=False) is None:
        return None
    dump = Dump(place)
    dump.feed(line)
    return dump


# Frames by which a dump without a head is found: packages and modules whose frames stand in nearly every thread.
# The plain `.py:` would do, and would stand in each line of many a log.
_USUAL_FRAMES = (
    "<module> (", "_bootstrap (", "_bootstrap_inner (", "_loop (", "(threading.py:", "(queue.py:", "(selectors.py:", "(subprocess.py:",
    "(socket.py:", "(train.py:", "(scheduler.py:", "(multiprocessing/", "(concurrent/futures/", "(asyncio/", "(torch/", "(vllm/",
    "(sglang/", "(lmdeploy/", "(ray/", "(zmq/", "(transformers/", "(flashinfer/", "(triton/", "(filelock/", "(deepspeed/", "(megatron/",
    "/site-packages/", "/dist-packages/", "(libc.so", "(libc-", "(libpthread", "(libtorch", "(libc10", "(libcuda", "(libnccl", "(python3",
)  # fmt: skip

BLOCKS: tuple[BlockKind, ...] = (
    dump_kind(
        "py-spy",
        (" (idle)", " (active)", " (active+gil)", "Process ", "Pyspy ", "py-spy dump ", *_REFUSALS, *_USUAL_FRAMES),
        _start,
    ),
)


def is_pyspy_json(head: bytes) -> bool:
    """Whether a file that begins so is what `py-spy dump --json` writes."""
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"[") and b'"frames"' in start and (b'"owns_gil"' in start or b'"thread_id"' in start)


def parse_pyspy_json(data: bytes, place: Place) -> Parsed:
    """Read `py-spy dump --json`. A file that holds py-spy's error instead is a `DumpFailure`, a cut-off one a `Gap`."""
    try:
        found = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError) as error:
        if not data.lstrip().startswith((b"[", b"{")):
            return _read_refusal(data, place)
        return _json_gap(place, f"not whole JSON: {error}")
    return read_threads(found, place) if isinstance(found, list) else _json_gap(place, "no list of threads")


def _json_gap(place: Place, why: str) -> Parsed:
    return Parsed(gaps=(Gap(f"py-spy dump {place.file}", why[:MAX_TEXT], "py-spy dump --json --pid PID"),))


def _read_refusal(data: bytes, place: Place) -> Parsed:
    lines = [read_line(raw, number) for number, raw in enumerate(data[: 64 << 10].decode("utf-8", "replace").split("\n"), 1)]
    dump = Dump(place)
    for line in lines:
        dump.feed(line)
    found = dump.close()
    if found.dump_failures or found.stacks:
        return found
    told = [line for line in lines if line.text.strip()]
    reason = "; ".join(line.text.strip() for line in told[:3])[:MAX_TEXT]
    failure = DumpFailure(reason or "the file is empty", SourceRef(place.file, told[0].number if told else 1), place.pid, place.group)
    return Parsed(dump_failures=(failure,))
