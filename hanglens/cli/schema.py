"""`hanglens schema`: the JSON Schema of the diagnosis."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> int:
    """Print the JSON Schema that `hanglens analyze --format json` keeps to."""
    from hanglens.serialize import json_schema

    click.echo(json_schema().decode())
    return 0
