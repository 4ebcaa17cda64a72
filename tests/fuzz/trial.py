"""One mutant on its way through the whole of HangLens, in this process: read, reasoned about, rendered in every format, and checked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from hanglens import reading
from hanglens.errors import HangLensError, InputError
from hanglens.knowledge.load import RulePack, load_rules
from hanglens.pipeline import diagnose, test_rules
from hanglens.privacy.redactor import Redactor
from hanglens.report import html, markdown, speedscope, text, trace_event
from hanglens.rules.lint import lint
from hanglens.rules.page import page
from hanglens.serialize import redacted, to_json
from hanglens.verdict import Diagnosis
from tests.fuzz import invariants
from tests.fuzz.guard import bounded, fault_of
from tests.fuzz.invariants import Fault
from tests.fuzz.mutants import Mutant

UNREADABLE = "nothing readable in the input"  # how the one error begins that evidence may end in
_INDEX = reading.search_index

RENDERERS: dict[str, Callable[[Diagnosis], str]] = {
    "json": lambda d: to_json(d).decode(),
    "text": lambda d: text.render(d, lang="en", width=100, colour=False),
    "markdown": lambda d: markdown.render(d, lang="zh"),
    "html": lambda d: html.render(d, lang="en"),
    "speedscope": lambda d: speedscope.render(d, lang="en"),
    "trace": lambda d: trace_event.render(d, lang="en"),
}
_MAY_REFUSE = {"speedscope": "there are no stacks", "trace": "there are no times"}


class _Overheard(logging.Handler):
    """Keeps the exceptions that were logged: those on one file are caught, and become a Gap."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.faults: list[Fault] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.faults.append(fault_of(record.exc_info[1]))


class Bench:
    """Tries mutants in a folder of its own. The packaged rules are read, and what texts are searched for is made, once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pack = load_rules()
        self._index = _INDEX(self.pack)

    def faults(self, mutant: Mutant) -> list[Fault]:
        """What broke, one of each kind."""
        found: list[Fault] = []
        with _overheard() as heard, bounded(found), patch.object(reading, "search_index", self._search_index):
            found += self._try(mutant)
        return list({fault.kind: fault for fault in (*heard.faults, *found)}.values())

    def unpacked(self, mutant: Mutant) -> Mutant:
        """The same evidence without archives and compression."""
        return replace(mutant, files=dict(invariants.unpacked(mutant.write(self.folder))), given=())

    def _search_index(self, pack: RulePack) -> object:
        return self._index if pack is self.pack else _INDEX(pack)

    def _try(self, mutant: Mutant) -> Iterator[Fault]:
        paths = mutant.write(self.folder)
        pack = load_rules([self.folder / "rules"], builtin=False) if mutant.rules else self.pack
        if mutant.rules:
            yield from _loaded(pack, sorted(mutant.rules), self.folder / "rules")
            yield from _attempted(lambda: (test_rules(pack), lint(pack, self.pack), [page(rule, "en") for rule in pack.rules]))
        yield from _diagnosed(paths, pack, mutant)


@contextmanager
def _overheard() -> Iterator[_Overheard]:
    logger, heard = logging.getLogger("hanglens"), _Overheard()
    before = logger.level, logger.propagate
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(heard)
        logger.level, logger.propagate = before


def _diagnosed(paths: Sequence[Path], pack: RulePack, mutant: Mutant) -> Iterator[Fault]:
    try:
        diagnosis = diagnose([str(path) for path in paths], pack)
    except InputError as error:
        if not error.message.startswith(UNREADABLE):
            yield fault_of(error)
        return
    except Exception as error:  # noqa: BLE001  that is what is looked for
        yield fault_of(error)
        return
    yield from invariants.cited(diagnosis, invariants.contents(paths))
    if mutant.redact:
        diagnosis = redacted(diagnosis, Redactor(names=True))
    for invariant in invariants.OF_A_DIAGNOSIS:
        yield from invariant(diagnosis)
    yield from _rendered(diagnosis, mutant.formats)


def _rendered(diagnosis: Diagnosis, formats: Sequence[str]) -> Iterator[Fault]:
    outputs: dict[str, str] = {}
    for name in formats:
        try:
            outputs[name] = RENDERERS[name](diagnosis)
        except InputError as error:
            if not error.message.startswith(_MAY_REFUSE.get(name, "nothing")):
                yield fault_of(error)
        except Exception as error:  # noqa: BLE001  the same
            yield fault_of(error)
    yield from invariants.harmless(outputs)
    if "json" in outputs:
        yield from invariants.same_again(diagnosis, outputs["json"])


def _loaded(pack: RulePack, names: Sequence[str], folder: Path) -> Iterator[Fault]:
    """Each rule file is loaded or complained of; one that was left as it is loads."""
    known = {rule.id for rule in pack.rules}
    told = {problem.file.removeprefix(f"{folder.name}/") for problem in pack.problems}
    for name in names:
        if name.removesuffix(".yaml") not in known and name not in told:
            yield Fault(("rule file", "neither loaded nor told"), name)
        elif "/kept-" in name and name in told:
            yield Fault(("rule file", "a good one refused"), name)


def _attempted(work: Callable[[], object]) -> Iterator[Fault]:
    try:
        work()
    except HangLensError as error:
        yield fault_of(error)
    except Exception as error:  # noqa: BLE001  the same
        yield fault_of(error)
