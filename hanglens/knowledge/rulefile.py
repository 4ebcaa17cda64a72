"""A rule file's plain values made into a Rule; whatever is wrong is said with the field it is in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast, get_args

from hanglens.expressions import fault, required_pieces
from hanglens.knowledge.schema import (
    ONS,
    SOURCES,
    AllOf,
    AnyOf,
    Condition,
    Count,
    FactCondition,
    NextStep,
    Not,
    On,
    PatternCondition,
    Plain,
    Rule,
    Sequence,
    Snippet,
    StackCondition,
    children,
)
from hanglens.scan import Pattern
from hanglens.verdict import CONFIDENCES, Confidence, Fix, Role, Text, Verdict

_FIELDS = {
    "title", "role", "verdict", "applies", "when", "confidence", "against", "yields_to", "culprits", "explain",
    "not_to_confuse", "fixes", "next", "references", "order", "tests",
}  # fmt: skip
LARGEST = 1e300  # of a number in a rule
_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "ms": 1e-3, "s": 1, "min": 60, "h": 3600,
}  # fmt: skip


class FieldError(Exception):
    """Something is wrong in a field; the loader adds file and line."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message, self.field = message, field


def make_rule(rule_id: str, file: str, data: Mapping[str, Plain]) -> Rule:
    """Check and convert; raises FieldError at the first thing that is wrong."""
    _only(data, _FIELDS, "")
    for required in ("title", "when", "explain", "tests"):
        if required not in data:
            raise FieldError(f"the field '{required}' is missing", required)
    levels = _mapping(data.get("confidence", {}), "confidence")
    _only(levels, {"confirmed", "likely"}, "confidence")
    tests = _mapping(data["tests"], "tests")
    _only(tests, {"match", "near_miss"}, "tests")
    when = _condition(data["when"], "when", "", rule_id)
    return Rule(
        id=rule_id,
        file=file,
        title=_text(data["title"], "title"),
        role=cast(Role, _one_of(data.get("role", "cause"), get_args(Role), "role")),
        verdict=cast(Verdict, _one_of(data.get("verdict", "hung"), get_args(Verdict), "verdict")),
        applies={key: str(_scalar(value, f"applies.{key}")) for key, value in _mapping(data.get("applies", {}), "applies").items()},
        when=when,
        confirmed=_paths(levels.get("confirmed", []), "confidence.confirmed", when),
        likely=_paths(levels.get("likely", []), "confidence.likely", when),
        against=tuple(
            _condition(item, f"against.{n}", f"against.{n}", rule_id) for n, item in enumerate(_list(data.get("against", []), "against"))
        ),
        yields_to=_strings(data.get("yields_to", []), "yields_to"),
        culprits="matched" if _one_of(data.get("culprits", "none"), ("none", "matched"), "culprits") == "matched" else "none",
        explain=_text(data["explain"], "explain"),
        not_to_confuse=_text(data["not_to_confuse"], "not_to_confuse") if "not_to_confuse" in data else None,
        fixes=tuple(_fix(item, f"fixes.{n}") for n, item in enumerate(_list(data.get("fixes", []), "fixes"))),
        next=tuple(_next(item, f"next.{n}") for n, item in enumerate(_list(data.get("next", []), "next"))),
        references=_strings(data.get("references", []), "references"),
        order=int(_number(data.get("order", 5), "order")),
        matches=_snippets(tests.get("match", []), "tests.match"),
        near_misses=_snippets(tests.get("near_miss", []), "tests.near_miss"),
    )


def _condition(data: Plain, field: str, path: str, rule_id: str) -> Condition:
    item = _mapping(data, field)
    for word, build in (("all", AllOf), ("any", AnyOf)):
        if word in item:
            _only(item, {word}, field)
            parts = _list(item[word], f"{field}.{word}")
            if not parts:
                raise FieldError("needs at least one condition", f"{field}.{word}")
            dot = f"{path}." if path else ""
            return build(path, tuple(
                _condition(part, f"{field}.{word}.{n}", f"{dot}{word}.{n}", rule_id) for n, part in enumerate(parts)))  # fmt: skip
    if "not" in item:
        _only(item, {"not"}, field)
        return Not(path, _condition(item["not"], f"{field}.not", _join(path, "not"), rule_id))
    if "count" in item:
        _only(item, {"count", "at_least", "at_most"}, field)
        child = _condition(item["count"], f"{field}.count", _join(path, "count"), rule_id)
        least, most = (int(_number(item[n], f"{field}.{n}")) if n in item else None for n in ("at_least", "at_most"))
        return Count(path, child, 1 if least is None else least, most)
    if "sequence" in item:
        return _sequence(item, field, path, rule_id)
    if "fact" in item:
        return _fact(item, field, path)
    if "pattern" in item:
        return _pattern(item, field, path, rule_id)
    raise FieldError("a condition needs one of pattern, fact, all, any, not, count, sequence", field)


