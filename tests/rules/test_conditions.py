"""Each kind of condition, what it holds on, and what it keeps for the finding."""

from __future__ import annotations

import pytest

from hanglens.model import Event, Stack
from hanglens.rules.conditions import KEEP, Match, Observed, evaluate
from hanglens.verdict import Fact
from tests.builders import event, fact, rule, stack

LINE = {"pattern": "it broke here"}
NAME = "nccl-bug/made-up#when"


def matched(
    when: object, *, lines: list[Event] | None = None, facts: list[Fact] | None = None,
    stacks: list[tuple[Stack, int | None]] | None = None, tail: tuple[Event, ...] = (), world: int | None = None,
) -> Match:  # fmt: skip
    """The condition evaluated on this."""
    events: dict[str, list[Event]] = {}
    for line in lines or []:
        events.setdefault(line.name, []).append(line)
    by_name: dict[str, list[Fact]] = {}
    for one in facts or []:
        by_name.setdefault(one.name, []).append(one)
    return evaluate(rule(when).when, Observed(events, by_name, stacks or [], {"job.log": tail}, world))


def lines(*ranks: int | None, name: str = NAME, first: int = 1) -> list[Event]:
    """A line of each of these ranks (None: it names none)."""
    return [event(name, f"line {n}", line=n, rank=rank) for n, rank in enumerate(ranks, first)]


@pytest.mark.parametrize(
    ("on", "ranks", "world", "held"),
    [
        ("", (None,), None, True),
        ("", (), 4, False),
        ("some ranks", (None,), None, True),
        ("every rank", (0, 1, 2, 3), 4, True),
        ("every rank", (None, None, None, None), 4, True),
        ("every rank", (0, 0, 0, 0), 4, False),
        ("every rank", (0, 1, None, None), 4, True),
        ("every rank", (0, 1, 2, 3), None, False),
        ("all ranks but one", (0, 1, 3), 4, True),
        ("all ranks but one", (0, 1, 2, 3), 4, False),
        ("all ranks but one", (0, 1, 3), None, False),
        ("fewer ranks than the world size", (0,), 4, True),
        ("fewer ranks than the world size", (), 4, False),
        ("fewer ranks than the world size", (None,) * 4, 4, False),
        ("fewer ranks than the world size", (0,), None, False),
        ("one rank", (2, 2), 4, True),
        ("one rank", (None, None), 4, False),
        ("one rank", (1,), None, True),
    ],
)
def test_on_which_ranks(on: str, ranks: tuple[int | None, ...], world: int | None, held: bool) -> None:
    """A rank counts once, a line that names none counts itself; what needs the world size does not hold where it is unknown."""
    assert matched({**LINE, "on": on}, lines=lines(*ranks), world=world).held is held


def test_a_pattern_keeps_lines_ranks_and_captures() -> None:
    """All lines are counted, some are cited (the last one among them), the first one's captures fill texts, `culprit` names the guilty."""
    many = [event(NAME, f"line {n}", line=n, rank=n % 3, culprit=7, size=n) for n in range(20)]
    match = matched(LINE, lines=many)
    assert (match.number, match.ranks, match.culprits, match.values["size"], match.on_lines) == (20, {0, 1, 2}, {7}, "0", True)
    assert [entry.line for entry in match.evidence] == [0, 1, 2, 3, 4, 19]
    assert len(match.evidence) == KEEP


def test_a_captured_rank_is_the_lines_rank() -> None:
    """`(?P<rank>…)` is whom the line is about, whoever printed it."""
    assert matched(LINE, lines=[event(NAME, rank=0, rank_=5)]).ranks == {5}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"fact": "f"}, True),
        ({"fact": "g"}, False),
        ({"fact": "f", "equals": 64}, True),
        ({"fact": "f", "equals": "64"}, True),
        ({"fact": "f", "equals": 65}, False),
        ({"fact": "f", "equals": True}, False),
        ({"fact": "f", "above": 63}, True),
        ({"fact": "f", "above": 64}, False),
        ({"fact": "f", "below": "1KiB"}, True),
        ({"fact": "f", "below": 64}, False),
        ({"fact": "f", "above": 10, "below": 20}, False),
        ({"fact": "f", "matches": "^6"}, True),
        ({"fact": "f", "matches": "^4"}, False),
        ({"fact": "f", "where": {"op": "barrier", "first": True}}, True),
        ({"fact": "f", "where": {"first": False}}, False),
        ({"fact": "f", "where": {"first": 1}}, False),
        ({"fact": "f", "where": {"nothing": "x"}}, False),
        ({"fact": "text", "above": 1}, False),
        ({"fact": "zero", "below": 1}, True),
        ({"fact": "zero", "equals": 0}, True),
    ],
)
def test_comparisons_of_facts(condition: dict[str, object], held: bool) -> None:
    """Values as numbers, texts or truth; a truth value equals no number, and a fact without a value compares with nothing."""
    known = [fact("f", value=64, op="barrier", first=True), fact("text", value="many"), fact("zero", value=0)]
    assert matched(condition, facts=known).held is held


