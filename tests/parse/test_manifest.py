"""The manifest of a bundle, as evidence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.manifest import Cut, Item, ListedProcess, Manifest, encode
from hanglens.model import Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.manifest import is_manifest, parse_manifest

PLACE = Place("bundle/manifest.json")


def process(
    pid: int, rank: int | None = None, *, state: str = "S", started: str = "2026-01-02T03:04:05.000+00:00", **more: object
) -> ListedProcess:
    """A process of the list."""
    role = "worker" if rank is None else "rank"
    return ListedProcess(pid=pid, ppid=1, role=role, command="python3 train.py", state=state, started=started, rank=rank, **more)


def missed(pid: int | None, reason: str = "no way", what: str = "py-spy dump", status: str = "failed", how: str = "try again") -> Item:
    """An attempt that brought nothing."""
    return Item(what=what, status=status, start="", seconds=0.1, pid=pid, reason=reason, how_to_collect=how)


def manifest(*items: Item, processes: tuple[ListedProcess, ...] = (), **more: object) -> Manifest:
    """A manifest of these."""
    fields: dict[str, object] = {"clock": {"utc": "", "utc_offset_seconds": 0}, "interrupted": False, "expected_ranks": ""} | more
    return Manifest(
        schema_version="1.0", tool_version="0.2", host="n1", seconds=3.0, given_pids=[7], names_redacted=False, redactions={},
        processes=list(processes), items=list(items), **fields,
    )  # fmt: skip


def read(*items: Item, **more: object) -> Parsed:
    """What is read from such a manifest."""
    return parse_manifest(encode(manifest(*items, **more)), PLACE)


def test_it_is_recognised_by_what_it_holds() -> None:
    """A manifest is told from other JSON by its fields, whatever its file is called."""
    assert is_manifest(encode(manifest()))
    assert not is_manifest(b'{"tool_version": "1"}')
    assert not is_manifest(b"tool_version given_pids")


def test_processes_with_their_ranks() -> None:
    """Each process has its host, its parent, its rank with how that is known, and the line that says so."""
    listed = (process(7), process(8, 3, how_known="environment: RANK=3", namespace_pid=12))
    data = encode(manifest(processes=listed))
    found = parse_manifest(data, PLACE).processes
    assert [(p.pid, p.ppid, p.host, p.command) for p in found] == [(7, 1, "n1", "python3 train.py"), (8, 1, "n1", "python3 train.py")]
    assert (found[1].rank, found[1].how_known, found[1].namespace_pid) == (3, "environment: RANK=3", 12)
    assert found[0].rank is None
    assert [data.decode().splitlines()[(p.ref.line or 0) - 1].strip() for p in found] == ['"pid": 7,', '"pid": 8,']


def test_dumps_that_failed_are_failures_of_their_processes() -> None:
    """A stack that could not be had is a failure of that process, with the line that says it; nothing else is one."""
    found = read(missed(7, "it is a zombie"), missed(8, "refused", status="refused"), missed(9, what="/proc wchan"), missed(None))
    assert [(f.pid, f.reason) for f in found.dump_failures] == [(7, "it is a zombie"), (8, "refused")]
    assert all(f.ref.file == "bundle/manifest.json" and (f.ref.line or 0) > 1 for f in found.dump_failures)


def test_the_same_of_several_processes_is_one_gap() -> None:
    """What was missed for one reason is said once with the first pids, and how to have it; another reason is another gap."""
    found = read(*(missed(pid) for pid in range(1, 10)), missed(3), missed(2, "another reason"), missed(None, "no room", "log", how=""))
    assert [(g.what, g.why, g.how_to_collect) for g in found.gaps] == [
        ("py-spy dump of pid 1, 2, 3, 4, 5, 6, …", "failed: no way", "try again"),
        ("py-spy dump of pid 2", "failed: another reason", "try again"),
        ("log", "failed: no room", ""),
    ]


def test_cut_logs_and_interruptions_are_gaps() -> None:
    """What was left out of a log, and that somebody ended the collection, is said with what would help."""
    log = Item(what="log", status="ok", start="", seconds=0.1, file="logs/job.log", cut=Cut(1000, 600, 12))
    interrupted, cut = read(log, interrupted=True).gaps
    assert "interrupted" in interrupted.why
    assert (cut.what, cut.why) == ("logs/job.log", "600 of 1000 bytes are left out behind line 12")
    assert "--log-limit" in cut.how_to_collect


def test_what_came_whole_is_no_gap() -> None:
    """Where everything was had nothing is missing."""
    found = read(Item(what="log", status="ok", start="", seconds=0.1, file="logs/job.log"), processes=(process(7),))
    assert (found.gaps, found.dump_failures) == ((), ())


def test_expected_and_present_ranks() -> None:
    """The launcher's ranks stand beside those whose processes are there; a zombie is not there."""
    listed = (process(7), process(8, 4), process(9, 5, state="Z"), process(10, 6))
    (found,) = read(processes=listed, expected_ranks="4,5,6,7,x,²,").collections
    assert (found.host, found.expected_ranks, found.present_ranks) == ("n1", (4, 5, 6, 7), (4, 6))
    assert found.text == '"expected_ranks": "4,5,6,7,x,²,"'


