"""Where a diagnosis goes and in which format: the options that `analyze` and `report` share."""

from __future__ import annotations

import locale
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

import click

from hanglens.errors import HangLensError, UsageError
from hanglens.plainfile import at_once
from hanglens.verdict import Diagnosis

Format = Literal["html", "json", "md", "text", "speedscope", "trace"]
Lang = Literal["en", "zh"]
_SUFFIXES: dict[str, Format] = {
    ".html": "html", ".htm": "html", ".json": "json", ".md": "md", ".markdown": "md", ".txt": "text",
    ".speedscope.json": "speedscope", ".trace.json": "trace",
}  # fmt: skip
ESCAPED = "backslashreplace"  # what UTF-8 cannot hold, a part of a name on disk, must not end the report
_MODULES: dict[Format, str] = {"html": "html", "md": "markdown", "speedscope": "speedscope", "trace": "trace_event"}
_Command = TypeVar("_Command", bound=Callable[..., object])


def options(command: _Command) -> _Command:
    """-o, --format and --lang."""
    for option in (
        click.option("--lang", type=click.Choice(["en", "zh"]), help="Language; by default the locale's."),
        click.option("--format", "format_name", type=click.Choice(get_args(Format)), help="Overrides the suffix of -o."),
        click.option("-o", "--output", type=click.Path(dir_okay=False), help="File to write; its suffix picks the format."),
    ):
        command = option(command)
    return command


def format_of(output: str | None, format_name: str | None) -> Format | None:
    """The format asked for; None if none was. Raises UsageError for a suffix that names none and a folder that is not there."""
    if output is None:
        return cast(Format, format_name) if format_name else None
    if not Path(output).parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {Path(output).parent}", "create it, or choose another place with -o")
    if format_name:
        return cast(Format, format_name)
    suffixes = [suffix.lower() for suffix in Path(output).suffixes]
    form = _SUFFIXES.get("".join(suffixes[-2:])) or _SUFFIXES.get("".join(suffixes[-1:]))
    if form is None:
        raise UsageError(
            f"the suffix of {output} names no format",
            "use .html, .json, .md, .txt, .speedscope.json or .trace.json, or say --format",
        )
    return form


def language(chosen: str | None) -> Lang:
    """The language asked for, else that of the locale."""
    if chosen:
        return cast(Lang, chosen)
    told = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "") or locale.getlocale()[0] or ""
    return "zh" if told.lower().startswith("zh") else "en"


def rendered(diagnosis: Diagnosis, form: Format, lang: Lang) -> str:
    """The diagnosis in one of the formats, for a file or a pipe."""
    if form == "json":
        from hanglens.serialize import to_json

        return to_json(diagnosis).decode()
    if form == "text":
        from hanglens.report.text import render

        return render(diagnosis, lang=lang, width=100, colour=False)
    from importlib import import_module

    page: str = import_module(f"hanglens.report.{_MODULES[form]}").render(diagnosis, lang=lang)
    return page


def write_table(path: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write what each pseudonym stands for, readable for its owner only."""
    from hanglens.privacy.pseudonyms import as_lines

    write_whole(path, as_lines(rows), mode=0o600)


def write_whole(path: str, text: str, *, mode: int = 0o666) -> None:
    """Write a file so that it is either whole or as it was; a device or a pipe is written to as it is."""
    target = Path(path)
    try:
        if _is_stream(target):
            with open(target, "w", encoding="utf-8", errors=ESCAPED, opener=at_once) as stream:
                os.set_blocking(stream.fileno(), True)
                stream.write(text)
        else:
            _replace(target, text, mode)
    except OSError as error:
        raise HangLensError(f"cannot write {path}: {error.strerror or error}", "choose another place with -o") from None


def _is_stream(target: Path) -> bool:
    """Whether a path, `/dev/stdout` say, stands for something that is written to and must not be replaced."""
    home = target.parent.resolve()
    return home == Path("/dev") or Path("/proc") in home.parents or (target.exists() and not target.is_file() and not target.is_dir())


def _replace(target: Path, text: str, mode: int) -> None:
    """A draft takes the file's place when it is whole, and goes when it is not, whatever the reason."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors=ESCAPED, dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as draft:
        place = Path(draft.name)
        try:
            draft.write(text)
            umask = os.umask(0)
            os.umask(umask)
            if hasattr(os, "fchmod"):  # by its name it might be a link by now, that who owns the folder has put there
                os.fchmod(draft.fileno(), mode & ~umask)
            draft.close()
            place.replace(target)
        except BaseException:
            with suppress(OSError):
                draft.close()  # which may try to write the rest once more
            place.unlink(missing_ok=True)
            raise


def print_text(diagnosis: Diagnosis, lang: Lang) -> None:
    """The summary on standard output, in colour and as wide as the terminal where there is one."""
    from hanglens.report.text import render

    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    click.echo(render(diagnosis, lang=lang, width=None if terminal else 100, colour=colour), color=colour)
