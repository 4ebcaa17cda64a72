"""The page of one rule."""

from __future__ import annotations

import pytest

from hanglens.knowledge.load import load_rules
from hanglens.rules.page import page
from tests.builders import rule, text

EVERYTHING = rule(
    {
        "any": [
            {"all": [{"source": "nccl", "level": "WARN", "pattern": "first thing", "on": "every rank"}, {"not": {"fact": "rank.gone"}}]},
            {"count": {"source": "stack", "pattern": "acquire"}, "at_least": 2, "at_most": 9},
            {"sequence": [{"pattern": "some step"}, {"never": {"pattern": "other step"}}, {"silence": "to the end"}]},
            {"fact": "stage.short", "where": {"engine": "vllm"}, "above": 1},
        ]
    },
    title=text("It broke", "坏了"),
    explain=text("Because.", "因为。"),
    against=[{"fact": "job.progressing"}],
    not_to_confuse=text("Not that.", "不是那个。"),
    fixes=[{"title": text("Mend it", "修理"), "command": "mend --now", "risk": text("none"), "verify": text("it runs")}],
    references=["https://example.com/a"],
)

PAGE = """\
It broke
nccl-bug/made-up · cause · hung

What happens
  Because.

How to recognise it
  any of:
    all of:
      nccl WARN line: first thing, every rank
      not:
        fact rank.gone
    at least 2 and at most 9 of:
      a thread's frames: acquire
    in this order:
      any line: some step
      and never after it: other step
      then silence
    fact stage.short above 1 with engine = vllm

Speaks against it
  fact job.progressing

Fixes
  1. Mend it
     $ mend --now
     none
     it runs

Do not confuse with
  Not that.

Collect to be sure
  what: look

References
  https://example.com/a
"""


def test_the_whole_page() -> None:
    """What happens, how every kind of condition is recognised, fixes with command, risk and check, look-alikes, references."""
    assert page(EVERYTHING, "en") == PAGE


def test_in_chinese() -> None:
    """Headings and texts in Chinese; conditions and commands as they are."""
    chinese = page(EVERYTHING, "zh")
    assert chinese.startswith("坏了\nnccl-bug/made-up · cause · hung\n\n发生了什么\n  因为。\n")
    assert "$ mend --now" in chinese


def test_parts_that_are_not_there_have_no_heading() -> None:
    """A short rule has a short page."""
    short = page(rule({"fact": "rank.gone"}, fixes=[], next=[], role="observation"), "en")
    assert not any(heading in short for heading in ("Fixes", "Speaks against", "Do not confuse", "Collect", "References"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_rule_of_ours_has_a_page(lang: str) -> None:
    """None of the packaged rules breaks it."""
    assert all(page(one, lang).startswith(getattr(one.title, lang)) for one in load_rules().rules)  # type: ignore[arg-type]
