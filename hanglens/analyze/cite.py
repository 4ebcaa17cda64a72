"""Evidence made of what was read: the line as it stands in the file, with its rank and time."""

from __future__ import annotations

from collections.abc import Iterable

from hanglens.groups import titled
from hanglens.model import Collective, Event, Frame, SourceRef, Stack
from hanglens.verdict import Evidence


def cite_event(event: Event) -> Evidence:
    """The line of an event."""
    return Evidence(
        file=event.ref.file, line=event.ref.line, text=event.text, context=event.context, rank=event.speaker.rank,
        time=event.time.text if event.time else None,
    )  # fmt: skip


def cite(ref: SourceRef, text: str, rank: int | None = None) -> Evidence:
    """Any line or record."""
    return Evidence(file=ref.file, line=ref.line, record=ref.record, text=text, rank=rank)


def cite_frame(frame: Frame, stack: Stack, rank: int | None) -> Evidence:
    """One frame of a stack, among the frames around it."""
    at = stack.frames.index(frame)
    context = tuple(f.text or f.function for f in stack.frames[max(0, at - 2) : at + 4])
    ref = frame.ref(stack.ref)
    return Evidence(file=ref.file, line=ref.line, record=ref.record, text=frame.text or frame.function, context=context, rank=rank)


def cite_collective(call: Collective) -> Evidence:
    """One record of a flight recorder, and where in the program the call was made."""
    what, site = call.call, f" at {call.call.site}" if call.call.site else ""
    group = titled(call.group, call.about)
    text = f"rank {call.rank}: group {group} #{call.seq} {what.op} {what.sizes} {call.state}{site}"
    return cite(call.ref, " ".join(text.split()), call.rank)


def spelled(call: Collective) -> str:
    """A call in few words: `all_reduce #6 (group 0, default_pg)`."""
    return f"{call.call.op} #{call.seq} (group {titled(call.group, call.about)})"


def unique(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Each line once, in the first order."""
    return tuple({(e.file, e.line, e.record, e.text, e.polarity): e for e in evidence}.values())
