"""How fast large logs are searched, beside ripgrep and grep, and whether all is found that is in them.

`python -m tests.benchmarks.search [--scale 0.05] [--rounds 5]` prints two tables. The first has medians; "times ours" is the median of
what a peer took in a round in times of what HangLens took in the same one, and MiB the most memory (rg maps a file that it is given alone,
and its pages count). The second has what was found / what was planted + what is extra.

The logs are made in a temporary folder (`TMPDIR`), 4 GB at most at a time. They stay in the cache of a machine with more memory than
that: what is measured is the search, not the disk. The peers look for the same literals and write the lines into a file, since into
/dev/null they would stop at the first.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from hanglens.knowledge.load import load_rules
from hanglens.reading import search_index
from tests.benchmarks.measure import ANALYZE, Run, measure
from tests.benchmarks.planted import OFTEN, RARELY, Mix, Planted, write_planted
from tests.benchmarks.scores import JSON, same_without_hyperscan, score_events, score_silences

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MB, GB = 1_000_000, 1_000_000_000
FILES = 64
SMALL = 10 * MB  # a log that the plain search takes some seconds for


@dataclass(frozen=True)
class Log:
    """A file or a folder that was made, how many bytes a search goes through, and the answers by the names of files."""

    title: str
    path: Path
    size: int
    answers: dict[str, Planted]


@dataclass(frozen=True)
class Searcher:
    """A command that searches a log, and what it needs in its environment."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def plain(folder: Path, title: str, size: int, mix: Mix) -> Log:
    """One file."""
    path = folder / "job.log"
    answer = write_planted(path, size, mix, seed=1)
    return Log(title, path, path.stat().st_size, {path.name: answer})


def packed(folder: Path, title: str, size: int, pack: Callable[[Path], Path]) -> Log:
    """One compressed file."""
    log = plain(folder, title, size, RARELY)
    path = pack(log.path)
    log.path.unlink()
    return Log(f"{title} ({path.stat().st_size / MB:.0f} MB)", path, log.size, {path.name: log.answers["job.log"]})


def many(folder: Path, title: str, size: int) -> Log:
    """A folder of different files."""
    answers = {f"rank-{seed}.log": write_planted(folder / f"rank-{seed}.log", size, RARELY, seed) for seed in range(FILES)}
    return Log(title, folder, sum(path.stat().st_size for path in folder.iterdir()), answers)


def gzipped(path: Path) -> Path:
    """As `gzip` does it."""
    packed_path = path.with_name(f"{path.name}.gz")
    with path.open("rb") as log, gzip.open(packed_path, "wb", compresslevel=6) as file:
        shutil.copyfileobj(log, file, MB)
    return packed_path


def zstandardized(path: Path) -> Path:
    """As `zstd` does it."""
    packed_path = path.with_name(f"{path.name}.zst")
    with path.open("rb") as log, zstd.open(packed_path, "wb", level=3) as file:
        shutil.copyfileobj(log, file, MB)
    return packed_path


def ours(path: Path, _literals: Path) -> Searcher:
    """As a user runs it."""
    return Searcher("hanglens", (*ANALYZE, *JSON, str(path)))


def one_thread(path: Path, literals: Path) -> Searcher:
    """The same on one core, where it starts no other thread."""
    return Searcher("hanglens, one thread", ("taskset", "-c", "0", *ours(path, literals).command))


def ripgrep(path: Path, literals: Path) -> Searcher:
    """The literals alone, with the numbers and the offsets of their lines."""
    how = ("--no-ignore",) if path.is_dir() else () if path.suffix == ".log" else ("-z",)
    return Searcher("rg", ("rg", *how, "-a", "-F", "-n", "-b", "-f", str(literals), str(path)))


def grep(path: Path, literals: Path) -> Searcher:
    """The same by GNU grep."""
    return Searcher(
        "grep", ("grep", *(("-r",) if path.is_dir() else ()), "-a", "-F", "-n", "-b", "-f", str(literals), str(path)), {"LC_ALL": "C"}
    )


