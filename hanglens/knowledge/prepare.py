"""What to set before a run so that a hang of it can be explained, read from rules/prepare.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from hanglens.errors import RuleError
from hanglens.knowledge.packaged import packaged
from hanglens.knowledge.yamlfile import line_of, read_yaml
from hanglens.verdict import Text, Value

Engine = Literal["lmdeploy", "vllm", "sglang", "torchrun"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
_Name = Annotated[str, msgspec.Meta(pattern=r"\A(?:[A-Z][A-Z0-9_]*|--[a-z][a-z-]*)\Z")]
_Words = Annotated[str, msgspec.Meta(min_length=1)]


class Setting(Value, frozen=True, forbid_unknown_fields=True):
    """A variable, or an option of the command that starts the job; without `engines` it is for every job.

    `also` are older names of it, to be set as well; an `optional` one is shown and not set; `since` is the version that has it.
    """

    name: _Name
    value: _Words
    what: Text
    cost: Text
    since: _Words
    also: tuple[_Name, ...] = ()
    engines: tuple[Engine, ...] = ()
    optional: bool = False

    @property
    def is_option(self) -> bool:
        """Whether it is an option of a command, and no variable."""
        return self.name.startswith("--")

    def concerns(self, engine: str) -> bool:
        """Whether a job of that engine has a use for it."""
        return not self.engines or engine in self.engines

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and its older names."""
        return (self.name, *self.also)


class Group(Value, frozen=True, forbid_unknown_fields=True):
    """Settings of one program."""

    title: Text
    settings: tuple[Setting, ...]


class Need(Value, frozen=True, forbid_unknown_fields=True):
    """What a container needs beside variables, for docker and for Kubernetes."""

    docker: _Words
    k8s: _Words
    what: Text
    cost: Text


class Words(Value, frozen=True, forbid_unknown_fields=True):
    """The sentences around the settings."""

    head: Text
    use_shell: Text
    use_docker: Text
    use_k8s: Text
    dir: Text
    gives: Text
    costs: Text
    since: Text
    optional: Text
    start: Text
    containers: Text
    end: Text


class Preparation(Value, frozen=True, forbid_unknown_fields=True):
    """All of rules/prepare.yaml. {dir}, {for} … in its strings stand for what the user chose, and {it} for what is said: see `filled`."""

    groups: tuple[Group, ...]
    containers: tuple[Need, ...]
    texts: Words

    def groups_for(self, engine: str) -> tuple[Group, ...]:
        """The settings that concern a job of that engine; any other word stands for a job of no engine that is known here."""
        kept = (msgspec.structs.replace(group, settings=tuple(s for s in group.settings if s.concerns(engine))) for group in self.groups)
        return tuple(group for group in kept if group.settings)


def load_preparation(path: Path | None = None) -> Preparation:
    """rules/prepare.yaml, or another file of that form; raises RuleError with the line and the field that are wrong."""
    path = path or packaged("prepare.yaml")
    try:
        found = msgspec.convert(read_yaml(path, path.name), Preparation)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        field = ".".join(re.findall(r"\w+", place.strip("`")))
        raise RuleError(message, file=path.name, line=line_of(path, field), field=field) from None
    _check_texts(found, path)
    return found


def _check_texts(found: Preparation, path: Path) -> None:
    """Both languages say something: a setting whose cost is not told is one that nobody should be asked to make."""
    for n, group in enumerate(found.groups):
        for m, setting in enumerate(group.settings):
            for name, text in (("what", setting.what), ("cost", setting.cost)):
                if not (text.en.strip() and text.zh.strip()):
                    field = f"groups.{n}.settings.{m}.{name}"
                    raise RuleError("must say something in en and in zh", file=path.name, line=line_of(path, field), field=field)


def filled(template: str, choices: Mapping[str, str]) -> str:
    """The template with each {name} replaced by the choice of that name, once: braces inside of a choice stay."""
    return re.sub(r"\{(\w+)\}", lambda found: choices.get(found[1], found[0]), template)
