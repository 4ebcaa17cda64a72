"""What is concluded: frozen values from a Fact to the whole Diagnosis.

The Diagnosis is the only thing that the renderers see, and the shape of the JSON that `hanglens schema` describes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA_VERSION = "1.0"

Verdict = Literal["hung", "failed", "slow", "healthy", "unknown"]
Confidence = Literal["confirmed", "likely", "possible"]
Role = Literal["cause", "contributing", "cascade", "observation", "ruled-out"]
RankStateName = Literal["running", "waiting", "stopped", "gone", "failed", "idle", "unknown"]

MOST_LANES = 32  # ranks of one communicator's table

CONFIDENCES: tuple[Confidence, ...] = ("possible", "likely", "confirmed")


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all values of the Diagnosis: immutable, compared by content."""


class Text(Value, frozen=True):
    """A sentence for people, in both languages."""

    en: str
    zh: str


class Evidence(Value, frozen=True):
    """One line (or record) that speaks for or against a finding.

    `text` is the line itself, cut around the match to 500 characters; `context` the lines around it.
    """

    file: str
    text: str
    line: int | None = None
    record: int | None = None
    context: tuple[str, ...] = ()
    rank: int | None = None
    time: str | None = None
    polarity: Literal["for", "against"] = "for"


class Fact(Value, frozen=True):
    """Something an analysis computed; rules ask for it by `name`.

    `ranks` are the ranks it is true of, `pids` their processes where these are known; `values` are what conditions compare
    and texts quote.
    """

    name: str
    ranks: tuple[int, ...] = ()
    pids: tuple[int, ...] = ()
    values: dict[str, str | int | float | bool] = {}
    evidence: tuple[Evidence, ...] = ()
    of_all: bool = False


class Fix(Value, frozen=True):
    """One remedy: what to do, the command, what it costs, how to see that it worked."""

    title: Text
    command: str = ""
    risk: Text = Text(en="", zh="")
    verify: Text = Text(en="", zh="")


class Finding(Value, frozen=True):
    """What one rule concluded, with everything needed to check it."""

    rule: str
    category: str
    role: Role
    confidence: Confidence
    title: Text
    explanation: Text
    ranks: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()
    references: tuple[str, ...] = ()
    why_not: Text | None = None


class RootCause(Value, frozen=True):
    """The finding that explains the others. `score` orders candidates, 0..1."""

    id: str
    category: str
    title: Text
    confidence: Confidence
    score: float


class CulpritProcess(Value, frozen=True):
    """A process that holds the others up; `rank` is null where it is not known."""

    host: str | None
    pid: int | None
    rank: int | None


class LastEvent(Value, frozen=True):
    """The last thing a rank is known to have printed."""

    text: str
    file: str
    line: int | None = None
    time: str | None = None


class RankRow(Value, frozen=True):
    """Where one rank stands, and how that is known."""

    rank: int
    state: RankStateName
    collected: bool
    host: str | None = None
    pid: int | None = None
    device: int | None = None
    stage: Text | None = None
    last_event: LastEvent | None = None
    waiting_in: str | None = None
    how_known: str = ""


class Wait(Value, frozen=True):
    """`who` waits for `for_whom` in `in_what`: ranks as numbers, processes by name."""

    who: int | str
    for_whom: int | str
    in_what: str


class CollectiveCell(Value, frozen=True):
    """One rank at one sequence number; `odd` marks the cell that differs."""

    rank: int
    seq: int
    op: str
    state: str
    size: str = ""
    odd: bool = False
    file: str = ""
    record: int | None = None


class CommunicatorTable(Value, frozen=True):
    """A communicator or process group, with the table around the odd call.

    Of a group of more than MOST_LANES ranks the table holds those that differ, and some of the others.
    """

    id: str
    name: str
    members: tuple[int, ...]
    divergence: tuple[CollectiveCell, ...] = ()


class StackGroup(Value, frozen=True):
    """Ranks whose deciding thread stands at the same place. `moving` compares samples; null with one sample."""

    ranks: tuple[int, ...]
    frames: tuple[str, ...]
    waiting_in: str | None = None
    moving: bool | None = None
    processes: tuple[str, ...] = ()


SpanKind = Literal["stage", "progress", "silence", "error", "timeout"]


class TimelineSpan(Value, frozen=True, rename={"start": "from", "end": "to"}):
    """Something a rank did from one time to another (or at one instant).

    `file`, `line` and `text` are the line that tells it: the first of a stage, the last before a silence. `title` is a stage's in words.
    """

    rank: int | None
    start: str
    end: str
    kind: SpanKind
    label: str
    file: str = ""
    line: int | None = None
    text: str = ""
    title: Text | None = None


class Surrounding(Value, frozen=True):
    """One fact of the environment; `unusual` says why it is marked."""

    name: str
    value: str
    unusual: Text | None = None
    file: str = ""
    line: int | None = None


class GapRow(Value, frozen=True):
    """Evidence that is missing, why, and how to get it."""

    what: str
    why: str
    how_to_collect: str = ""


class NextEvidence(Value, frozen=True):
    """One thing to collect, and the causes that it would tell apart."""

    what: Text
    command: str
    splits: tuple[str, ...] = ()


class InputRow(Value, frozen=True):
    """One file of the evidence and how it was recognised."""

    file: str
    kind: str
    bytes: int
    lines: int | None = None
    rank: int | None = None
    how_known: str = ""


class Diagnosis(Value, frozen=True):
    """The whole answer. Lists go from most to least important."""

    verdict: Verdict
    summary: Text
    tool_version: str
    schema_version: str = SCHEMA_VERSION
    root_cause: RootCause | None = None
    culprit_ranks: tuple[int, ...] = ()
    culprit_processes: tuple[CulpritProcess, ...] = ()
    victim_ranks: tuple[int, ...] = ()
    world_size: int | None = None
    findings: tuple[Finding, ...] = ()
    ranks: tuple[RankRow, ...] = ()
    waits: tuple[Wait, ...] = ()
    communicators: tuple[CommunicatorTable, ...] = ()
    stack_groups: tuple[StackGroup, ...] = ()
    timeline: tuple[TimelineSpan, ...] = ()
    environment: tuple[Surrounding, ...] = ()
    gaps: tuple[GapRow, ...] = ()
    next_evidence: tuple[NextEvidence, ...] = ()
    inputs: tuple[InputRow, ...] = ()
