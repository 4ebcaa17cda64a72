"""The report as GitHub Markdown, short enough for a comment; what comes from evidence stands in code only.

GitHub turns @names, #numbers, links and HTML of a text into markup; a code span or fence is exempt from all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hanglens.report import brief
from hanglens.report.i18n import CONFIDENCE_WORDS, CONFIDENCES, ROLES, STATES, VERDICTS, Lang, pick, say, those
from hanglens.report.plain import cut
from hanglens.report.view import Card, Culprit, Quote, RankGroup, ReportView, view
from hanglens.report.waits import WaitView
from hanglens.verdict import Diagnosis, Fix, NextEvidence, Text

LONGEST = 60_000  # characters; GitHub takes 65 536
QUOTES = 10
ROWS = 40
LINES = 200
OTHERS = 12
_PROSE = 1500

_SPECIAL = re.compile(r"[\\`*\[\]<>~&$]|(?<!\w)_|_(?!\w)|^(?:[-+=#:|]|\d+(?=[.)]))")
_REFERENCE = re.compile(r"@|#(?=\d)|\b(?:GH-|www\.|https?:|ftp:|mailto:|xmpp:)", re.IGNORECASE)


def render(d: Diagnosis, *, lang: Lang) -> str:
    """The report in one language, at most 60 000 characters: sections that do not fit any more are left out, and that is said."""
    page = _Page(view(d), lang)
    kept: list[str] = []
    room, left_out = LONGEST - 200, False
    for part in page.sections():
        fits = len(part) + 2 <= room
        kept += [part] if fits else []
        room -= (len(part) + 2) * fits
        left_out |= not fits
    note = [page.say("Some sections did not fit here; the HTML report has them.")] if left_out else []
    return "\n\n".join(kept + note) + "\n"


def prose(text: str) -> str:
    r"""Text of a person (which may quote evidence) as one line that Markdown and GitHub leave alone.

    >>> prose("see @someone in <b>")
    'see @<!-- -->someone in \\<b\\>'
    """
    one_line = " ".join(cut(text, _PROSE).split())
    marked = _REFERENCE.sub("\\g<0>\0", _SPECIAL.sub(_escaped, one_line))
    return marked.replace("\0", "<!-- -->")  # an empty comment inside keeps GitHub from seeing a name, an issue or a link


def _escaped(found: re.Match[str]) -> str:
    digits = found[0] if found[0].isdecimal() else ""
    return f"{digits}<!-- -->" if digits else f"\\{found[0]}"


def span(text: str) -> str:
    """Evidence as a code span.

    >>> span("a`b")
    '`` a`b ``'
    """
    line = " ".join(text.split("\n"))
    ticks = "`" * (_longest_run(line) + 1)
    pad = " " if len(ticks) > 1 else ""
    return f"{ticks}{pad}{line}{pad}{ticks}" if line.strip() else ""


def fence(lines: Iterable[str], language: str = "text") -> str:
    """Lines as a code block whose fence is longer than any run of backticks inside."""
    body = "\n".join(lines)
    ticks = "`" * max(3, _longest_run(body) + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


class _Page:
    """The sections in one language, in the order of printing."""

    def __init__(self, shown: ReportView, lang: Lang) -> None:
        self.v, self.d, self.lang = shown, shown.d, lang

    def sections(self) -> Iterator[str]:
        """Everything, from the verdict to the inputs."""
        yield f"### {self.say(VERDICTS[self.d.verdict])}: {self.text(self.d.summary)}"
        yield from self.blame()
        yield from self.evidence()
        yield from self.fix(self.v.fixes[:1], "Do this first") if self.v.decided else self.wanted("Collect this next")
        yield from self.ranks()
        yield from self.timeline()
        yield from self.stacks()
        yield from self.collectives()
        yield from self.listed("Who waits for whom", [self.wait(wait) for wait in self.v.waits[:OTHERS]])
        others = (*self.v.contributing, *self.v.possible, *self.v.ruled_out)
        yield from self.listed("Other causes considered", [self.considered(card) for card in others[:OTHERS]])
        yield from self.listed("Consequences, not causes", [self.considered(card) for card in self.v.cascades[:OTHERS]])
        yield from self.fix(self.v.fixes[1:], "Other fixes") if self.v.decided else self.fix(self.v.fixes, "If it is this cause")
        yield from self.wanted("To be sure, collect") if self.v.decided else ()
        yield from self.listed("Not in the evidence", [f"{span(gap.what)}: {span(gap.why)}" for gap in self.d.gaps[:OTHERS]])
        yield from self.environment()
        yield from self.inputs()

    def say(self, english: str, **values: object) -> str:
        return say(english, self.lang, **values)

    def text(self, text: Text | None) -> str:
        return prose(pick(text, self.lang)) if text else ""

    def blame(self) -> Iterator[str]:
        cause = self.d.root_cause
        rows = [f"**{self.say('To blame')}**: {self.culprit(culprit)}" for culprit in self.v.culprits[:4]]
        if cause:
            rows.append(f"**{self.say('Cause')}**: {self.text(cause.title)} ({span(cause.id)})")
            rows.append(f"**{self.say('Confidence')}**: {self.say(CONFIDENCES[cause.confidence])}")
        elif self.d.verdict != "healthy":
            rows.append(f"**{self.say('Cause')}**: {self.say('not decidable from this evidence')}")
        if self.v.suspects:
            rows.append(f"**{self.say('Suspects')}**: {'; '.join(self.text(card.finding.title) for card in self.v.suspects)}")
        if self.v.lead:
            rows.append(f"**{self.say('Why')}**: {self.text(self.v.lead.finding.explanation)}")
        if rows:
            yield "\n".join(f"- {row}" for row in rows)

    def culprit(self, culprit: Culprit) -> str:
        named = (("rank", culprit.rank), (self.say("host"), culprit.host), ("pid", culprit.pid), ("GPU", culprit.device))
        return ", ".join(f"{name} {span(str(value))}" for name, value in named if value is not None)

    def evidence(self) -> Iterator[str]:
        if self.v.lead:
            quotes = [*_lines(self.v.lead.supporting[:QUOTES]), *_lines(self.v.lead.opposing[:3], self.say("against"))]
        else:
            quotes = [line for card in self.v.observations[:3] for line in _lines(card.supporting[:1])]
        if quotes:
            yield f"#### {self.say('Evidence' if self.v.lead else 'What is seen')}\n\n{fence(quotes)}"

    def fix(self, fixes: Sequence[Fix], heading: str) -> Iterator[str]:
        for number, fix in enumerate(fixes):
            yield (f"#### {self.say(heading)}\n\n" if number == 0 else "") + self.remedy(fix)

    def remedy(self, fix: Fix) -> str:
        checks = [(self.say(name), self.text(text)) for name, text in (("Risk", fix.risk), ("Check", fix.verify))]
        return "\n\n".join([
            f"**{self.text(fix.title)}**",
            *([fence([fix.command], "sh")] if fix.command else []),
            *(f"*{name}*: {text}" for name, text in checks if text),
        ])  # fmt: skip

    def wanted(self, heading: str) -> Iterator[str]:
        if self.d.next_evidence:
            yield f"#### {self.say(heading)}\n\n" + "\n\n".join(map(self.item, self.d.next_evidence[:3]))

    def item(self, item: NextEvidence) -> str:
        splits = f"{self.say('Tells apart')}: {', '.join(map(span, item.splits))}" if item.splits else ""
        return "\n\n".join(part for part in (self.text(item.what), item.command and fence([item.command], "sh"), splits) if part)

    def wait(self, wait: WaitView) -> str:
        who = ", ".join(part for part in (those(wait.ranks, self.lang), span(wait.names)) if part)
        whom = span(wait.for_name) if wait.for_rank is None else those(str(wait.for_rank), self.lang)
        return f"{who} → {whom}: {span(wait.in_what)}"

    def ranks(self) -> Iterator[str]:
        if self.v.rows:
            head = ["", *map(self.say, ("Rank", "State", "Host")), "pid", "GPU", *map(self.say, ("Waits in", "Stage"))]
            table = [_row(head), _row(["---"] * len(head)), *(_row(self.rank(group)) for group in self.v.rows[:ROWS])]
            yield self.folded(self.say("Ranks"), "\n".join(table), count=sum(group.count for group in self.v.rows))

    def rank(self, group: RankGroup) -> list[str]:
        row = group.row
        state = self.say(STATES[row.state]) + ("" if row.collected else f" ({self.say('no dump of it')})")
        mark = f"**{self.say('to blame')}**" if group.culprit else ""
        evidence = (group.hosts, group.pids, group.devices, row.waiting_in or "")
        return [mark, cut(group.ranks, 60), state, *map(span, evidence), self.text(row.stage)]

    def timeline(self) -> Iterator[str]:
        if self.v.timeline:
            lines = brief.timeline_lines(self.v.timeline, self.lang, ROWS)
            yield self.folded(self.say("Timeline"), fence(lines), count=len(self.v.timeline.rows))

    def stacks(self) -> Iterator[str]:
        if self.v.stacks.trees:
            tree = brief.tree_lines(self.v.stacks, self.lang)
            lines = tree[:LINES] + ([self.say("… and {n} more lines", n=len(tree) - LINES)] if len(tree) > LINES else [])
            yield self.folded(self.say("Stacks"), fence(lines), count=len(self.v.stacks.leaves))

    def collectives(self) -> Iterator[str]:
        tables = [matrix for matrix in self.v.matrices if matrix.rows]
        if tables:
            lines = [line for matrix in tables[:OTHERS] for line in brief.collective_lines(matrix, self.lang, ROWS)]
            yield self.folded(self.say("Collectives"), fence(lines), count=len(tables))

    def considered(self, card: Card) -> str:
        standing = self.say(ROLES.get(card.finding.role) or CONFIDENCE_WORDS[card.finding.confidence])
        why = self.text(card.finding.why_not) or ", ".join(span(quote.place) for quote in card.supporting[:1])
        return f"*{standing}*: {self.text(card.finding.title)} ({span(card.finding.rule)})" + (f": {why}" if why else "")

    def environment(self) -> Iterator[str]:
        if self.v.environment:
            lines = brief.environment_lines(self.v.environment, self.lang)
            yield self.folded(self.say("Environment"), fence(lines), count=len(self.v.environment))

    def inputs(self) -> Iterator[str]:
        if self.d.inputs:
            files = [f"{row.file}  {row.kind}" for row in self.d.inputs[:ROWS]]
            lines = [brief.input_line(self.v.input_groups, self.lang), *files]
            yield self.folded(self.say("Inputs"), fence(lines), count=len(self.d.inputs))

    def listed(self, heading: str, items: Sequence[str]) -> Iterator[str]:
        if items:
            yield f"#### {self.say(heading)}\n\n" + "\n".join(f"- {item}" for item in items)

    def folded(self, title: str, body: str, *, count: int) -> str:
        return f"<details><summary>{title} ({count})</summary>\n\n{body}\n\n</details>"


def _lines(quotes: Sequence[Quote], remark: str = "") -> list[str]:
    return [f"{quote.place}{f' ({remark})' if remark else ''}  {quote.text.strip()}" for quote in quotes]


def _row(cells: Iterable[str]) -> str:
    """A table row; a bar inside of a cell becomes a broken bar, since no escape of it is safe in code after a backslash."""
    return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"
