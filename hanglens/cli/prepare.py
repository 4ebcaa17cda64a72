"""`hanglens prepare`: what to set before the next run, so that a hang of it can be explained."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from typing import Literal

import click

from hanglens.cli.messages import say
from hanglens.cli.output import Lang, language
from hanglens.errors import UsageError
from hanglens.knowledge.prepare import ENGINES, Group, Preparation, Setting, filled, load_preparation
from hanglens.verdict import Text

FOLDER = "/tmp/hanglens"
RAS_PORT = 28028  # NCCL's own
Form = Literal["shell", "docker", "k8s", "json"]


@click.command("prepare")
@click.option("--for", "engine", type=click.Choice(["any", *ENGINES]), default="any", show_default=True, help="What the job is run by.")
@click.option("--dir", "folder", default=FOLDER, show_default=True, metavar="DIR", help="Folder for the files, on each host.")
@click.option(
    "--ras-port", type=click.IntRange(1, 65535), default=RAS_PORT, show_default=True, help="Another one for a second job on a host."
)
@click.option("--format", "form", type=click.Choice(["shell", "docker", "k8s", "json"]), default="shell", show_default=True,
              help="For eval; an env-file; a Kubernetes env list; for programs.")  # fmt: skip
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language; by default the locale's.")
@click.pass_context
def command(ctx: click.Context, engine: str, folder: str, ras_port: int, form: Form, lang: str | None) -> int:
    """Print the environment in which a hang can be explained, each setting with its cost: eval "$(hanglens prepare --for lmdeploy)".

    With -q only what is set is printed, without comments.
    """
    choices = _choices(engine, folder, ras_port)
    sheet = _Sheet(load_preparation(), choices, form, language(lang))
    quiet, options = bool(ctx.obj and ctx.obj["quiet"]), sheet.options()
    click.echo(sheet.as_json() if form == "json" else "\n".join(sheet.lines() if not quiet else filter(_is_set, sheet.lines())))
    if options and form != "json" and not quiet and not sys.stdout.isatty():
        say(options)
    return 0


def _choices(engine: str, folder: str, ras_port: int) -> dict[str, str]:
    """What the {names} in the knowledge stand for; `again` are the options by which the same is printed again."""
    if not folder.startswith("/") or "%" in folder or not folder.isprintable():
        step = "give an absolute path, without %, which NCCL would replace, and without control characters"
        raise UsageError(f"the folder {folder!r} cannot be used", step)
    folder = folder.rstrip("/") or "/"
    again = [f"--for {engine}"]
    again += [f"--dir {shlex.quote(folder)}"] if folder != FOLDER else []
    again += [f"--ras-port {ras_port}"] if ras_port != RAS_PORT else []
    return {"for": engine, "dir": folder, "ras_port": str(ras_port), "again": " ".join(again)}


def _is_set(line: str) -> bool:
    return bool(line) and not line.startswith("#")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is printed for one user's choices."""

    knowledge: Preparation
    choices: dict[str, str]
    form: Form
    lang: Lang

    def lines(self) -> list[str]:
        """The whole sheet; all that is not a comment is for the shell, docker or Kubernetes."""
        words, folder = self.knowledge.texts, shlex.quote(self.choices["dir"])
        use = {"shell": words.use_shell, "docker": words.use_docker, "k8s": words.use_k8s}.get(self.form, words.head)
        opening = {"shell": [f"mkdir -p {folder}"], "k8s": ["env:"]}.get(self.form, [])
        return [
            *(f"# {self.say(text)}" for text in (words.head, use, words.dir)),
            *opening,
            *(line for group in self.groups() for line in self.of_group(group)),
            *self.containers(),
            "",
            f"# {self.say(words.end)}",
        ]

    def as_json(self) -> str:
        """The same for programs, in both languages."""
        settings = [(group, setting) for group in self.groups() for setting in group.settings]
        told = {
            "for": self.choices["for"],
            "dir": self.choices["dir"],
            "environment": {name: self.fill(s.value) for _, s in settings if not (s.is_option or s.optional) for name in s.names},
            "options": [f"{s.name} {self.fill(s.value)}" for _, s in settings if s.is_option and not s.optional],
            "settings": [
                {"name": s.name, "also": s.also, "value": self.fill(s.value), "optional": s.optional, "group": _both(group.title),
                 "what": _both(s.what), "cost": _both(s.cost), "since": s.since} for group, s in settings
            ],
            "containers": [
                {"docker": self.fill(n.docker), "k8s": self.fill(n.k8s), "what": _both(n.what), "cost": _both(n.cost)}
                for n in self.knowledge.containers
            ],
        }  # fmt: skip
        return json.dumps(told, ensure_ascii=False, indent=2)

    def options(self) -> str:
        """What no variable can set, in a sentence: who evaluates the output does not see it there."""
        found = [self.option(s) for group in self.groups() for s in group.settings if s.is_option and not s.optional]
        return self.say(self.knowledge.texts.start, " ".join(found)) if found else ""

    def groups(self) -> tuple[Group, ...]:
        return self.knowledge.groups_for(self.choices["for"])

    def of_group(self, group: Group) -> list[str]:
        lines = ["", f"# == {self.say(group.title)}"]
        for setting in group.settings:
            lines += [*self.told(setting.what, setting.cost), f"# {self.say(self.knowledge.texts.since, setting.since)}"]
            lines += [*self.statements(setting), ""]
        return lines[:-1]

    def told(self, what: Text, cost: Text) -> list[str]:
        words = self.knowledge.texts
        return [f"# {self.say(words.gives, self.say(what))}", f"# {self.say(words.costs, self.say(cost))}"]

    def statements(self, setting: Setting) -> list[str]:
        """The lines that set it; as comments where that is not for us to do."""
        words = self.knowledge.texts
        if setting.is_option:
            start = self.say(words.start, self.option(setting))
            return [f"# {self.say(words.optional, start) if setting.optional else start}"]
        set_to = [line for name in setting.names for line in self.assignment(name, self.fill(setting.value))]
        return [f"# {self.say(words.optional)}", *(f"# {line}" for line in set_to)] if setting.optional else set_to

    def assignment(self, name: str, value: str) -> list[str]:
        if self.form == "docker":
            return [f"{name}={value}"]  # to the end of the line as it is: docker knows no quotes there
        if self.form == "k8s":
            return [f"  - name: {name}", f"    value: {json.dumps(value.replace('$', '$$'))}"]  # $$: Kubernetes expands $(NAME)
        return [f"export {name}={shlex.quote(value)}"]

    def option(self, setting: Setting) -> str:
        return f"{setting.name} {shlex.quote(self.fill(setting.value))}"

    def containers(self) -> list[str]:
        lines = ["", f"# == {self.say(self.knowledge.texts.containers)}"]
        for need in self.knowledge.containers:
            lines += [*self.told(need.what, need.cost), f"# {self.fill(need.k8s if self.form == 'k8s' else need.docker)}", "#"]
        return lines[:-1]

    def say(self, text: Text, it: str = "") -> str:
        """The text in the language asked for, on one line, about `it`."""
        return filled(" ".join((text.zh if self.lang == "zh" else text.en).split()), {**self.choices, "it": it}).rstrip()

    def fill(self, template: str) -> str:
        return filled(template, self.choices)


def _both(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}
