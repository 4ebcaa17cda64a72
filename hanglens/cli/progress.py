"""The line on a terminal that says how far the evidence has been read. Rich is loaded when that has taken a while, not before."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hanglens.cli.output import Lang
from hanglens.meter import Meter

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.progress_bar import ProgressBar
    from rich.text import Text

DELAY = 0.5  # seconds of reading that need no explanation
SMALL = 1 << 20  # bytes that are read before anybody could look at a bar: what takes longer then is the start
EVERY = 0.1  # seconds between two looks at the meter
PATIENCE = 1.0  # seconds to wait at the end for a bar to be wiped: a terminal may be halted, a folder may take long to list
LOOKS = 100  # of which the speed is the mean
BAR = (5, 16)  # cells at least and at most
NAME = 12  # cells at least
GAP = 2  # cells between the parts of the line

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_WORDS: dict[Lang, tuple[str, str, str]] = {"en": ("reading", "reasoning", "{} left"), "zh": ("读取", "推理", "剩余 {}")}


def wanted(paths: Sequence[str], *, quiet: bool) -> bool:
    """Whether a bar may be shown: on a terminal that can move its cursor, and on which nobody is pasting the evidence."""
    pasted = "-" in paths and sys.stdin and sys.stdin.isatty()
    return not quiet and not pasted and bool(sys.stderr) and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


@contextmanager
def shown(meter: Meter, paths: Sequence[str], lang: Lang, *, delay: float = DELAY, small: int = SMALL) -> Iterator[None]:
    """Show on standard error how far `paths` have been read, from `delay` seconds on, and leave no trace of it at the end."""
    over, line = threading.Event(), _Line(meter, lang)

    def show() -> None:
        with suppress(Exception):  # a terminal that has gone, or cannot be drawn on, must not spoil what is read
            if not over.wait(delay):
                meter.measure(paths)
                if (meter.total is None or meter.total > small) and not over.is_set():
                    _show(line, over)

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)


def _show(line: _Line, over: threading.Event) -> None:
    from rich.console import Console
    from rich.live import Live

    # Nothing is redirected: what another thread prints on standard output meanwhile stays there.
    live = Live(line, console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    with live:
        while not over.wait(EVERY):
            line.look()
            live.refresh()


class _Line:
    """What is read, how much of it, how fast and for how long yet: as much of that as a line of the terminal holds."""

    def __init__(self, meter: Meter, lang: Lang) -> None:
        self._meter, self._words = meter, _WORDS[lang]
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)
        self.look()

    def look(self) -> None:
        """Take down how far it has come. The time before the first byte says nothing of the speed."""
        if len(self._looks) == 1 and self._looks[0][1] == self._meter.done:
            self._looks.clear()
        self._looks.append((time.monotonic(), self._meter.done))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import cell_len
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        total, over = self._meter.total, self._meter.over
        facts = next(filter(lambda text: cell_len(text) <= options.max_width, self._facts_by_length()), "")
        word, name, room = self._words[over], "" if over else self._meter.name, options.max_width - cell_len(facts)
        parts: list[tuple[Text | ProgressBar, int]] = [(Text(facts), cell_len(facts))] if facts else []
        if (width := min(BAR[1], room - GAP)) >= BAR[0]:
            bar = ProgressBar(total=None if over else total, completed=self._looks[-1][1], width=width, finished_style="bar.complete")
            parts.insert(0, (bar, width))
            room -= width + GAP
        if (width := cell_len(word)) + GAP <= room:
            parts.insert(0, (Text(word), width))
            room -= width + GAP
        if name and (width := min(room - GAP, cell_len(name))) >= min(NAME, cell_len(name)):
            parts.append((Text(_middle_cut(name, width)), width))
        grid = Table.grid(padding=(0, GAP, 0, 0))
        for _, width in parts:
            grid.add_column(width=width, no_wrap=True, overflow="crop")
        grid.add_row(*(part for part, _ in parts))
        yield grid

    def _facts_by_length(self) -> Iterator[str]:
        """The figures, then without the last of them, and so on."""
        facts = tuple(self._facts())
        return ((" " * GAP).join(facts[:number]) for number in range(len(facts), 0, -1))

    def _facts(self) -> Iterator[str]:
        """Bytes read and in all, bytes a second, and the time left, of which each is left out where it is not known."""
        if self._meter.over:
            return
        (began, before), (now, done) = self._looks[0], self._looks[-1]
        total, speed = self._meter.total, (done - before) / (now - began) if done > before else 0
        yield _amount(done) if total is None else _amount(done, total)
        if speed:
            yield f"{_amount(int(speed))}/s"
        if speed and total is not None and done * 100 >= total:  # before that the rules are being loaded beside
            yield self._words[2].format(_clock((total - done) / speed))


def _amount(number: int, total: int | None = None) -> str:
    """Bytes, "1.2 GB", or "0.3/1.2 GB" in the unit of the total, as wide at the beginning as at the end."""
    most = number if total is None else total
    power = next((n for n in range(len(_UNITS)) if round(most, -3 * n) < 1000 ** (n + 1)), len(_UNITS) - 1)
    digits = 1 if power and most < 100 * 1000**power else 0
    whole = f"{most / 1000**power:.{digits}f}"
    part = "" if total is None else f"{number / 1000**power:>{len(whole)}.{digits}f}/"
    return f"{part}{whole} {_UNITS[power]}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _middle_cut(name: str, width: int) -> str:
    """A name of at most so many cells: its beginning and its end, which both may tell it from others."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= width:
        return name
    after = (width - 1) // 2
    return set_cell_size(name, width - 1 - after).rstrip() + "…" + set_cell_size(name[::-1], after)[::-1].lstrip()
