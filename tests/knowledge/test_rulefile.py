"""A rule file's plain values made into a Rule, and every way in which they can be wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from hanglens.errors import RuleError
from hanglens.knowledge.load import load_rule
from hanglens.knowledge.schema import AllOf, AnyOf, Count, FactCondition, Not, PatternCondition, Rule, Sequence, Snippet, StackCondition
from hanglens.scan import Pattern
from hanglens.verdict import Text

WHOLE = """\
title: {en: " A title ", zh: 标题}
role: contributing
verdict: failed
applies: {nccl: ">=2.4", torch: 2.5}
when:
  any:
    - {source: nccl, level: WARNING, pattern: 'some words (?P<n>\\d+)', on: every rank}
    - all:
        - {source: [torch, launcher], pattern: 'a|b', literal: [' a ', ' b ']}
        - {source: stack, pattern: 'acquire \\(filelock/'}
        - {fact: host.free, below: 64MiB, where: {host: n1, ok: true}}
    - not: {pattern: never said}
    - {count: {fact: x.y}, at_least: 2, at_most: 9}
    - sequence: [{pattern: first words}, {source: any, pattern: then words}, {never: {pattern: other words}}, {silence: to the end}]
confidence: {confirmed: any.0, likely: [any.1.all.0, any.2, any.2.not, any.3.count, any.4.sequence.1]}
against:
  - {fact: a.b, equals: 3, above: 1.5, matches: '^x'}
