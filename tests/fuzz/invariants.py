"""What holds of a diagnosis whatever the evidence was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from hanglens.bundle import Item, open_evidence
from hanglens.errors import OUR_FAULT
from hanglens.limits import BundleError
from hanglens.parse.lines import ANSI
from hanglens.serialize import from_json
from hanglens.verdict import Diagnosis

YEARS = range(1970, 2101)

Contents = Mapping[str, Sequence[Sequence[str]]]
"""The lines of each file of the evidence, in each way to count them; of several files, where an archive has a path more than once."""

_STAMP = re.compile(r"(?:(?:(\d{4})-)?(\d\d)-(\d\d)T)?(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_OBEYED = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COUNTED = frozenset("rank ranks culprit_ranks victim_ranks members pid seq line lines record bytes device world_size who for_whom".split())
_FROM_ONE = frozenset({"line", "world_size"})


@dataclass(frozen=True)
class Fault:
    """Something that must not be. `kind` is what it is and where: faults of one kind are reported once."""

    kind: tuple[str, str]
    detail: str
    stack: str = ""

    def __str__(self) -> str:
        return f"{self.kind[0]} in {self.kind[1]}: {self.detail}"


Faults = Iterator[Fault]


def contents(paths: Sequence[Path]) -> Contents:
    """The lines of each file of the evidence, those inside of archives too, as far as they can be read."""
    found: dict[str, list[list[str]]] = {}
    for path, data in unpacked(paths):
        text = _decoded(data)
        found.setdefault(path, []).append(text.split("\n"))
        if "\n" not in text:
            found[path].append(text.split("\r"))  # which then are the line ends of a log
    return found


def unpacked(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """The path and the good bytes of each file of the evidence, those inside of archives too."""
    for item in open_evidence([str(path) for path in paths]):
        if isinstance(item, Item):
            yield item.path, _good_bytes(item)


def _good_bytes(item: Item) -> bytes:
    parts: list[bytes] = []
    try:
        while part := item.stream.read(1 << 20):
            parts.append(part)
    except BundleError:
        pass  # the good bytes came before
    return b"".join(parts)


def _decoded(data: bytes) -> str:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16", "replace") if utf16 else data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def of_our_own(d: Diagnosis) -> Faults:
    """No file made us fail."""
    for gap in d.gaps:
        if OUR_FAULT in gap.why:
            yield Fault(("gap", " ".join(gap.why.removeprefix(OUR_FAULT).split()[1:2])), f"{gap.what}: {gap.why}")


def cited(d: Diagnosis, lines: Contents) -> Faults:
    """Each line that is cited stands in its file, and what has no line is at least of a file that is there."""
    for finding in d.findings:
        for one in finding.evidence:
            yield from _stands(lines, finding.rule, one.file, one.line, one.text)
    for row in d.ranks:
        if row.last_event:
            yield from _stands(lines, "last event", row.last_event.file, row.last_event.line, row.last_event.text)
    for span in d.timeline:
        if span.file:
            yield from _stands(lines, f"timeline {span.kind}", span.file, span.line, span.text)
    for about in d.environment:
        if about.file:
            yield from _stands(lines, f"environment {about.name}", about.file, about.line, "")


def _stands(lines: Contents, where: str, file: str, number: int | None, text: str) -> Faults:
    files = lines.get(file)
    if files is None:
        yield Fault(("cited file", where), f"there is no file {file!r}")
    elif number is not None and not any(0 < number <= len(one) and _holds(one[number - 1], text) for one in files):
        there = [one[number - 1][:200] if 0 < number <= len(one) else f"only {len(one)} lines" for one in files]
        yield Fault(("cited line", where), f"{file}:{number} is {there} and not {text[:200]!r}")


def _holds(line: str, text: str) -> bool:
    """Whether a line has the text, but for white space, colours, NULs and where it was cut."""
    text = text.strip().removeprefix("…").removesuffix("…")
    return text in line or _bare(text) in _bare(line)


def _bare(text: str) -> str:
    return "".join(ANSI.sub("", text.replace("\0", "")).split())


def in_the_world(d: Diagnosis) -> Faults:
    """Whom it blames, who waits and who is listed is of the job, where its size is known."""
    named = {"culprit_ranks": d.culprit_ranks, "victim_ranks": d.victim_ranks, "ranks": [row.rank for row in d.ranks]}
    for name, ranks in named.items():
        strangers = [rank for rank in ranks if d.world_size is not None and not 0 <= rank < d.world_size]
        if strangers:
            yield Fault(("beyond the world", name), f"{strangers[:9]} of a world of {d.world_size}")


def counted(d: Diagnosis) -> Faults:
    """Ranks, processes, sequence numbers, lines and sizes are not negative."""
    pending: list[tuple[str, object]] = [("", msgspec.to_builtins(d))]
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += value.items()
        elif isinstance(value, (list, tuple)):
            pending += [(name, item) for item in value]
        elif type(value) is int and name in _COUNTED and value < (name in _FROM_ONE):
            yield Fault(("negative", name), f"{name} is {value}")


def timed(d: Diagnosis) -> Faults:
    """Each time is one, of this age; nothing ends before it begins."""
    for finding in d.findings:
        for one in finding.evidence:
            yield from _real(one.time, "evidence")
    for row in d.ranks:
        yield from _real(row.last_event and row.last_event.time, "last event")
    for span in d.timeline:
        yield from _real(span.start, f"timeline {span.kind}")
        yield from _real(span.end, f"timeline {span.kind}")
        start, end = _moment(span.start), _moment(span.end)
        if start and end and start[0] == end[0] and start[1] > end[1]:
            yield Fault(("backwards", f"timeline {span.kind}"), f"from {span.start} to {span.end}")


def _real(text: str | None, where: str) -> Faults:
    if text is not None and not _moment(text):
        yield Fault(("time", where), f"{text!r} is no time between {YEARS[0]} and {YEARS[-1]}")


def _moment(text: str) -> tuple[tuple[bool, bool, str], datetime] | None:
    """The form of a stamp and its moment; a day or year that it does not tell is any."""
    found = _STAMP.fullmatch(text)
    if not found or int(found[1] or YEARS[0]) not in YEARS:
        return None
    year, month, day, *clock = (int(part) for part in (found[1] or 2000, found[2] or 1, found[3] or 1, *found.group(4, 5, 6)))
    try:
        moment = datetime(year, month, day, *clock, int(float(found[7] or 0) * 1_000_000))
    except ValueError:
        return None
    return (bool(found[1]), bool(found[2]), found[8] or ""), moment


def same_again(d: Diagnosis, text: str) -> Faults:
    """The JSON says all that the diagnosis holds, and conforms to the schema."""
    if from_json(text.encode()) != d and "\ufffd" not in text:  # which stands for what is no Unicode
        yield Fault(("round trip", "json"), "the diagnosis read from its JSON is another one")


def harmless(outputs: Mapping[str, str]) -> Faults:
    """Nothing is written that a terminal or a browser would obey."""
    for name, text in outputs.items():
        if found := _OBEYED.search(text):
            around = text[max(found.start() - 60, 0) : found.end() + 60]
            yield Fault(("obeyed", name), f"U+{ord(found[0]):04X} in {around!r}")


OF_A_DIAGNOSIS: tuple[Callable[[Diagnosis], Faults], ...] = (of_our_own, in_the_world, counted, timed)
