"""The page of one rule, as `hanglens explain` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hanglens.knowledge import schema
from hanglens.knowledge.schema import Rule
from hanglens.verdict import Text

_HEADINGS = {
    "en": ("What happens", "How to recognise it", "Speaks against it", "Fixes", "Do not confuse with", "Collect to be sure", "References"),
    "zh": ("发生了什么", "如何识别", "反面证据", "解决办法", "不要混淆", "收集以确认", "参考"),
}


def page(rule: Rule, lang: Literal["en", "zh"]) -> str:
    """Plain text, wrapped by nobody: what, how to recognise it, why, fixes, look-alikes."""
    return "\n".join(_lines(rule, lang)).rstrip() + "\n"


def _lines(rule: Rule, lang: Literal["en", "zh"]) -> Iterator[str]:
    happens, recognise, against, fixes, confuse, collect, references = _HEADINGS[lang]

    def say(text: Text) -> str:
        said = (text.zh if lang == "zh" else text.en) or text.en
        return said.replace("[[", "").replace("]]", "")  # around what is left out where its values are not known

    yield from (say(rule.title), f"{rule.id} · {rule.role} · {rule.verdict}", "", happens, f"  {say(rule.explain)}", "")
    yield from (recognise, *(f"  {line}" for line in _described(rule.when)), "")
    if rule.against:
        yield from (against, *(f"  {line}" for part in rule.against for line in _described(part)), "")
    if rule.fixes:
        yield fixes
    for n, fix in enumerate(rule.fixes, 1):
        yield f"  {n}. {say(fix.title)}"
        yield from (f"     {line}" for line in (f"$ {fix.command}" if fix.command else "", say(fix.risk), say(fix.verify)) if line)
    if rule.fixes:
        yield ""
    if rule.not_to_confuse:
        yield from (confuse, f"  {say(rule.not_to_confuse)}", "")
    if rule.next:
        yield collect
        for step in rule.next:
            yield f"  {say(step.what)}" + (f": {step.command}" if step.command else "")
        yield ""
    if rule.references:
        yield from (references, *(f"  {reference}" for reference in rule.references))


def _described(condition: schema.Condition, depth: int = 0) -> list[str]:
    pad = "  " * depth
    if isinstance(condition, schema.AllOf | schema.AnyOf):
        word = "all of:" if isinstance(condition, schema.AllOf) else "any of:"
        return [pad + word, *(line for child in condition.children for line in _described(child, depth + 1))]
    if isinstance(condition, schema.Not):
        return [pad + "not:", *_described(condition.child, depth + 1)]
    if isinstance(condition, schema.Count):
        most = f" and at most {condition.at_most}" if condition.at_most is not None else ""
        return [f"{pad}at least {condition.at_least}{most} of:", *_described(condition.child, depth + 1)]
    if isinstance(condition, schema.Sequence):
        lines = [f"{pad}in this order:", *(line for step in condition.steps for line in _described(step, depth + 1))]
        lines += [f"{pad}  and never after it: {never.pattern.expression}" for never in condition.never]
        return [*lines, f"{pad}  then silence"] if condition.silence else lines
    where = f", {condition.on}" if condition.on else ""
    if isinstance(condition, schema.FactCondition):
        asked = "".join(f" {word} {value}" for word, value in _asked(condition))
        return [f"{pad}fact {condition.fact}{asked}{where}"]
    if isinstance(condition, schema.StackCondition):
        return [f"{pad}a thread's frames: {condition.expression}{where}"]
    source = "/".join(sorted(condition.pattern.sources)) or "any"
    return [f"{pad}{source}{f' {condition.pattern.level}' if condition.pattern.level else ''} line: {condition.pattern.expression}{where}"]


def _asked(condition: schema.FactCondition) -> Iterator[tuple[str, object]]:
    for word in ("equals", "above", "below", "matches"):
        if getattr(condition, word) is not None:
            yield word, getattr(condition, word)
    yield from ((f"with {name} =", value) for name, value in condition.where.items())
