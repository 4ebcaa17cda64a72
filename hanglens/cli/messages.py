"""What commands say beside their result, on standard error. Text that may be a stranger's reaches a terminal through `printable` alone."""

from __future__ import annotations

import logging
import sys

from hanglens.printable import printable


def say(message: str) -> None:
    """One line, whatever stands in the message: neither a line end nor a terminal code of somebody else's takes effect."""
    show(f"hanglens: {message}")


def show(line: str) -> None:
    """The same for a row of a list."""
    print(printable(line), file=sys.stderr)


class Formatter(logging.Formatter):
    """The same for the messages of modules; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the library's name
        """One line."""
        return printable(super().formatMessage(record))
