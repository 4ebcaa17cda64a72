from __future__ import annotations

import re

import msgspec
import pytest

from hanglens.report.i18n import Lang
from hanglens.report.text import render
from hanglens.verdict import Diagnosis, GapRow
from tests.samples import HEALTHY, HOSTILE, HUNG, UNKNOWN, hostile, large


def lines(d: Diagnosis, lang: Lang = "en", width: int | None = None) -> list[str]:
    """The summary without colour, as lines."""
    return render(d, lang=lang, width=width, colour=False).splitlines()


def test_the_verdict_comes_first_and_the_facts_follow() -> None:
    """A tired reader finds, in this order: what, who, why, evidence, what to do; then the sections of the page."""
    summary = "\n".join(lines(HUNG))
    wanted = [
        "Hung  Rank 3 never entered",
        "rank 3 · host node-a · pid 4713 · GPU 3",
        "missing-rank/file-lock",
        "likely: one decisive sign",
        "stacks/rank3.pyspy.txt:14  acquire (filelock/_api.py:344)",
        "against: python 4713 11uW",
        "Do this first",
        "$ fuser -v ~/.cache/ext/fused_rope.lock || rm",
        "Check  All four ranks print",
        "▶  3     in own code",
        "0-2   waiting      barrier",
        "▶ rank 3: 02:10:58 build extension · 02:11:09 silence (30 min 1 s)",
        "▶ rank 3: filelock.acquire, the same in every sample",
        "rank 1: ≠ all_reduce 1 scheduled",
        "ranks 0-2 → rank 3",
        "40 earlier collectives over the same links completed.",
        "Build the extension once before the ranks start",
        "Who holds the lock file",
        "native frames of rank 3: py-spy ran without --native",
        "/dev/shm = 64 MiB",
        "3 files: 1 × engine log",
    ]
    places = [summary.find(part) for part in wanted]

    assert -1 not in places
    assert sorted(places) == places


@pytest.mark.parametrize("d", [HUNG, UNKNOWN, HEALTHY, large()], ids=lambda d: d.verdict)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_fits_a_screen(d: Diagnosis, lang: Lang) -> None:
    """However large the job, the summary is at most ninety lines, of which the first twenty-five say what to do."""
    assert len(lines(d, lang)) <= 90
    assert d is HEALTHY or "$ " in "\n".join(lines(d, lang)[:25]) or not (d.next_evidence or d.findings[0].fixes)


def test_it_keeps_to_the_width_but_not_in_commands() -> None:
    """Prose and tables are wrapped to the terminal; a command stays whole, so that it can be copied."""
    narrow = lines(HUNG, width=60)
    command = "    $ fuser -v ~/.cache/ext/fused_rope.lock || rm ~/.cache/ext/fused_rope.lock"

    assert command in narrow
    assert max(len(line) for line in narrow if not line.startswith("    $ ")) <= 60


def test_unknown_asks_for_evidence() -> None:
    """Where nothing is decided, no cause is named and the next evidence is asked for."""
    summary = "\n".join(lines(UNKNOWN))

    assert "not decidable from this evidence" in summary
    assert "Collect this next\n  Two stack dumps of every rank" in summary
    assert "    $ hanglens collect --pid PID" in summary
    assert "Do this first" not in summary


def test_advice_on_a_gap_is_no_command() -> None:
    """How to collect what is missing is said in words, and words are not to be pasted into a shell."""
    gap = GapRow(what="a dump", why="cut off", how_to_collect="copy it again from where it was collected")
    summary = render(msgspec.structs.replace(UNKNOWN, gaps=(gap,)), lang="en", width=None, colour=False)

    assert "\n    copy it again from where it was collected\n" in summary


def test_healthy_is_one_line() -> None:
    """A job that is well needs no more than the verdict."""
    assert lines(HEALTHY) == ["Healthy  The server waits for requests."]


def test_chinese_is_chinese() -> None:
    """With `zh` the labels and the texts are Chinese; evidence stays as it was printed."""
    summary = "\n".join(lines(HUNG, "zh"))

    assert "rank 3 从未进入" in summary
    assert "首先这样做" in summary
    assert "acquire (filelock/_api.py:344)" in summary
    assert "Do this first" not in summary


@pytest.mark.parametrize("payload", HOSTILE)
def test_evidence_cannot_speak_to_the_terminal(payload: str) -> None:
    """Without colour no control character is written, and nothing in the evidence is read as markup."""
    summary = render(hostile(payload + "[bold]not markup[/bold] :smile:"), lang="en", width=80, colour=False)

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", summary)
    assert "[bold]" in summary
    assert ":smile:" in summary


def test_colour_only_where_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller decides about colour; the environment of the process does not."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    plain = render(HUNG, lang="en", width=100, colour=False)
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = render(HUNG, lang="en", width=100, colour=True)

    assert "\x1b" not in plain
    assert "\x1b[1;31mHung" in coloured
