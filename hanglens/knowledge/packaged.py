"""Where packaged data lies, and the form in which a wheel carries it: one JSON of checked rules and tables.

Reading hundreds of YAML files would be a third of a start. A checkout has no such file, and reads the YAML.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from hanglens.errors import HangLensError
from hanglens.knowledge.schema import Rule

COMPILED = "compiled.json"


class Compiled(msgspec.Struct, frozen=True):
    """All that the YAML of `rules/` says: the rules, and the other files of its top folder by their names."""

    rules: tuple[Rule, ...]
    tables: dict[str, dict[str, Any]]


def compiled() -> Compiled | None:
    """What the wheel carries; None in a checkout."""
    file = packaged(COMPILED)
    return _decoded(file) if file.is_file() else None


@lru_cache(maxsize=1)
def _decoded(file: Path) -> Compiled:
    return msgspec.json.decode(file.read_bytes(), type=Compiled)


def packaged(*parts: str) -> Path:
    """A packaged file or folder: inside the installed package, or in the checkout that it is run from."""
    inside = Path(str(files("hanglens"))) / "_rules"
    checkout = Path(str(files("hanglens"))).parent
    if not inside.is_dir() and _is_checkout(checkout):
        inside = checkout / "rules"
    if not inside.is_dir():
        raise HangLensError("the packaged rules are missing from this installation", "install hanglens again")
    return inside.joinpath(*parts)


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and 'name = "hanglens"' in project.read_text(encoding="utf-8")
