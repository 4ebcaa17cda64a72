"""`hanglens rules`: what rules there are, what is wrong in them, and their own tests."""

from __future__ import annotations

from pathlib import Path

import click

from hanglens.cli.messages import say
from hanglens.cli.output import language
from hanglens.errors import UsageError
from hanglens.knowledge.load import RulePack, load_rules
from hanglens.printable import printable

_folders = click.option(
    "--rules", "rule_folders", multiple=True, type=click.Path(path_type=Path), help="Look at this folder instead; may be repeated."
)


@click.group("rules")
def command() -> None:
    """List, check and test rule packs."""


def _pack(folders: tuple[Path, ...]) -> RulePack:
    pack = load_rules(folders, builtin=not folders)
    if not pack.rules and not pack.problems:
        raise UsageError(f"no rule in {', '.join(map(str, folders))}", "a rule is a file CATEGORY/NAME.yaml below that folder")
    return pack


@command.command("list")
@_folders
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language; by default the locale's.")
def list_rules(rule_folders: tuple[Path, ...], lang: str | None) -> int:
    """One line a rule: its id, role and title."""
    pack, speech = _pack(rule_folders), language(lang)
    width = max((len(rule.id) for rule in pack.rules), default=0)
    for rule in pack.rules:
        click.echo(printable(f"{rule.id:<{width}}  {rule.role:<12} {rule.title.zh if speech == 'zh' else rule.title.en}"))
    return _problems(pack)


@command.command("lint")
@_folders
def lint(rule_folders: tuple[Path, ...]) -> int:
    """Say what is wrong with each rule and what to do about it."""
    from hanglens.rules.lint import lint as check

    pack = _pack(rule_folders)
    complaints = check(pack, beside=load_rules())
    for complaint in complaints:
        click.echo(printable(f"{complaint.rule}: {complaint.message} -- {complaint.recommendation}"))
    click.echo(f"rules: {len(pack.rules)}, complaints: {len(complaints) + len(pack.problems)}")
    return 1 if complaints or _problems(pack) else 0


@command.command("test")
@_folders
def test(rule_folders: tuple[Path, ...]) -> int:
    """Run the snippets inside the rules."""
    from hanglens.pipeline import test_rules

    pack = _pack(rule_folders)
    failures = test_rules(pack)
    for failure in failures:
        click.echo(printable(failure))
    snippets = sum(len(rule.matches) + len(rule.near_misses) for rule in pack.rules)
    click.echo(f"rules: {len(pack.rules)}, snippets: {snippets}, failures: {len(failures)}")
    return 1 if failures or _problems(pack) else 0


def _problems(pack: RulePack) -> int:
    for problem in pack.problems:
        say(str(problem))
    return 1 if pack.problems else 0
