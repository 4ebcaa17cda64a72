"""Mutates recorded evidence and tries whether HangLens stands it: `python -m tests.fuzz.fuzz --seconds 60`; `make fuzz` runs it.

Each mutant depends on the seed and its own number only: `--seed 42 --first 1234 --rounds 1` makes one again. A mutant that ends the
process itself is left in the folder that it worked in.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.fuzz.evidence import ROOT, Case, fixtures, labelled, rule_files
from tests.fuzz.found import FOUND, PRIVATE, keep
from tests.fuzz.invariants import Fault
from tests.fuzz.mutants import Mutant, make
from tests.fuzz.smaller import smaller
from tests.fuzz.trial import Bench

_ADDRESSES = 6 << 30  # bytes of address space more than at the start
_MEMORY = Path("/dev/shm")
_STUCK = 600.0  # seconds after which code that no signal reaches is ended, with its stack, and the process with it
_OFTEN = 100  # mutants; to start that clock again takes as long as a small mutant


class Fuzzer:
    """Goes through the mutants of a seed, and keeps the first one that breaks something of each kind."""

    def __init__(self, seed: int, cases: Sequence[Case], bench: Bench, keep_in: Path | None) -> None:
        self.seed, self._cases, self._bench, self._keep_in = seed, cases, bench, keep_in
        self._rules = rule_files()
        self.seen: dict[tuple[str, str], int] = {}
        self.tried, self.seconds = 0, 0.0

    def round(self, number: int) -> None:
        """Make and try one mutant."""
        if self.tried % _OFTEN == 0:
            _wind_up()
        began = time.monotonic()
        mutant = make(self.seed, number, self._cases, self._rules)
        faults = self._bench.faults(mutant)
        self.tried += 1
        self.seconds += time.monotonic() - began
        for fault in faults:
            self.seen[fault.kind] = self.seen.get(fault.kind, 0) + 1
            if self.seen[fault.kind] == 1:
                self._tell(number, mutant, fault)

    def _tell(self, number: int, mutant: Mutant, fault: Fault) -> None:
        _wind_up()
        small = smaller(mutant, lambda other: any(_alike(fault, one) for one in self._bench.faults(other)), self._bench.unpacked)
        home = keep(small, fault, self._keep_in or (FOUND if small.free else PRIVATE))
        print(f"\n{fault}\n{fault.stack}mutant {number} of seed {self.seed}, kept in {home}", flush=True)


def _alike(fault: Fault, other: Fault) -> bool:
    """Of the same kind; where a run-away was stopped is chance."""
    return other.kind == fault.kind or other.kind[0] == fault.kind[0] == "RunAway"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long new mutants are tried")
    parser.add_argument("--seed", type=int, default=None, help="by default another one each time")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant")
    parser.add_argument("--rounds", type=int, default=None, help="how many mutants are tried, whatever time that takes")
    parser.add_argument("--keep", type=Path, default=None, help=f"where failing inputs go; by default {FOUND.relative_to(ROOT)}")
    parser.add_argument("--labelled", type=Path, default=None, metavar="DIR", help="also DIR/cases*/*/evidence, as far as it is there")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; 1 if something broke."""
    options = _options(arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    cases = fixtures() + (labelled(options.labelled) if options.labelled else [])
    work = Path(tempfile.mkdtemp(prefix="hanglens-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
    fuzzer = Fuzzer(seed, cases, Bench(work / "mutant"), options.keep)
    with suppress(KeyboardInterrupt):  # what was found so far is printed
        for number in itertools.count(options.first):
            if fuzzer.tried >= options.rounds if options.rounds is not None else fuzzer.seconds >= options.seconds:
                break
            fuzzer.round(number)
    faulthandler.cancel_dump_traceback_later()
    shutil.rmtree(work)
    return _report(fuzzer)


def _wind_up() -> None:
    """Start the clock again that ends the process where it is stuck."""
    faulthandler.dump_traceback_later(_STUCK, exit=True, file=sys.__stderr__ or sys.stderr)


def _confine() -> None:
    """For a process of its own: a mutant that crashes it is reported with its stack, and one that fills the memory gets no more."""
    faulthandler.enable()
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESSES, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _report(fuzzer: Fuzzer) -> int:
    for kind, times in sorted(fuzzer.seen.items(), key=lambda one: -one[1]):
        print(f"{times:6} × {' in '.join(kind)}")
    print(f"fuzz: {fuzzer.tried} mutants in {fuzzer.seconds:.0f} s, {len(fuzzer.seen)} faults (seed {fuzzer.seed})")
    return 1 if fuzzer.seen else 0


if __name__ == "__main__":
    _confine()
    raise SystemExit(main())