@pytest.mark.parametrize(
    ("on", "facts", "world", "held"),
    [
        ("all ranks but one", [fact("f", 0, 1, 2)], 4, True),
        ("all ranks but one", [fact("f", 0, 1, of=3)], None, True),
        ("all ranks but one", [fact("f", 0, 1)], None, False),
        ("every rank", [fact("f", of_all=True)], 4, True),
        ("every rank", [fact("f", 0, 1), fact("f", 2, 3)], 4, True),
        ("one rank", [fact("f", 0), fact("f", 0)], 4, True),
        ("one rank", [fact("f", 0), fact("f", 1)], 4, False),
        ("one rank", [fact("f")], 4, False),
    ],
)
def test_on_which_ranks_a_fact_holds(on: str, facts: list[Fact], world: int | None, held: bool) -> None:
    """The ranks of all matching facts together."""
    assert matched({"fact": "f", "on": on}, facts=facts, world=world).held is held


def test_a_fact_gives_its_ranks_values_and_evidence() -> None:
    """The ranks of a fact about ranks are the possible culprits; the first fact's values fill texts."""
    match = matched({"fact": "rank.f"}, facts=[fact("rank.f", 1, op="a"), fact("rank.f", 2, op="b")])
    assert (match.culprits, match.values["op"], match.number, match.on_lines) == ({1, 2}, "a", 2, False)
    assert match.evidence


A, B = {"fact": "a"}, {"fact": "b"}


@pytest.mark.parametrize(
    ("condition", "present", "held"),
    [
        ({"all": [A, B]}, "ab", True),
        ({"all": [A, B]}, "a", False),
        ({"any": [A, B]}, "b", True),
        ({"any": [A, B]}, "", False),
        ({"not": A}, "b", True),
        ({"not": A}, "a", False),
        ({"not": {"not": A}}, "a", True),
        ({"count": A, "at_least": 2}, "aa", True),
        ({"count": A, "at_least": 2}, "a", False),
        ({"count": A, "at_least": 1, "at_most": 2}, "aaa", False),
        ({"count": A, "at_least": 0, "at_most": 1}, "", True),
        ({"all": [A, {"any": [B, {"not": {"fact": "c"}}]}]}, "a", True),
    ],
)
def test_combinations(condition: object, present: str, held: bool) -> None:
    """all, any, not and count, nested at will."""
    assert matched(condition, facts=[fact(name) for name in present]).held is held


def test_only_what_holds_speaks() -> None:
    """Branches that do not hold give no evidence and no culprits, and what must be absent has none to give."""
    match = matched({"any": [A, {"fact": "rank.b"}, {"not": {"fact": "c"}}]}, facts=[fact("rank.b", 3)])
    assert (match.culprits, [entry.text for entry in match.evidence]) == ({3}, ["rank.b"])
    assert match.held_paths() == {"", "any.1", "any.2"}


STEPS = [{"pattern": "first thing"}, {"pattern": "second thing"}]
P = "nccl-bug/made-up#sequence."


def step(number: int, line: int, file: str = "job.log", source: str = "lmdeploy", rank: int | None = None) -> Event:
    """A line that matches one step of a sequence."""
    return event(f"{P}{number}", line=line, file=file, source=source, rank=rank)


