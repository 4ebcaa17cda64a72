"""Probes that run beside the samples, each under a deadline: one that hangs, in a driver say, is given up and never waited for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

PROBE_DEADLINE = 45.0  # seconds
GRACE = 2.0  # seconds that running probes get after Ctrl+C

State = Literal["runs", "done", "late"]
Watch = Callable[[str, State], None]
"""Told of each probe when it begins, ends, or is given up."""


class Beside:
    """Runs probes in threads of their own."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._running: list[tuple[str, threading.Thread, float]] = []

    def start(self, name: str, probe: Callable[[], None], deadline: float = PROBE_DEADLINE) -> None:
        """Begin a probe, which gets that many seconds."""

        def whole() -> None:
            probe()
            self._watch(name, "done")

        self._watch(name, "runs")
        thread = threading.Thread(target=whole, name=name, daemon=True)
        thread.start()
        self._running.append((name, thread, time.monotonic() + deadline))

    def wait(self, stop: threading.Event, only: str = "") -> list[str]:
        """Wait for all, or for `only` one, each until its deadline, or a moment after `stop`; the names of those given up."""
        late: list[str] = []
        stopped_at: float | None = None
        while any(name == only or not only for name, _, _ in self._running):
            now = time.monotonic()
            if stop.is_set() and stopped_at is None:
                stopped_at = now
            limit = float("inf") if stopped_at is None else stopped_at + GRACE
            over = [name for name, _, deadline in self._running if now >= min(deadline, limit)]
            alive = [(name, thread, deadline) for name, thread, deadline in self._running if thread.is_alive()]
            for name in (name for name, _, _ in alive if name in over):
                late.append(name)
                self._watch(name, "late")
            self._running = [entry for entry in alive if entry[0] not in over]
            stop.wait(0.02) if not stop.is_set() else time.sleep(0.02)
        return late


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Turns Ctrl+C, SIGTERM and SIGHUP into an event, so that nothing is broken off while it touches a process or a file."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
