"""Mutations of rule files: broken YAML, fields of other types, and rules that load and ask for odd things."""

from __future__ import annotations

import json
from random import Random

import yaml

from tests.fuzz import dumps, lines, octets

Files = dict[str, bytes]

_PATTERNS = (
    "(a+)+$", "(", "[", "", ".*", r"(?P<rank>\d+)", r"(?P<culprit>\S+)", r"(?P<rank>.)(?P<rank>.)", r"\d{1,99999}", "x{70000}",
    "(?<=a+)b", r"\p{L}+", "(?i)nccl|(?s).", r"NCCL (?P<op>.*) (?P<size>\d*)", r"(?:NCCL|rank).{0,500}", "\\", r"(\w+\s?)*:$", "²",
    "\ud800", "a" * 5000,
)  # fmt: skip
_CONDITIONS = (
    {"all": []}, {"any": [{"pattern": "NCCL"}]}, {"not": {"pattern": "NCCL"}}, {"fact": "no.such"}, {"silence": "to the end"},
    {"fact": "job.world_size", "above": "x"}, {"count": {"pattern": "NCCL"}, "at_least": -1},
    {"sequence": [{"never": {"pattern": "NCCL"}}]},
    {"stack": "wait", "on": "all ranks but one"}, {"pattern": "NCCL", "on": "every rank"}, None, [], "NCCL", 7,
    {"sequence": [{"pattern": "NCCL"}, {"silence": "to the end"}]},
    {"pattern": "NCCL", "source": "nccl", "level": "WARN", "on": "one rank"},
)  # fmt: skip
_NESTED: dict[str, object] = {"pattern": "NCCL INFO"}
for _ in range(60):
    _NESTED = {"not": _NESTED}


def _fields(rng: Random, data: bytes) -> bytes:
    """The same fields with other values, as JSON, which YAML holds."""
    rule = yaml.safe_load(data)
    if not isinstance(rule, dict):
        return data
    way = rng.random()
    if way < 0.4:
        rule["when"] = rng.choice((*_CONDITIONS, _NESTED, {"pattern": rng.choice(_PATTERNS)}, {"stack": rng.choice(_PATTERNS)}))
    if way > 0.3:
        dumps.change(rng, rule)
    if rng.random() < 0.5:
        rule.pop("tests", None)
    return json.dumps(rule, ensure_ascii=False).encode("utf-8", "surrogatepass")


_WAYS = (_fields, _fields, _fields, *octets.MUTATIONS, lines.reorder)


def mutated(rng: Random, rules: Files) -> Files:
    """A few rule files, one or two of them changed. Those left as they are have `kept` in front of their names."""
    chosen = rng.sample(sorted(rules), 4)
    out: Files = {}
    for at, name in enumerate(chosen):
        category, _, file = name.partition("/")
        if at < rng.choice((1, 1, 2)):
            out[f"{rng.choice((category, category, category, 'nowhere'))}/{file}"] = _changed(rng, rules[name])
        else:
            out[f"{category}/kept-{file}"] = rules[name]
    return out


def _changed(rng: Random, data: bytes) -> bytes:
    try:
        return rng.choice(_WAYS)(rng, data)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return octets.flip(rng, data)
