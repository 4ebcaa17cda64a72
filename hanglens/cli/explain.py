"""`hanglens explain`: the page of one rule."""

from __future__ import annotations

from pathlib import Path

import click

from hanglens.cli.output import language
from hanglens.errors import UsageError
from hanglens.printable import printable


@click.command("explain")
@click.argument("rule_id", metavar="ID")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language; by default the locale's.")
@click.option("--rules", "rule_folders", multiple=True, type=click.Path(path_type=Path), help="A folder of more rules; may be repeated.")
def command(rule_id: str, lang: str | None, rule_folders: tuple[Path, ...]) -> int:
    """Print what happens, how to recognise it, the fixes, and what not to confuse it with. ID is category/name, or a part of it."""
    from hanglens.knowledge.load import load_rules
    from hanglens.rules.page import page

    pack = load_rules(rule_folders)
    found = pack.find(rule_id)
    near = [rule.id for rule in pack.rules if rule_id in rule.id]
    if found is None and len(near) == 1:
        found = pack.find(near[0])
    if found is None:
        hint = f"did you mean {', '.join(near[:8])}?" if near else "`hanglens rules list` names them all"
        raise UsageError(f"there is no single rule {rule_id!r}", hint)
    click.echo("\n".join(map(printable, page(found, language(lang)).split("\n"))))
    return 0
