from __future__ import annotations

import json

import msgspec
import pytest

from hanglens.errors import InputError
from hanglens.serialize import from_json, json_schema, to_json
from hanglens.verdict import Diagnosis
from tests.samples import HEALTHY, HOSTILE, HUNG, UNKNOWN, hostile, text


@pytest.mark.parametrize("d", [HUNG, UNKNOWN, HEALTHY, *map(hostile, HOSTILE)], ids=lambda d: d.verdict)
def test_what_was_written_is_read_back_equal(d: Diagnosis) -> None:
    """A diagnosis survives the way through JSON unchanged, whatever its strings hold."""
    assert d == from_json(to_json(d))


def test_keys_stand_in_the_order_of_the_contract() -> None:
    """The same diagnosis always gives the same bytes, with indented keys and `from`/`to` in the timeline."""
    written = to_json(HUNG)

    assert written == to_json(from_json(written))
    assert list(json.loads(written))[:2] == ["verdict", "summary"]
    assert list(json.loads(written)["timeline"][0])[:5] == ["rank", "from", "to", "kind", "label"]
    assert b'\n  "verdict": "hung",\n' in written


def test_unset_fields_are_written() -> None:
    """A reader finds every key of the contract, also where there is nothing to say."""
    written = json.loads(to_json(HEALTHY))

    assert written["root_cause"] is None
    assert written["findings"] == []


def test_a_lone_surrogate_does_not_stop_the_writing() -> None:
    """Evidence that was decoded with surrogates becomes a replacement character instead of a crash."""
    d = Diagnosis(verdict="unknown", summary=text("a\udc80b", ""), tool_version="1")

    assert from_json(to_json(d)).summary.en == "a\ufffdb"


def test_what_a_terminal_or_an_editor_would_act_on_is_escaped() -> None:
    """C1 controls, marks that turn the direction of text, line separators; read again they are what they were."""
    odd = "a\x7f\x9b2J\u202egnp.exe\u2066\u2028\u200f中文"
    d = Diagnosis(verdict="unknown", summary=text(odd, ""), tool_version="1")

    written = to_json(d).decode()

    assert "中文" in written
    assert not set(odd[:-2]) - {"a"} & set(written) - set("2Jgnp.exe")
    assert from_json(to_json(d)).summary.en == odd


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"not json", "line 1, column 1"),
        (b'{"schema_version": "1.0",\n "verdict": ', "line 2, column 13"),
        (b"[]", "at $ does not fit the schema"),
        (b"{}", "at $.schema_version"),
        (b'{"schema_version": "1.0", "verdict": "stuck"}', "at $.verdict does not fit"),
        (b'{"schema_version": "1.0", "verdict": "hung"}', "at $ does not fit"),
        (b'{"schema_version": "1.0", "tool_version": "\xff"}', "byte 44 is no UTF-8"),
        (b'{"schema_version": "1.0", "world_size": ' + b"9" * 5000 + b"}", "does not fit the schema"),
        (b'{"schema_version": "1.0", "x": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_input_is_refused_with_what_and_where(data: bytes, said: str) -> None:
    """Anything that is no diagnosis is an InputError that names the place and the next step."""
    with pytest.raises(InputError) as refused:
        from_json(data)

    assert said in refused.value.message
    assert "hanglens analyze" in refused.value.next_step


def test_another_major_version_is_refused() -> None:
    """A diagnosis of a future format is not half understood."""
    with pytest.raises(InputError, match=r"schema version '2\.0'.*\$\.schema_version"):
        from_json(to_json(HUNG).replace(b'"schema_version": "1.0"', b'"schema_version": "2.0"'))


def test_a_later_minor_version_is_read() -> None:
    """Fields that a later minor version added are ignored."""
    later = json.loads(to_json(HUNG)) | {"schema_version": "1.7", "mood": "calm"}

    assert from_json(json.dumps(later).encode()).findings == HUNG.findings


def test_the_schema_describes_what_is_written() -> None:
    """The schema names every top-level key that the JSON has, and the dialect it is written in."""
    schema = json.loads(json_schema())

    assert schema["$schema"].endswith("2020-12/schema")
    assert set(json.loads(to_json(HUNG))) == set(schema["$defs"]["Diagnosis"]["properties"])
    assert msgspec.json.schema(Diagnosis)["$ref"] == schema["$ref"]
