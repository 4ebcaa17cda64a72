"""The shape of a rule: frozen values that the loader makes from YAML and the engine evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class PatternCondition:
    """Some line of `pattern.sources` matches. Events of it carry `pattern.name`."""

    path: str
    pattern: Pattern
    on: On = ""


@dataclass(frozen=True, slots=True)
class StackCondition:
    """Some thread's frames, joined by newlines and innermost first, match `expression`."""

    path: str
    expression: str
    on: On = ""


@dataclass(frozen=True, slots=True)
class FactCondition:
    """Some fact of that name compares as asked; `None` does not compare."""

    path: str
    fact: str
    equals: str | float | bool | None = None
    above: float | None = None
    below: float | None = None
    matches: str | None = None
    where: Mapping[str, str | float | bool] = field(default_factory=dict)
    on: On = ""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every child holds."""

    path: str
    children: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one child holds."""

    path: str
    children: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The child does not hold; also true where nothing was collected that could tell."""

    path: str
    child: Condition


@dataclass(frozen=True, slots=True)
class Count:
    """As many lines or facts of the child as asked."""

    path: str
    child: Condition
    at_least: int = 1
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    """The steps in this order in one file; `never` must not follow them, and with `silence` nothing of that program does."""

    path: str
    steps: tuple[PatternCondition, ...]
    never: tuple[PatternCondition, ...] = ()
    silence: bool = False


Condition = PatternCondition | StackCondition | FactCondition | AllOf | AnyOf | Not | Count | Sequence


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to collect while the rule is only possible. `unless` is the fact that shows that it was collected already."""

    what: Text
    command: str = ""
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A test inside a rule: files by name, and the confidence the match must have, if any is asked."""

    files: Mapping[str, str]
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule file. See rules/README.md for what the fields mean."""

    id: str
    file: str
    title: Text
    when: Condition
    explain: Text
    role: Role = "cause"
    verdict: Verdict = "hung"
    applies: Mapping[str, str] = field(default_factory=dict)
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
