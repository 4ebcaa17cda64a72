"""Values of dicts, lists and strings, as JSON and pickles hold them, without what must not leave."""

from __future__ import annotations

from hanglens.privacy.redactor import Redactor


def redact_value(value: object, redactor: Redactor) -> object:
    """The value with every string in its dicts, lists and tuples redacted; keys stay, and tell which values are secrets."""
    strings = _strings(value)
    redactor.study("\n".join(sorted(strings)))
    return _Walk(redactor).redacted(value)


class _Walk:
    """Through a value in which the same strings stand again and again."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._seen: dict[tuple[str, str], str] = {}
        self._done: dict[int, object] = {}  # what a pickle has in several places is one thing, and may hold itself

    def redacted(self, value: object, key: str = "") -> object:
        if isinstance(value, str):
            return self._text(key, value)
        if not isinstance(value, (dict, list, tuple)):
            return value
        if id(value) not in self._done:
            self._done[id(value)] = None  # a value inside of itself
            self._done[id(value)] = self._container(value)
        return self._done[id(value)]

    def _container(self, value: dict[object, object] | list[object] | tuple[object, ...]) -> object:
        if isinstance(value, dict):
            return {name: self.redacted(inner, name if isinstance(name, str) else "") for name, inner in value.items()}
        return type(value)([self.redacted(inner) for inner in value])

    def _text(self, key: str, value: str) -> str:
        if (key, value) not in self._seen:
            self._seen[key, value] = self._entry(key, value)
        return self._seen[key, value]

    def _entry(self, key: str, value: str) -> str:
        """A value that is secret by its key is read as an environment would have it."""
        start = f"{key}="
        if key and "\0" not in value:
            whole = self._redactor.text(f"{start}{value}\0")
            if whole.startswith(start):
                return whole[len(start) : -1]
        return self._redactor.text(value)


def _strings(value: object) -> set[str]:
    """All strings of a value; what stands in it at several places is looked at once."""
    found, seen, pending = set[str](), set[int](), [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, (dict, list, tuple)) and id(one) not in seen:
            seen.add(id(one))
            pending.extend(one.values() if isinstance(one, dict) else one)
    return found
