"""What every report shows: the Diagnosis made harmless, sorted into sections and folded. Renderers only print it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hanglens.ranges import ranges
from hanglens.report.plain import clean, few
from hanglens.report.stacktree import Blamed, StackForest, forest
from hanglens.report.timeline import Timeline, lay_out
from hanglens.report.waits import WaitGraph, WaitView, fold_waits, graph
from hanglens.verdict import (
    MOST_LANES,
    CollectiveCell,
    CommunicatorTable,
    Diagnosis,
    Evidence,
    Finding,
    Fix,
    InputRow,
    LastEvent,
    RankRow,
    RankStateName,
    Role,
    Surrounding,
)

LETTERS: dict[RankStateName, str] = {
    "running": "O", "waiting": "W", "stopped": "S", "gone": "G", "failed": "F", "idle": "I", "unknown": "?",
}  # fmt: skip
NAMED = 4  # files of a group
SUSPECTS = 4
KNOWN = 3  # hosts, pids or devices of a group
FOLD_ABOVE = 8  # more ranks than this are shown as groups of equals, also where there is room


@dataclass(frozen=True, slots=True)
class Quote:
    """One line of evidence: `place` is file:line; `before` and `after` are the lines around it, where they are known."""

    place: str
    text: str
    rank: int | None
    time: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A finding and its evidence, split by what it speaks for; `anchor` is unique in the page."""

    anchor: str
    finding: Finding
    ranks: str
    supporting: tuple[Quote, ...]
    opposing: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Culprit:
    """A process to blame, with all that is known of it."""

    rank: int | None
    host: str | None
    pid: int | None
    device: int | None


@dataclass(frozen=True, slots=True)
class RankGroup:
    """Ranks of which the same is known. `hosts`, `pids` and `devices` name at most three; `last_event` is that of a single rank."""

    ranks: str
    count: int
    row: RankRow
    hosts: str
    pids: str
    devices: str
    last_event: LastEvent | None
    culprit: bool
    victim: bool

    @property
    def letter(self) -> str:
        """The state in one letter."""
        return LETTERS[self.row.state]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Calls of a communicator, ranks × sequence numbers; equal rows are one; a cell is None where a rank made no call."""

    table: CommunicatorTable
    members: str
    seqs: tuple[int, ...]
    rows: tuple[tuple[str, tuple[CollectiveCell | None, ...]], ...]

    @property
    def title(self) -> str:
        """The group's name as the other sections write it, with its description where there is one."""
        described = self.table.name not in ("", "undefined", self.table.id)
        return f"{self.table.id}, {self.table.name}" if described else self.table.id

    @property
    def differs(self) -> bool:
        """Whether some rank is odd."""
        return any(cell.odd for cell in self.table.divergence)


@dataclass(frozen=True, slots=True)
class InputGroup:
    """Files that were recognised alike; `lines` counts those of texts, `names` are the first few."""

    kind: str
    how_known: str
    count: int
    bytes: int
    lines: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportView:
    """A whole report. `d` is the diagnosis with every string made harmless; `lead` the finding that is its root cause.

    `decided`: the root cause is confirmed or likely, or the job is well; otherwise the next evidence comes before any fix.
    """

    d: Diagnosis
    decided: bool
    lead: Card | None
    fixes: tuple[Fix, ...]
    possible: tuple[Card, ...]
    contributing: tuple[Card, ...]
    cascades: tuple[Card, ...]
    observations: tuple[Card, ...]
    ruled_out: tuple[Card, ...]
    culprits: tuple[Culprit, ...]
    cells: tuple[RankGroup, ...]
    groups: tuple[RankGroup, ...]
    missing: str
    matrices: tuple[Matrix, ...]
    timeline: Timeline | None
    stacks: StackForest
    waits: tuple[WaitView, ...]
    graph: WaitGraph
    environment: tuple[Surrounding, ...]
    input_groups: tuple[InputGroup, ...]

    @property
    def suspects(self) -> tuple[Card, ...]:
        """What may be the cause, where none is named; the first few."""
        return () if self.d.root_cause else self.possible[:SUSPECTS]

    @property
    def rows(self) -> tuple[RankGroup, ...]:
        """The rows of a full rank table: every rank, or groups of equals where there are many."""
        return self.cells if len(self.cells) <= FOLD_ABOVE else self.groups


def view(d: Diagnosis) -> ReportView:
    """Sort and fold a diagnosis for printing."""
    d = clean(d)
    cards = _cards(d.findings)
    lead = next((c for c in cards if d.root_cause and c.finding.rule == d.root_cause.id and c.finding.role != "ruled-out"), None)
    blamed: Blamed = frozenset([*d.culprit_ranks, *(f"pid {p.pid}" for p in d.culprit_processes if p.rank is None)])
    firm = d.root_cause is not None and d.root_cause.confidence != "possible"

    def of(role: Role) -> tuple[Card, ...]:
        return tuple(card for card in cards if card.finding.role == role and card is not lead)

    return ReportView(
        d=d,
        decided=firm or d.verdict in ("healthy", "slow"),
        lead=lead,
        fixes=lead.finding.fixes if lead else (),
        possible=of("cause"),
        contributing=of("contributing"),
        cascades=of("cascade"),
        observations=of("observation"),
        ruled_out=of("ruled-out"),
        culprits=_culprits(d),
        cells=tuple(sorted(_folded(d, lambda row: row.rank), key=lambda cell: cell.row.rank)),
        groups=tuple(sorted(_folded(d, lambda row: (row.state, row.collected, row.waiting_in, row.stage)), key=lambda g: not g.culprit)),
        missing=ranges(row.rank for row in d.ranks if not row.collected),
        matrices=tuple(_matrix(table) for table in d.communicators),
        timeline=lay_out(d.timeline, d.culprit_ranks),
        stacks=forest(d.stack_groups, blamed),
        waits=fold_waits(d.waits, blamed),
        graph=graph(d.waits, blamed),
        environment=tuple(sorted(d.environment, key=lambda fact: fact.unusual is None)),
        input_groups=_input_groups(d.inputs),
    )


