from __future__ import annotations

from pathlib import Path

import pytest

from hanglens.errors import HangLensError, RuleError
from hanglens.knowledge import packaged as place
from hanglens.knowledge.compile import TABLES, compile_rules
from hanglens.knowledge.load import load_rules, load_table
from hanglens.knowledge.packaged import COMPILED, compiled, packaged
from tests.knowledge.test_load import RULE, write

RULES = Path(__file__).parents[2] / "rules"


def install(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    """Pretend that hanglens lies in that folder."""
    package.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(place, "files", lambda _: package)


def test_rules_of_an_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an installation the rules lie inside the package, also if a folder `rules` lies beside it."""
    write(tmp_path / "site-packages" / "hanglens" / "_rules", oom__a=RULE % "A")
    write(tmp_path / "site-packages" / "rules", oom__b=RULE % "B")
    install(monkeypatch, tmp_path / "site-packages" / "hanglens")
    assert packaged("oom", "a.yaml") == tmp_path / "site-packages" / "hanglens" / "_rules" / "oom" / "a.yaml"
    assert [(rule.id, rule.file) for rule in load_rules().rules] == [("oom/a", "oom/a.yaml")]


def test_rules_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout they lie beside the package."""
    write(tmp_path / "rules", oom__a=RULE % "A")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "hanglens"\n', encoding="utf-8")
    install(monkeypatch, tmp_path / "hanglens")
    assert packaged() == tmp_path / "rules"


@pytest.mark.parametrize("project", [None, '[project]\nname = "other"\n'])
def test_rules_of_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str | None) -> None:
    """A folder `rules` that happens to lie beside an installation is not ours."""
    write(tmp_path / "rules", oom__a=RULE % "A")
    if project:
        (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    install(monkeypatch, tmp_path / "hanglens")
    with pytest.raises(HangLensError, match="install hanglens again"):
        packaged("stages.yaml")


def test_what_a_wheel_carries_is_what_the_files_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules and tables read from the one JSON equal those read from the YAML, and the YAML is not looked at."""
    from_yaml = load_rules([RULES], builtin=False)
    package = tmp_path / "hanglens"
    (package / "_rules").mkdir(parents=True)
    (package / "_rules" / COMPILED).write_bytes(compile_rules(RULES))
    install(monkeypatch, package)

    assert compiled()
    assert load_rules() == from_yaml
    assert all(load_table(name) for name in TABLES)


def test_more_rules_are_read_beside_those_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's folder adds to them, and replaces a rule of the same id."""
    write(tmp_path / "mine", oom__a=RULE % "Mine", oom__b=RULE % "B")
    write(tmp_path / "theirs", oom__a=RULE % "Theirs")
    for name in TABLES:
        (tmp_path / "theirs" / name).write_text("{}", encoding="utf-8")
    package = tmp_path / "hanglens"
    (package / "_rules").mkdir(parents=True)
    (package / "_rules" / COMPILED).write_bytes(compile_rules(tmp_path / "theirs"))
    install(monkeypatch, package)

    assert [(rule.id, rule.title.en) for rule in load_rules([tmp_path / "mine"]).rules] == [("oom/a", "Mine"), ("oom/b", "B")]


def test_a_wrong_rule_stops_the_build(tmp_path: Path) -> None:
    """No wheel is made of rules of which one does not load."""
    write(tmp_path, oom__a="title: {}\n")
    with pytest.raises(RuleError):
        compile_rules(tmp_path)