@pytest.mark.parametrize(
    ("more", "events", "held"),
    [
        ([], [step(0, 1), step(1, 2)], True),
        ([], [step(0, 2), step(1, 1)], False),
        ([], [step(0, 2), step(1, 1), step(1, 3)], True),
        ([], [step(0, 1), step(1, 2, "other.log")], False),
        ([], [step(0, 1, "other.log"), step(0, 1), step(1, 2)], True),
        ([], [step(0, 1)], False),
        ([{"never": {"pattern": "third thing"}}], [step(0, 1), step(1, 2), step(2, 3)], False),
        ([{"never": {"pattern": "third thing"}}], [step(0, 1), step(2, 2), step(1, 3)], True),
        ([{"never": {"pattern": "third thing"}}], [step(0, 1), step(1, 2), step(2, 3), step(1, 4)], True),
        ([{"never": {"pattern": "third thing"}}], [step(0, 1), step(1, 2), step(2, 3, "other.log")], True),
    ],
    ids="order wrong-order later other-file first-file-fails half never never-before begun-again never-elsewhere".split(),
)
def test_sequences(more: list[object], events: list[Event], held: bool) -> None:
    """The steps below one another in one file, and nothing forbidden below the last of them."""
    assert matched({"sequence": [*STEPS, *more]}, lines=events).held is held


@pytest.mark.parametrize(
    ("tail", "held"),
    [
        ((event("tail", line=2, source="lmdeploy"),), True),
        ((event("tail", line=3, source="lmdeploy"),), False),
        ((event("tail", line=3, source="nccl"),), True),
        ((), True),
    ],
    ids="ends-there goes-on other-program nothing".split(),
)
def test_silence(tail: tuple[Event, ...], held: bool) -> None:
    """No line of the same program to the end of the file."""
    condition = {"sequence": [*STEPS, {"silence": "to the end"}]}
    assert matched(condition, lines=[step(0, 1), step(1, 2)], tail=tail).held is held


def test_silence_of_a_file_without_an_end() -> None:
    """A file that holds nothing but stacks never goes silent."""
    condition = {"sequence": [*STEPS, {"silence": "to the end"}]}
    steps = [step(0, 1, "rank0.pyspy.txt"), step(1, 2, "rank0.pyspy.txt")]
    assert not matched(condition, lines=steps).held


def test_stacks_that_read_alike_are_told_apart() -> None:
    """Each thread with the frames counts, on its own rank, and those that are cited come in the order of the threads."""
    waits, spins = "wait (a.py:1)\nmain (b.py:2)", "spin (c.py:1)\nmain (b.py:2)"
    stacks = [(stack(frames, pid=n), n) for n, frames in enumerate((waits, spins, waits, "other (d.py:3)", spins))]
    match = matched({"pattern": r"main \(b", "source": "stack"}, stacks=list(stacks))
    assert (match.number, match.ranks) == (4, {0, 1, 2, 4})
    assert [(cited.file, cited.rank) for cited in match.evidence] == [(f"pid{n}.txt", n) for n in (0, 1, 2, 4)]


def test_a_step_on_every_rank() -> None:
    """`on` limits a step too: all copies below the step before it count."""
    condition = {"sequence": [STEPS[0], {**STEPS[1], "on": "every rank"}]}
    assert matched(condition, lines=[step(0, 1), step(1, 2), step(1, 3)], world=2).held
    assert not matched(condition, lines=[step(0, 3), step(1, 2), step(1, 4)], world=2).held


STACK = stack("acquire (filelock/_api.py:344)\nload (a.py:1)\nbuild_model (b.py:2)")


@pytest.mark.parametrize(
    ("pattern", "cited"),
    [
        (r"acquire \(filelock", ["acquire (filelock/_api.py:344)"]),
        (r"(?s)acquire .*?build_model", ["acquire (filelock/_api.py:344)", "build_model (b.py:2)"]),
        (r"build_model .*acquire", []),
    ],
)
def test_stack_patterns(pattern: str, cited: list[str]) -> None:
    """A thread's frames are one text, innermost first; the first and the last frame that the match touches are cited."""
    match = matched({"source": "stack", "pattern": pattern}, stacks=[(STACK, 1)])
    assert (match.held, [entry.text for entry in match.evidence]) == (bool(cited), cited)
    assert match.ranks == ({1} if cited else set())


def test_stacks_of_ranks_and_of_nobody() -> None:
    """Several threads of one rank are one; stacks without a rank count one each where no rank is known."""
    condition = {"source": "stack", "pattern": r"acquire \(filelock", "on": "every rank"}
    assert not matched(condition, stacks=[(STACK, 1), (STACK, 1)], world=2).held
    assert matched(condition, stacks=[(STACK, None), (STACK, None)], world=2).held


def test_captures_from_a_stack() -> None:
    """Named groups fill texts here too."""
    assert matched({"source": "stack", "pattern": r"acquire \((?P<where>\S+)\)"}, stacks=[(STACK, 1)]).values == {
        "where": "filelock/_api.py:344"
    }