def _sequence(item: Mapping[str, Plain], field: str, path: str, rule_id: str) -> Sequence:
    _only(item, {"sequence"}, field)
    steps: list[PatternCondition] = []
    never: list[PatternCondition] = []
    silence = False
    for n, part in enumerate(_list(item["sequence"], f"{field}.sequence")):
        at, below = f"{field}.sequence.{n}", _join(path, f"sequence.{n}")
        step = _mapping(part, at)
        if "silence" in step:
            _only(step, {"silence"}, at)
            silence = True
        elif "never" in step:
            _only(step, {"never"}, at)
            never.append(_line(_mapping(step["never"], f"{at}.never"), f"{at}.never", below, rule_id))
        else:
            steps.append(_line(step, at, below, rule_id))
    if not steps:
        raise FieldError("needs a pattern to begin with", f"{field}.sequence")
    return Sequence(path, tuple(steps), tuple(never), silence)


def _line(item: Mapping[str, Plain], field: str, path: str, rule_id: str) -> PatternCondition:
    condition = _pattern(item, field, path, rule_id)
    if isinstance(condition, StackCondition):
        raise FieldError("a sequence is of lines; stacks have no order", f"{field}.source")
    return condition


def _pattern(item: Mapping[str, Plain], field: str, path: str, rule_id: str) -> PatternCondition | StackCondition:
    _only(item, {"source", "level", "pattern", "literal", "on"}, field)
    expression = _expression(item.get("pattern"), f"{field}.pattern")
    sources = item.get("source", [])
    names = (sources,) if isinstance(sources, str) else _strings(sources, f"{field}.source")
    for name in names:
        _one_of(name, (*SOURCES, "any"), f"{field}.source")
    on = cast(On, _one_of(item.get("on", ""), ONS, f"{field}.on"))
    if "stack" in names:
        _only(item, {"source", "pattern", "literal", "on"}, field)
        return StackCondition(path, expression, on, required_pieces(expression))
    literal = item.get("literal")
    pattern = Pattern(
        name=f"{rule_id}#{path or 'when'}",
        expression=expression,
        sources=frozenset(names) - {"any"},
        level=_string(item.get("level", ""), f"{field}.level").replace("WARNING", "WARN"),
        literals=() if literal is None else (literal,) if isinstance(literal, str) else _strings(literal, f"{field}.literal"),
    )
    if not all(pattern.literals):
        raise FieldError("an empty literal stands in every line", f"{field}.literal")
    literals = pattern.required()
    if not literals:
        raise FieldError("no constant piece of four characters or more: write one, or name it with `literal:`", f"{field}.pattern")
    return PatternCondition(path, replace(pattern, literals=literals), on)


def _fact(item: Mapping[str, Plain], field: str, path: str) -> FactCondition:
    _only(item, {"fact", "equals", "above", "below", "matches", "where", "on"}, field)
    equals = item.get("equals")
    where = _mapping(item.get("where", {}), f"{field}.where")
    return FactCondition(
        path=path,
        fact=_string(item["fact"], f"{field}.fact"),
        equals=None if equals is None else _scalar(equals, f"{field}.equals"),
        above=_number(item["above"], f"{field}.above") if "above" in item else None,
        below=_number(item["below"], f"{field}.below") if "below" in item else None,
        matches=_expression(item["matches"], f"{field}.matches") if "matches" in item else None,
        where={key: _scalar(value, f"{field}.where.{key}") for key, value in where.items()},
        on=cast(On, _one_of(item.get("on", ""), ONS, f"{field}.on")),
    )


def _fix(data: Plain, field: str) -> Fix:
    item = _mapping(data, field)
    _only(item, {"title", "command", "risk", "verify"}, field)
    return Fix(
        title=_text(item.get("title"), f"{field}.title"),
        command=_string(item.get("command", ""), f"{field}.command"),
        risk=_text(item.get("risk"), f"{field}.risk"),
        verify=_text(item.get("verify"), f"{field}.verify"),
    )


