r"""What must not leave the site is taken out of text: secrets always, and on demand names and prompts.

Secrets (tokens, passwords, keys) become `<secret>`. Host names, addresses and users become pseudonyms: `host-1`, `user-1`, an IPv4
address of the benchmark network 198.18.0.0/15 (RFC 2544), an IPv6 address of the documentation prefix 2001:db8::/32 (RFC 3849) or of
fe80::, a MAC address below 02:00:00:00. One name has one pseudonym for as long as the Redactor lives, so whoever joins files by their
hosts still can. Prompts become `<prompt of N characters>`. The formats that the parsers know stay parseable.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from hanglens.privacy import names as told
from hanglens.privacy.plain import Plain, Span, lower
from hanglens.privacy.prompts import prompts
from hanglens.privacy.pseudonyms import MOST_NAMES, Pseudonyms
from hanglens.privacy.secrets import secrets

Kind = Literal["secret", "host", "address", "user", "serial", "gpu", "prompt"]
Change = tuple[int, int, Kind, str]
"""From where, to where, what stands there, and what shall stand there."""

_ROUNDS = 8  # what was replaced may let its surroundings read otherwise, so the result is read again until nothing is found


class Redactor:
    """Replaces secrets, and with `names` host names, addresses, users, serial numbers, UUIDs of GPUs and prompts, too.

    It never raises. Its result, read again, stays as it is; a name in the shape of a pseudonym is taken for one and stays.
    """

    def __init__(self, *, names: bool = False) -> None:
        self.names = names
        self._counts: Counter[str] = Counter()
        self._table: dict[tuple[Kind, str], tuple[str, str, str]] = {}
        self._pseudonyms = Pseudonyms()
        self._words: dict[str, tuple[Kind, str]] = {}  # names that are replaced wherever they stand, in lower case
        self._firsts: set[str] = set()  # the first word of each
        self._domains: dict[str, None] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many replacements of each kind were done so far; a kind that did not occur is left out."""
        return dict(self._counts)

    @property
    def table(self) -> Sequence[tuple[str, str, str]]:
        """Kind, original and pseudonym of each name that was replaced. Secrets and prompts are never in it."""
        return tuple(self._table.values())

    def learn(self, hosts: Iterable[str] = (), users: Iterable[str] = ()) -> None:
        """Take names that are known from elsewhere; they are replaced wherever they stand as whole words, in either case.

        A host's short name stands for the same host as its full one. Not taken, because replacing them would damage more than it
        hides: names of fewer than three characters, numbers and addresses, words of the formats and common accounts (`localhost`,
        `worker`, `root`, `ray`), and what is not of ASCII letters, digits, `.`, `_` and `-`. Without `names` this does nothing.
        """
        if not self.names:
            return
        for host in hosts if isinstance(hosts, Sequence) else sorted(hosts):
            self._learn_host(host.strip().rstrip(".").lower())
        for user in users if isinstance(users, Sequence) else sorted(users):
            name = user.strip().lower()
            if told.telling(name):
                self._add(name, "user", self._pseudonyms.of("user", name))

    def study(self, text: str) -> None:
        """Learn the hosts that a text names (NCCL's prefix, RAS, rendezvous addresses, syslog) without changing it.

        `text` does this of itself; ahead of it, also the texts before the one that names a host are spared of it.
        """
        if not self.names:
            return
        self.learn(told.hosts_told(text))
        for domain in list(self._domains):
            self.learn(told.hosts_of(domain, text))

    def text(self, text: str) -> str:
        """The text without what must not leave; it has as many lines as before."""
        for _ in range(_ROUNDS):
            before, text = text, self._once(text)
            if text == before:
                break
        return text

    def bytes(self, data: bytes) -> bytes:
        """The same for bytes; those that are no UTF-8 stay as they are."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _once(self, text: str) -> str:
        view = Plain(text)
        kept = self._changed(text, _in_text(view, secrets(view), "secret"))
        if not self.names:
            return kept
        self.study(kept)
        view = view if kept == text else Plain(kept)
        text = self._changed(kept, _in_text(view, sorted(prompts(view)), "prompt"))
        low = view.low if text == view.text else lower(text)
        return self._changed(text, sorted([*self._known(low), *self._placed(text, low), *self._addresses(text)]))

    def _changed(self, text: str, changes: Iterable[Change]) -> str:
        """Apply changes in their order; one that overlaps the one before it waits for the next round. Lines stay as many as they are."""
        parts, at = [], 0
        for start, end, kind, new in changes:
            if start >= at:
                parts += [text[at:start], new, "\n" * text.count("\n", start, end)]
                at = end
                self._note(kind, text[start:end], new)
        return "".join([*parts, text[at:]]) if parts else text

    def _note(self, kind: Kind, old: str, new: str) -> None:
        self._counts[kind] += 1
        if kind not in ("secret", "prompt") and len(self._table) < 3 * MOST_NAMES:
            self._table.setdefault((kind, old.lower()), (kind, old, new))

    def _learn_host(self, name: str) -> None:
        if not told.telling(name, whole=True):
            return
        short, _, domain = name.partition(".")
        alone = told.telling(short)
        pseudonym = self._pseudonyms.of("host", short if alone else name)
        self._add(name, "host", pseudonym)
        if alone:
            self._add(short, "host", pseudonym)
        if "." in domain and len(self._domains) < 16:
            self._domains.setdefault(domain)

    def _add(self, name: str, kind: Kind, pseudonym: str) -> None:
        if len(self._words) < 2 * MOST_NAMES and not told.OURS.fullmatch(name):
            self._words.setdefault(name, (kind, pseudonym))
            self._firsts.update(re.findall(r"\A[a-z0-9]+", name))

    def _known(self, low: str) -> Iterator[Change]:
        """Whole words that are names which were learned; of two that begin at one place the longer one."""
        for start in self._beginnings(low):
            run = told.RUN.match(low, start)
            name = run[0] if run else ""
            while name and name not in self._words:
                name = name[: max(map(name.rfind, "._-"), default=0)] if any(sign in name for sign in "._-") else ""
            if name:
                kind, new = self._words[name]
                yield start, start + len(name), kind, new

    def _beginnings(self, low: str) -> list[int]:
        """Where the first word of a name stands: a few words are searched for, of many each word of the text is looked up."""
        if len(self._firsts) > 200:
            return [found.start(1) for found in told.WORD.finditer(low) if found[1] in self._firsts]
        there = [first for first in self._firsts if first in low]
        patterns = (rf"{f}(?:(?<![a-z0-9]{f})(?<!\\{f})|(?<=\\[bfnrt]{f})|(?<=\\u[0-9a-f]{{4}}{f}))(?![a-z0-9])" for f in there)
        return sorted(found.start() for pattern in patterns for found in re.finditer(pattern, low))

    def _placed(self, text: str, low: str) -> Iterator[Change]:
        """Names by where they stand: users, lists of hosts, serial numbers."""
        yield from self._each("user", told.users(text, self._is_host))
        yield from self._each("host", told.node_lists(text))
        yield from self._each("serial", told.serials(low))
        yield from self._each("gpu", told.gpus(text))

    def _each(self, kind: Kind, matches: Iterator[re.Match[str]]) -> Iterator[Change]:
        return ((*found.span("value"), kind, self._pseudonyms.of(kind, found["value"].lower())) for found in matches)

    def _is_host(self, name: str) -> bool:
        low = name.lower().rstrip(".")
        return low in self._words or told.looks_like_host(low)

    def _addresses(self, text: str) -> Iterator[Change]:
        for (start, end), key, form in told.addresses(text):
            if form:
                yield start, end, "address", self._pseudonyms.of(form, key)
            else:
                self._pseudonyms.take(key)


def _in_text(view: Plain, found: Iterable[tuple[Span, str]], kind: Kind) -> Iterator[Change]:
    return ((*view.origin(span), kind, new) for span, new in found)
