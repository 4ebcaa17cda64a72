"""A password goes from a command line however it is written; ports, files and other options stay."""

from __future__ import annotations

import pytest

from hanglens.privacy.commands import COMMANDS, Command
from hanglens.privacy.redactor import Redactor


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.example)
def test_command_is_known(row: Command) -> None:
    """From a shell, from /proc and from a list of Python only the secret goes."""
    words = row.example.split(" ")
    for text in (f"+ {row.example}", "\0".join([f"/usr/bin/{words[0]}", *words[1:], ""]), str(words)):
        redacted = Redactor().text(text)
        assert "<secret>" in redacted
        assert "hunter2" not in redacted
        assert "0a1b2c3d" not in redacted


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.near_miss)
def test_near_miss_stays(row: Command) -> None:
    """Options of the same program that are no secret are left."""
    assert Redactor().text(row.near_miss) == row.near_miss


def test_command_ends_where_the_next_begins() -> None:
    """An option of another command in the same line is not taken for this one's."""
    text = "docker login -u me; docker run -p 80:80 x | curl http://x && mysql -e 'x'; cp -pr a b"
    assert Redactor().text(text) == text