def _next(data: Plain, field: str) -> NextStep:
    item = _mapping(data, field)
    _only(item, {"what", "command", "unless"}, field)
    command, unless = (_string(item.get(name, ""), f"{field}.{name}") for name in ("command", "unless"))
    return NextStep(_text(item.get("what"), f"{field}.what"), command, unless)


def _snippets(data: Plain, field: str) -> tuple[Snippet, ...]:
    return tuple(_snippet(item, f"{field}.{n}") for n, item in enumerate(_list(data, field)))


def _snippet(data: Plain, field: str) -> Snippet:
    if isinstance(data, str):
        return Snippet({"snippet.log": data})
    item = _mapping(data, field)
    confidence = item.get("confidence")
    level = cast(Confidence, _one_of(confidence, CONFIDENCES, f"{field}.confidence")) if confidence is not None else None
    if "text" in item:
        _only(item, {"text", "confidence"}, field)
        return Snippet({"snippet.log": _string(item["text"], f"{field}.text")}, level)
    files = _mapping(item["files"], f"{field}.files") if "files" in item else {k: v for k, v in item.items() if k != "confidence"}
    return Snippet({name: _string(text, f"{field}.{name}") for name, text in files.items()}, level)


def _paths(data: Plain, field: str, when: Condition) -> tuple[str, ...]:
    known = {"always", *(c.path for c in _below(when))}
    paths = (data,) if isinstance(data, str) else _strings(data, field)
    for path in paths:
        if path not in known:
            raise FieldError(f"'{path}' names no branch of `when`; there are {', '.join(sorted(known - {''}))}", field)
    return paths


def _below(condition: Condition) -> list[Condition]:
    return [condition, *(deeper for child in children(condition) for deeper in _below(child))]


def _join(path: str, word: str) -> str:
    return f"{path}.{word}" if path else word


def _text(data: Plain, field: str) -> Text:
    item = _mapping(data, field)
    _only(item, {"en", "zh"}, field)
    return Text(en=_string(item.get("en"), f"{field}.en").strip(), zh=_string(item.get("zh", ""), f"{field}.zh").strip())


def _mapping(data: Plain, field: str) -> dict[str, Plain]:
    if not isinstance(data, dict):
        raise FieldError(f"must be a mapping, not {_kind(data)}", field)
    return data


def _list(data: Plain, field: str) -> list[Plain]:
    if not isinstance(data, list):
        raise FieldError(f"must be a list, not {_kind(data)}", field)
    return data


def _string(data: Plain, field: str) -> str:
    if not isinstance(data, str):
        raise FieldError(f"must be a text, not {_kind(data)}", field)
    return data


def _expression(data: Plain, field: str) -> str:
    text = _string(data, field)
    if problem := fault(text):
        raise FieldError(f"not a valid regular expression: {problem}", field)
    return text


def _strings(data: Plain, field: str) -> tuple[str, ...]:
    return tuple(_string(item, f"{field}.{n}") for n, item in enumerate(_list(data, field)))


def _scalar(data: Plain, field: str) -> str | float | bool:
    if isinstance(data, str | int | float | bool):
        return data
    raise FieldError(f"must be a single value, not {_kind(data)}", field)


def _number(data: Plain, field: str) -> float:
    if isinstance(data, int | float) and not isinstance(data, bool) and -LARGEST < data < LARGEST:
        return data
    found = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([A-Za-z]*)", data) if isinstance(data, str) else None
    if found and found[2].lower() in _UNITS:
        return float(found[1]) * _UNITS[found[2].lower()]
    raise FieldError(f"must be a number with or without a unit (64MiB, 30s), not {data!r}", field)


def _one_of(data: Plain, allowed: tuple[str, ...], field: str) -> str:
    if data not in allowed:
        raise FieldError(f"{data!r} is none of {', '.join(filter(None, allowed))}", field)
    return str(data)


def _only(item: Mapping[str, Plain], allowed: set[str], field: str) -> None:
    for key in item:
        if key not in allowed:
            raise FieldError(f"unknown field '{key}'; there are {', '.join(sorted(allowed))}", _join(field, key))


def _kind(data: Plain) -> str:
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(data), f"{data!r}")
