"""Logs of any size of which it is known what a search has to find: lines of markers, and silences between stamps.

The rest says nothing to any pattern. It looks like NCCL 2.28 at NCCL_DEBUG=TRACE, which prints no stamps, mixed with LMDeploy 0.18 at
level DEBUG, whose threads do not write in the order of their stamps.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.benchmarks.markers import FLOODS, RARE

_BEGIN = datetime(2026, 1, 5, 9)
_BLOCK = (400, 1200)  # lines; the clock jumps between two blocks, so that no size of a reader's own falls together with them
_CALM = 20  # lines at each end of a block without markers and late stamps, so that it is plain which two stamps a silence lies between
_UNSTAMPED = 154  # of 256 lines
_STAMPED = bytes(range(_UNSTAMPED, 256))
_CALLING = 203  # of 256 lines without a stamp: they tell of a collective call
_SILENCES = 5
_SILENT = 45_000  # milliseconds
_OPS = ("AllReduce", "AllGather", "ReduceScatter", "Broadcast", "Reduce", "Send", "Recv")
_HEADS = tuple(f"node{rank // 8}:{4000 + rank}:{5000 + rank} [{rank % 8}] " for rank in range(16))
_CALLS = tuple(f"{head}NCCL INFO {op}: opCount " for head in _HEADS for op in _OPS)
_SAID = (
    "engine_loop.py:398 - Response: num_outputs=",
    "inputs_maker.py:633 - Make forward inputs with prefill=False, enable_empty=True, step=",
    "inputs_maker.py:702 - Prefetching next forward inputs, step=",
    "agent.py:745 - preprocessing forward inputs done. num_tokens=",
    "scheduler.py:311 - Schedule decoding: num_running=",
    "session_manager.py:88 - [request_handle] releasing the instance of session ",
    "async_engine.py:402 - [generate] started session ",
)


@dataclass(frozen=True)
class Mix:
    """So many of all lines are markers, and so many of these are floods."""

    rate: float
    floods: float


RARELY = Mix(1 / 10_000, 0.15)
OFTEN = Mix(0.05, 0.995)


@dataclass(frozen=True)
class Silence:
    """The number of the last stamped line before it, and the stamps around it, as ISO 8601."""

    line: int
    start: str
    end: str


@dataclass
class Planted:
    """The answers: how many lines there are, which are markers, which of them a pattern recognises, the silences, and the last stamp."""

    lines: int = 0
    markers: list[int] = field(default_factory=list)
    named: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    silences: list[Silence] = field(default_factory=list)
    end: str = ""


class _Clock:
    """Milliseconds since the log began, in the forms of the loggers, and when the last line in order was stamped."""

    def __init__(self) -> None:
        self.now = 0
        self.heard = self.heard_at = 0
        self.fresh = True  # nothing of this block is stamped yet: what pauses last, was said before it
        self._second, self._text = -1, ""

    def tick(self, milliseconds: int, line: int) -> str:
        """Go on, and stamp a line."""
        self.now += 0 if self.fresh else milliseconds
        self.fresh, self.heard, self.heard_at = False, line, self.now
        return self.stamp()

    def stamp(self, late: int = 0) -> str:
        """As Python's logging prints it."""
        second, fraction = divmod(self.now - late, 1000)
        if second != self._second:
            self._second, self._text = second, f"{_BEGIN + timedelta(seconds=second):%Y-%m-%d %H:%M:%S}"
        return f"{self._text},{fraction:03d}"

    def glog(self) -> str:
        """As C++ prints it: without a year, the month not padded."""
        moment = _BEGIN + timedelta(milliseconds=self.now)
        return f"{moment.month}{moment:%d %H:%M:%S.%f}"

    def iso(self, milliseconds: int) -> str:
        """As a Diagnosis tells it."""
        return (_BEGIN + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")


class _Writer:
    """Makes one log, block by block."""

    def __init__(self, mix: Mix, seed: int) -> None:
        self.planted = Planted()
        self._mix, self._random, self._clock = mix, random.Random(seed), _Clock()
        self._ends = tuple(self._end_of_call() for _ in range(8))
        self._distance = self._draw_distance()  # lines to the next marker
        self._calm = 0  # from this line of a block on

    def block(self) -> str:
        """Some hundred lines, during which the clock goes on."""
        count = self._random.randint(*_BLOCK)
        kinds, marked = self._random.randbytes(count), self._marked(count)
        unstamped = iter(self._nccl(len(kinds.translate(None, _STAMPED))))
        self._calm = count - _CALM
        return self._told([
            self._marker(at) if at in marked else next(unstamped) if kind < _UNSTAMPED else self._engine(at, kind)
            for at, kind in enumerate(kinds)
        ])  # fmt: skip

    def unstamped(self) -> str:
        """What NCCL alone prints while the clock stands."""
        count = self._random.randint(*_BLOCK)
        return self._told(self._nccl(count))

    def jump(self, milliseconds: int) -> None:
        """Let time pass without a line."""
        self._clock.now += milliseconds

    def silence(self, milliseconds: int) -> str:
        """A jump that is to be found; during some NCCL goes on."""
        line, start = self._clock.heard, self._clock.iso(self._clock.heard_at)
        said = self.unstamped() if self._random.random() < 0.5 else ""
        self.jump(milliseconds)
        self.planted.silences.append(Silence(line, start, self._clock.iso(self._clock.now)))
        return said

    def _told(self, lines: list[str]) -> str:
        self.planted.lines += len(lines)
        self.planted.end = self._clock.iso(self._clock.heard_at)
        self._clock.fresh = True
        return "\n".join(lines) + "\n"

    def _marked(self, count: int) -> frozenset[int]:
        """The lines of a block that are markers; none where it has to be calm."""
        marked = set()
        while self._distance < count:
            marked.add(min(max(self._distance, _CALM), count - _CALM))
            self._distance += self._draw_distance()
        self._distance -= count
        return frozenset(marked)

    def _draw_distance(self) -> int:
        return 1 + int(self._random.expovariate(self._mix.rate))

    def _marker(self, at: int) -> str:
        number = self.planted.lines + at + 1
        marker = self._random.choice(FLOODS if self._random.random() < self._mix.floods else RARE)
        self.planted.markers.append(number)
        for name in marker.names:
            self.planted.named[name].append(number)
        rank, stamp = self._random.randrange(16), self._clock.stamp()
        return marker.text.format(
            host=f"node{rank // 8}", pid=4000 + rank, thread=5000 + rank, gpu=rank % 8, peer=(rank + 1) % 8, rank=rank,
            number=self._random.randrange(1, 90_000), small=self._random.randrange(64), pointer=f"{self._random.getrandbits(40):x}",
            other=f"{self._random.getrandbits(60):x}", stamp=stamp, second=stamp[:-4],
            glog=self._clock.glog() if "{glog}" in marker.text else "",
        )  # fmt: skip

    def _engine(self, at: int, kind: int) -> str:
        """A line that has a stamp. Some come late, as if their thread had waited for its turn."""
        late = 9 * kind - 1386 if kind & 31 == 31 and _CALM <= at < self._calm and not self._clock.fresh else 0
        number = self.planted.lines + at + 1
        stamp = self._clock.stamp(late) if late else self._clock.tick(kind & 15, number)
        return f"{stamp} - lmdeploy - DEBUG - {_SAID[kind % 7]}{number * 7919 % 4001}"

    def _nccl(self, count: int) -> list[str]:
        """Lines that have none."""
        digits, ends, begin = self._random.randbytes(12 * count).hex(), self._ends, 24 * self.planted.lines
        return [
            f"{_CALLS[n % 112]}{begin + at >> 10:x} sendbuff 0x{digits[at : at + 12]} recvbuff 0x{digits[at + 12 : at + 24]}"
            f" count {n >> 12}{ends[n & 7]}"
            if n & 255 < _CALLING else
            f"{_HEADS[n & 15]}{n >> 4}.{n % 1000:03d} ncclLaunchKernel:{n % 2048}"
            f" NCCL TRACE 0x{digits[at : at + 12]} 0x{digits[at + 12 : at + 24]} -> 0"
            for at, n in zip(range(0, 24 * count, 24), memoryview(self._random.randbytes(4 * count)).cast("I"), strict=True)
        ]  # fmt: skip

    def _end_of_call(self) -> str:
        comm, stream = self._random.getrandbits(40), self._random.getrandbits(40)
        return f" datatype 7 op 0 root 0 comm 0x{comm:x} [nranks=8] stream 0x{stream:x}"


def write_planted(path: Path, size: int, mix: Mix, seed: int) -> Planted:
    """Fill a file with about so many bytes. The same seed gives the same log."""
    writer, written = _Writer(mix, seed), 0
    pauses = _pauses(random.Random(seed))
    with path.open("w", encoding="ascii", newline="\n") as file:
        for number, pause in enumerate((*pauses, 0), 1):
            written += file.write(writer.block())  # two pauses would be one where nothing stands between them
            while written < size * number // (len(pauses) + 1):
                written += file.write(writer.block())
            if pause >= _SILENT:
                written += file.write(writer.silence(pause))
            else:
                writer.jump(pause)
    return writer.planted


def _pauses(random_numbers: random.Random) -> list[int]:
    """Milliseconds, in any order: as many silences as jumps that are none."""
    long = [random_numbers.randint(_SILENT, 900_000) for _ in range(_SILENCES)]
    short = [random_numbers.randint(5_000, 10_000) for _ in range(_SILENCES)]
    return random_numbers.sample(long + short, 2 * _SILENCES)
