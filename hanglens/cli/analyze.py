"""`hanglens analyze`: evidence in, diagnosis out."""

from __future__ import annotations

import gc
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hanglens import number
from hanglens.cli import output as out
from hanglens.cli.messages import say
from hanglens.cli.progress import shown, wanted
from hanglens.errors import UsageError

if TYPE_CHECKING:
    from hanglens.errors import RuleError
    from hanglens.knowledge.load import RulePack
    from hanglens.limits import Limits
    from hanglens.privacy.redactor import Redactor
    from hanglens.verdict import Diagnosis

DEFAULT_REPORT = "hanglens-report.html"


@click.command("analyze")
@click.argument("paths", nargs=-1, required=True)
@out.options
@click.option("--no-report", is_flag=True, help=f"Do not write {DEFAULT_REPORT}.")
@click.option("--redact", is_flag=True, help="Replace host names, addresses, users, prompts and secrets in what is written.")
@click.option("--redaction-table", type=click.Path(dir_okay=False), metavar="FILE", help="With --redact: what each pseudonym stands for.")
@click.option("--rules", "rule_folders", multiple=True, type=click.Path(path_type=Path), help="A folder of more rules; may be repeated.")
@click.option("--exit-code", is_flag=True, help="End with 10 cause found, 11 hung or failed, 12 unknown, 0 healthy or slow.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Raise a limit on what is unpacked: members, member_bytes, total_bytes, ratio, nesting, frames.",
)
@click.pass_context
def command(
    ctx: click.Context, paths: tuple[str, ...], output: str | None, format_name: str | None, lang: str | None, no_report: bool,
    redact: bool, redaction_table: str | None, rule_folders: tuple[Path, ...], exit_code: bool, limits: tuple[str, ...],
) -> int:  # fmt: skip
    """Diagnose PATHS: folders, files, archives, or - for text on standard input. Several paths are one incident.

    Without -o or --format, prints a summary and writes hanglens-report.html in the working directory.
    """
    form = out.format_of(output, format_name)
    speech = out.language(lang)
    redactor = _redactor() if redact else None
    diagnosis, problems = _diagnose(ctx, paths, rule_folders, _limits(limits), speech, redactor)
    for problem in problems:
        say(f"rule left out: {problem}")
    if redactor:
        diagnosis = _redacted(ctx, diagnosis, redactor, redaction_table)
    if output:
        out.write_whole(output, out.rendered(diagnosis, form or "html", speech))
    elif form:
        click.echo(out.rendered(diagnosis, form, speech))
    else:
        out.print_text(diagnosis, speech)
        if not no_report:
            out.write_whole(DEFAULT_REPORT, out.rendered(diagnosis, "html", speech))
            _say(ctx, f"report written to {DEFAULT_REPORT}")
    return _code(diagnosis.verdict, bool(diagnosis.root_cause and diagnosis.root_cause.confidence != "possible")) if exit_code else 0


def _diagnose(
    ctx: click.Context, paths: tuple[str, ...], rule_folders: tuple[Path, ...], limits: Limits, speech: out.Lang, redactor: Redactor | None
) -> tuple[Diagnosis, tuple[RuleError, ...]]:
    """The diagnosis, and the rules that could not be loaded. The reasoning is loaded while other threads and processes read."""
    from concurrent.futures import Future
    from importlib import import_module
    from threading import Thread

    from hanglens.meter import Meter
    from hanglens.reading import of_several_hosts, read_paths

    def load(pack: Future[RulePack]) -> None:
        from hanglens.knowledge.load import load_rules

        try:
            pack.set_result(load_rules(rule_folders))
        except BaseException as error:  # noqa: BLE001  who asks for the rules raises it
            pack.set_exception(error)
        import_module("hanglens.pipeline")

    gc.disable()  # what is read is kept to the end of the process: to look for waste in it again and again is a fifth of the time
    ctx.call_on_close(gc.enable)
    meter = Meter()
    with shown(meter, paths, speech) if wanted(paths, quiet=_quiet(ctx)) else nullcontext():
        pack: Future[RulePack] = Future()
        Thread(target=load, args=(pack,), daemon=True).start()  # after Ctrl+C nobody waits for it: what it imports may be locked for ever
        stdin = sys.stdin.buffer if "-" in paths and sys.stdin else None  # none where it is closed
        parts = read_paths(paths, pack.result, limits=limits, stdin=stdin, meter=meter, redactor=redactor)
        from hanglens.pipeline import diagnose_parts

        return diagnose_parts(parts, pack.result(), several_hosts=of_several_hosts(paths)), pack.result().problems


def _redactor() -> Redactor:
    from hanglens.privacy.redactor import Redactor

    return Redactor(names=True)


def _redacted(ctx: click.Context, diagnosis: Diagnosis, redactor: Redactor, table: str | None) -> Diagnosis:
    """The diagnosis of redacted evidence without names that stand elsewhere, in paths say; the table goes to a file for its owner alone."""
    from hanglens.serialize import redacted

    result = redacted(diagnosis, redactor)
    if table:
        out.write_table(table, redactor.table)
    _say(ctx, "replaced: " + (", ".join(f"{times} × {kind}" for kind, times in sorted(redactor.counts.items())) or "nothing"))
    return result


def _limits(given: tuple[str, ...]) -> Limits:
    """The limits with those changed that were given as NAME=NUMBER."""
    from hanglens.limits import Limits

    names = Limits.__dataclass_fields__
    chosen: dict[str, int] = {}
    for text in given:
        name, _, value = text.partition("=")
        limit = number.whole(value)
        if name not in names or not limit:
            raise UsageError(f"--limit {text} is no limit", f"write NAME=NUMBER with one of {', '.join(names)}")
        chosen[name] = limit
    return Limits(**chosen)


def _quiet(ctx: click.Context) -> bool:
    return bool((ctx.obj or {}).get("quiet"))


def _say(ctx: click.Context, message: str) -> None:
    if not _quiet(ctx):
        say(message)


def _code(verdict: str, firm: bool) -> int:
    if firm:
        return 10
    return {"hung": 11, "failed": 11, "unknown": 12}.get(verdict, 0)
