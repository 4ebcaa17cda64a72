"""`hanglens collect`: the evidence of a live job into one bundle."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hanglens.cli import analyze
from hanglens.cli.messages import say, show
from hanglens.errors import HangLensError, UsageError

if TYPE_CHECKING:
    from hanglens.collect.beside import Watch
    from hanglens.collect.candidates import Candidate
    from hanglens.collect.collector import Collected

REFUSED = 4
_SIZE = re.compile(r"(?i)(\d{1,6})\s*([KMG]?)i?B?$")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@click.command("collect")
@click.option("--pid", "pids", multiple=True, type=click.IntRange(min=1), help="Any process of the job; may be repeated.")
@click.option("--name", help="Find the job by a word of its command line, lmdeploy say.")
@click.option("--auto", is_flag=True, help="Find the jobs that have loaded CUDA, NCCL or PyTorch.")
@click.option(
    "-o", "--output", default=".", type=click.Path(path_type=Path), help="A folder for the bundle, or its name (.tar.gz, or a new folder)."
)
@click.option("--samples", default=2, show_default=True, type=click.IntRange(1, 20), help="How often every process is looked at.")
@click.option("--interval", default=5.0, show_default=True, type=click.FloatRange(1, 600), help="Seconds between two samples.")
@click.option("--native", is_flag=True, help="C and C++ frames too; pauses each process for a second or more.")
@click.option(
    "--log", "logs", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="One more log; may be repeated."
)
@click.option(
    "--log-limit", default="32MiB", show_default=True, metavar="SIZE", help="Of a longer log its beginning and its end are taken."
)
@click.option("--redact", is_flag=True, help="Replace host names, addresses, users and prompts, too. Secrets are always taken out.")
@click.option("--analyze", "then_analyze", is_flag=True, help="Diagnose the bundle at once.")
@click.pass_context
def command(
    ctx: click.Context, pids: tuple[int, ...], name: str | None, auto: bool, output: Path, samples: int, interval: float, native: bool,
    logs: tuple[Path, ...], log_limit: str, redact: bool, then_analyze: bool,
) -> int:  # fmt: skip
    """Gather the evidence of a job that runs on this host, given any one of its processes: launcher, server, rank or worker.

    It takes seconds, pauses each process for some milliseconds a sample, and needs no network. Prints the path of the bundle.
    """
    from hanglens.collect.collector import Request, collect

    if bool(pids) + bool(name) + auto != 1:
        raise UsageError("say which job", "give one of --pid PID, --name TEXT and --auto")
    quiet = bool((ctx.obj or {}).get("quiet"))
    request = Request(
        pids=pids or (_chosen(name, quiet=quiet),), output=output, samples=samples, interval=interval, native=native, logs=logs,
        log_limit=_bytes(log_limit), redact_names=redact,
    )  # fmt: skip
    with ExitStack() as stack:
        collected = collect(request, watch=_display(stack, quiet=quiet))
    if collected.table:
        say(f"what each pseudonym stands for is in {collected.table}: keep it to yourself")
    _report(collected, quiet=quiet)
    print(collected.bundle)
    if then_analyze:
        _analyze(ctx, collected)
    elif not quiet:
        say(f"next: hanglens analyze {collected.bundle}")
    return REFUSED if collected.refused_everywhere else 0


def _analyze(ctx: click.Context, collected: Collected) -> None:
    """Diagnose what was collected, and nothing that somebody puts into its place."""
    from hanglens.collect.draft import held

    with ExitStack() as stack:
        try:
            path = stack.enter_context(held(collected.bundle, collected.about))
        except OSError as error:
            raise HangLensError(f"cannot read {collected.bundle}: {error.strerror or error}") from None
        ctx.invoke(analyze.command, paths=(path,))


def _bytes(text: str) -> int:
    found = _SIZE.match(text)
    if not found or int(found[1]) == 0:
        raise UsageError(f"--log-limit {text} is no size", "write a number with KiB, MiB or GiB")
    return int(found[1]) * _UNITS[found[2].upper()]


def _chosen(name: str | None, *, quiet: bool) -> int:
    """The pid of the one job that fits; on a terminal the user chooses among several, elsewhere they are listed."""
    from hanglens.collect.candidates import find_candidates
    from hanglens.collect.proctable import ProcTable

    found = find_candidates(ProcTable.now(), name)
    if not found:
        raise UsageError(f"no job here has {name!r} in its command line" if name else "no job here has loaded CUDA, NCCL or PyTorch",
                         "give --pid; other users' processes are seen by root only")  # fmt: skip
    if len(found) > 1:
        for number, candidate in enumerate(found, 1):
            show(f"{number:>3}  {_described(candidate)}")
        if not sys.stdin.isatty():
            raise UsageError(f"{len(found)} jobs fit", "choose one of them with --pid")
        number = click.prompt("Which one", type=click.IntRange(1, len(found)), err=True)
        return found[number - 1].root.pid
    if not quiet:
        say(_described(found[0]))
    return found[0].root.pid


def _described(candidate: Candidate) -> str:
    ranks = f"ranks {', '.join(map(str, candidate.ranks))}" if candidate.ranks else f"{len(candidate.job.working)} processes"
    return f"pid {candidate.root.pid}  {candidate.root.user}  {ranks}  {candidate.root.line[:100]}"


def _display(stack: ExitStack, *, quiet: bool) -> Watch:
    """On a terminal a line for each probe with what it does; elsewhere nothing, unless a probe is given up."""
    if quiet:
        return lambda _name, _state: None
    if not sys.stderr.isatty():
        return lambda name, state: say(f"{name}: given up, it did not end in time") if state == "late" else None
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress = stack.enter_context(
        Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
    )
    tasks = {}

    def watch(name: str, state: str) -> None:
        if state == "runs":
            tasks[name] = progress.add_task(name, total=1)
        else:
            progress.update(tasks[name], completed=1, description=name if state == "done" else f"{name}: given up")

    return watch


def _report(collected: Collected, *, quiet: bool) -> None:
    """What was found, and in a line for each reason what could not be had and how to allow it."""
    from hanglens.ranges import ranges

    manifest = collected.manifest
    if quiet:
        return
    ranks = sorted(p.rank for p in manifest.processes if p.rank is not None)
    told = (
        f"{len(manifest.processes)} processes"
        + (f", ranks {ranges(ranks)}" if ranks else "")
        + (f", {manifest.helpers} helpers left out" if manifest.helpers else "")
    )
    say(f"{told}; {sum(item.status == 'ok' for item in manifest.items)} items in {manifest.seconds:.1f} s")
    missed: dict[tuple[str, str, str], list[int]] = {}
    for item in manifest.items:
        if item.status != "ok":
            missed.setdefault((item.what, item.reason, re.sub(r"(?<=--pid )\d+", "PID", item.how_to_collect)), []).append(item.pid or 0)
    for (what, reason, how), pids in missed.items():
        times = f" ({len(pids)} times)" if len(pids) > 1 else ""
        say(f"not collected: {what}{times}: {reason}" + (f"; {how}" if how else ""))
    if manifest.interrupted:
        say("interrupted; the bundle holds what was there by then")
