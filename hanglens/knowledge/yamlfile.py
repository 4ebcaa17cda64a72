"""YAML, read strictly: no duplicate keys, only plain values, and the line of every field."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

import yaml

from hanglens import number
from hanglens.errors import RuleError
from hanglens.knowledge.schema import Plain
from hanglens.plainfile import PlainFile

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LARGEST = 1 << 20  # bytes
SURELY_FLAT = 16 << 10  # bytes that cannot nest so deeply that libyaml's composer, which recurses, runs out of stack
DEEPEST = 100


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
_Strict.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_yaml_str(node))  # a date is no plain value


def read_yaml(path: Path, name: str) -> dict[str, Plain]:
    """The mapping in a YAML file; raises RuleError with the line where it is none. `name` is the file's name in errors."""
    try:
        value = yaml.load(_content(path), Loader=_Strict)  # noqa: S506 - a strict child of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise RuleError(f"not valid YAML: {error.problem}", file=name, line=mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise RuleError(f"cannot be read: {' '.join(str(error).split())}", file=name) from None
    if not isinstance(value, dict):
        raise RuleError("must be a mapping of fields", file=name, line=1)
    return value


def line_of(path: Path, field: str) -> int | None:
    """The line of a field such as `when.any.1.pattern`, or of the deepest part of it that is there."""
    try:
        node = yaml.compose(_content(path), Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError, OSError):
        return None
    line = node.start_mark.line + 1 if node else None
    for part in filter(None, field.split(".")):
        node = _child(node, part)
        if node is None:
            return line
        line = node.start_mark.line + 1
    return line


def _content(path: Path) -> bytes:
    with PlainFile(str(path)) as file:
        data = BufferedReader(file).read(LARGEST + 1)
    if len(data) > LARGEST:
        raise yaml.YAMLError(f"it is larger than {LARGEST} bytes")
    depth = 0
    for event in yaml.parse(data, Loader=_Loader) if len(data) > SURELY_FLAT else ():
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"it nests deeper than {DEEPEST} levels")
    return data


def _child(node: yaml.Node | None, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part and isinstance(value, yaml.Node)), None)
    at = number.whole(part)
    if isinstance(node, yaml.SequenceNode) and at is not None and at < len(node.value):
        found: yaml.Node = node.value[at]
        return found
    return None
