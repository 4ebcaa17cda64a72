"""Rule packs: a broken file is named, and the rest of the pack loads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hanglens.errors import RuleError, UsageError
from hanglens.knowledge.packaged import compiled, packaged
from hanglens.knowledge.schema import CATEGORIES, Plain, Rule


@dataclass(frozen=True, slots=True)
class RulePack:
    """Rules in the order of their ids, and the files that could not be loaded."""

    rules: tuple[Rule, ...]
    problems: tuple[RuleError, ...] = ()

    def find(self, rule_id: str) -> Rule | None:
        """The rule of that id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def load_rules(extra: Iterable[Path] = (), *, builtin: bool = True) -> RulePack:
    """The packaged rules and those of other folders; a later pack's rule replaces one of the same id."""
    made = compiled() if builtin else None
    folders = [*([packaged()] if builtin and not made else []), *extra]
    rules = {rule.id: rule for rule in made.rules} if made else {}
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
    from hanglens.knowledge.rulefile import FieldError, make_rule
    from hanglens.knowledge.yamlfile import line_of, read_yaml

    name = path.relative_to(folder.parent).as_posix() if folder.name != "_rules" else path.relative_to(folder).as_posix()
    rule_id = f"{path.parent.name}/{path.stem}"
    data = read_yaml(path, name)
    if path.parent.name not in CATEGORIES:
        raise RuleError(f"'{path.parent.name}' is no category; there are {', '.join(CATEGORIES)}", file=name)
    try:
        return make_rule(rule_id, name, data)
    except FieldError as error:
        raise RuleError(error.message, file=name, line=line_of(path, error.field), field=error.field) from None


def load_table(name: str) -> dict[str, Plain]:
    """A file of the top folder of the packaged rules: `facts.yaml`, `stages.yaml`, `frames.yaml`."""
    if made := compiled():
        return made.tables[name]
    from hanglens.knowledge.yamlfile import read_yaml

    return read_yaml(packaged(name), name)


def load_facts() -> dict[str, str]:
    """The facts that rules may ask for, with what each is about."""
    data = load_table("facts.yaml")
    return {name: str(entry.get("about", "")) if isinstance(entry, dict) else "" for name, entry in data.items()}
