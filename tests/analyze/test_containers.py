"""Pids inside of containers are told by those of their host."""

from __future__ import annotations

from collections import defaultdict

from hanglens.analyze.containers import with_host_pids
from hanglens.model import Parsed, Process, SourceRef
from tests.builders import event, log, parsed, ras


def listed(pid: int, inside: int | None, file: str = "manifest.json") -> Process:
    """A process that the collector listed."""
    return Process(SourceRef(file, 1), pid=pid, namespace_pid=inside)


def seen(evidence: Parsed, **scopes: str) -> list[int | None]:
    """The pids of the events; a file's scope is one host unless told otherwise."""
    scope_of: dict[str, str] = defaultdict(lambda: "one")
    scope_of.update({name.replace("_", "."): scope for name, scope in scopes.items()})
    return [found.speaker.pid for found in with_host_pids(evidence, scope_of).events]


def test_lines_of_a_container_name_the_hosts_pid() -> None:
    """What a process prints about itself is told by its pid on the host; other pids stay."""
    assert seen(parsed(listed(5001, 17), event("a", pid=17), event("b", pid=5001), event("c", pid=18), event("d"))) == [
        5001,
        5001,
        18,
        None,
    ]


def test_a_pid_of_several_containers_tells_nothing() -> None:
    """Number 17 in two containers of one host is nobody's, and so is one that another process has on the host itself."""
    assert seen(parsed(listed(5001, 17), listed(5002, 17), event("a", pid=17))) == [17]
    assert seen(parsed(listed(5001, 17), listed(17, None), event("a", pid=17))) == [17]


def test_each_host_for_itself() -> None:
    """The containers of two hosts may use the same numbers."""
    evidence = parsed(
        listed(5001, 17, "a.json"), listed(6001, 17, "b.json"), event("a", pid=17, file="a.log"), event("b", pid=17, file="b.log")
    )
    assert seen(evidence, a_json="a", a_log="a", b_json="b", b_log="b") == [5001, 6001]


def test_ends_of_logs_and_reports_of_ras_too() -> None:
    """The last lines of a log and the ranks of a RAS report are told by the host's pids as well."""
    evidence = parsed(listed(5001, 100), log(tail=(event("a", pid=100),)), ras({0: 4, 1: 5}, missing=(0,)))
    found = with_host_pids(evidence, defaultdict(lambda: "one"))
    assert [e.speaker.pid for e in found.inputs[0].tail] == [5001]
    communicator = found.ras_reports[0].communicators[0]
    assert [rank.pid for count in communicator.counts for rank in count.ranks] == [5001, 101]
    assert [rank.pid for rank in communicator.missing] == [5001]


def test_without_containers_nothing_changes() -> None:
    """Evidence without a pid inside of a container is handed on as it is."""
    evidence = parsed(listed(5001, None), event("a", pid=5001))
    assert with_host_pids(evidence, defaultdict(str)) is evidence
