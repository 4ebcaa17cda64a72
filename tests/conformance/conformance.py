"""Checks that the markers our tables name stand in the programs that are said to print them, version by version.

Run it by `make conformance`: it downloads published wheels (see wheels.yaml) and reads them without unpacking or installing.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from zipfile import ZipFile

import click

from hanglens.knowledge.load import load_rules
from hanglens.knowledge.packaged import packaged
from hanglens.knowledge.tables import load_tracks
from hanglens.knowledge.yamlfile import Plain, read_yaml
from hanglens.parse import engines, lmdeploy, nccl, torch
from hanglens.scan import Pattern

BLOCK = 1 << 24
LONGEST_MARKER = 1 << 10
HOLE = "\0"  # what an f-string fills in
PARSERS = {"nccl": nccl, "torch": torch, "lmdeploy": lmdeploy, "engines": engines}

Record = dict[str, Plain]


@dataclass(frozen=True, slots=True)
class Claim:
    """A table says that a program prints one of `literals`: every version in `span`, or any version if there is no span."""

    marker: str
    packages: frozenset[str]
    literals: tuple[str, ...]
    span: str = ""


@dataclass(frozen=True, slots=True)
class Wheel:
    """What one published version holds: the literals found in it, and the names of its modules, classes and functions."""

    package: str
    version: str
    literals: frozenset[str]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Table:
    """wheels.yaml."""

    platforms: list[str]
    packages: dict[str, Record]
    programs: dict[str, str]
    composed: dict[str, list[str]]
    elsewhere: dict[str, list[str]]

    def excuses(self, name: str) -> bool:
        """Whether it stands in no wheel that we download, and we know why."""
        return any(name in names for names in self.elsewhere.values())

    def pieces(self, literal: str) -> list[str]:
        """What stands in the source for this literal."""
        return self.composed.get(literal, [literal])


def main(cache: Path, only: Collection[str]) -> int:
    """Print each marker with the versions that hold it; 1 if a claim does not stand. Frames are checked where all packages are."""
    table = Table(**cast(Any, read_yaml(Path(__file__).with_name("wheels.yaml"), "wheels.yaml")))
    packages = [package for package in table.packages if not only or package in only]
    claims = [*stage_claims(table), *parser_claims(table), *rule_claims(table)]
    wheels = [wheel for package in packages for wheel in read_package(package, table, claims, cache)]
    wrong = [line for package in packages for line in check_package(package, claims, wheels, table)]
    wrong += [] if only else [f"frames.yaml: no program has {name}" for name in unknown_names(wheels, table)]
    click.echo("\n".join(["", f"{len(claims)} claims, {len(wheels)} wheels, {len(wrong)} wrong", *wrong]))
    return bool(wrong)


def stage_claims(table: Table) -> Iterator[Claim]:
    """The marks and stages of stages.yaml; `versions` of a track or a stage is their span."""
    raw = cast(dict[str, Record], read_yaml(packaged("stages.yaml"), "stages.yaml"))
    for track in load_tracks():
        span = str(raw[track.name]["versions"])
        spans = {f"{track.name}/{entry['id']}": str(entry.get("versions", span)) for entry in cast(list[Record], raw[track.name]["stages"])}
        for pattern in track.marks:
            yield from claims_of(pattern, pattern.sources, table)
        for stage in track.stages:
            yield from claims_of(stage.pattern, stage.pattern.sources, table, spans[stage.id])


def parser_claims(table: Table) -> Iterator[Claim]:
    """The patterns of the parsers; in engines.py the first part of a name says whose line it is."""
    for module, parser in PARSERS.items():
        for pattern in parser.PATTERNS:
            program = pattern.name.split(".")[0] if module == "engines" else module
            yield from claims_of(pattern, {program}, table)


def rule_claims(table: Table) -> Iterator[Claim]:
    """The patterns of packaged rules that name their programs."""
    for rule in load_rules().rules:
        for pattern in rule.patterns():
            yield from claims_of(pattern, pattern.sources, table)


def claims_of(pattern: Pattern, sources: Iterable[str], table: Table, span: str = "") -> Iterator[Claim]:
    """Each wording stands in some version, and one of them in each version of the span."""
    packages = frozenset(table.programs[source] for source in sources if source in table.programs)
    wordings = tuple(literal for literal in pattern.required() if not table.excuses(literal))
    if packages and wordings:
        yield from ([Claim(pattern.name, packages, wordings, span)] if span else [])
        yield from (Claim(pattern.name, packages, (wording,)) for wording in wordings)


def read_package(package: str, table: Table, claims: list[Claim], cache: Path) -> Iterator[Wheel]:
    """Every version of a package, searched for the literals that are claimed of it."""
    wanted = {piece for claim in claims if package in claim.packages for literal in claim.literals for piece in table.pieces(literal)}
    entry = table.packages[package]
    for version in cast(list[str], entry["versions"]):
        with ZipFile(download(package, version, table, cache)) as archive:
            yield read_wheel(Wheel(package, version, frozenset(wanted), frozenset()), archive, str(entry.get("libraries", HOLE)))


def download(package: str, version: str, table: Table, cache: Path) -> Path:
    """The wheel of a version, without what it depends on."""
    name = f"{package.replace('-', '_')}-{version}-*.whl"
    if not list(cache.glob(name)):
        platforms = [word for platform in table.platforms for word in ("--platform", platform)]
        target = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none", *platforms]
        options = ["--quiet", "--no-deps", "--only-binary=:all:", *target, "-d", str(cache)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"{package}=={version}"], check=True)
    return next(cache.glob(name))


def read_wheel(wanted: Wheel, archive: ZipFile, libraries: str) -> Wheel:
    """The same wheel with only those literals that stand in it, and with its names."""
    found: set[str] = set()
    names: set[str] = set()
    for member in archive.namelist():
        if member.endswith(".py"):
            texts, defined = read_python(archive.read(member))
            names |= {*defined, *re.split(r"[/.]", member)}
            found |= {literal for literal in wanted.literals - found if literal in texts}
        elif libraries in member:
            with archive.open(member) as stream:
                found |= read_library(stream, wanted.literals - found)
    return Wheel(wanted.package, wanted.version, frozenset(found), frozenset(names))


def read_python(source: bytes) -> tuple[str, set[str]]:
    """The texts in a module, as the compiler joins them, and the names of its functions and classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:  # newer than the Python that reads it
            return source.decode("utf-8", "replace"), set()
    texts = "\n".join(filter(None, map(text_of, nodes)))
    return texts, {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def text_of(node: ast.AST) -> str:
    """A text, or an f-string with holes; nothing for any other node."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) or HOLE for value in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def read_library(stream: IO[bytes], wanted: Iterable[str]) -> set[str]:
    """The literals that stand in a compiled file, read block by block."""
    missing = {literal: literal.encode() for literal in wanted}
    found: set[str] = set()
    tail = b""
    while block := stream.read(BLOCK):
        window = tail + block
        found |= {literal for literal, text in missing.items() if literal not in found and text in window}
        tail = block[-LONGEST_MARKER:]
    return found


def check_package(package: str, claims: list[Claim], wheels: list[Wheel], table: Table) -> Iterator[str]:
    """Print a row for each claim about a package; what does not stand is returned."""
    mine = [wheel for wheel in wheels if wheel.package == package]
    click.echo(f"\n{package} {'  '.join(wheel.version for wheel in mine)}")
    for claim in claims:
        if package not in claim.packages:
            continue
        marks = [kept(claim, wheel, table) for wheel in mine]
        anywhere = any(stands(claim, wheel, table) for wheel in wheels if wheel.package in claim.packages)
        good = "missing" not in marks if claim.span else anywhere
        row = ["ok " if good else "NOT", *(SIGNS[mark] for mark in marks), "", claim.marker, "", *map(repr, claim.literals)]
        click.echo(f"  {' '.join(row)}")
        if not good:
            yield f"{claim.marker}: {claim.literals!r} not in {package} {claim.span or 'of any version'}"


SIGNS = {"found": "+", "missing": "-", "outside": "."}


def kept(claim: Claim, wheel: Wheel, table: Table) -> str:
    """How a version keeps a claim; outside of its span it need not."""
    if claim.span and not covers(claim.span, wheel.version):
        return "outside"
    return "found" if stands(claim, wheel, table) else "missing"


def stands(claim: Claim, wheel: Wheel, table: Table) -> bool:
    """One of the wordings is there."""
    return any(set(table.pieces(literal)) <= wheel.literals for literal in claim.literals)


def covers(span: str, version: str) -> bool:
    """Whether `0.6 – 0.7.1`, both included, or `0.7.2 –` has this version."""
    first, _, last = span.partition("–")
    here = numbers(version)
    return here >= numbers(first) and (not numbers(last) or here[: len(numbers(last))] <= numbers(last))


def numbers(version: str) -> tuple[int, ...]:
    """0.7.0.post3 → (0, 7, 0, 3)."""
    return tuple(map(int, re.findall(r"\d+", version)))


def unknown_names(wheels: list[Wheel], table: Table) -> list[str]:
    """The names in frames.yaml that no wheel defines and that wheels.yaml does not excuse."""
    names = {name for wheel in wheels for name in wheel.names}
    return sorted(word for word in frame_words() if word not in names and not table.excuses(word))


def frame_words() -> set[str]:
    """The names of functions and files in the expressions of frames.yaml; names that an expression completes are left out."""
    data = cast(dict[str, list[Plain]], read_yaml(packaged("frames.yaml"), "frames.yaml"))
    entries = [entry for entries in data.values() for entry in entries]
    text = "\n".join(str(entry["match"] if isinstance(entry, dict) else entry) for entry in entries)
    text = re.sub(r"\[[^\]]*\](?:\{[\d,]+\}|[*+?])?|\\w[*+]?|\.\*", "~", text)
    text = re.sub(r"\\.", " ", text)
    return set(re.findall(r"(?<![\w~)])[A-Za-z_]\w{4,}(?![\w~(?])", text))


if __name__ == "__main__":
    folder = Path("build/conformance")
    folder.mkdir(parents=True, exist_ok=True)
    sys.exit(main(folder, sys.argv[1:]))
