"""The bar that `hanglens analyze` shows while evidence is read: when, what it says, and that it leaves no trace."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import TextIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from hanglens import reading
from hanglens.cli import analyze, main, progress
from hanglens.meter import Meter

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")

LINE = b"2026-01-05 10:00:00,000 nothing in particular happens here\n"
MB = 1_000_000
CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATIENCE = 30  # seconds, after which a test fails


class Terminal:
    """A terminal, and all that was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        self.file = open(theirs, "w", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115
        self._shown, self._more = "", threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while data := _read(self._ours):
            with self._more:
                self._shown += data.decode()
                self._more.notify_all()
        with self._more:
            self._shown += "(closed)"
            self._more.notify_all()

    def runs(self, *arguments: str) -> int:
        """The exit code of a command whose standard error it is, run in this process."""
        return run(*arguments, errors=self.file)

    def waits_for(self, text: str) -> None:
        """Wait until something stands there."""
        with self._more:
            assert self._more.wait_for(lambda: text in CODE.sub("", self._shown), PATIENCE), self._shown

    def shown(self) -> str:
        """All of it, when no more can come."""
        self.file.close()
        self.waits_for("(closed)")
        os.close(self._ours)
        return self._shown.removesuffix("(closed)")


def run(*arguments: str, errors: TextIO) -> int:
    """The exit code of a command run in this process."""
    with redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # the other end is closed
        return b""


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    """Standard error is a terminal of 80 columns, and a bar is shown at once and for the smallest evidence."""
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(analyze, "shown", partial(progress.shown, delay=0, small=0))
    return Terminal()


@pytest.fixture
def evidence(tmp_path: Path) -> str:
    """Two logs of two megabytes."""
    for name in ("rank0.log", "rank1.log"):
        (tmp_path / "case" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "case" / name).write_bytes(LINE * (2 * MB // len(LINE)))
    return str(tmp_path / "case")


@pytest.fixture
def stopping(monkeypatch):
    """Makes reading stop after the first file, and do there what is asked."""

    def stop(do) -> None:
        real = reading.read_evidence

        def after_the_first(items):
            for number, item in enumerate(items):
                if number == 1:
                    do()
                yield item

        monkeypatch.setattr(reading, "read_evidence", lambda items, index: real(after_the_first(items), index))

    return stop


@pytest.mark.parametrize(("lang", "word"), [("en", "reading"), ("zh", "读取")])
def test_on_a_terminal_a_bar_says_how_far_and_how_long(evidence, stopping, terminal, capsys, *, lang, word):
    """Bytes read and in all, the speed, the time left and the file, in the language asked for; standard output has the result alone."""
    stopping(lambda: terminal.waits_for("2.1/4.0 MB"))
    assert terminal.runs("analyze", evidence, "--format", "json", "--lang", lang) == 0
    assert json.loads(capsys.readouterr().out)["inputs"]
    shown = CODE.sub("", terminal.shown())
    assert re.search(rf"{word}  [━╸╺]+  2\.1/4\.0 MB  [\d.]+ [kM]B/s  (?:剩余 )?\d+:\d\d(?: left)?  rank1\.log", shown)


def test_the_bar_is_gone_at_the_end(evidence, terminal, stopping, capsys):
    """The last thing that it writes wipes its line, and the cursor is there again."""
    stopping(lambda: terminal.waits_for("left"))
    assert terminal.runs("analyze", evidence, "--format", "json") == 0
    shown = terminal.shown()
    assert shown.endswith("\x1b[2K")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_an_error_stands_alone(tmp_path, terminal, stopping, capsys):
    """What went wrong is said after the bar has been wiped."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 8000)
    stopping(lambda: terminal.waits_for("MB"))
    assert terminal.runs("analyze", str(tmp_path)) == 3
    assert "\x1b[2Khanglens: nothing readable in the input" in terminal.shown()
    assert capsys.readouterr().out == ""


def test_an_interruption_wipes_the_bar(evidence, terminal, stopping, capsys):
    """Ctrl-C ends with exit code 130 and one line, as without a bar."""

    def interrupt() -> None:
        terminal.waits_for("left")
        raise KeyboardInterrupt

    stopping(interrupt)
    assert terminal.runs("analyze", evidence) == 130
    assert terminal.shown().replace("\r\n", "\n").endswith("\x1b[2K\nhanglens: interrupted\n")


def test_a_pipe_has_no_time_left(terminal, stopping, tmp_path, capsys):
    """What comes through a pipe is counted as it comes; nobody knows how much it will be."""
    os.mkfifo(tmp_path / "pipe")

    def write() -> None:
        with (tmp_path / "pipe").open("wb") as pipe:
            pipe.write(LINE * (2 * MB // len(LINE)))
            pipe.flush()
            terminal.waits_for("2.0 MB")

    writer = threading.Thread(target=write)
    writer.start()
    assert terminal.runs("analyze", str(tmp_path / "pipe"), "--format", "json") == 0
    writer.join()
    before = CODE.sub("", terminal.shown()).split("2.0 MB")[0]
    assert " left" not in before
    assert "/2.0" not in before


@pytest.mark.parametrize("where", ["quiet", "dumb", "pipe"])
def test_elsewhere_nothing_is_shown(evidence, terminal, monkeypatch, where):
    """Nothing with -q, on a terminal that cannot move its cursor, or where standard error is no terminal."""
    if where == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    errors = io.StringIO() if where == "pipe" else terminal.file
    monkeypatch.setattr(progress, "_show", lambda *_: pytest.fail("a bar"))
    assert run("analyze", evidence, "--format", "json", *(["-q"] if where == "quiet" else []), errors=errors) == 0
    assert terminal.shown() == ""
    assert errors is terminal.file or errors.getvalue() == ""


def test_nothing_is_shown_while_somebody_pastes(terminal, monkeypatch):
    """On a terminal from which the evidence comes a bar would be written into what is pasted."""
    monkeypatch.setattr(sys, "stdin", terminal.file)
    with redirect_stderr(terminal.file):
        assert not progress.wanted(["-"], quiet=False)
        assert progress.wanted(["x"], quiet=False)
    terminal.shown()


@pytest.mark.parametrize(("delay", "small"), [(3600, 0), (0, 1 << 30)], ids=["soon", "small"])
def test_what_is_soon_read_shows_no_bar(evidence, terminal, monkeypatch, delay, small):
    """Within the first half second, and for evidence of less than a megabyte, nothing flickers."""
    monkeypatch.setattr(analyze, "shown", partial(progress.shown, delay=delay, small=small))
    assert terminal.runs("analyze", evidence, "--format", "json") == 0
    assert terminal.shown() == ""


def test_a_small_case_does_not_load_what_draws_bars(root, terminal, tmp_path):
    """On a terminal too, and however long the start takes."""
    code = "import sys, hanglens.cli\ntry: hanglens.cli.main()\nexcept SystemExit: print('rich' in sys.modules)"
    given = [
        sys.executable,
        "-c",
        code,
        "analyze",
        str(root / "fixtures" / "nccl-missing-rank" / "evidence"),
        "-o",
        str(tmp_path / "r.json"),
    ]
    done = subprocess.run(given, stdout=subprocess.PIPE, stderr=terminal.file, text=True, check=True)
    assert done.stdout == "False\n"
    assert terminal.shown() == ""


# --- the line

BAR = re.compile("[━╸╺]+")  # how long it is, and where its halves lie, is up to the release of Rich


def line(width: int, name: str = "node1/engine.log", *, piped: int = 0, over: bool = False, lang: str = "en", **options) -> str:
    """The line of 10 GB, of which three were read in a minute, or of a pipe that gave so many bytes in it."""
    meter = Meter()
    shows = progress._Line(meter, lang)
    meter.name, meter.over = name, over
    meter._on_disk, meter._done, meter._pipes = 10_000 * MB, 3_000 * MB, 1 if piped else 0
    shows._looks.extend([(0.0, 0), (60.0, piped or 3_000 * MB)])
    shows._looks.popleft()
    console = Console(file=io.StringIO(), width=width, force_terminal=True, **options)
    console.print(shows)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (100, "reading  ━━━━╸━━━━━━━━━━━   3.0/10.0 GB  50.0 MB/s  2:20 left  node1/engine.log"),
        (80, "reading  ━━━━╸━━━━━━━━━━━   3.0/10.0 GB  50.0 MB/s  2:20 left  node1/engine.log"),
        (76, "reading  ━━━━╸━━━━━━━━━━━   3.0/10.0 GB  50.0 MB/s  2:20 left  node1/…ne.log"),
        (40, " 3.0/10.0 GB  50.0 MB/s  2:20 left"),
        (41, "━╸━━━   3.0/10.0 GB  50.0 MB/s  2:20 left"),
        (23, " 3.0/10.0 GB  50.0 MB/s"),
        (20, "━╸━━━━   3.0/10.0 GB"),
        (5, ""),
    ],
)
def test_a_line_of_any_width(width, expected):
    """The figures come first, then the bar, the word, and the name with its middle cut out; it never takes two lines."""
    shown = CODE.sub("", line(width)).rstrip("\n")
    assert BAR.sub("━", shown.rstrip()) == BAR.sub("━", expected[:width].rstrip())
    assert len(shown) <= width
    assert "\n" not in shown


@pytest.mark.parametrize("name", ["日志" * 40, "x" * 300, "[red]a[/red]:smile:", "a\\x1b[2J"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_names_stay_in_the_line(name, lang):
    """Wide characters are counted as wide, and a name is no markup."""
    lines = {width: CODE.sub("", line(width, name, lang=lang)).rstrip("\n") for width in range(1, 130)}
    assert not [shown for width, shown in lines.items() if cell_len(shown) > width or "\n" in shown]
    assert len(name) > 30 or name in lines[120]


def test_no_color():
    """With NO_COLOR the bar is drawn without colours."""
    assert "\x1b[" in line(80, color_system="standard")
    assert not re.search(r"\x1b\[[0-9;]*3\d", line(80, color_system="standard", no_color=True))


def test_when_all_is_read_it_says_that_it_reasons():
    """The bar does not stand at its end."""
    assert CODE.sub("", line(80, over=True)).split() == ["reasoning", "━" * 16]
    assert "推理" in line(80, over=True, lang="zh")


def test_bytes_of_a_pipe():
    """How many have come and how fast."""
    assert CODE.sub("", line(80, "stdin", piped=1_200 * MB)).split("━  ")[1].rstrip() == "1.2 GB  20.0 MB/s  stdin"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:00"), (61, "1:01"), (3600, "1:00:00"), (100_000, "27:46:40")])
def test_time_left(seconds, text):
    """Minutes and seconds, and hours where there are some."""
    assert progress._clock(seconds) == text


@pytest.mark.parametrize(
    ("number", "total", "text"),
    [(0, None, "0 B"), (999, None, "999 B"), (1000, None, "1.0 kB"), (123_456, None, "123 kB"), (5, 2 * MB, "0.0/2.0 MB"), (1, 7, "1/7 B")],
)
def test_amounts(number, total, text):
    """Three digits or so, in the unit of the total."""
    assert progress._amount(number, total) == text
