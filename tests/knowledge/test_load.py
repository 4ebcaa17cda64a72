"""Rule packs: where they lie, what of a pack loads, and which rule of an id counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanglens.errors import RuleError, UsageError
from hanglens.knowledge.load import load_facts, load_rule, load_rules

RULE = "title: {en: %s}\nwhen: {pattern: some words}\nexplain: {en: E}\ntests: {match: [some words]}\n"


def write(folder: Path, **rules: str) -> Path:
    """A folder with rules, `category__name=text`."""
    for name, text in rules.items():
        path = folder / (name.replace("__", "/").replace("_", "-") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_the_packaged_rules_load() -> None:
    """Nothing is wrong with them; they come in the order of their ids and are found by those."""
    pack = load_rules()
    assert pack.problems == ()
    assert [rule.id for rule in pack.rules] == sorted(rule.id for rule in pack.rules)
    assert pack.find(pack.rules[0].id) is pack.rules[0]
    assert pack.find("no/such-rule") is None


def test_a_broken_file_leaves_the_rest(tmp_path: Path) -> None:
    """Of a pack with broken files the others load, and each broken one is named with its line."""
    folder = write(tmp_path / "mine", oom__a=RULE % "A", oom__b="title: [\n", oom__c=RULE % "C" + "role: hero\n", oom__d=RULE % "D")
    pack = load_rules([folder], builtin=False)
    assert [rule.id for rule in pack.rules] == ["oom/a", "oom/d"]
    assert [(problem.file, problem.line) for problem in pack.problems] == [("mine/oom/b.yaml", 2), ("mine/oom/c.yaml", 5)]


def test_a_users_rule_replaces_the_packaged_one(tmp_path: Path) -> None:
    """A rule of the same id counts instead of the packaged one; the last pack wins; others are added."""
    known = load_rules().rules[0]
    category, name = known.id.split("/")
    first, second = write(tmp_path / "one", oom__mine=RULE % "M"), tmp_path / "two"
    for folder, title in ((first, "one"), (second, "two")):
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / f"{name}.yaml").write_text(RULE % title, encoding="utf-8")
    pack = load_rules([first, second])
    found, mine = pack.find(known.id), pack.find("oom/mine")
    assert found is not None
    assert mine is not None
    assert (found.title.en, mine.file, len(pack.rules)) == ("two", "one/oom/mine.yaml", len(load_rules().rules) + 1)


def test_a_broken_replacement_leaves_the_packaged_rule(tmp_path: Path) -> None:
    """A user's file that does not load is told, and the packaged rule stays."""
    known = load_rules().rules[0]
    path = tmp_path / f"{known.id}.yaml"
    path.parent.mkdir()
    path.write_text("title: 3\n", encoding="utf-8")
    pack = load_rules([tmp_path])
    assert (pack.find(known.id), len(pack.problems)) == (known, 1)


def test_only_categories_that_there_are(tmp_path: Path) -> None:
    """A rule in a folder that is no category is refused, with the categories."""
    pack = load_rules([write(tmp_path, misc__a=RULE % "A")], builtin=False)
    assert pack.rules == ()
    assert "'misc' is no category; there are gpu-p2p" in str(pack.problems[0])


def test_what_is_no_rule_file_is_left_alone(tmp_path: Path) -> None:
    """Files beside the categories and files of other kinds are not read; both suffixes of YAML are."""
    folder = write(tmp_path, notes="not a rule", oom__a=RULE % "A")
    (folder / "oom" / "README.md").write_text("words", encoding="utf-8")
    (folder / "oom" / "b.yml").write_text(RULE % "B", encoding="utf-8")
    assert [rule.id for rule in load_rules([folder], builtin=False).rules] == ["oom/a", "oom/b"]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_is_none(tmp_path: Path, name: str) -> None:
    """A wrong --rules is a wrong usage, with what to give instead."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=f"there is no rule folder .*{name}; give a folder"):
        load_rules([tmp_path / name])


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory may be the rule folder."""
    write(tmp_path, oom__a=RULE % "A")
    monkeypatch.chdir(tmp_path)
    assert [rule.id for rule in load_rules([Path()], builtin=False).rules] == ["oom/a"]


def test_a_rule_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that vanished is a RuleError."""
    with pytest.raises(RuleError, match="cannot be read"):
        load_rule(tmp_path / "oom" / "a.yaml", tmp_path)


def test_facts_say_what_they_are_about() -> None:
    """Each fact that rules may ask for has its sentence."""
    assert load_facts()
    assert all(load_facts().values())
