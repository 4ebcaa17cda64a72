"""Where logs end and stacks stand, and which errors came first."""

from __future__ import annotations

import pytest

from hanglens.analyze.endings import LAST, MOST, ending_facts
from hanglens.model import Event, Stamp
from tests.builders import BARRIER, READS, event, facts, incident, log, member, parsed


def test_the_last_lines_of_each_log() -> None:
    """The last different lines with words in them, fewer of each where there are many logs; dumps are no logs."""
    tail = tuple(event("tail", text, line=n) for n, text in enumerate(("one", "two", "two", "----", "three"), 1))
    (fact,) = facts(incident(evidence=parsed(log(tail=tail), log("s.txt", tail=tail, kind="stack dump"))), ending_facts)["log.end"]
    assert ([entry.line for entry in fact.evidence], fact.values["files"]) == ([1, 3, 5], 1)
    many = [log(f"{n}.log", tail=tuple(event("tail", f"word {k}", file=f"{n}.log") for k in range(LAST))) for n in range(2 * MOST)]
    (fact,) = facts(incident(evidence=parsed(*many)), ending_facts)["log.end"]
    assert len({entry.file for entry in fact.evidence}) == MOST


def error(text: str, *, line: int = 1, level: str = "", source: str = "text", seconds: float | None = None) -> Event:
    """A line that may be an error."""
    stamp = Stamp(str(seconds), seconds) if seconds is not None else None
    plain = event("log.error", text, line=line, level=level, source=source, file=f"{line}.log")
    return Event(plain.name, plain.source, plain.text, plain.ref, plain.level, stamp)


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (error("it failed", level="ERROR"), True),
        (error("Call to bind failed", level="WARN", source="nccl"), True),
        (error("ValueError: bad"), True),
        (error("[rank0]: torch.distributed.DistBackendError: NCCL error in x"), True),
        (error("something odd", level="WARN"), False),
        (error("No Error found", level="INFO"), False),
    ],
)
def test_what_is_an_error(line: Event, counts: bool) -> None:
    """Errors by level, NCCL's warnings, and the last line of a traceback; a line that speaks of errors is none."""
    assert ("error.first" in facts(incident(evidence=parsed(line)), ending_facts)) is counts


def test_errors_by_time_not_by_file() -> None:
    """The earliest comes first, those without a time last."""
    lines = [
        error("E: a", line=1, level="ERROR"),
        error("E: b", line=2, level="ERROR", seconds=9.0),
        error("E: c", line=3, level="ERROR", seconds=5.0),
    ]
    (fact,) = facts(incident(evidence=parsed(*lines)), ending_facts)["error.first"]
    assert [entry.text for entry in fact.evidence] == ["E: c", "E: b", "E: a"]


def test_where_stacks_stand() -> None:
    """The innermost frame, the one that says what it is, and the callers that place it."""
    place = f"wait (threading.py:320)\n{BARRIER}\nwarmup (lmdeploy/x.py:5)"
    (fact,) = facts(incident(member(0, place), member(1, READS), member(2)), ending_facts)["stack.stands"]
    assert [entry.text.split(" ")[0] for entry in fact.evidence] == ["wait", "barrier", "warmup", "next_batch"]
    assert (fact.ranks, fact.values["of"]) == ((0, 1), 2)
