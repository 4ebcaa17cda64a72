"""`analyze --redact`: what must not leave is gone before the report cuts or quotes a line."""

from __future__ import annotations

import io

import pytest

from hanglens.cli import main

FAILURE = (
    "[rank0]:[E1122 15:16:26.071560324 ProcessGroupNCCL.cpp:2303] [PG ID 0 PG GUID 0(default_pg) Rank 0]  failure detected by watchdog at "
    "work sequence id: 6 PG status: last enqueued work: 6, last completed work: 5\n"
)
LEAK = "SEEN" * 150


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {LEAK} {FAILURE}",
        f"--api-key {LEAK} {FAILURE}",
        f"-----BEGIN EC PRIVATE KEY-----\n{'SEEN' * 16}\n{'SEEN' * 16}\n-----END EC PRIVATE KEY-----\n{FAILURE}",
        f"-----BEGIN EC PRIVATE KEY-----\n{'SEEN' * 16}\n{'SEEN' * 16}\n{FAILURE}",
        f"request 7: prompt: 'one\nSEEN two\nthree', params\n{FAILURE}",
        f"prompt: 'one\nSEEN and never closed\n{FAILURE}",
        f"ls /home/{'x' * 420}/../home/SEENuser/a {FAILURE}",
        f"kind: Secret\ndata:\n  a: {LEAK}\n  b: SEEN\n{FAILURE}",
    ],
    ids=["cut", "option", "key", "key cut off", "prompt", "prompt cut off", "user", "kubernetes"],
)  # fmt: skip
def test_nothing_is_left_of_what_is_cut(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A mark that stands where the report does not look any more hides its secret all the same; the line's number stays."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "-", "--redact", "--format", "json"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert "SEEN" not in output
    assert f'"line": {text.count(chr(10))}' in output
