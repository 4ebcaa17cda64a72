"""What is wrong with rules that load: each complaint says what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hanglens.expressions import SHORTEST_LITERAL, search, search_fault
from hanglens.knowledge.load import RulePack, load_facts
from hanglens.knowledge.schema import FactCondition, Not, PatternCondition, Rule, StackCondition
from hanglens.verdict import Text

# What a rule must not fire on: pointers and numbers as NCCL prints them, and ordinary words.
_INNOCENT = (
    "AllReduce: opCount 1ecc sendbuff 0x7f00deadbeef recvbuff 0x7fdbe0ecc0de count 4096 datatype 7 op 0 root 0 comm 0x55d0c0ffee [nranks=8]",  # noqa: E501
    "Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM",
    "the quick brown fox jumps over the lazy dog at 12:34:56, step 100, loss 2.345",
    "Loading safetensors checkpoint shards: 100% Completed | 4/4 [00:04<00:00,  1.01s/it]",
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a rule and how to mend it."""

    rule: str
    message: str
    recommendation: str


def lint(pack: RulePack, beside: RulePack) -> list[Complaint]:
    """Every complaint on every rule of the pack, which may speak of rules of the packs `beside` it."""
    facts = frozenset(load_facts())
    ids = frozenset(rule.id for rule in (*pack.rules, *beside.rules))
    return [
        Complaint(rule.id, message, recommendation)
        for rule in pack.rules
        for check in (_tests, _fixes, _texts, _patterns, lambda r: _facts(r, facts), lambda r: _relations(r, ids), _confidence)
        for message, recommendation in check(rule)
    ]


def _tests(rule: Rule) -> Iterator[tuple[str, str]]:
    if not rule.matches:
        yield "no snippet that must match", "add one to tests.match, in the program's own format"
    if not rule.near_misses:
        yield "no near miss", "add to tests.near_miss the line that is most easily mistaken for this"


def _fixes(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.role == "cause" and not rule.fixes and rule.category not in ("healthy", "slow-not-hung"):
        yield "a cause without a fix", "add fixes with title, command, risk and verify"
    if rule.role == "cause" and not rule.next and "always" not in rule.confirmed and rule.verdict in ("hung", "failed"):
        yield "says nothing to collect while it is only possible", "add `next` with the one command that would settle it"


def _texts(rule: Rule) -> Iterator[tuple[str, str]]:
    texts: list[tuple[str, Text | None]] = [("title", rule.title), ("explain", rule.explain), ("not_to_confuse", rule.not_to_confuse)]
    texts += [(f"fixes.{n}.{name}", getattr(fix, name)) for n, fix in enumerate(rule.fixes) for name in ("title", "risk", "verify")]
    texts += [(f"next.{n}.what", step.what) for n, step in enumerate(rule.next)]
    for field, text in texts:
        if text is None:
            continue
        if not text.en:
            yield f"{field} has no English text", "write it; every text is {en, zh}"
        if not text.zh:
            yield f"{field} has no Chinese text", "write it; commands, log lines and terms stay as they are"


def _patterns(rule: Rule) -> Iterator[tuple[str, str]]:
    conditions = rule.conditions()
    negated = {id(below) for part in conditions if isinstance(part, Not) for below in [part.child]}
    for condition in conditions:
        if isinstance(condition, StackCondition | PatternCondition):
            expression = condition.expression if isinstance(condition, StackCondition) else condition.pattern.expression
            if problem := search_fault(expression):
                yield f"the pattern at {condition.path or 'when'} cannot be searched: {problem}", "write it so that `regex` takes it, too"
                continue
            if id(condition) not in negated and rule.role == "cause":
                yield from _too_wide(condition.path, expression)
            if re.search(r"(?:\([^()]*[+*][^()]*\))[+*]", expression):
                yield f"the pattern at {condition.path or 'when'} repeats a repetition", "write it without nested + and *; it may run away"
        if isinstance(condition, PatternCondition) and min(map(len, condition.pattern.required())) < SHORTEST_LITERAL:
            yield (
                f"the literal at {condition.path or 'when'} is short",
                f"name one of {SHORTEST_LITERAL} characters or more: `literal:`",
            )


def _too_wide(path: str, expression: str) -> Iterator[tuple[str, str]]:
    for line in _INNOCENT:
        if search(expression, line):
            yield f"the pattern at {path or 'when'} fires on an innocent line ({line[:40]}…)", "add the constant text around it"


def _facts(rule: Rule, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    for condition in rule.conditions():
        if isinstance(condition, FactCondition) and condition.fact not in known:
            yield f"asks for the fact {condition.fact!r}, which no analysis computes", "rules/facts.yaml names those there are"
    for step in rule.next:
        if step.unless and step.unless not in known:
            yield f"next: unless {step.unless!r}, which no analysis computes", "rules/facts.yaml names those there are"


def _relations(rule: Rule, ids: frozenset[str]) -> Iterator[tuple[str, str]]:
    categories = {rule_id.split("/")[0] for rule_id in ids}
    for other in rule.yields_to:
        if "*" not in other and other not in ids and other not in categories:
            yield f"yields to {other!r}, which is no rule", "give a rule's id, a category, or a pattern such as rank-dead/*"


def _confidence(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.role != "cause" and (rule.confirmed or rule.likely):
        yield f"a {rule.role} with a confidence", "confidence is for causes; leave it out"
