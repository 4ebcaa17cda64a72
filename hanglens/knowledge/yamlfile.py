"""YAML, read strictly: no duplicate keys, only plain values, and the line of every field."""

from __future__ import annotations

from pathlib import Path

import yaml

from hanglens.errors import RuleError

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Strict(_Loader):  # type: ignore[misc, valid-type]
    """Refuses a key that stands twice, and keys that are no text (`on:` is true in YAML 1.1: it is kept as text)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = True) -> dict[str, object]:  # noqa: FBT001, FBT002 - PyYAML's
        made: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key_node.value in made:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key_node.value}' stands twice", key_node.start_mark)
            made[key_node.value] = self.construct_object(value_node, deep=True)
        return made


_Strict.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))


def read_yaml(path: Path, name: str) -> dict[str, Plain]:
    """The mapping in a YAML file; raises RuleError with the line where it is none. `name` is the file's name in errors."""
    try:
        value = yaml.load(path.read_bytes(), Loader=_Strict)  # noqa: S506 - a strict child of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise RuleError(f"not valid YAML: {error.problem}", file=name, line=mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RuleError(f"cannot be read: {error}", file=name) from None
    if not isinstance(value, dict):
        raise RuleError("must be a mapping of fields", file=name, line=1)
    return value


def line_of(path: Path, field: str) -> int | None:
    """The line of a field such as `when.any.1.pattern`, or of the deepest part of it that is there."""
    try:
        node = yaml.compose(path.read_bytes(), Loader=_Loader)
    except (yaml.YAMLError, OSError):
        return None
    line = node.start_mark.line + 1 if node else None
    for part in filter(None, field.split(".")):
        node = _child(node, part)
        if node is None:
            return line
        line = node.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part and isinstance(value, yaml.Node)), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        found: yaml.Node = node.value[int(part)]
        return found
    return None
