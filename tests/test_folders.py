"""Folders in the order in which a person counts."""

from __future__ import annotations

import os
from pathlib import Path

from hanglens.folders import walk


def test_names_of_any_digits_have_an_order(tmp_path: Path) -> None:
    """Digits of other scripts, which count as decimal, are text here; numbers are compared as numbers."""
    for name in ("٣", "a", "10", "9", "²", "x2", "x10"):
        (tmp_path / name).touch()
    names = [entry.name for entry in walk(str(tmp_path)) if isinstance(entry, os.DirEntry)]
    assert names.index("9") < names.index("10")
    assert names.index("x2") < names.index("x10")
    assert len(names) == 7


def test_a_link_to_a_folder_is_named_and_not_followed(tmp_path: Path) -> None:
    """So no link leads out, or round for ever."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [entry.path[len(str(tmp_path)) :] for entry in walk(str(tmp_path))] == ["/a", "/a/b", "/loop"]
