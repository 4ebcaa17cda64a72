"""What to set before a run: rules/prepare.yaml and what is wrong in a broken one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hanglens.errors import RuleError
from hanglens.knowledge.load import load_rules
from hanglens.knowledge.packaged import packaged
from hanglens.knowledge.prepare import ENGINES, Setting, filled, load_preparation
from hanglens.verdict import Text

FOUND = load_preparation()
SETTINGS = [setting for group in FOUND.groups for setting in group.settings]
SETTING = "{name: A, value: b, what: {en: E, zh: Z}, cost: {en: E, zh: Z}, since: X 1}"


def broken(tmp_path: Path, setting: str) -> str:
    """The error of the packaged file with that as its first setting."""
    text = packaged("prepare.yaml").read_text(encoding="utf-8")
    path = tmp_path / "prepare.yaml"
    path.write_text(
        f"groups:\n  - title: {{en: E, zh: Z}}\n    settings:\n      - {setting}\n" + text[text.index("containers:") :], encoding="utf-8"
    )
    with pytest.raises(RuleError) as caught:
        load_preparation(path)
    return str(caught.value)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: f"{setting.name}={setting.value}")
def test_every_setting_says_what_it_gives_and_costs(setting: Setting) -> None:
    """A setting has what and cost in English and Chinese, and the version that has it."""
    assert all(re.search("[a-z]", text.en) and re.search("[\u4e00-\u9fff]", text.zh) for text in (setting.what, setting.cost))
    assert re.search(r"\d", setting.since)


def test_costs_are_measured_or_said_not_to_be() -> None:
    """A cost that names a time or a size says how it was measured or counted."""
    named = [s.name for s in SETTINGS if re.search(r"\d (µs|ms|MiB|kB|lines)", s.cost.en) and not re.search("measured|counted", s.cost.en)]
    assert named == []


def test_containers_and_sentences_are_told_in_both_languages() -> None:
    """So are the needs of containers and all that stands around the settings."""
    words = FOUND.texts
    texts = [text for need in FOUND.containers for text in (need.what, need.cost)] + [
        getattr(words, name) for name in words.__struct_fields__
    ]
    assert all(isinstance(text, Text) and text.en and re.search("[\u4e00-\u9fff]", text.zh) for text in texts)


@pytest.mark.parametrize("engine", ["any", *ENGINES])
def test_nothing_is_set_twice(engine: str) -> None:
    """For no engine do two settings that are not optional give one variable or option its value."""
    names = [name for group in FOUND.groups_for(engine) for s in group.settings if not s.optional for name in s.names]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_adds_its_own_settings(engine: str) -> None:
    """What is for one engine is there for it, and for no other one, nor without an engine."""
    own = {id(s) for s in SETTINGS if s.engines == (engine,)}
    assert own
    assert own <= {id(s) for group in FOUND.groups_for(engine) for s in group.settings}
    others = [name for name in ("any", *ENGINES) if name != engine]
    assert not own & {id(s) for name in others for group in FOUND.groups_for(name) for s in group.settings}


def test_a_group_of_another_engine_is_left_out() -> None:
    """No title stands over nothing."""
    assert all(group.settings for group in FOUND.groups_for("any"))
    assert len(FOUND.groups_for("any")) < len(FOUND.groups)


def test_it_is_no_rule_file() -> None:
    """prepare.yaml lies beside the rules and is not taken for one."""
    pack = load_rules()
    assert not pack.problems
    assert not [rule.id for rule in pack.rules if "prepare" in rule.file]


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        (SETTING.replace("cost: {en: E, zh: Z}, ", ""), "`cost` (at groups.0.settings.0)"),
        (SETTING.replace("cost: {en: E, zh: Z}", "cost: {en: E}"), "`zh` (at groups.0.settings.0.cost)"),
        (
            SETTING.replace("cost: {en: E, zh: Z}", "cost: {en: E, zh: ' '}"),
            "must say something in en and in zh (at groups.0.settings.0.cost)",
        ),
        (SETTING.replace("value: b", "value: 1"), "Expected `str`, got `int` (at groups.0.settings.0.value)"),
        (SETTING.replace("name: A", "name: 'A;reboot'"), "(at groups.0.settings.0.name)"),
        (SETTING.replace("name: A", "name: A, engines: [tgi]"), "(at groups.0.settings.0.engines.0)"),
        (SETTING.replace("name: A", "name: A, price: 1"), "`price` (at groups.0.settings.0)"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, setting: str, complaint: str) -> None:
    """A broken file is refused with its line and field; a name that is no variable never reaches a shell."""
    told = broken(tmp_path, setting)
    assert told.startswith("prepare.yaml:4: ")
    assert complaint in told


def test_a_choice_is_filled_in_once() -> None:
    """{names} that were chosen are replaced, braces within a choice and unknown names stay."""
    assert filled("{dir}/{x}", {"dir": "/{ras_port}", "ras_port": "1"}) == "/{ras_port}/{x}"
