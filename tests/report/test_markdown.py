from __future__ import annotations

import re

import msgspec
import pytest
from markdown_it import MarkdownIt

from hanglens.report.markdown import LONGEST, fence, prose, render, span
from hanglens.verdict import Diagnosis, Fix, StackGroup
from tests.samples import HEALTHY, HOSTILE, HUNG, UNKNOWN, hostile, large, text


def rendered(markdown: str) -> str:
    """What a reader like GitHub's makes of it: tables, raw HTML, no sanitizing."""
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


def outside_of_code(html: str) -> str:
    """The page without what stands in code."""
    return re.sub(r"<code[^>]*>.*?</code>", "", html, flags=re.DOTALL)


def test_the_facts_of_the_terminal_in_the_same_order() -> None:
    """A reply on GitHub says what, who, why, what to do and what else was considered."""
    markdown = render(HUNG, lang="en")
    wanted = [
        "### Hung: Rank 3 never entered",
        "**To blame**: rank `3`, host `node-a`, pid `4713`, GPU `3`",
        "(`missing-rank/file-lock`)",
        "stacks/rank3.pyspy.txt:14  acquire (filelock/_api.py:344)",
        "#### Do this first",
        "```sh\nfuser -v",
        "<details><summary>Ranks (4)</summary>",
        "<details><summary>Timeline (5)</summary>",
        "<details><summary>Stacks (3)</summary>",
        "<details><summary>Collectives (1)</summary>",
        "- ranks 0-2 → rank 3: `barrier (default_pg)`",
        "*ruled out*: PCIe peer-to-peer",
        "#### Consequences, not causes",
        "#### Other fixes",
        "#### To be sure, collect",
        "#### Not in the evidence",
        "<details><summary>Environment (3)</summary>",
        "<details><summary>Inputs (3)</summary>",
    ]
    places = [markdown.find(part) for part in wanted]

    assert -1 not in places
    assert sorted(places) == places


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_text_becomes_markup(payload: str) -> None:
    """Outside of code there is no tag, link, image, heading or fence but our own."""
    page = outside_of_code(rendered(render(hostile(payload + " x"), lang="en")))
    ours = {"details", "summary", "h3", "h4", "p", "ul", "li", "strong", "em", "pre", "table", "thead", "tbody", "tr", "th", "td"}

    assert set(re.findall(r"<(\w+)", page)) <= ours
    assert page.count("<details>") == page.count("</details>") == 6


def test_nobody_is_called_and_nothing_is_linked() -> None:
    """A name, an issue number or an address in a text does not notify, cross-reference or link."""
    assert "@someone" not in prose("ask @someone")
    assert "#12" not in prose("see #12 and a/b#12")
    assert "http://" not in prose("at http://example.com")
    assert "www.e" not in prose("at www.example.com")


@pytest.mark.parametrize("start", ["- item", "+ item", "# heading", "1. item", "23) item", "=== x", "> quote", "| a |", "``` x", "~~~ x"])
def test_prose_is_a_paragraph(start: str) -> None:
    """However a text begins, it is no list, heading, quote, table or fence."""
    page = rendered(prose(start))

    assert page.startswith("<p>")
    assert page.count("<") == 2 + page.count("<!-- -->")


def test_prose_stays_readable() -> None:
    """Names with underscores, dots and dashes are not riddled with backslashes."""
    assert prose("rank 3 is in all_reduce (a-b.py), 0-2 wait.") == "rank 3 is in all_reduce (a-b.py), 0-2 wait."


@pytest.mark.parametrize("text", ["", "a", "`", "``", "a```b", " `x", "\\", "|"])
def test_code_is_shown_as_it_is(text: str) -> None:
    """A code span or fence ends only where its text ends, whatever backticks stand inside."""
    assert (f"<code>{text.strip()}</code>" if text else "") in rendered(f"x {span(text)} y").replace("<code> ", "<code>")
    assert rendered(fence([text, "</details>"])).count("<code") == 1
    assert "</details>" not in rendered(fence([text, "</details>"]))


def test_a_bar_does_not_break_a_table() -> None:
    """A cell with a bar, also after a backslash, stays one cell."""
    rows = tuple(msgspec.structs.replace(row, waiting_in="a\\|`<b>|") for row in HUNG.ranks)
    page = rendered(render(msgspec.structs.replace(HUNG, ranks=rows), lang="en"))
    table = page[page.index("<table>") : page.index("</table>")]

    assert table.count("<td>") == 8 * len(rows)
    assert "<b>" not in table


@pytest.mark.parametrize("d", [UNKNOWN, HEALTHY, large()], ids=lambda d: d.verdict)
def test_it_fits_a_comment(d: Diagnosis) -> None:
    """No job is too large for GitHub's limit, in either language."""
    assert len(render(d, lang="en")) <= LONGEST
    assert len(render(d, lang="zh")) <= LONGEST


def test_what_does_not_fit_is_left_out_whole() -> None:
    """A section that is too long is missing as a whole, the later ones stay, and the reader is told."""
    stacks = tuple(StackGroup(ranks=(n,), frames=("f" * 200,) * 30) for n in range(40))
    long = text("x" * 4000, "x" * 4000)
    fixes = tuple(Fix(title=long, command="y" * 4000, risk=long, verify=long) for _ in range(9))
    crowded = msgspec.structs.replace(HUNG, stack_groups=stacks, findings=(msgspec.structs.replace(HUNG.findings[0], fixes=fixes),))
    markdown = render(crowded, lang="en")

    assert len(markdown) <= LONGEST
    assert "Some sections did not fit here" in markdown
    commands = re.findall("y{100,}", markdown)
    assert 0 < len(commands) < len(fixes)
    assert {len(command) for command in commands} == {4000}
    assert "#### Not in the evidence" in markdown


def test_chinese_is_chinese() -> None:
    """With `zh` headings and texts are Chinese."""
    assert "#### 首先这样做\n\n**停止任务" in render(HUNG, lang="zh")
