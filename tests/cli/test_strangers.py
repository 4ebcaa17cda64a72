"""What strangers wrote, on the terminal of somebody else: it is text there, and nothing more."""

from __future__ import annotations

import io
import os
import pty
import sys
from pathlib import Path

import pytest
import yaml

from hanglens.cli import main
from hanglens.collect import collector
from hanglens.collect import doctor as examined
from hanglens.collect.collector import Collected
from hanglens.collect.doctor import Check
from hanglens.manifest import Item, Manifest
from tests.collect.processes import SLEEP, Processes

EVIL = "evil\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\nhanglens: all is well\r[red]x[/red]"
TOLD = r"evil\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\nhanglens: all is well\r[red]x[/red]"
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="jobs are collected through Linux's /proc")


@pytest.fixture
def start():
    """Starts small processes."""
    processes = Processes()
    yield processes
    processes.end()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints, on either stream."""
    with pytest.raises(SystemExit):
        main(list(arguments))
    return "".join(capsys.readouterr())


def harmless(text: str) -> bool:
    """Whether none of it takes effect."""
    return not set(text) & set("\x1b\x07\x9b\u202e\u2028\r") and "\nhanglens: all is well" not in text


@on_linux
def test_candidates(capsys, monkeypatch, start) -> None:
    """Command lines of other users' processes, among which one has to choose."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    word = f"word{os.getpid()}"
    for _ in range(2):
        start.python(f"'''{EVIL}'''\n{SLEEP}", word)  # first, since a line of the list is cut
    shown = said(capsys, "collect", "--name", word)
    assert harmless(shown)
    assert shown.count("evil") == 2
    assert len(shown.splitlines()) == 3


@on_linux
def test_what_was_not_collected(capsys, monkeypatch, tmp_path) -> None:
    """Reasons and advice hold names of files, and the words of programs."""
    item = Item(what=f"log {EVIL}", status="failed", start="", seconds=0.1, reason=EVIL, how_to_collect=EVIL)
    manifest = Manifest(
        schema_version="1.0", tool_version="0", host="n1", clock={}, seconds=1.5, given_pids=[7], interrupted=False, names_redacted=False,
        redactions={}, processes=[], items=[item],
    )  # fmt: skip
    monkeypatch.setattr(collector, "collect", lambda *_, **__: Collected(bundle=tmp_path, manifest=manifest))
    shown = said(capsys, "collect", "--pid", "7")
    assert harmless(shown)
    assert f"hanglens: not collected: log {TOLD}: {TOLD}; {TOLD}\n" in shown


@on_linux
def test_progress(monkeypatch, tmp_path) -> None:
    """The name of a probe is no markup on a terminal."""

    def collects(_: object, *, watch: collector.Watch) -> Collected:
        watch("[red]logs[/red]", "runs")
        watch("[red]logs[/red]", "late")
        raise KeyboardInterrupt

    monkeypatch.setattr(collector, "collect", collects)
    controller, device = pty.openpty()
    with os.fdopen(device, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with pytest.raises(SystemExit):
            main(["collect", "--pid", "7"])
        terminal.flush()
        shown = os.read(controller, 1 << 16).decode()
    os.close(controller)
    assert "[red]logs[/red]" in shown


@on_linux
def test_doctor(capsys, monkeypatch) -> None:
    """What a check says may hold the path of a log."""
    monkeypatch.setattr(examined, "examine", lambda *_: [Check("logs", "ok", EVIL, EVIL)])
    shown = said(capsys, "doctor")
    assert harmless(shown)
    assert shown.count(TOLD) == 2


@pytest.mark.parametrize("command", ["lint", "test", "list"])
def test_rule_files(capsys, tmp_path: Path, command: str) -> None:
    """A rule of a stranger that breaks the format is complained about with the name of its field."""
    (tmp_path / "oom").mkdir()
    (tmp_path / "oom" / "evil.yaml").write_text(yaml.safe_dump({EVIL: 1, "title": {"en": EVIL, "zh": EVIL}}), encoding="utf-8")
    shown = said(capsys, "rules", command, "--rules", str(tmp_path))
    assert harmless(shown)
    assert "evil" in shown


def test_errors(capsys) -> None:
    """The name of a file that is not there."""
    shown = said(capsys, "analyze", f"/no/such/{EVIL}")
    assert harmless(shown)
    assert shown.count("\n") == 1
