"""The names that stand for others: one for each, and never one that somebody bears."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hanglens.privacy.names import OURS

MOST_NAMES = 60_000  # of a kind; those beyond share the last pseudonym, so that a hostile log fills neither the memory nor a /16


class Pseudonyms:
    """Gives each name of a kind its pseudonym, a new one at its first time."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self._taken: set[str] = set()

    def take(self, name: str) -> None:
        """Give this one to nobody: somebody bears it."""
        self._taken.add(name)

    def of(self, form: str, key: str) -> str:
        """The pseudonym of a name; `form` is host, user, serial, or the kind of an address."""
        if OURS.fullmatch(key):
            self._taken.add(key)
            return key
        given = self._given.get((form, key))
        while not given:
            number = self._numbers[form] = min(self._numbers[form] + 1, MOST_NAMES)
            new = _numbered(form, number)
            if new in self._taken and number < MOST_NAMES:
                continue
            given = new
            self._taken.add(given)
            if number < MOST_NAMES:
                self._given[form, key] = given
        return given


def _numbered(form: str, number: int) -> str:
    forms = {"ipv4": f"198.18.{number >> 8}.{number & 255}", "ipv6": f"2001:db8::{number:x}", "fe80": f"fe80::{number:x}"}
    forms |= {"mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", "gpu": f"00000000-0000-0000-0000-{number:012x}"}
    return forms.get(form, f"{form}-{number}")


def as_lines(table: Sequence[tuple[str, str, str]]) -> str:
    """The table of a Redactor, a name a line: pseudonym, kind and original, with tabs between."""
    return "".join(f"{replacement}\t{kind}\t{original}\n" for kind, original, replacement in table)