yields_to: [rank-dead/*]
culprits: matched
explain: {en: Why {n}., zh: 原因}
not_to_confuse: {en: Other.}
fixes:
  - {title: {en: Do}, command: do it, risk: {en: none}, verify: {en: see}}
next:
  - {what: {en: Look}, command: df}
references: ["https://example.com"]
order: 2
tests:
  match: [one line, {text: another, confidence: likely}, {a.log: x, b.log: y, confidence: possible}, {files: {text: odd}}]
  near_miss: [no line]
""".replace("en: Why {n}.", "en: 'Why {n}.'")
SMALL = {"title": "title: {en: T}", "when": "when: {pattern: some words}", "explain": "explain: {en: E}", "tests": "tests: {match: []}"}


def load(tmp_path: Path, text: str) -> Rule:
    """The rule that is in a file rules/oom/a.yaml."""
    path = tmp_path / "rules" / "oom" / "a.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_rule(path, tmp_path / "rules")


def test_every_field(tmp_path: Path) -> None:
    """A rule that uses all fields is read as it says."""
    rule = load(tmp_path, WHOLE)
    assert (rule.id, rule.file, rule.category, rule.title) == ("oom/a", "rules/oom/a.yaml", "oom", Text(en="A title", zh="标题"))
    assert (rule.role, rule.verdict, rule.culprits, rule.order) == ("contributing", "failed", "matched", 2)
    assert (rule.applies, rule.yields_to, rule.references) == (
        {"nccl": ">=2.4", "torch": "2.5"},
        ("rank-dead/*",),
        ("https://example.com",),
    )
    assert (rule.confirmed, rule.likely[0], rule.likely[-1]) == (("any.0",), "any.1.all.0", "any.4.sequence.1")
    assert (rule.explain.en, rule.not_to_confuse, rule.fixes[0].command, rule.next[0].command) == (
        "Why {n}.",
        Text("Other.", ""),
        "do it",
        "df",
    )
    assert rule.against == (FactCondition("against.0", "a.b", equals=3, above=1.5, matches="^x"),)


def test_conditions(tmp_path: Path) -> None:
    """Conditions nest, and each has the path by which confidence names it."""
    when = load(tmp_path, WHOLE).when
    assert isinstance(when, AnyOf)
    warns, both, not_, count, sequence = when.children
    assert warns == PatternCondition(
        "any.0", Pattern("oom/a#any.0", r"some words (?P<n>\d+)", frozenset({"nccl"}), "WARN", ("some words ",)), on="every rank"
    )
    assert isinstance(both, AllOf)
    assert isinstance(both.children[0], PatternCondition)
    assert (both.children[0].pattern.sources, both.children[0].pattern.literals) == ({"torch", "launcher"}, (" a ", " b "))
    assert both.children[1] == StackCondition("any.1.all.1", r"acquire \(filelock/", pieces=(("acquire (filelock/",),))
    assert both.children[2] == FactCondition("any.1.all.2", "host.free", below=64 << 20, where={"host": "n1", "ok": True})
    assert isinstance(not_, Not)
    assert not_.child.path == "any.2.not"
    assert count == Count("any.3", FactCondition("any.3.count", "x.y"), 2, 9)
    assert isinstance(sequence, Sequence)
    assert ([step.path for step in sequence.steps], sequence.silence) == (["any.4.sequence.0", "any.4.sequence.1"], True)
    assert (sequence.steps[1].pattern.sources, sequence.never[0].path) == (frozenset(), "any.4.sequence.2")


def test_conditions_and_patterns_are_listed(tmp_path: Path) -> None:
    """All conditions of a rule are found, those against it too, and the line patterns among them."""
    rule = load(tmp_path, WHOLE)
    assert len(rule.conditions()) == 15
    assert [pattern.expression for pattern in rule.patterns()] == [
        r"some words (?P<n>\d+)",
        "a|b",
        "never said",
        "first words",
        "then words",
        "other words",
    ]


def test_snippets(tmp_path: Path) -> None:
    """A snippet is a text, a text with the confidence it must reach, or files by name."""
    rule = load(tmp_path, WHOLE)
    assert rule.matches == (
        Snippet({"snippet.log": "one line"}),
        Snippet({"snippet.log": "another"}, "likely"),
        Snippet({"a.log": "x", "b.log": "y"}, "possible"),
        Snippet({"text": "odd"}),
    )
    assert rule.near_misses == (Snippet({"snippet.log": "no line"}),)


def test_the_least_that_a_rule_needs(tmp_path: Path) -> None:
    """Title, condition, explanation and tests; everything else has a default."""
    rule = load(tmp_path, "\n".join(SMALL.values()))
    assert (rule.role, rule.verdict, rule.order, rule.culprits, rule.fixes, rule.against) == ("cause", "hung", 5, "none", (), ())
    assert isinstance(rule.when, PatternCondition)
    assert (rule.when.path, rule.when.pattern.name) == ("", "oom/a#when")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("64MiB", 64 << 20),
        ("64 MB", 64e6),
        ("1.5GiB", 1.5 * 2**30),
        ("30s", 30),
        ("250ms", 0.25),
        ("2h", 7200),
        ("'12'", 12),
        ("-3", -3),
        ("2", 2),
    ],
)
def test_units(tmp_path: Path, value: str, number: float) -> None:
    """Sizes are bytes and times are seconds, with or without a blank before the unit."""
    rule = load(tmp_path, "\n".join({**SMALL, "when": f"when: {{fact: a.b, above: {value}}}"}.values()))
    assert isinstance(rule.when, FactCondition)
    assert rule.when.above == number


@pytest.mark.parametrize("missing", ["title", "when", "explain", "tests"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    """A rule without a required field says which."""
    with pytest.raises(RuleError, match=f"rules/oom/a.yaml:1: the field '{missing}' is missing"):
        load(tmp_path, "\n".join(line for name, line in SMALL.items() if name != missing))


@pytest.mark.parametrize(
    ("yaml", "field", "says"),
    [
        # fields and types
        ("foo: 1", "foo", "unknown field 'foo'"),
        ("title: words", "title", "must be a mapping"),
        ("title: {zh: 标题}", "title.en", "must be a text, not nothing"),
        ("title: {en: T, de: T}", "title.de", "unknown field 'de'"),
        ("role: hero", "role", "'hero' is none of cause"),
        ("verdict: broken", "verdict", "is none of"),
        ("culprits: all", "culprits", "is none of none, matched"),
        ("applies: [nccl]", "applies", "must be a mapping, not a list"),
        ("applies: {nccl: [1]}", "applies.nccl", "must be a single value"),
        ("yields_to: a", "yields_to", "must be a list"),
        ("references: [1]", "references.0", "must be a text, not 1"),
        ("order: high", "order", "must be a number"),
        ("order: .nan", "order", "must be a number"),
        ("order: .inf", "order", "must be a number"),
        ("order: yes", "order", "must be a number"),
        ("fixes: [{title: {en: T}, risk: {en: R}}]", "fixes.0.verify", "must be a mapping, not nothing"),
        ("fixes: [{titel: {en: T}}]", "fixes.0.titel", "unknown field"),
        ("next: [{what: {en: T}, command: [a]}]", "next.0.command", "must be a text, not a list"),
        ("tests: [a]", "tests", "must be a mapping"),
        ("tests: {match: a}", "tests.match", "must be a list"),
        ("tests: {match: [{text: a, confidence: sure}]}", "tests.match.0.confidence", "is none of possible"),
        ("tests: {match: [{a.log: [x]}]}", "tests.match.0.a.log", "must be a text"),
        ("tests: {near: []}", "tests.near", "unknown field"),
        # conditions
        ("when: some words", "when", "must be a mapping, not 'some words'"),
        ("when: {}", "when", "a condition needs one of"),
        ("when: {any: []}", "when.any", "at least one"),
        ("when: {any: {pattern: some words}}", "when.any", "must be a list"),
        ("when: {any: [{pattern: some words}], all: []}", "when.any", "unknown field 'any'"),
        ("when: {any: [{all: [{patern: some words}]}]}", "when.any.0.all.0", "a condition needs one of"),
        ("when: {pattern: some words, literals: x}", "when.literals", "unknown field 'literals'"),
        ("when: {pattern: '(some words'}", "when.pattern", "not a valid regular expression"),
        ("when: {pattern: 'words{99999999999}'}", "when.pattern", "not a valid regular expression"),
        ("when: {pattern: [a]}", "when.pattern", "must be a text"),
        ("when: {pattern: 'a \\d+'}", "when.pattern", "no constant piece"),
        ("when: {pattern: '(?i)some words'}", "when.pattern", "no constant piece"),
        ("when: {pattern: some words, literal: ''}", "when.literal", "empty literal"),
        ("when: {pattern: some words, literal: [a, 1]}", "when.literal.1", "must be a text, not 1"),
        ("when: {pattern: some words, source: ncl}", "when.source", "'ncl' is none of nccl"),
        ("when: {pattern: some words, source: [nccl, 3]}", "when.source.1", "must be a text"),
        ("when: {pattern: some words, on: all ranks}", "when.on", "'all ranks' is none of every rank"),
        ("when: {source: stack, pattern: '('}", "when.pattern", "not a valid regular expression"),
        ("when: {source: stack, pattern: x, level: WARN}", "when.level", "unknown field"),
        ("when: {fact: a, is: 1}", "when.is", "unknown field"),
        ("when: {fact: [a]}", "when.fact", "must be a text"),
        ("when: {fact: a, above: 3 parsecs}", "when.above", "number with or without a unit"),
        ("when: {fact: a, above: 1.2.3MB}", "when.above", "number with or without a unit"),
        ("when: {fact: a, equals: [1]}", "when.equals", "must be a single value"),
        ("when: {fact: a, matches: '['}", "when.matches", "not a valid regular expression"),
        ("when: {fact: a, where: {b: [1]}}", "when.where.b", "must be a single value"),
        ("when: {count: {fact: a}, at_least: many}", "when.at_least", "must be a number"),
        ("when: {count: {fact: a}, at_most: [1]}", "when.at_most", "must be a number"),
        ("when: {sequence: [{silence: to the end}]}", "when.sequence", "needs a pattern to begin with"),
        ("when: {sequence: [{pattern: some words, silence: x}]}", "when.sequence.0.pattern", "unknown field"),
        ("when: {sequence: [{pattern: some words}, {never: some words}]}", "when.sequence.1.never", "must be a mapping"),
        ("when: {sequence: [{source: stack, pattern: some words}]}", "when.sequence.0.source", "stacks have no order"),
        ("when: {sequence: [{fact: a}]}", "when.sequence.0.fact", "unknown field"),
        ("against: [{pattern: some words}, {pattern: '('}]", "against.1.pattern", "not a valid regular expression"),
        ("against: {pattern: some words}", "against", "must be a list"),
        # confidence
        ("confidence: {confirmed: any.0}", "confidence.confirmed", "'any.0' names no branch of `when`"),
        ("confidence: {confirmed: [always, all.1]}", "confidence.confirmed", "'all.1' names no branch"),
        ("confidence: {certain: always}", "confidence.certain", "unknown field"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path: Path, yaml: str, field: str, says: str) -> None:
    """Whatever is wrong is told with the file, the line and the field, and what would be right."""
    name = yaml.split(":", maxsplit=1)[0]
    lines = [*(line for key, line in SMALL.items() if key != name), yaml]
    with pytest.raises(RuleError) as told:
        load(tmp_path, "\n".join(lines))
    assert (told.value.file, told.value.line, told.value.field) == ("rules/oom/a.yaml", len(lines), field)
    assert says in str(told.value)


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    """In a rule of many lines the line of the error is where an editor must go."""
    with pytest.raises(RuleError, match=r"rules/oom/a\.yaml:10: .*at when\.any\.1\.all\.1\.pattern"):
        load(tmp_path, WHOLE.replace("acquire \\(", "acquire ("))
