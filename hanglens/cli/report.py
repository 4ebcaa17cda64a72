"""`hanglens report`: a saved diagnosis rendered again, without the evidence."""

from __future__ import annotations

from pathlib import Path

import click

from hanglens.cli import output as out
from hanglens.errors import InputError


@click.command("report")
@click.argument("result", type=click.Path(dir_okay=False))
@out.options
def command(result: str, output: str | None, format_name: str | None, lang: str | None) -> int:
    """Render RESULT, a JSON that `hanglens analyze -o result.json` wrote; without -o or --format, as text."""
    from hanglens.serialize import from_json

    try:
        data = Path(result).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {result}: {error.strerror or error}", "give the JSON that `hanglens analyze -o` wrote") from None
    diagnosis = from_json(data)
    form, speech = out.format_of(output, format_name), out.language(lang)
    if output:
        out.write_whole(output, out.rendered(diagnosis, form or "html", speech))
    elif form:
        click.echo(out.rendered(diagnosis, form, speech))
    else:
        out.print_text(diagnosis, speech)
    return 0
