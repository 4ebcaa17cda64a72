"""Snippets of /proc of one process, each in a file of its own, recognised by what they hold.

Format: `man 5 proc`, Linux 3.10 to 6.x. Of an environment only the names that matter for a hang are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from hanglens import number
from hanglens.model import OpenFile, Parsed, Process, SourceRef
from hanglens.parse.blocks import Place

MOST_DESCRIPTORS = 4096
LONGEST = 4 << 20  # bytes of one snippet that are looked at

_STATUS = re.compile(rb"Name:\t[^\n]*\n(?:[A-Z]\w*:[^\n]*\n){0,3}?State:\t[A-Za-z]")
_STAT = re.compile(r"(?P<pid>\d+) \((?P<name>.{0,64})\) (?P<state>[RSDTtZXxKWPI]) (?P<ppid>\d+)(?: -?\d+){5}", re.DOTALL)
_ENVIRON = re.compile(rb"(?:[A-Za-z_][A-Za-z0-9_]{0,200}=[^\0]{0,4096}\0){2}")
_COMMAND = re.compile(rb"(?:/|python|ray::|torchrun)[^\0\n]{0,4096}\0")
_WCHAN = re.compile(rb"(?:0|[a-z_]\w{1,80})\s*")
_ARGUMENT = re.compile(r"0x([0-9a-f]{1,16})")
_DESCRIPTOR = re.compile(r"(?P<descriptor>\d{1,7}) [r-][w-] (?P<target>\S.{0,4096})")
_SYSCALL = re.compile(rb"(?:running|-?\d{1,5}(?: 0x[0-9a-f]{1,16}){2,8})\s*")


def sniff_proc(head: bytes, name: str) -> str | None:
    """Which snippet the first 4 KiB of a file are: status, stat, cmdline, environ, wchan, syscall, fds, or None.

    `name` is the file's, with or without folders. By it alone are wchan, syscall and a command line without NULs told from
    other words and numbers.
    """
    name = re.split(r"[/\\]", name)[-1]
    if _STATUS.match(head):
        return "status"
    if _STAT.match(head[:400].decode("utf-8", "replace")):
        return "stat"
    if _ENVIRON.match(head):
        return "environ"
    if _COMMAND.match(head) or ("cmdline" in name and _is_command(head)):
        return "cmdline"
    if "fds" in name and _DESCRIPTOR.match(head.partition(b"\n")[0].decode("utf-8", "replace")):
        return "fds"
    shapes = (("wchan", _WCHAN), ("syscall", _SYSCALL))
    return next((kind for kind, shape in shapes if kind in name and shape.fullmatch(head)), None)


def _is_command(head: bytes) -> bool:
    """Whether this is one line of words; the kernel's own command line, in a file of the same name, is not one of a process."""
    if head.startswith(b"BOOT_IMAGE="):
        return False
    return bool(head.strip(b"\0 \n")) and b"\n" not in head.strip() and head.replace(b"\0", b" ").decode("utf-8", "replace").isprintable()


def parse_proc(kind: str, data: bytes, place: Place) -> Parsed:
    """Read a snippet of the kind that `sniff_proc` named; it gives partial Processes."""
    text = data[:LONGEST].decode("utf-8", "replace")
    if kind == "status":
        return Parsed(processes=tuple(_statuses(text, place)))
    if kind == "fds":
        return Parsed(open_files=tuple(_descriptors(text, place)))
    return Parsed(processes=(_ONE[kind](text, place),)) if kind in _ONE else Parsed()


def _statuses(text: str, place: Place) -> Iterator[Process]:
    """Several, where somebody wrote the files of several processes into one."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith("Name:\t")]
    for start, end in pairwise([*starts, len(lines)]):
        rows = {name: value.strip() for name, _, value in (line.partition(":") for line in lines[start:end])}
        at = next((n for n in range(start, end) if lines[n].startswith("State:")), start)
        yield Process(
            SourceRef(place.file, at + 1),
            pid=_number(rows.get("Pid", ""), place.pid),
            ppid=_number(rows.get("PPid", "")),
            command=rows.get("Name", ""),
            state=rows.get("State", "")[:1],
            tracer=_number(rows.get("TracerPid", "")),
            text=lines[at][:500],
            group=place.group,
        )


def _stat(text: str, place: Place) -> Process:
    found = _STAT.match(text)
    ref, line = SourceRef(place.file, 1), text.partition("\n")[0][:500]
    if not found:
        return Process(ref, pid=place.pid, text=line, group=place.group)
    pid, ppid = _number(found["pid"]), _number(found["ppid"])
    return Process(ref, pid=pid, ppid=ppid, command=found["name"], state=found["state"], text=line, group=place.group)


def _cmdline(text: str, place: Place) -> Process:
    first, command = (" ".join(part.replace("\0", " ").split()) for part in (text.partition("\n")[0], text))
    return Process(SourceRef(place.file, 1), pid=place.pid, command=command, text=first[:500], group=place.group)


def _environ(text: str, place: Place) -> Process:
    from hanglens.privacy.settings import keep_setting  # its patterns take a twentieth of a start, and few inputs hold an environment

    pairs = (pair.partition("=") for pair in text.split("\0"))
    kept = {name: value[:1000] for name, _, value in pairs if keep_setting(name)}
    return Process(SourceRef(place.file, 1), pid=place.pid, environ=kept, group=place.group)


def _descriptors(text: str, place: Place) -> Iterator[OpenFile]:
    for at, line in enumerate(text.split("\n")[:MOST_DESCRIPTORS], 1):
        found = _DESCRIPTOR.fullmatch(line)
        if found and place.pid is not None:
            yield OpenFile(SourceRef(place.file, at), place.pid, int(found["descriptor"]), found["target"], line[:500])


def _wchan(text: str, place: Place) -> Process:
    """`0` means that the process waits for nothing in the kernel, or that the reader may not know."""
    word = text.partition("\n")[0].strip()
    return Process(SourceRef(place.file, 1), pid=place.pid, wchan="" if word == "0" else word, text=word, group=place.group)


def _syscall(text: str, place: Place) -> Process:
    line = text.partition("\n")[0].strip()
    words = line.split(" ")
    first = _ARGUMENT.fullmatch(words[1]) if len(words) > 1 else None
    argument = int(first[1], 16) if first else None
    return Process(SourceRef(place.file, 1), pid=place.pid, syscall=words[0], argument=argument, text=line[:500], group=place.group)


def _number(text: str, default: int | None = None) -> int | None:
    found = number.whole(text)
    return default if found is None else found


_ONE: dict[str, Callable[[str, Place], Process]] = {
    "stat": _stat,
    "cmdline": _cmdline,
    "environ": _environ,
    "wchan": _wchan,
    "syscall": _syscall,
}
