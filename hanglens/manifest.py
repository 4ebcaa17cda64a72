"""The manifest of a bundle: what was tried on which process, what came of it, and what would unlock what did not.

`hanglens collect` writes it as manifest.json, and `hanglens analyze` reads it; nothing else knows its shape.
"""

from __future__ import annotations

from typing import Literal

import msgspec

NAME = "manifest.json"
SCHEMA_VERSION = "1.0"

Status = Literal["ok", "failed", "refused", "timed-out"]
Role = Literal["rank", "launcher", "worker", "helper", "other"]


class Cut(msgspec.Struct, frozen=True):
    """What was left out of the middle of a file: it had `bytes`, of which `left_out` are missing behind line `after_line`."""

    bytes: int
    left_out: int
    after_line: int


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was tried. `file` is its path in the bundle, empty where nothing came.

    `start` is ISO 8601 in UTC, `seconds` how long it took. `reason` says why it is not ok, `how_to_collect` what would unlock it.
    `redactions` is how many pieces of its text were replaced.
    """

    what: str
    status: Status
    start: str
    seconds: float
    file: str = ""
    pid: int | None = None
    rank: int | None = None
    command: str = ""
    reason: str = ""
    how_to_collect: str = ""
    bytes: int = 0
    cut: Cut | None = None
    redactions: int = 0


class ListedProcess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process of the job. `namespace_pid` is its pid inside of its container, where it has another one there.

    `rank` is its global rank where the host says so, `how_known` by what. `state` is the letter of /proc/PID/stat.
    """

    pid: int
    ppid: int
    role: Role
    command: str
    state: str = ""
    user: str = ""
    started: str = ""
    namespace_pid: int | None = None
    rank: int | None = None
    how_known: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `clock` is the host's: its UTC time at the start, and seconds east of UTC of its local time.

    `names_redacted`: host names, addresses, users and prompts are pseudonyms; secrets are redacted in every bundle.
    `processes` are those that matter, `helpers` how many others serve them (trackers, compilers). `expected_ranks` are those that the
    launcher told its processes it started here, comma-joined; none where it told nothing, or where not every process could be asked.
    """

    schema_version: str
    tool_version: str
    host: str
    clock: dict[str, str | int]
    seconds: float
    given_pids: list[int]
    interrupted: bool
    names_redacted: bool
    redactions: dict[str, int]
    processes: list[ListedProcess]
    items: list[Item]
    expected_ranks: str = ""
    machine: str = ""
    helpers: int = 0


def encode(manifest: Manifest) -> bytes:
    """The manifest as indented UTF-8 JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read what `encode` wrote; unknown fields are ignored.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    return msgspec.json.decode(data, type=Manifest)
