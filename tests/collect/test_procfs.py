"""The tables of a bundle, of which a line is a row: what a process calls itself adds none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hanglens.collect.procfs import lasting_state
from hanglens.collect.staging import Staging
from tests.collect.processes import SLEEP, Processes, job_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at through Linux's /proc")

FORGED = "x\n       1        0 R    root         2026-01-01T00:00:00      rank       python3 forged\x1b[2J"


def test_a_line_end_in_an_argument_forges_no_process(start: Processes, staging: Staging) -> None:
    """The list has as many rows as there are processes; the command line itself is kept as it is, in a file of its own."""
    child = start.python(SLEEP, FORGED)
    lasting_state(job_of(child.pid), staging)
    text = (staging.folder / "processes" / "processes.txt").read_text()
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text
    assert r"x\n" in text
    assert FORGED.encode() in (staging.folder / "processes" / f"pid{child.pid}.proc-cmdline.txt").read_bytes()


def test_a_line_end_in_a_path_forges_no_descriptor(tmp_path: Path, start: Processes, staging: Staging) -> None:
    """Each open file is one row, whatever its name."""
    with (tmp_path / "log\n9 rw forged").open("w") as file:
        child = start.python("import time; print('ready', flush=True); time.sleep(60)", stdin=file)
        lasting_state(job_of(child.pid), staging)
    rows = (staging.folder / "processes" / f"pid{child.pid}.proc-fds.txt").read_text().splitlines()
    assert not [row for row in rows if row.startswith("9 ")]
    assert [row for row in rows if row.endswith(r"log\n9 rw forged")]
