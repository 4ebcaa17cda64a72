"""From rules to findings: confidence, what speaks against, versions, texts, and consequences of other causes."""

from __future__ import annotations

import pytest

from hanglens.knowledge.schema import Rule
from hanglens.rules.conditions import Observed
from hanglens.rules.findings import Candidate, candidates, in_span
from hanglens.verdict import Fact
from tests.builders import event, fact, rule, text


def fired(*rules: Rule, facts: tuple[Fact, ...] = ()) -> list[Candidate]:
    """The rules that fire on these facts."""
    by_name: dict[str, list[Fact]] = {}
    for one in facts:
        by_name.setdefault(one.name, []).append(one)
    return candidates(rules, Observed(facts=by_name))


ABC = {"any": [{"all": [{"fact": "a"}, {"fact": "b"}]}, {"fact": "a"}, {"fact": "c"}]}


@pytest.mark.parametrize(
    ("levels", "present", "expected"),
    [
        ({"confirmed": "any.0", "likely": "any.1"}, "ab", "confirmed"),
        ({"confirmed": "any.0", "likely": "any.1"}, "a", "likely"),
        ({"confirmed": "any.0", "likely": "any.1"}, "c", "possible"),
        ({"confirmed": "any.0.all.1"}, "ab", "confirmed"),
        ({"likely": ["any.1", "any.2"]}, "c", "likely"),
        ({"confirmed": "always"}, "c", "confirmed"),
        ({"likely": "always", "confirmed": "any.0"}, "a", "likely"),
        ({}, "ab", "possible"),
    ],
)
def test_confidence_by_the_branch_that_holds(levels: dict[str, object], present: str, expected: str) -> None:
    """The strongest level of which a branch holds; without one a rule is possible."""
    (candidate,) = fired(rule(ABC, confidence=levels), facts=tuple(map(fact, present)))
    assert candidate.finding.confidence == expected


def test_what_speaks_against_is_shown_and_keeps_it_possible() -> None:
    """Contrary evidence stands in the finding with its polarity."""
    (candidate,) = fired(
        rule({"fact": "a"}, confidence={"confirmed": "always"}, against=[{"fact": "b"}, {"fact": "c"}]), facts=(fact("a"), fact("b"))
    )
    assert (candidate.finding.confidence, candidate.against) == ("possible", 1)
    assert [(entry.text, entry.polarity) for entry in candidate.finding.evidence] == [("a", "for"), ("b", "against")]


@pytest.mark.parametrize(
    ("role", "verdict", "expected"), [("cause", "hung", "possible"), ("cause", "failed", "possible"), ("cause", "slow", "likely")]
)
def test_a_job_that_moves_on_speaks_against_what_stops_jobs(role: str, verdict: str, expected: str) -> None:
    """No cause of a hang or a failure is firm while the job moves to the end of the evidence."""
    (candidate,) = fired(
        rule({"fact": "a"}, role=role, verdict=verdict, confidence={"likely": "always"}), facts=(fact("a"), fact("job.moves_on"))
    )
    assert candidate.finding.confidence == expected


def test_a_rule_that_does_not_hold_does_not_fire() -> None:
    """No finding without its evidence."""
    assert fired(rule({"fact": "a"})) == []


def pair(first: str, second: str, yields: list[str], back: list[str] | None = None) -> tuple[str, str]:
    """The roles of two rules of these confidences, of which the first yields to these and the second to those."""
    both = [
        rule({"fact": "a"}, "nccl-bug/one", confidence={first: "always"} if first != "possible" else {}, yields_to=yields),
        rule({"fact": "a"}, "rank-dead/two", confidence={second: "always"} if second != "possible" else {}, yields_to=back or []),
    ]
    roles = [candidate.finding.role for candidate in fired(*both, facts=(fact("a"),))]
    return roles[0], roles[1]


@pytest.mark.parametrize(
    ("first", "second", "yields", "back", "expected"),
    [
        ("likely", "likely", ["rank-dead/two"], None, ("cascade", "cause")),
        ("likely", "confirmed", ["rank-dead/*"], None, ("cascade", "cause")),
        ("likely", "likely", ["rank-dead"], None, ("cascade", "cause")),
        ("confirmed", "likely", ["rank-dead/two"], None, ("cause", "cause")),
        ("possible", "possible", ["rank-dead/two"], None, ("cause", "cause")),
        ("possible", "likely", ["rank-dead/two"], None, ("cascade", "cause")),
        ("likely", "likely", ["oom/*"], None, ("cause", "cause")),
        ("likely", "likely", ["rank-dead/two"], ["nccl-bug/*"], ("cause", "cause")),
        ("likely", "likely", ["nccl-bug/*"], None, ("cause", "cause")),
    ],
    ids="by-id stronger by-category weaker not-firm possible other mutual itself".split(),
)
def test_what_follows_from_another_cause(
    first: str, second: str, yields: list[str], back: list[str] | None, expected: tuple[str, str]
) -> None:
    """A cause yields to a firm one that is no weaker, unless the other yields to it as well."""
    assert pair(first, second, yields, back) == expected


def test_a_cascade_says_what_it_follows_from() -> None:
    """The reader sees why it was set aside."""
    rules = (
        rule({"fact": "a"}, "nccl-bug/one", yields_to=["rank-dead/two"]),
        rule({"fact": "a"}, "rank-dead/two", title=text("It died"), confidence={"likely": "always"}),
    )
    finding = fired(*rules, facts=(fact("a"),))[0].finding
    assert finding.why_not
    assert finding.why_not.en == "follows from: It died"