@pytest.mark.parametrize(("offset", "began"), [(0, 1767323045.0), (28800, 1767351845.0), ("-3600", 1767319445.0), ("east", None)])
def test_when_the_job_began(offset: int | str, began: float | None) -> None:
    """The start of the first process in the host's own time, in which its logs are printed; none where that cannot be told."""
    later = process(9, started="2026-01-02T03:05:00.000+00:00")
    (found,) = read(processes=(later, process(7)), clock={"utc_offset_seconds": offset}).collections
    assert found.began == began
    assert read(processes=(process(7, started="soon"),)).collections[0].began is None
    assert read().collections[0].began is None


@pytest.mark.parametrize("cut", [1, 100, 400, -5])
def test_one_that_is_cut_off_is_a_gap(cut: int) -> None:
    """Half a manifest says nothing but that it is half."""
    found = parse_manifest(encode(manifest(missed(7), processes=(process(7),)))[:cut], PLACE)
    assert [g.what for g in found.gaps] == ["bundle/manifest.json"]
    assert not found.processes


@pytest.mark.parametrize(
    "change", [{"clock": {"utc_offset_seconds": "9" * 400}}, {"clock": {"utc_offset_seconds": 10**300}}, {"expected_ranks": "9" * 5000}]
)
def test_numbers_beyond_all_measure_are_none(change: dict[str, object]) -> None:
    """A clock or a rank that no computer has is left out, and the rest is read."""
    found = parse_manifest(encode(msgspec.structs.replace(manifest(processes=(process(7),)), **change)), PLACE)
    assert [p.pid for p in found.processes] == [7]


@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(0, 40))
def test_any_bytes(noise: bytes, at: int, length: int) -> None:
    """On any bytes, alone and within a manifest, it returns, and every line that it names is in the file."""
    whole = encode(manifest(missed(7), missed(8, "x"), processes=(process(7), process(8, 1)), expected_ranks="0,1"))
    for data in (noise, whole[:at] + noise + whole[at + length :]):
        found = parse_manifest(data, PLACE)
        assert all(1 <= (p.ref.line or 0) <= data.count(b"\n") + 1 for p in found.processes + found.dump_failures + found.collections)
        is_manifest(data)


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"host": "\\ud800"}', b"null", b'{"schema_version": 1e999}'],
    ids=["lists", "objects", "surrogate", "null", "number"],
)
def test_hostile_json(data: bytes) -> None:
    """JSON that is deep, broken or of another shape is a gap and raises nothing."""
    assert len(parse_manifest(data, PLACE).gaps) == 1


def test_fields_of_later_versions_are_passed_over() -> None:
    """A manifest of a later version with more fields is read for those that are known."""
    data = msgspec.json.decode(encode(manifest(processes=(process(7, 1),)))) | {"new": {"a": [1]}}
    assert [p.rank for p in parse_manifest(msgspec.json.encode(data), PLACE).processes] == [1]
