"""The terminal summary: what stands still, who is to blame, why, and what to do now, on about one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Words

from hanglens.report import brief
from hanglens.report.i18n import CONFIDENCE_WORDS, CONFIDENCES, ROLES, STATES, VERDICTS, Lang, pick, say, those
from hanglens.report.plain import cut
from hanglens.report.view import Card, Culprit, Quote, RankGroup, ReportView, view
from hanglens.report.waits import WaitView
from hanglens.verdict import Diagnosis, Fix, GapRow, NextEvidence, Text

WIDTH = 100
WIDEST = 120  # prose in longer lines is hard to read
CULPRITS = 4
QUOTES = 6
RANK_ROWS = 12
OTHERS = 4
TABLES = 1
_QUOTE_LENGTH = 200
_SEEN = 3  # observations that are shown where no cause is
_PLACE_LENGTH = 48
_WHY_LENGTH = 400

_COLOURS = {"hung": "bold red", "failed": "bold red", "slow": "bold yellow", "healthy": "bold green", "unknown": "bold magenta"}
_STATE_COLOURS = {"failed": "red", "gone": "red", "stopped": "yellow", "unknown": "magenta"}


def render(d: Diagnosis, *, lang: Lang, width: int | None, colour: bool) -> str:
    """The summary in one language; `width` in columns (None: 100; at most 120 are used).

    Commands are never wrapped, so that they can be copied. Without `colour` there is no escape sequence at all.
    """
    out = StringIO()
    console = Console(
        file=out,
        width=min(width or WIDTH, WIDEST),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        force_jupyter=False,
        _environ={},
    )
    page = _Page(view(d), lang)
    for part in page.parts():
        console.print(part, soft_wrap=isinstance(part, _Command))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")) + "\n"


class _Command(Words):
    """Words to copy: printed on one line however long."""


class _Page:
    """The parts of the summary in one language, in the order of printing."""

    def __init__(self, shown: ReportView, lang: Lang) -> None:
        self.v, self.d, self.lang = shown, shown.d, lang

    def parts(self) -> Iterator[RenderableType]:
        """Everything, from the verdict to the gaps."""
        yield self.verdict()
        yield from self.blame()
        sections = (self.evidence, self.action, self.ranks, self.timeline, self.stacks, self.collectives, self.waits, self.others)
        for section in (*sections, self.second_action, self.gaps, self.environment, self.inputs):
            yield from section()

    def say(self, english: str, **values: object) -> str:
        return say(english, self.lang, **values)

    def text(self, text: Text | None) -> str:
        return pick(text, self.lang).replace("\n", " ") if text else ""

    def heading(self, english: str) -> RenderableType:
        return Words("\n" + self.say(english), style="bold")

    def verdict(self) -> RenderableType:
        word = self.say(VERDICTS[self.d.verdict])
        return Words.assemble((word, _COLOURS[self.d.verdict]), "  ", (self.text(self.d.summary), "bold"))

    def blame(self) -> Iterator[RenderableType]:
        grid = _grid()
        if self.v.culprits:
            named = [self.culprit(culprit) for culprit in self.v.culprits[:CULPRITS]] + ["…"] * (len(self.v.culprits) > CULPRITS)
            grid.add_row(Words(self.say("To blame"), style="bold"), Words("\n".join(named)))
        if cause := self.d.root_cause:
            grid.add_row(Words(self.say("Cause"), style="bold"), Words.assemble(self.text(cause.title), (f"  {cause.id}", "dim")))
            grid.add_row("", Words(self.say(CONFIDENCES[cause.confidence])))
            if self.v.lead:
                grid.add_row(Words(self.say("Why"), style="bold"), Words(cut(self.text(self.v.lead.finding.explanation), _WHY_LENGTH)))
        elif self.d.verdict != "healthy":
            grid.add_row(Words(self.say("Cause"), style="bold"), Words(self.say("not decidable from this evidence")))
        if self.v.suspects:
            titles = "\n".join(self.text(card.finding.title) for card in self.v.suspects)
            grid.add_row(Words(self.say("Suspects"), style="bold"), Words(titles))
        if grid.row_count:
            yield Words()
            yield grid

    def culprit(self, culprit: Culprit) -> str:
        named = (("rank {n}", culprit.rank), ("host {n}", culprit.host), ("pid {n}", culprit.pid), ("GPU {n}", culprit.device))
        return " · ".join(self.say(name, n=value) for name, value in named if value is not None)

    def evidence(self) -> Iterator[RenderableType]:
        if self.v.lead:
            quotes = _best(self.v.lead)
            if quotes:
                yield self.heading("Evidence")
                yield _indented(self.quotes(quotes))
            return
        shown: set[str] = set()
        for card in self.v.observations:
            quote = next((q for q in card.supporting if q.place not in shown), None)
            if quote and len(shown) < _SEEN:
                if not shown:
                    yield self.heading("What is seen")
                shown.add(quote.place)
                yield _indented(Words(self.text(card.finding.title)))
                yield Padding(self.quotes([("+", quote)]), (0, 0, 0, 4))

    def quotes(self, quotes: list[tuple[str, Quote]]) -> Table:
        """Places beside what stands there."""
        grid = _grid()
        for sign, quote in quotes:
            grid.add_row(Words(_short(quote.place), style="cyan" if sign == "+" else "yellow"), self.quoted(sign, quote))
        return grid

    def quoted(self, sign: str, quote: Quote) -> Words:
        words = Words(cut(quote.text.strip(), _QUOTE_LENGTH))
        return words if sign == "+" else Words.assemble((self.say("against") + ": ", "yellow"), words)

    def action(self) -> Iterator[RenderableType]:
        """What to do now: the first fix, or, where nothing is decided, what to collect."""
        yield from self.fixes(self.v.fixes[:1], "Do this first") if self.v.decided else self.next_evidence("Collect this next")

    def second_action(self) -> Iterator[RenderableType]:
        if self.v.decided:
            yield from self.fixes(self.v.fixes[1:], "Other fixes")
            yield from self.next_evidence("To be sure, collect")
        else:
            yield from self.fixes(self.v.fixes, "If it is this cause")

    def fixes(self, fixes: Sequence[Fix], heading: str) -> Iterator[RenderableType]:
        if fixes:
            yield self.heading(heading)
        for fix in fixes[:OTHERS]:
            yield from self.remedy(fix)

    def remedy(self, fix: Fix) -> Iterator[RenderableType]:
        yield _indented(Words(self.text(fix.title)))
        yield from _command(fix.command)
        grid = _grid()
        for name, text in (("Risk", fix.risk), ("Check", fix.verify)):
            if self.text(text):
                grid.add_row(Words(self.say(name), style="dim"), Words(self.text(text)))
        if grid.row_count:
            yield _indented(grid)

    def next_evidence(self, heading: str) -> Iterator[RenderableType]:
        if self.d.next_evidence:
            yield self.heading(heading)
        for item in self.d.next_evidence[:3]:
            yield from self.wanted(item)

    def wanted(self, item: NextEvidence) -> Iterator[RenderableType]:
        yield _indented(Words(self.text(item.what)))
        yield from _command(item.command)
        if item.splits:
            yield Padding(Words(self.say("tells apart: {causes}", causes=", ".join(item.splits)), style="dim"), (0, 0, 0, 4))

    def waits(self) -> Iterator[RenderableType]:
        if self.v.waits:
            yield self.heading("Who waits for whom")
        for wait in self.v.waits[:OTHERS]:
            yield _indented(Words(self.wait(wait)))
        if len(self.v.waits) > OTHERS:
            yield _indented(Words(self.say("… and {n} more", n=len(self.v.waits) - OTHERS)))

    def wait(self, wait: WaitView) -> str:
        who = " · ".join(part for part in (those(wait.ranks, self.lang), wait.names) if part)
        whom = wait.for_name if wait.for_rank is None else self.say("rank {n}", n=wait.for_rank)
        return f"{who} → {whom}  ({wait.in_what})"

    def ranks(self) -> Iterator[RenderableType]:
        groups = self.v.groups
        if not groups:
            return
        yield self.heading("Ranks")
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
        table.add_column("", no_wrap=True)
        for name in ("Rank", "State", "Waits in", "Stage", "Host", "pid"):
            table.add_column(Words(self.say(name)), overflow="fold")
        for group in groups[:RANK_ROWS]:
            table.add_row(*self.rank(group), style="bold" if group.culprit else None)
        yield _indented(table)
        if len(groups) > RANK_ROWS:
            yield _indented(Words(self.say("… and {n} more", n=sum(g.count for g in groups[RANK_ROWS:]))))

    def rank(self, group: RankGroup) -> Iterator[RenderableType]:
        row = group.row
        state = self.say(STATES[row.state]) + ("" if row.collected else ", " + self.say("no dump of it"))
        yield Words("▶" if group.culprit else "", style="red")
        yield Words(group.ranks)
        yield Words(state, style=_STATE_COLOURS.get(row.state, ""))
        for text in (row.waiting_in or "", self.text(row.stage), group.hosts, group.pids):
            yield Words(text)

    def listed(self, heading: str, lines: Sequence[str]) -> Iterator[RenderableType]:
        if lines:
            yield self.heading(heading)
            yield _indented(Words("\n".join(lines)))

    def timeline(self) -> Iterator[RenderableType]:
        yield from self.listed("Timeline", brief.timeline_lines(self.v.timeline, self.lang, OTHERS) if self.v.timeline else [])

    def stacks(self) -> Iterator[RenderableType]:
        yield from self.listed("Stacks", brief.stack_lines(self.v.stacks, self.lang, OTHERS))

    def collectives(self) -> Iterator[RenderableType]:
        tables = [matrix for matrix in self.v.matrices if matrix.rows][:TABLES]
        lines = [line for matrix in tables for line in brief.collective_lines(matrix, self.lang, OTHERS)]
        more = sum(bool(matrix.rows) for matrix in self.v.matrices) - len(tables)
        yield from self.listed("Collectives", [*lines, *([self.say("… and {n} more", n=more)] if more else [])])

    def environment(self) -> Iterator[RenderableType]:
        yield from self.listed("Environment", brief.environment_lines(self.v.environment, self.lang))

    def inputs(self) -> Iterator[RenderableType]:
        yield from self.listed("Inputs", [brief.input_line(self.v.input_groups, self.lang)] if self.d.inputs else [])

    def others(self) -> Iterator[RenderableType]:
        cards = (*self.v.contributing, *self.v.possible, *self.v.ruled_out)
        if not cards:
            return
        yield self.heading("Other causes considered")
        grid = _grid()
        for card in cards[:OTHERS]:
            grid.add_row(Words(self.standing(card), style="dim"), self.considered(card))
        yield _indented(grid)
        if len(cards) > OTHERS:
            yield _indented(Words(self.say("… and {n} more", n=len(cards) - OTHERS)))

    def standing(self, card: Card) -> str:
        return self.say(ROLES.get(card.finding.role) or CONFIDENCE_WORDS[card.finding.confidence])

    def considered(self, card: Card) -> Words:
        why = self.text(card.finding.why_not) or next((q.place for q in card.supporting), "")
        return Words.assemble(self.text(card.finding.title), (f"  {card.finding.rule}", "dim"), f"\n{why}" if why else "")

    def gaps(self) -> Iterator[RenderableType]:
        if self.d.gaps:
            yield self.heading("Not in the evidence")
        for gap in self.d.gaps[:OTHERS]:
            yield from self.gap(gap)
        if len(self.d.gaps) > OTHERS:
            yield _indented(Words(self.say("… and {n} more", n=len(self.d.gaps) - OTHERS)))

    def gap(self, gap: GapRow) -> Iterator[RenderableType]:
        yield _indented(Words(f"{gap.what}: {gap.why}" if gap.why else gap.what))
        if gap.how_to_collect:  # which is advice, and seldom a command alone
            yield Padding(Words(gap.how_to_collect), (0, 0, 0, 4))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold", ratio=1)
    return grid


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _short(place: str) -> str:
    """The end of a long place: the name of the file and the line matter most."""
    return place if len(place) <= _PLACE_LENGTH else "…" + place[1 - _PLACE_LENGTH :]


def _command(command: str) -> Iterator[RenderableType]:
    for line in command.splitlines():
        yield _Command(f"    $ {line}", style="green")


def _best(card: Card) -> list[tuple[str, Quote]]:
    """The first lines for a finding, and always one against it if there is any."""
    against = [("-", quote) for quote in card.opposing[:2]]
    return [("+", quote) for quote in card.supporting[: QUOTES - len(against)]] + against
