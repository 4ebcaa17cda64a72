"""Who in the job has which value of one thing: ranks where they are known, else hosts, else the files that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hanglens.incident import Incident
from hanglens.model import Event, Setting, SourceRef
from hanglens.ranges import ranges
from hanglens.verdict import Text

_MOST_NAMES = 3  # of hosts or files behind one value
_MOST_VALUES = 4  # that a remark tells apart
_MOST_RUNS = 8
_LONGEST = 80  # characters of a value


@dataclass(frozen=True, slots=True)
class Held:
    """A value as one line gives it, with whom it is of as far as that is known."""

    value: str
    ref: SourceRef
    rank: int | None = None
    host: str = ""
    pid: int | None = None


class Holders:
    """Tells of a line whose it is, by its own words, the process that its file is about, or the host that the file comes from."""

    def __init__(self, incident: Incident) -> None:
        self._ranks = incident.rank_of_pid()
        self._inputs = {about.file: about for about in incident.parsed.inputs}
        self._folders = incident.hosts
        self._hosts = {incident.hosts.of(found.ref.file): found.host for found in incident.parsed.collections}

    def of_event(self, event: Event, value: str) -> Held:
        """A value that a line of a log gives."""
        who = event.speaker
        return Held(value, event.ref, who.rank, who.host or self.host(event.ref.file), who.pid)

    def of_setting(self, setting: Setting) -> Held:
        """A value that a file of the environment gives."""
        about = self._inputs.get(setting.ref.file)
        pid = about.pid if about else None
        rank = setting.rank if setting.rank is not None else about.rank if about else None
        return Held(setting.value, setting.ref, self._ranks.get(pid or 0) if rank is None else rank, self.host(setting.ref.file), pid)

    def of_pid(self, pid: int | None, value: str, ref: SourceRef) -> Held:
        """A value that a process was started with."""
        return Held(value, ref, self._ranks.get(pid or 0), self.host(ref.file), pid)

    def host(self, file: str) -> str:
        """The host of a file; nothing where all files are of one, or may be."""
        folder = self._folders.of(file)
        return self._hosts.get(folder, folder) if folder else ""


def different(held: Iterable[Held]) -> list[str]:
    """The values, each once, in their order."""
    return list(dict.fromkeys(one.value for one in held))


def who_has_which(held: Sequence[Held]) -> Text | None:
    """`2.18.3 on ranks 0-3, 2.20.5 on ranks 4-7`; None where there is one value, or the holders of several are not told apart.

    One that has two values has run twice, and the values of two runs are not to be compared.
    """
    values = different(held)
    for describe, key_of in _LEVELS:
        owners: dict[str, set[int | str]] = {value: set() for value in values}
        for one in held:
            if key := key_of(one):
                owners[one.value].add(key[0])
        if sum(map(len, owners.values())) > len(set().union(*owners.values())):
            return None
        if len(values) > 1 and all(owners.values()):
            return _told(owners, describe)
    return None


def _told(owners: dict[str, set[int | str]], describe: Callable[[set[int | str]], Text]) -> Text:
    """The value of most holders first."""
    rows = [(value, describe(found)) for value, found in sorted(owners.items(), key=lambda row: -len(row[1]))]
    shown, more = rows[:_MOST_VALUES], len(rows) - _MOST_VALUES
    return Text(
        en=", ".join(f"{short(value) or 'not set'} {who.en}" for value, who in shown) + (f", and {more} more" if more > 0 else ""),
        zh="，".join(f"{who.zh}{'为 ' + short(value) if value else '未设置'}" for value, who in shown)
        + (f"，另有 {more} 种" if more > 0 else ""),
    )


def short(value: str) -> str:
    """A value that fits into a cell of a table."""
    return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"


def _on_ranks(found: set[int | str]) -> Text:
    ranks = ranges((rank for rank in found if isinstance(rank, int)), _MOST_RUNS)
    return Text(en=f"on rank{'s' if len(found) > 1 else ''} {ranks}", zh=f"rank {ranks} ")


def _on_hosts(found: set[int | str]) -> Text:
    return Text(en=f"on {_names(found)}", zh=f"{_names(found)} ")


def _in_pids(found: set[int | str]) -> Text:
    return Text(en=f"in pid {_names(found)}", zh=f"pid {_names(found)} ")


def _in_files(found: set[int | str]) -> Text:
    return Text(en=f"in {_names(found)}", zh=f"{_names(found)} 中")


def _names(found: set[int | str]) -> str:
    names = sorted(map(str, found))
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")


_LEVELS: tuple[tuple[Callable[[set[int | str]], Text], Callable[[Held], tuple[int | str, ...]]], ...] = (
    (_on_ranks, lambda one: () if one.rank is None else (one.rank,)),
    (_on_hosts, lambda one: (one.host,) if one.host else ()),
    (_in_pids, lambda one: () if one.pid is None else (one.pid,)),
    (_in_files, lambda one: (one.ref.file,)),
)
