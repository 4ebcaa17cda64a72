"""Which lines of the kernel log speak of this job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hanglens.analyze.kernel import kernel_facts, without_earlier_kills
from hanglens.model import Collection, Event, Parsed, SourceRef, Stamp
from tests.builders import event, facts, incident, member, parsed

BEGAN = 1_000_000.0
KILL = "Killed process 101 (python3)"
XID = "NVRM: Xid (PCI:0000:06:00): 79, GPU has fallen off the bus"


def line(text: str, seconds: float | None, name: str = "kernel.oom_kill", *, source: str = "kernel", **fields: object) -> Event:
    """A line of dmesg, so many seconds after the job began; None without a time."""
    stamp = None if seconds is None else Stamp("", BEGAN + seconds, dated=True)
    return replace(event(name, text, source=source, file="dmesg.txt", **fields), time=stamp)


def collected(*events: Event, began: float | None = BEGAN) -> Parsed:
    """Evidence of a bundle that says when the job began."""
    return replace(parsed(*events), collections=(Collection(SourceRef("manifest.json", 1), "n1", began),))


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (line(KILL, -3600), False),
        (line(KILL, 3600), True),
        (line(KILL, -30), True),
        (line(KILL, None), True),
        (line("python3[101]: segfault at 0", -3600, "kernel.other"), False),
        (line("INFO: task python3:101 blocked for more than 120 seconds", -3600, "kernel.other"), False),
        (line("something odd", -3600, "log.error"), False),
        (line(XID, -3600, "kernel.xid"), True),
        (line(KILL, -3600, source="text"), True),
    ],
    ids=["before the job", "after its start", "just before it", "without a time", "a crash before", "a block before", "an error before",
         "hardware before", "no line of the kernel's"],
)  # fmt: skip
def test_what_happened_before_the_job_began(found: Event, counts: bool) -> None:
    """What the kernel did to processes before the job was started is not about it; what it says of the hardware still is."""
    assert bool(without_earlier_kills(collected(found)).events) is counts


def test_where_nobody_says_when_it_began_everything_counts() -> None:
    """Without a bundle, or with one that does not know the start, nothing is left out."""
    for evidence in (parsed(line(KILL, -3600)), collected(line(KILL, -3600), began=None)):
        assert without_earlier_kills(evidence) is evidence


def test_a_killed_rank_is_gone() -> None:
    """A kill of a process that is a rank says that the rank is gone; one of somebody else is of others."""
    ours = incident(member(0, pid=100), member(1, pid=101), evidence=parsed(line(KILL, 5, pid_=101)))
    found = facts(ours, kernel_facts)
    assert [f.ranks for f in found["rank.gone"]] == [(1,)]
    assert "kernel.of_others" not in found
    theirs = incident(member(0, pid=100), evidence=parsed(line(KILL, 5, pid_=101)))
    assert set(facts(theirs, kernel_facts)) == {"kernel.of_others"}


def test_lines_from_before_the_job_are_of_others() -> None:
    """If all that the kernel says is older than the job, it does not speak of it."""
    old = incident(member(0, pid=100), evidence=collected(line(XID, -3600, "kernel.xid")))
    new = incident(member(0, pid=100), evidence=collected(line(XID, 60, "kernel.xid")))
    assert set(facts(old, kernel_facts)) == {"kernel.of_others"}
    assert facts(new, kernel_facts) == {}
