"""Probes that run beside the samples, and signals that end a collection early."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from hanglens.collect import beside
from hanglens.collect.beside import LATE, Beside, Stop, stopped_by_signals


def test_all_probes_are_waited_for() -> None:
    """Probes run at one time, each is told of when it begins and ends, and none is late."""
    seen: list[tuple[str, str]] = []
    both = threading.Barrier(2, timeout=5)
    probes = Beside(lambda name, state: seen.append((name, state)))
    for name in ("one", "other"):
        probes.start(name, lambda: both.wait() and None)
    assert probes.wait(threading.Event()) == {}
    assert sorted(seen) == [("one", "done"), ("one", "runs"), ("other", "done"), ("other", "runs")]


def test_one_that_hangs_is_given_up_and_the_others_are_not() -> None:
    """Behind its deadline a probe is waited for no longer, and named."""
    seen: list[tuple[str, str]] = []
    over = threading.Event()
    probes = Beside(lambda name, state: seen.append((name, state)))
    probes.start("hangs", lambda: over.wait(60) and None, 0.2)
    probes.start("takes longer", lambda: time.sleep(0.5), 10)
    began = time.monotonic()
    assert probes.wait(threading.Event()) == {"hangs": LATE}
    assert 0.4 < time.monotonic() - began < 30  # instead of 60
    assert ("hangs", "late") in seen
    assert ("takes longer", "done") in seen
    over.set()


def test_a_fault_of_one_probe_is_told_and_the_others_go_on() -> None:
    """A probe that raises ends like any other, and why it failed is known."""
    seen: list[tuple[str, str]] = []
    probes = Beside(lambda name, state: seen.append((name, state)))
    probes.start("breaks", lambda: next(iter(())))
    probes.start("works", lambda: None)
    failed = probes.wait(threading.Event())
    assert list(failed) == ["breaks"]
    assert "StopIteration" in failed["breaks"]
    assert ("breaks", "done") in seen


def test_a_moment_after_ctrl_c_none_is_waited_for(monkeypatch) -> None:
    """Once stopped the probes get a moment to end, however long their deadlines are."""
    monkeypatch.setattr(beside, "GRACE", 0.2)
    over, stop = threading.Event(), threading.Event()
    probes = Beside(lambda *_: None)
    probes.start("hangs", lambda: over.wait(60) and None)
    probes.start("ends soon", lambda: time.sleep(0.1))
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    assert probes.wait(stop) == {"hangs": LATE}
    assert time.monotonic() - began < 30  # instead of 60
    over.set()


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_signals_stop_and_are_given_back() -> None:
    """SIGINT and SIGTERM set the event and raise nothing; behind it they do what they did before."""
    before = signal.getsignal(signal.SIGINT)
    for number in (signal.SIGINT, signal.SIGTERM):
        with stopped_by_signals() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            assert stop.wait(2)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_of_the_main_thread_signals_are_let_alone() -> None:
    """Only the main thread may have handlers; elsewhere there is an event that nobody sets."""
    found: list[bool] = []

    def elsewhere() -> None:
        with stopped_by_signals() as stop:
            found.append(stop.is_set())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(5)
    assert found == [False]


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_what_is_ignored_stays_ignored() -> None:
    """Under nohup a closed terminal ends nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_asks_to_stop_from_within_a_wait_is_heard() -> None:
    """A handler that breaks into a wait sets what is waited for, a hundred times over, and never waits for itself."""
    for _ in range(100):
        stop = Stop()
        before = signal.signal(signal.SIGALRM, lambda *_, stop=stop: stop.set())
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        try:
            assert stop.wait(5)
        finally:
            signal.signal(signal.SIGALRM, before)
    assert not Stop().wait(0.01)
