"""Reads flight-recorder dumps, in several processes where there are many.

A dump takes some milliseconds, nearly all of them inside of the unpickler; a job of thousands of ranks leaves thousands of dumps.
"""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from hanglens.machine import cores
from hanglens.model import Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.flight_recorder import parse_flight_recorder
from hanglens.pickles import confine

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

ALONE = 1 << 18  # bytes of dumps that this process reads itself: sooner than another one has started
MOST_PROCESSES = 8
AHEAD = 3  # dumps for each process that may be under way

_Dump = tuple[bytes, Place, int]
_SERVE = "import sys; sys.path[:] = {path!r}; from hanglens.parse.dump_readers import serve; serve()"


def serve() -> None:
    """The life of a helper process: dumps come on standard input, what was read of them goes to standard output."""
    confined = confine()
    gc.disable()  # what a dump holds has no cycles, and looking for some takes a third of the time
    while True:
        try:
            data, place, size = pickle.load(sys.stdin.buffer)  # noqa: S301  the other end is the process that started this one
        except EOFError:
            return
        pickle.dump(parse_flight_recorder(data, place, size, confined=confined), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


class _Helper:
    """A process that reads dumps for us, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter
            [sys.executable, "-S", "-c", _SERVE.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def read(self, dump: _Dump) -> Parsed:
        """Raises OSError, EOFError or UnpicklingError if the process has ended: a dump may ask for more memory than it is allowed."""
        if self._process.stdin is None or self._process.stdout is None:
            raise EOFError
        pickle.dump(dump, self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        parsed: Parsed = pickle.load(self._process.stdout)  # noqa: S301  our own process, which imports nothing that a dump names
        return parsed

    def end(self) -> None:
        """It has nothing to lose: it is not asked."""
        self._process.kill()
        self._process.communicate()


class DumpReaders:
    """Reads dumps; `close` ends the processes that help."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = min(cores() if processes is None else processes, MOST_PROCESSES)
        self._threads: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._helpers: list[_Helper] = []
        self._under_way: deque[Future[Parsed]] = deque()
        self._seen = 0
        self._closed = False

    def close(self) -> None:
        """End the processes that help; what they have not read by now is not waited for."""
        self._closed = True
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)
        for helper in self._helpers:
            helper.end()

    def read(self, data: bytes, place: Place, size: int) -> Callable[[], Parsed]:
        """Begin to read a dump; what is returned gives the result. Waits while too many are under way."""
        dump = data, place, size
        self._seen += len(data)
        if self._seen <= ALONE or self._processes < 2:
            parsed = parse_flight_recorder(*dump)
            return lambda: parsed
        future = self._pool().submit(self._ask, dump)
        self._under_way.append(future)
        if len(self._under_way) > AHEAD * self._processes:
            self._under_way.popleft().exception()  # waits
        return future.result

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # which loads logging: a twentieth of a start

            self._threads = ThreadPoolExecutor(self._processes, "read-dumps")
        return self._threads

    def _ask(self, dump: _Dump) -> Parsed:
        """Each thread has a helper of its own. What that cannot read, this process looks through and says what is wrong."""
        try:
            if getattr(self._local, "helper", None) is None:
                self._local.helper = _Helper()
                self._helpers.append(self._local.helper)
            helper: _Helper = self._local.helper
            return helper.read(dump)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._local.helper = None
            return Parsed() if self._closed else parse_flight_recorder(*dump)
