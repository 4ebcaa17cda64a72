"""Who has which value."""

from __future__ import annotations

import pytest

from hanglens.analyze.holders import Held, Holders, short, who_has_which
from hanglens.model import Collection, SourceRef
from tests.builders import event, incident, joined, log, member, parsed, setting

A, B = SourceRef("a.log", 1), SourceRef("b.log", 1)
# A job that was started again with another version: its ranks have both, though no process has.
TWICE = [Held(value, A, rank, pid=10 * int(value) + rank) for value in ("1", "2") for rank in (0, 1)]


@pytest.mark.parametrize(
    ("held", "en", "zh"),
    [
        ([Held("1", A, rank) for rank in (0, 1, 2)] + [Held("2", A, 3)], "1 on ranks 0-2, 2 on rank 3", "rank 0-2 为 1，rank 3 为 2"),
        ([Held("1", A, 0), Held("", A, 1)], "1 on rank 0, not set on rank 1", "rank 0 为 1，rank 1 未设置"),
        ([Held("1", A, host="n1"), Held("2", A, host="n2")], "1 on n1, 2 on n2", "n1 为 1，n2 为 2"),
        ([Held("1", A, pid=7), Held("2", A, pid=8)], "1 in pid 7, 2 in pid 8", "pid 7 为 1，pid 8 为 2"),
        ([Held("1", A), Held("2", B)], "1 in a.log, 2 in b.log", "a.log 中为 1，b.log 中为 2"),
    ],
)
def test_who_has_which(held: list[Held], en: str, zh: str) -> None:
    """Ranks before hosts before processes before files, the value of most first."""
    told = who_has_which(held)
    assert told
    assert (told.en, told.zh) == (en, zh)


@pytest.mark.parametrize(
    "held", [[Held("1", A, 0), Held("1", A, 1)], [Held("1", A, 0), Held("2", A, 0)], [Held("1", A), Held("2", A)], TWICE, []]
)
def test_one_holder_of_two_values_tells_nothing(held: list[Held]) -> None:
    """One value, or one process or file with several, is no difference within the job."""
    assert who_has_which(held) is None


def test_many_values_are_cut() -> None:
    """Eight ranks with eight values do not fill the page."""
    told = who_has_which([Held(str(rank), A, rank) for rank in range(8)])
    assert told
    assert told.en.endswith("3 on rank 3, and 4 more")


def test_a_file_of_a_rank_is_that_ranks() -> None:
    """By the file's own rank, or by that of the process that it is about."""
    about = incident(member(0), member(1, pid=101), evidence=parsed(log("a.txt", rank=0), log("b.txt", pid=101)))
    holders = Holders(about)
    assert [holders.of_setting(setting("torch.version", "2.8", file)).rank for file in ("a.txt", "b.txt", "c.txt")] == [0, 1, None]


@pytest.mark.parametrize(("several", "hosts"), [(True, ["gpu-a", "two", "n9"]), (False, ["", "", "n9"])])
def test_hosts(several: bool, hosts: list[str]) -> None:
    """Where folders stand for hosts, the bundle's host or the folder's name; a line that names its host is believed first."""
    holders = Holders(joined(Collection(SourceRef("one/manifest.json"), "gpu-a"), several_hosts=several))
    files = [holders.of_setting(setting("x", "1", file)).host for file in ("one/env.txt", "two/env.txt")]
    assert [*files, holders.of_event(event("x", file="one/a.log", host="n9"), "1").host] == hosts


def test_lengths() -> None:
    """Nothing is longer than a cell."""
    assert (short("x" * 80), len(short("x" * 81))) == ("x" * 80, 80)
