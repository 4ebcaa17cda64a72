"""A dump loses its names and stays one that its readers take."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from hanglens.pickles import load_plain
from hanglens.privacy.dumps import redacted_dump
from hanglens.privacy.redactor import Redactor

DUMP = {
    "version": "2.4",
    "pg_config": {"0": {"name": "0", "ranks": "[0, 1]"}},
    "entries": [{"record_id": n, "frames": [{"filename": "/home/alice/t.py", "line": 3}], "size": ((2, 3),), "t": 1.5} for n in range(3)],
}
REDACTED = json.loads(json.dumps(DUMP).replace("alice", "user-1"))


def tupled(value: dict[str, object]) -> dict[str, object]:
    """The same with the tuples that JSON does not have."""
    return {**value, "entries": [{**entry, "size": ((2, 3),)} for entry in value["entries"]]}


def test_pickle_is_redacted() -> None:
    """Strings change, numbers, tuples and keys stay, and it is a pickle of protocol 2 that the safe reader loads."""
    data = redacted_dump(pickle.dumps(DUMP, protocol=2), Redactor(names=True))
    assert data[:2] == b"\x80\x02"
    assert load_plain(data) == tupled(REDACTED)


def test_json_is_redacted() -> None:
    """A dump in JSON stays JSON."""
    assert json.loads(redacted_dump(json.dumps(DUMP).encode(), Redactor(names=True))) == REDACTED


def test_nothing_to_take_out_changes_nothing() -> None:
    """Without names there is nothing in it, and its bytes are the same."""
    data = pickle.dumps(DUMP, protocol=4)
    assert redacted_dump(data, Redactor()) is data


@pytest.mark.parametrize(
    "data",
    [b"\x80\x02cos\nsystem\n(S'x'\ntR.", pickle.dumps(DUMP, protocol=2)[:-9], b"{", b"", b"[" * 100_000],
    ids=["import", "cut", "brace", "empty", "deep"],
)
def test_what_cannot_be_read_is_an_error(data: bytes) -> None:
    """Nothing is carried out, and what is wrong is said."""
    with pytest.raises(ValueError, match=r"\w"):
        redacted_dump(data, Redactor(names=True))


def test_recorded_dumps_are_still_read(fixtures_dir: Path) -> None:
    """Every dump that was recorded is one after redaction, too."""
    dumps = [path for path in fixtures_dir.rglob("*trace*") if path.is_file() and path.read_bytes()[:1] == b"\x80"]
    assert dumps
    for path in dumps:
        before, after = load_plain(path.read_bytes()), load_plain(redacted_dump(path.read_bytes(), Redactor(names=True)))
        assert str(before).count("record_id") == str(after).count("record_id")


def test_what_a_dump_has_in_many_places_is_redacted_once() -> None:
    """Sixty lists, each twice in the next, would be more strings than there are atoms; one that holds itself has no end."""
    value: list[object] = ["token=abcdef123456"]
    for _ in range(60):
        value = [value, value]
    inner: list[object] = []
    inner.append(inner)
    data = redacted_dump(pickle.dumps({"entries": value, "odd": inner}, 2), Redactor())
    assert b"abcdef123456" not in data
    assert load_plain(data)
