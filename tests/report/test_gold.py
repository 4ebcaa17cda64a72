"""Whole reports, compared with those that somebody has looked at and accepted: `make gold` accepts the present ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import unified_diff
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import pytest
from msgspec.structs import replace

from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from hanglens.report import html, markdown, text
from hanglens.verdict import Diagnosis
from tests.samples import HUNG, UNKNOWN

GOLD = Path(__file__).parents[1] / "gold"
SAMPLES = {"sample-hung": HUNG, "sample-unknown": UNKNOWN}
CASES = ("lmdeploy-0.7-tp4-config-sync", "nccl-missing-rank", *SAMPLES)
FORMATS: dict[str, Callable[[Diagnosis], str]] = {
    "html": partial(html.render, lang="en"),
    "md": partial(markdown.render, lang="en"),
    "txt": partial(text.render, lang="en", width=100, colour=False),
}
SHOWN, WIDE = 20, 160  # of a difference: lines, and characters of each
# The style sheet and the script are code of their own: a change of theirs changes no report.
CODE = re.compile(r"(?<=<style>).*?(?=</style>)|(?<=<script>).*?(?=</script>)|(?<=sha256-)[\w+/=]+", re.DOTALL)


@lru_cache(maxsize=len(CASES))
def diagnosis(case: str, fixtures: Path) -> Diagnosis:
    """What the report shows: a sample, or what we make of a recorded hang, by a tool without a version."""
    found = SAMPLES.get(case) or diagnose([str(fixtures / case / "evidence")], load_rules())
    return replace(found, tool_version="VERSION")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_a_report_is_as_accepted(case: str, form: str, fixtures_dir: Path, pytestconfig: pytest.Config) -> None:
    """Word for word the report is the accepted one, apart from the version, the style sheet and the script."""
    gold = GOLD / f"{case}.{form}"
    now = CODE.sub("…", FORMATS[form](diagnosis(case, fixtures_dir)))
    if pytestconfig.getoption("accept"):
        gold.parent.mkdir(exist_ok=True)
        gold.write_bytes(now.encode())
    accepted = gold.read_bytes().decode() if gold.exists() else ""

    if now != accepted:
        said = f"tests/gold/{gold.name} is not what is rendered now; where that is better, `make gold` accepts it"
        pytest.fail("\n".join([said, *difference(accepted, now)]), pytrace=False)


def difference(accepted: str, now: str) -> list[str]:
    """The first lines of the difference, each cut."""
    lines = unified_diff(accepted.splitlines(), now.splitlines(), "accepted", "now", n=1, lineterm="")
    shown = [line[:WIDE] + "…" * (len(line) > WIDE) for line in islice(lines, SHOWN)]
    return [*shown, *(["…"] if next(lines, None) is not None else [])]


def test_nothing_else_lies_with_the_accepted_reports() -> None:
    """Each file there is one that is compared, so that none is left over from a case that is gone."""
    assert {path.name for path in GOLD.iterdir()} == {f"{case}.{form}" for case in CASES for form in FORMATS}


def test_a_difference_is_told_in_a_few_short_lines() -> None:
    """It shows the lines that changed, not all of them if they are many, and cuts a long one."""
    few = difference("same\nold", "same\n" + "new" * 1000)
    many = difference("", "line\n" * 1000)

    assert few[-2:] == ["-old", "+" + ("new" * 1000)[: WIDE - 1] + "…"]
    assert (len(many), many[-1]) == (SHOWN + 1, "…")
