"""The command line: exit codes, one-line errors, help."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hanglens.cli import main


def run(*arguments: str) -> int:
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_help_names_every_command(capsys):
    """`hanglens --help` lists the commands, each with what it does."""
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in ("analyze", "report", "explain", "rules", "schema"))


def test_help_imports_nothing_heavy():
    """`--help` must be instant: no parser, no renderer and no rule is loaded for it."""
    code = "import sys, hanglens.cli\ntry: hanglens.cli.main(['-h'])\nexcept SystemExit: print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in ("jinja2", "yaml", "hyperscan", "rich", "regex", "msgspec") if f"'{name}'" in done.stderr]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "see `hanglens --help`"),
        (["analyze"], 2, "see `hanglens --help`"),
        (["analyze", "/no/such/place"], 2, "there is no such file or folder"),
        (["analyze", ".", "-o", "result.pdf"], 2, "names no format"),
        (["analyze", ".", "--limit", "members=none"], 2, "is no limit"),
        (["analyze", ".", "-o", "no/such/folder/x.html"], 2, "there is no folder"),
        (["analyze", "-q", "/no/such/place"], 2, "there is no such file or folder"),
        (["rules", "lint", "--rules", "docs"], 2, "no rule in docs"),
        (["explain", "no/such-rule"], 2, "rules list"),
        (["report", "/no/such.json"], 3, "cannot read"),
    ],
)
def test_wrong_usage_is_one_line_with_the_next_step(arguments, code, said, capsys):
    """An error says what is wrong, in one line on standard error, and never shows a traceback."""
    assert run(*arguments) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_a_fault_of_our_own_is_no_traceback(monkeypatch, capsys):
    """A bug ends with exit code 1 and one line; -vv shows the traceback."""
    monkeypatch.setattr("hanglens.serialize.json_schema", lambda: 1 / 0)
    assert run("schema") == 1
    assert "a fault of our own: ZeroDivisionError" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        main(["-vv", "schema"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_no_fault_of_our_own():
    """What cannot be written to standard output is told as that, with the next step, and nothing else is."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "hanglens", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    why = os.strerror(errno.ENOSPC)
    assert done.stderr == f"hanglens: cannot write to standard output: {why}; make room, or write elsewhere with -o\n"


def test_schema_describes_the_json(capsys):
    """`hanglens schema` prints a JSON Schema with the fields of the diagnosis."""
    assert run("schema") == 0
    shown = capsys.readouterr().out
    assert all(f'"{field}"' in shown for field in ("verdict", "root_cause", "culprit_ranks", "findings", "next_evidence"))