def race(searchers: Sequence[Searcher], rounds: int, outputs: Path) -> dict[str, list[Run]]:
    """Each in turn, so often; another one begins each round."""
    runs: dict[str, list[Run]] = {searcher.name: [] for searcher in searchers}
    for number in range(rounds):
        first = number % len(searchers)
        for searcher in (*searchers[first:], *searchers[:first]):
            output = None if searcher.name == "hanglens" else outputs / searcher.name
            runs[searcher.name].append(measure(searcher.command, output=output, environment=searcher.environment))
    return runs


def rows(log: Log, runs: dict[str, list[Run]]) -> Iterator[str]:
    """Medians, and the median of what each took in a round in times of what HangLens took in it."""
    for number, (name, own) in enumerate(runs.items()):
        seconds = median(run.seconds for run in own)
        times = median(run.seconds / our.seconds for run, our in zip(own, runs["hanglens"], strict=True))
        head = f"{log.title:24} {log.size / MB:6.0f}" if number == 0 else f"{'':31}"
        speed = log.size / MB / seconds
        yield f"{head}  {name:20} {seconds:7.2f} {speed:6.0f} {max(run.mib for run in own):5.0f} {times if number else 1:10.2f}"


def score(log: Log, told: str, outputs: Path) -> str:
    """A row of what was found; what rg printed tells how many lines hold a literal."""
    lines = sum(answer.lines for answer in log.answers.values())
    planted = sum(len(answer.markers) for answer in log.answers.values())
    found = outputs / "rg"
    hit = str(_count_lines(found)) if found.exists() else "-"
    events, silences = score_events(log.path, log.answers), score_silences(told, log.answers)
    return f"{log.title:24} {lines:9} {planted:8} {hit:>8}  {events!s:>15} {silences!s:>12}"


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(MB), b""))


def cases(scale: float) -> Iterator[tuple[Callable[[Path], Log], tuple[Callable[[Path, Path], Searcher], ...]]]:
    """How to make each log in a folder, and who searches it."""
    for title, mix in (("one file, rare hits", RARELY), ("one file, 5 % hits", OFTEN)):
        yield partial(plain, title=title, size=int(GB * scale), mix=mix), (ours, ripgrep, grep)
    for title, pack in (("rare, .gz", gzipped), ("rare, .zst", zstandardized)):
        yield partial(packed, title=title, size=int(GB * scale), pack=pack), (ours, ripgrep)
    yield partial(many, title=f"{FILES} files, rare hits", size=int(64 * MB * scale)), (ours, one_thread, ripgrep, grep)
    for size in (10 * MB, 100 * MB, GB, 4 * GB):
        yield partial(plain, title="growth, rare hits", size=int(size * scale), mix=RARELY), (ours,)


def take(scale: float, rounds: int) -> Iterator[str]:
    """Print the table of times; the rows of what was found, as each log was there."""
    with tempfile.TemporaryDirectory() as home:
        literals = Path(home) / "literals"
        literals.write_text("".join(f"{text}\n" for text in search_index(load_rules()).scanner.literals), encoding="utf-8")
        for make, searchers in cases(scale):
            with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as outputs:
                log = make(Path(folder))
                all_of_them = [searcher(log.path, literals) for searcher in searchers]
                runs = race([found for found in all_of_them if shutil.which(found.command[0])], rounds, Path(outputs))
                print(*rows(log, runs), sep="\n", flush=True)
                yield score(log, runs["hanglens"][0].told, Path(outputs))


def main() -> None:
    """The table of times, then the table of what was found."""
    parser = argparse.ArgumentParser(prog="search")
    parser.add_argument("--scale", type=float, default=1.0, help="all sizes times this")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'log':24} {'MB':>6}  {'by':20} {'s':>7} {'MB/s':>6} {'MiB':>5} {'times ours':>10}")
    scores = list(take(given.scale, given.rounds))
    print(f"\n{'log':24} {'lines':>9} {'planted':>8} {'rg finds':>8}  {'events':>15} {'silences':>12}", *scores, sep="\n")
    for title, mix in (("rare hits", RARELY), ("5 % hits", OFTEN)):
        with tempfile.TemporaryDirectory() as folder:
            same = same_without_hyperscan(plain(Path(folder), title, int(SMALL * min(given.scale, 1)), mix).path)
        print(f"Diagnosis of {title} without Hyperscan: {'the same bytes' if same else 'DIFFERS'}")


if __name__ == "__main__":
    main()
