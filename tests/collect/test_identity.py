"""Acting on files as another user."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from hanglens.collect import identity
from hanglens.collect.identity import Identity, acting_as
from tests.collect.processes import HIM, SECRET

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root on Linux can be two users")

OTHER = Identity(HIM, HIM, (HIM + 1,))


def test_a_file_that_is_made_is_his(place: Path) -> None:
    """The kernel takes this thread for him: what it makes is his, and where he may not write it may not."""
    with acting_as(OTHER):
        (place / "his" / "new").touch()
        with pytest.raises(PermissionError):
            (place / "new").touch()
        assert os.getgroups() == [HIM + 1]
    assert ((place / "his" / "new").stat().st_uid, (place / "his" / "new").stat().st_gid) == (HIM, HIM)
    (place / "new").touch()


def test_other_threads_stay_what_they_are(place: Path) -> None:
    """Meanwhile another thread reads what only root may."""
    begin, found = threading.Event(), list[bytes]()

    def look() -> None:
        begin.wait(10)
        found.append((place / "secret").read_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    with acting_as(OTHER):
        begin.set()
        thread.join()
        with pytest.raises(PermissionError):
            (place / "secret").read_bytes()
    assert found == [SECRET]


def test_what_cannot_be_laid_down_is_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine whose system calls are not known nothing is done in his name."""
    monkeypatch.setattr(identity, "_SETGROUPS", {})
    with pytest.raises(PermissionError, match="may not lay them down"), acting_as(OTHER):
        (place / "secret").read_bytes()
    (place / "secret").read_bytes()
