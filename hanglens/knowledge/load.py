"""Where packaged data lies, and rule packs read from it: a broken file is named, and the rest of the pack loads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hanglens.errors import HangLensError, RuleError, UsageError
from hanglens.knowledge.rulefile import FieldError, make_rule
from hanglens.knowledge.schema import CATEGORIES, Rule
from hanglens.knowledge.yamlfile import line_of, read_yaml


@dataclass(frozen=True, slots=True)
class RulePack:
    """Rules in the order of their ids, and the files that could not be loaded."""

    rules: tuple[Rule, ...]
    problems: tuple[RuleError, ...] = ()

    def find(self, rule_id: str) -> Rule | None:
        """The rule of that id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def packaged(*parts: str) -> Path:
    """A packaged file or folder: inside the installed package, or in the checkout that it is run from."""
    inside = Path(str(files("hanglens"))) / "_rules"
    checkout = Path(str(files("hanglens"))).parent
    if not inside.is_dir() and _is_checkout(checkout):
        inside = checkout / "rules"
    if not inside.is_dir():
        raise HangLensError("the packaged rules are missing from this installation", "install hanglens again")
    return inside.joinpath(*parts)


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and 'name = "hanglens"' in project.read_text(encoding="utf-8")


def load_rules(extra: Iterable[Path] = (), *, builtin: bool = True) -> RulePack:
    """The packaged rules and those of other folders; a later pack's rule replaces one of the same id."""
    folders = [*([packaged()] if builtin else []), *extra]
    rules: dict[str, Rule] = {}
    problems: list[RuleError] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no rule folder {folder}", "give a folder that holds <category>/<name>.yaml files")
        for path in sorted(folder.glob("*/*.yaml")) + sorted(folder.glob("*/*.yml")):
            try:
                rule = load_rule(path, folder)
                rules[rule.id] = rule
            except RuleError as error:
                problems.append(error)
    return RulePack(tuple(rules[name] for name in sorted(rules)), tuple(problems))


def load_rule(path: Path, folder: Path) -> Rule:
    """One rule file; raises RuleError with the line and the field that are wrong."""
    name = path.relative_to(folder.parent).as_posix() if folder.name != "_rules" else path.relative_to(folder).as_posix()
    rule_id = f"{path.parent.name}/{path.stem}"
    data = read_yaml(path, name)
    if path.parent.name not in CATEGORIES:
        raise RuleError(f"'{path.parent.name}' is no category; there are {', '.join(CATEGORIES)}", file=name)
    try:
        return make_rule(rule_id, name, data)
    except FieldError as error:
        raise RuleError(error.message, file=name, line=line_of(path, error.field), field=error.field) from None


def load_facts() -> dict[str, str]:
    """The facts that rules may ask for, with what each is about."""
    data = read_yaml(packaged("facts.yaml"), "facts.yaml")
    return {name: str(entry.get("about", "")) if isinstance(entry, dict) else "" for name, entry in data.items()}