@pytest.mark.parametrize(
    ("version", "span", "inside"),
    [
        ("2.23", ">=2.23", True),
        ("2.22.9", ">=2.23", False),
        ("2.29.3", ">=2.23, <2.29.3", False),
        ("2.29.2", ">=2.23, <2.29.3", True),
        ("v0.7.1", "<=0.7.1", True),
        ("0.10.0", ">=0.9", True),
        ("2.4.0+cu121", "==2.4", True),
        ("0.7.2", "<0.7.2", False),
        ("main", ">=1", True),
        ("1.0", "anything", True),
    ],
)
def test_version_spans(version: str, span: str, inside: bool) -> None:
    """Numbers part by part; what cannot be read is no reason to leave a rule out."""
    assert in_span(version, span) is inside


@pytest.mark.parametrize(
    ("facts", "fires"),
    [
        ((fact("nccl.version", value="2.20.5"),), True),
        ((fact("nccl.version", value="2.30.1"),), False),
        ((), True),
        ((fact("nccl.version", value="2.30.1"), fact("nccl.version", value="2.20.5")), True),
        ((fact("torch.version", value="2.30.1"),), True),
    ],
    ids="inside outside unknown one-of-two other-program".split(),
)
def test_rules_of_some_versions(facts: tuple[Fact, ...], fires: bool) -> None:
    """A rule for other versions is out; an unknown version is no reason."""
    assert bool(fired(rule({"fact": "a"}, applies={"nccl": "<2.28"}), facts=(fact("a"), *facts))) is fires


def test_the_engines_version() -> None:
    """A rule for an engine looks at the version of the engine that the evidence is from."""
    only = rule({"fact": "a"}, applies={"lmdeploy": "<=0.7.1"})
    engine = (fact("engine.name", value="lmdeploy"), fact("engine.version", value="0.18.0"))
    assert fired(only, facts=(fact("a"), *engine)) == []
    assert fired(only, facts=(fact("a"), fact("engine.name", value="vllm"), engine[1]))


def test_texts_are_filled() -> None:
    """Captures, values and ranks go into texts; what nothing filled is a question mark, in commands it stays."""
    fix = {"title": text("kill {pid}"), "command": "kill {pid} ${HOME} {other}", "risk": text(), "verify": text()}
    filled = rule({"fact": "a"}, culprits="matched", title=text("{op} on {ranks}"), explain=text("{nothing} of {of}"), fixes=[fix])
    finding = fired(filled, facts=(fact("a", 2, 1, op="barrier", of=4, pid="9"),))[0].finding
    assert (finding.title.en, finding.explanation.en) == ("barrier on 1, 2", "? of 4")
    assert (finding.fixes[0].title.en, finding.fixes[0].command) == ("kill 9", "kill 9 ${HOME} {other}")


@pytest.mark.parametrize(
    ("culprits", "captured", "expected"),
    [("matched", {}, (2,)), ("none", {}, ()), ("none", {"culprit": 5}, (5,)), ("matched", {"culprit": 5}, (2, 5))],
)
def test_whom_a_rule_blames(culprits: str, captured: dict[str, int], expected: tuple[int, ...]) -> None:
    """The ranks of a fact about ranks only if the rule says so, those of other facts never; a rank that a line names as guilty always."""
    blaming = rule({"all": [{"fact": "rank.a"}, {"fact": "b"}, {"pattern": "it broke here"}]}, culprits=culprits)
    line = event("nccl-bug/made-up#all.2", rank=7, **captured)
    (candidate,) = candidates([blaming], Observed(events={line.name: [line]}, facts={"rank.a": [fact("rank.a", 2)], "b": [fact("b", 3)]}))
    assert candidate.culprits == expected


@pytest.mark.parametrize(
    ("line", "verdict", "confidence"),
    [(9, "hung", "possible"), (3, "hung", "likely"), (9, "slow", "likely")],
    ids="below above slow".split(),
)
def test_a_halt_does_not_stand_on_lines_that_the_job_outlived(line: int, verdict: str, confidence: str) -> None:
    """If the job worked on below all the lines that a halt stands on, that speaks against it."""
    halt = rule({"pattern": "it broke here"}, confidence={"likely": "always"}, verdict=verdict)
    went_on = fact("job.went_on", file="job.log", line=line)
    broke = event("nccl-bug/made-up#when", line=5)
    (candidate,) = candidates([halt], Observed(events={broke.name: [broke]}, facts={"job.went_on": [went_on]}))
    assert candidate.finding.confidence == confidence


@pytest.mark.parametrize(
    ("ranks", "place", "expected"),
    [
        ((9,), "open()", "rank 9 is late, in open()."),
        ((14, 9), "", "ranks 9 and 14 is late."),
        ((3, 1, 2), "", "ranks 1, 2 and 3 is late."),
    ],
)
def test_what_is_optional_is_left_out_where_a_name_has_no_value(ranks: tuple[int, ...], place: str, expected: str) -> None:
    """`[[ ]]` stands around what is told only where all of its values are known; `{who}` names the ranks in words."""
    late = rule({"fact": "rank.late"}, explain=text("{who} is late[[, in {place}]]."))
    assert fired(late, facts=(fact("rank.late", *ranks, place=place),))[0].finding.explanation.en == expected


def test_brackets_of_a_command_stay() -> None:
    """They are the shell's."""
    late = rule({"fact": "a"}, fixes=[{"title": text(), "command": "[[ -e {file} ]]", "risk": text(), "verify": text()}])
    assert fired(late, facts=(fact("a"),))[0].finding.fixes[0].command == "[[ -e {file} ]]"
