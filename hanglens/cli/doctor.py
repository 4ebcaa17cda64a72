"""`hanglens doctor`: what can be collected on this host, and what unlocks the rest."""

from __future__ import annotations

import os
import sys

import click

from hanglens.printable import printable

_SIGNS = {"ok": ("✓", "green"), "limited": ("!", "yellow"), "missing": ("✗", "red")}


@click.command("doctor")
@click.option("--pid", "pids", multiple=True, type=click.IntRange(min=1), help="Any process of a job: what of it can be had.")
def command(pids: tuple[int, ...]) -> int:
    """Say what can be collected on this host, and the exact command that unlocks what cannot."""
    from hanglens.collect.collector import locate
    from hanglens.collect.doctor import examine
    from hanglens.collect.proctable import ProcTable

    table, job = locate(pids) if pids else (ProcTable.now(), None)
    checks = examine(table, job)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(check.what) for check in checks)
    for check in checks:
        sign, shade = _SIGNS[check.health]
        click.echo(f"{click.style(sign, fg=shade)} {check.what:<{width}}  {printable(check.says)}", color=colour)
        if check.unlock:
            click.echo(f"  {'':<{width}}  → {printable(check.unlock)}", color=colour)
    return 0
