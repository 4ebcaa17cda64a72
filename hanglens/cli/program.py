"""The commands: one thin one a module, errors mapped to one line and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import suppress

import click

from hanglens import __version__
from hanglens.cli.messages import Formatter, say
from hanglens.errors import OUR_FAULT, HangLensError

_COMMANDS = {
    "collect": "gather the evidence of a job that runs on this host",
    "doctor": "say what can be collected on this host, and what unlocks the rest",
    "analyze": "diagnose saved evidence",
    "report": "render a saved diagnosis again",
    "explain": "the page of a rule or cause",
    "rules": "list, check and test rule packs",
    "prepare": "the environment in which a hang can be explained, with its cost",
    "schema": "the JSON Schema of the diagnosis",
}


class _Lazy(click.Group):
    """Imports a command's module when it is called for, so that `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"hanglens.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None  # for an interrupt click itself prints an empty line

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", message="hanglens %(version)s")
@click.option("-v", "--verbose", count=True, help="Say more on standard error; -vv shows tracebacks of our own faults.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result.")
@click.pass_context
def group(ctx: click.Context, verbose: int, quiet: bool) -> None:
    """Explains, after the fact, why a multi-GPU LLM job hung: which rank is to blame, the cause, its evidence, the fix."""
    ctx.obj = {"verbose": verbose, "quiet": quiet}
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("hanglens: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def run(arguments: list[str]) -> int:
    """Run the command line; its exit code.

    Raises:
        KeyboardInterrupt: Ctrl+C, or the end of the input where something was asked.
    """
    given = _flags_first(arguments) or ["--help"]
    traceback_wanted = any(a.startswith("-v") and a.count("v") > 1 for a in given) or given.count("-v") > 1
    try:
        code = int(group.main(given, prog_name="hanglens", standalone_mode=False) or 0)
        sys.stdout.flush()  # here, and not where nobody hears of what goes wrong
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        return _failed(f"{error.format_message().rstrip('.')}; see `hanglens --help`", error.exit_code)
    except HangLensError as error:
        return _failed(str(error), error.exit_code)
    except BrokenPipeError:
        _discard_output()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):  # a file is named where it is written
            _discard_output()
            return _failed(f"cannot write to standard output: {error.strerror}; make room, or write elsewhere with -o", 1)
        if traceback_wanted:
            raise
        return _failed(f"{OUR_FAULT}: {type(error).__name__}: {error}; run again with -vv and report it", 1)
    return code


def _discard_output() -> None:
    """What is left in the buffers has no place to go, and must not be tried again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
            continue
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())


def _flags_first(given: list[str]) -> list[str]:
    """-q and -v say how much is said by any command, wherever they stand among its options."""
    ours = [a for a in _own(given) if a in ("-q", "--quiet", "-v", "-vv", "--verbose")]
    return [*ours, *(a for a in _own(given) if a not in ours), *given[len(_own(given)) :]]


def _own(given: list[str]) -> list[str]:
    """The arguments before `--`, after which all are paths."""
    return given[: given.index("--")] if "--" in given else given


def _failed(message: str, code: int) -> int:
    try:
        say(" ".join(message.split()))
    except OSError:
        _discard_output()
    return code
