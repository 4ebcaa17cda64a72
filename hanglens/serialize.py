"""Diagnosis to JSON and back: the one public file format, versioned, and described by its JSON Schema."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec

from hanglens.errors import InputError
from hanglens.verdict import SCHEMA_VERSION, Diagnosis

if TYPE_CHECKING:
    from hanglens.privacy.redactor import Redactor

_REMEDY = "give a file that `hanglens analyze --format json` wrote"
_TOO_DEEP = "the JSON is nested too deeply"
_PLACE = re.compile(r"`(\$[^`]*)`")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # a terminal or an editor acts on these


class _Head(msgspec.Struct):
    schema_version: str = ""


def to_json(d: Diagnosis) -> bytes:
    """The diagnosis as UTF-8 JSON: indented, keys in the order of the schema, a line end at the end; control characters are escaped."""
    try:
        raw = msgspec.json.encode(d)
    except UnicodeEncodeError:  # a lone surrogate, left by whoever decoded the evidence, is no Unicode and so no JSON
        raw = msgspec.json.encode(_without_surrogates(msgspec.to_builtins(d)))
    text = msgspec.json.format(raw, indent=2).decode()
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def from_json(data: bytes) -> Diagnosis:
    """Read what `to_json` wrote; fields that this version does not know are ignored.

    Raises InputError for anything else, with the place (`$.ranks[0].state`, or line and column) in its message.
    """
    try:
        _check_version(msgspec.json.decode(data, type=_Head).schema_version)
        return msgspec.json.decode(data, type=Diagnosis)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"this is no diagnosis: {_what_is_wrong(data, error)}", _REMEDY) from error


def _what_is_wrong(data: bytes, error: Exception) -> str:
    """What, and where, in words of our own: msgspec rewords its messages, and only marks the place of a wrong value in them alike."""
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    try:
        json.loads(data.decode(), parse_int=str)  # of any number of digits
    except UnicodeDecodeError as found:
        return f"byte {found.start + 1} is no UTF-8"
    except json.JSONDecodeError as found:
        return f"the JSON is cut off or damaged at line {found.lineno}, column {found.colno}" if data.strip() else "it is empty"
    except RecursionError:
        return _TOO_DEEP
    place = _PLACE.search(str(error))
    return f"what stands at {place[1] if place else '$'} does not fit the schema; `hanglens schema` prints it"


def redacted(d: Diagnosis, redactor: Redactor) -> Diagnosis:
    """The diagnosis with everything replaced in it that the redactor replaces; it learns the hosts that the ranks ran on first."""
    from hanglens.privacy.nested import redact_value  # which compiles dozens of expressions

    redactor.learn(hosts={row.host for row in d.ranks if row.host} | {process.host for process in d.culprit_processes if process.host})
    return msgspec.convert(redact_value(msgspec.to_builtins(d), redactor), Diagnosis)


def json_schema() -> bytes:
    """The JSON Schema (draft 2020-12) of the diagnosis, as UTF-8 JSON."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"HangLens diagnosis {SCHEMA_VERSION}"}
    return msgspec.json.format(msgspec.json.encode({**head, **msgspec.json.schema(Diagnosis)}), indent=2) + b"\n"


def _check_version(version: str) -> None:
    if not version:
        raise InputError("this is no diagnosis: it names no schema version (at $.schema_version)", _REMEDY)
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise InputError(
            f"this diagnosis has schema version {version[:40]!r} and this HangLens reads {SCHEMA_VERSION} (at $.schema_version)",
            "render it with the HangLens that wrote it, or analyze the evidence again",
        )


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    return value
