"""A collection that is interrupted at any moment; `python -m tests.collect.interrupted 1000` tries it more often."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.collect.interrupted import interrupted

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="jobs are collected through Linux's /proc")


def test_nothing_is_left(tmp_path: Path) -> None:
    """Ten runs that are broken off by SIGINT, SIGTERM or SIGKILL leave no process stopped, no half of a bundle, and no draft for ever."""
    left = interrupted(10, tmp_path)
    assert (left.stopped, left.broken, left.drafts) == (0, 0, 0), left
    assert left.bundles >= 2
