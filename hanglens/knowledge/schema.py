"""The shape of a rule: frozen values that the loader makes from YAML and the engine evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from hanglens.scan import Pattern
from hanglens.verdict import Confidence, Fix, Role, Text, Verdict

On = Literal["", "every rank", "all ranks but one", "fewer ranks than the world size", "one rank", "some ranks"]
ONS: tuple[On, ...] = ("", "every rank", "all ranks but one", "fewer ranks than the world size", "one rank", "some ranks")
SOURCES = ("nccl", "torch", "launcher", "lmdeploy", "turbomind", "vllm", "sglang", "ray", "kernel", "python", "text", "stack")
CATEGORIES = (
    "gpu-p2p", "nccl-shm", "nccl-net", "nccl-nvls", "nccl-version", "nccl-bug", "custom-allreduce", "preload-shim",
    "collective-mismatch", "missing-rank", "rank-dead", "rendezvous", "ray-resources", "spawn-main", "jit-compile",
    "python-deadlock", "gpu-hw", "kernel-hang", "weight-io", "engine-logic", "oom", "config-error", "slow-not-hung",
    "healthy", "observation",
)  # fmt: skip


Scalar = str | int | float | bool
Plain = None | Scalar | list["Plain"] | dict[str, "Plain"]  # what a YAML file of ours may hold


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a rule. The wheel carries all rules as JSON of these values (`hanglens.knowledge.compiled`)."""


class PatternCondition(Part, frozen=True, tag=True):
    """Some line of `pattern.sources` matches. Events of it carry `pattern.name`."""

    path: str
    pattern: Pattern
    on: On = ""


class StackCondition(Part, frozen=True, tag=True):
    """Some thread's frames, joined by newlines and innermost first, match `expression`.

    `pieces`: of each the frames hold one alternative if they match, see `expressions.required_pieces`.
    """

    path: str
    expression: str
    on: On = ""
    pieces: tuple[tuple[str, ...], ...] = ()


class FactCondition(Part, frozen=True, tag=True):
    """Some fact of that name compares as asked; `None` does not compare."""

    path: str
    fact: str
    equals: Scalar | None = None
    above: int | float | None = None
    below: int | float | None = None
    matches: str | None = None
    where: Mapping[str, Scalar] = {}
    on: On = ""


class AllOf(Part, frozen=True, tag=True):
    """Every child holds."""

    path: str
    children: tuple[Condition, ...]


class AnyOf(Part, frozen=True, tag=True):
    """At least one child holds."""

    path: str
    children: tuple[Condition, ...]


class Not(Part, frozen=True, tag=True):
    """The child does not hold; also true where nothing was collected that could tell."""

    path: str
    child: Condition


class Count(Part, frozen=True, tag=True):
    """As many lines or facts of the child as asked."""

    path: str
    child: Condition
    at_least: int = 1
    at_most: int | None = None


class Sequence(Part, frozen=True, tag=True):
    """The steps in this order in one file; `never` must not follow them, and with `silence` nothing of that program does."""

    path: str
    steps: tuple[PatternCondition, ...]
    never: tuple[PatternCondition, ...] = ()
    silence: bool = False


Condition = PatternCondition | StackCondition | FactCondition | AllOf | AnyOf | Not | Count | Sequence


class NextStep(Part, frozen=True):
    """What to collect while the rule is only possible. `unless` is the fact that shows that it was collected already."""

    what: Text
    command: str = ""
    unless: str = ""


class Snippet(Part, frozen=True):
    """A test inside a rule: files by name, and the confidence the match must have, if any is asked."""

    files: Mapping[str, str]
    confidence: Confidence | None = None


class Rule(Part, frozen=True):
    """One rule file. See rules/README.md for what the fields mean."""

    id: str
    file: str
    title: Text
    when: Condition
    explain: Text
    role: Role = "cause"
    verdict: Verdict = "hung"
    applies: Mapping[str, str] = {}
    confirmed: tuple[str, ...] = ()
    likely: tuple[str, ...] = ()
    against: tuple[Condition, ...] = ()
    yields_to: tuple[str, ...] = ()
    culprits: Literal["none", "matched"] = "none"
    not_to_confuse: Text | None = None
    fixes: tuple[Fix, ...] = ()
    next: tuple[NextStep, ...] = ()
    references: tuple[str, ...] = ()
    order: int = 5
    matches: tuple[Snippet, ...] = ()
    near_misses: tuple[Snippet, ...] = ()

    @property
    def category(self) -> str:
        """The part of the id before the slash."""
        return self.id.split("/")[0]

    def conditions(self) -> list[Condition]:
        """Every condition of `when` and `against`, parents first."""
        found: list[Condition] = []
        queue: list[Condition] = [self.when, *self.against]
        while queue:
            condition = queue.pop(0)
            found.append(condition)
            queue += children(condition)
        return found

    def expressions(self) -> list[str]:
        """The expressions that are searched in stacks and in the values of facts."""
        stacks = [condition.expression for condition in self.conditions() if isinstance(condition, StackCondition)]
        return stacks + [c.matches for c in self.conditions() if isinstance(c, FactCondition) and c.matches]

    def patterns(self) -> list[Pattern]:
        """The line patterns that a scan must look for."""
        return [condition.pattern for condition in self.conditions() if isinstance(condition, PatternCondition)]


def children(condition: Condition) -> list[Condition]:
    """The conditions that `condition` is made of."""
    if isinstance(condition, AllOf | AnyOf):
        return list(condition.children)
    if isinstance(condition, Not | Count):
        return [condition.child]
    if isinstance(condition, Sequence):
        return [*condition.steps, *condition.never]
    return []
