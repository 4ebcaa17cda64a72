"""What lint complains of."""

from __future__ import annotations

import pytest

from hanglens.knowledge.load import RulePack, load_rules
from hanglens.rules.lint import lint
from tests.builders import rule, text

LINE = {"pattern": "it broke here"}
UNTRANSLATED = {"en": "only English"}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, None),
        ({"tests": {"near_miss": ["x"]}}, "no snippet that must match"),
        ({"tests": {"match": ["x"]}}, "no near miss"),
        ({"fixes": []}, "a cause without a fix"),
        ({"fixes": [], "role": "observation"}, None),
        ({"next": []}, "says nothing to collect while it is only possible"),
        ({"next": [], "confidence": {"confirmed": "always"}}, None),
        ({"title": UNTRANSLATED}, "title has no Chinese text"),
        ({"explain": {"en": "", "zh": "什么"}}, "explain has no English text"),
        ({"not_to_confuse": UNTRANSLATED}, "not_to_confuse has no Chinese text"),
        ({"fixes": [{"title": text(), "risk": UNTRANSLATED, "verify": text()}]}, "fixes.0.risk has no Chinese text"),
        ({"next": [{"what": UNTRANSLATED, "command": "look"}]}, "next.0.what has no Chinese text"),
        ({"when": {"pattern": "brown fox"}}, "the pattern at when fires on an innocent line"),
        ({"when": {"pattern": "AllReduce: opCount"}}, "the pattern at when fires on an innocent line"),
        ({"when": {"pattern": "brown fox"}, "role": "observation"}, None),
        ({"when": {"all": [LINE, {"not": {"pattern": "brown fox"}}]}}, None),
        ({"when": {"pattern": "broken (a+)+ here"}}, "the pattern at when repeats a repetition"),
        ({"when": {"pattern": "it broke", "literal": "it"}}, "the literal at when is short"),
        ({"when": {"fact": "no.such.fact"}}, "asks for the fact 'no.such.fact'"),
        ({"against": [{"fact": "no.such.fact"}]}, "asks for the fact 'no.such.fact'"),
        ({"when": {"fact": "rank.gone"}}, None),
        ({"yields_to": ["nccl-bug/nobody"]}, "yields to 'nccl-bug/nobody', which is no rule"),
        ({"yields_to": ["nccl-bug/made-up", "nccl-bug", "rank-dead/*"]}, None),
        ({"role": "observation", "confidence": {"likely": "always"}}, "a observation with a confidence"),
    ],
)
def test_complaints(fields: dict[str, object], complaint: str | None) -> None:
    """Each thing that is wrong is told once, with what to do about it; a good rule gives none."""
    found = lint(RulePack((rule(**{"when": LINE, **fields}),)), beside=RulePack(()))  # type: ignore[arg-type]
    assert [c.message[: len(complaint)] for c in found if complaint] == ([complaint] if complaint else [])
    assert complaint or not found
    assert all(c.recommendation and c.rule == "nccl-bug/made-up" for c in found)


def test_our_own_rules_are_clean() -> None:
    """The packaged pack loads whole and gives no complaint."""
    pack = load_rules()
    assert pack.problems == ()
    assert lint(pack, beside=pack) == []