def _input_groups(inputs: Sequence[InputRow]) -> tuple[InputGroup, ...]:
    alike: dict[tuple[str, str], list[InputRow]] = {}
    for row in inputs:
        alike.setdefault((row.kind, row.how_known), []).append(row)
    groups = [_input_group(kind, how_known, rows) for (kind, how_known), rows in alike.items()]
    return tuple(sorted(groups, key=lambda group: -group.count))


def _input_group(kind: str, how_known: str, rows: Sequence[InputRow]) -> InputGroup:
    names = tuple(row.file for row in rows[:NAMED])
    return InputGroup(kind, how_known, len(rows), sum(row.bytes for row in rows), sum(row.lines or 0 for row in rows), names)


def _cards(findings: Sequence[Finding]) -> tuple[Card, ...]:
    seen: dict[str, int] = {}
    return tuple(_card(finding, _anchor(finding.rule, seen)) for finding in findings)


def _anchor(rule: str, seen: dict[str, int]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", rule.lower()).strip("-")
    seen[slug] = seen.get(slug, 0) + 1
    return f"finding-{slug}" + (f"--{seen[slug]}" if seen[slug] > 1 else "")


def _card(finding: Finding, anchor: str) -> Card:
    return Card(
        anchor=anchor,
        finding=finding,
        ranks=ranges(finding.ranks),
        supporting=tuple(_quote(e) for e in finding.evidence if e.polarity == "for"),
        opposing=tuple(_quote(e) for e in finding.evidence if e.polarity == "against"),
    )


def _quote(e: Evidence) -> Quote:
    core = e.text.strip("…")  # the text may be cut around its match, the context is not
    same = [i for i, text in enumerate(e.context) if text == e.text] or [i for i, text in enumerate(e.context) if core in text]
    at = same[len(same) // 2] if same else None
    before, after = (e.context, ()) if at is None else (e.context[:at], e.context[at + 1 :])
    return Quote(_place(e.file, e.line, e.record), e.text, e.rank, e.time, before, after)


def _place(file: str, line: int | None, record: int | None) -> str:
    return f"{file}:{line}" if line is not None else f"{file}#{record}" if record is not None else file


def _culprits(d: Diagnosis) -> tuple[Culprit, ...]:
    """The processes to blame: as listed, then the culprit ranks that are not among them."""
    rows = {row.rank: row for row in d.ranks}

    def culprit(rank: int | None, host: str | None, pid: int | None) -> Culprit:
        row = rows.get(-1 if rank is None else rank, RankRow(rank=-1, state="unknown", collected=False))
        return Culprit(rank, host or row.host, row.pid if pid is None else pid, row.device)

    listed = tuple(culprit(p.rank, p.host, p.pid) for p in d.culprit_processes)
    named = {p.rank for p in d.culprit_processes}
    return listed + tuple(culprit(rank, None, None) for rank in d.culprit_ranks if rank not in named)


def _folded(d: Diagnosis, key: Callable[[RankRow], object]) -> tuple[RankGroup, ...]:
    """Rank rows with equal keys as one group; culprits never share a group with others."""
    culprits, victims = frozenset(d.culprit_ranks), frozenset(d.victim_ranks)
    groups: dict[object, list[RankRow]] = {}
    for row in d.ranks:
        groups.setdefault((row.rank in culprits, row.rank in victims, key(row)), []).append(row)
    return tuple(_group(rows, culprits, victims) for rows in groups.values())


def _group(rows: Sequence[RankRow], culprits: frozenset[int], victims: frozenset[int]) -> RankGroup:
    first = rows[0]
    return RankGroup(
        ranks=ranges(row.rank for row in rows),
        count=len(rows),
        row=first,
        hosts=_known(row.host for row in rows),
        pids=_known(row.pid for row in rows),
        devices=_known(row.device for row in rows),
        last_event=first.last_event if len(rows) == 1 else None,
        culprit=first.rank in culprits,
        victim=first.rank in victims,
    )


def _known(values: Iterable[str | int | None]) -> str:
    """The first different ones that are known."""
    return few(dict.fromkeys(value for value in values if value is not None), KNOWN)


def _matrix(table: CommunicatorTable) -> Matrix:
    cells = {(cell.rank, cell.seq): cell for cell in table.divergence}
    seqs = tuple(sorted({cell.seq for cell in table.divergence}))
    equal: dict[object, list[int]] = {}
    whole = seqs and len(table.members) <= MOST_LANES
    for rank in sorted({cell.rank for cell in table.divergence} | (set(table.members) if whole else set())):
        row = tuple(cells.get((rank, seq)) for seq in seqs)
        equal.setdefault(tuple(cell and (cell.op, cell.size, cell.state, cell.odd) for cell in row), []).append(rank)
    most = max(equal.values(), key=len, default=[])
    rows = tuple(
        # The table of a large group does not hold all of those that are like most.
        (ranges(ranks) + (", …" if ranks is most and not whole else ""), tuple(cells.get((ranks[0], seq)) for seq in seqs))
        for ranks in equal.values()
    )
    return Matrix(table, ranges(table.members), seqs, rows)
