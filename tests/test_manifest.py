"""The manifest of a bundle as it is written and read."""

from __future__ import annotations

import msgspec
import pytest

from hanglens.manifest import SCHEMA_VERSION, Cut, Item, ListedProcess, Manifest, decode, encode

WHOLE = Manifest(
    schema_version=SCHEMA_VERSION, tool_version="0.2", host="n1", clock={"utc": "2026-01-01T00:00:00+00:00", "utc_offset_seconds": 28800},
    seconds=1.5, given_pids=[7], interrupted=True, names_redacted=True, redactions={"secret": 2}, expected_ranks="0,1",
    processes=[ListedProcess(pid=7, ppid=1, role="rank", command='数据 "quoted"', state="S", user="u", rank=0, how_known="environment")],
    items=[Item(what="log", status="ok", start="2026-01-01T00:00:00+00:00", seconds=0.1, file="logs/a.log", cut=Cut(9, 4, 1))],
)  # fmt: skip


def test_what_is_written_is_read() -> None:
    """Everything comes back as it was."""
    assert decode(encode(WHOLE)) == WHOLE


def test_it_is_read_by_people_too() -> None:
    """A field a line, and nothing that says nothing."""
    text = encode(WHOLE).decode()
    assert '\n  "host": "n1",\n' in text
    assert "数据" in text
    assert "how_to_collect" not in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("change", [{"items": 1}, {"processes": [{"pid": "7"}]}, {"clock": {"utc": []}}, {"interrupted": None}], ids=str)
def test_another_shape(change: dict[str, object]) -> None:
    """What is no manifest raises the one error that readers expect."""
    data = msgspec.json.encode(msgspec.json.decode(encode(WHOLE)) | change)
    with pytest.raises(msgspec.MsgspecError):
        decode(data)
