"""Probes that run beside the samples, each under a deadline: one that hangs, in a driver say, is given up and never waited for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

from hanglens.errors import OUR_FAULT

PROBE_DEADLINE = 45.0  # seconds
LATE = "given up: it did not end before its deadline"
GRACE = 2.0  # seconds that running probes get after Ctrl+C

State = Literal["runs", "done", "late"]
Watch = Callable[[str, State], None]
"""Told of each probe when it begins, ends, or is given up."""


class Stop:
    """Whether to end early. Unlike threading.Event it takes no lock, so that a signal's handler may set it wherever it breaks in."""

    def __init__(self) -> None:
        self._asked = False

    def set(self) -> None:
        """Ask to end."""
        self._asked = True

    def is_set(self) -> bool:
        """Whether somebody asked."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until somebody asks; whether somebody did."""
        ends = time.monotonic() + seconds
        while not self._asked and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        return self._asked


class Beside:
    """Runs probes in threads of their own."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._running: list[tuple[str, threading.Thread, float]] = []
        self._failed: dict[str, str] = {}

    def start(self, name: str, probe: Callable[[], None], deadline: float = PROBE_DEADLINE) -> None:
        """Begin a probe, which gets that many seconds."""

        def whole() -> None:
            try:
                probe()
            except Exception as error:  # noqa: BLE001  a fault of one probe must not take the others' evidence along
                self._failed[name] = f"{OUR_FAULT}: {type(error).__name__}: {error}"
            self._watch(name, "done")

        self._watch(name, "runs")
        thread = threading.Thread(target=whole, name=name, daemon=True)
        thread.start()
        self._running.append((name, thread, time.monotonic() + deadline))

    def wait(self, stop: Stop, only: str = "") -> dict[str, str]:
        """Wait for all, or for `only` one, each until its deadline, or a moment after `stop`; those that failed so far, with why."""
        stopped_at: float | None = None
        while any(name == only or not only for name, _, _ in self._running):
            now = time.monotonic()
            if stop.is_set() and stopped_at is None:
                stopped_at = now
            limit = float("inf") if stopped_at is None else stopped_at + GRACE
            alive = [entry for entry in self._running if entry[1].is_alive()]
            late = [name for name, _, deadline in alive if now >= min(deadline, limit)]
            for name in late:
                self._failed[name] = LATE
                self._watch(name, "late")
            self._running = [entry for entry in alive if entry[0] not in late]
            time.sleep(0.02)
        return dict(self._failed)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Turns Ctrl+C, SIGTERM and SIGHUP into a wish to stop, so that nothing is broken off while it touches a process or a file."""
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    wanted = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]  # nohup's
    before = {number: signal.signal(number, on_signal) for number in wanted}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
