"""Numbers in evidence that may be hostile: thousands of digits, digits of other scripts, what `isdigit` takes and `int` does not.

None is for what is no number, or no possible one.
"""

from __future__ import annotations

import re

MOST = (1 << 53) - 1  # beyond it JSON's readers lose digits (RFC 8259, 6)
MOST_RANKS = 1 << 16  # no job is larger; what claims to be would only fill the memory
MOST_PID = (1 << 31) - 1  # pid_t

_WHOLE = re.compile(r"[0-9]{1,20}\Z")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?\Z")


def whole(text: str | None, most: int = MOST) -> int | None:
    """A whole number from 0 to `most`.

    >>> whole("42"), whole("-1"), whole("²"), whole("9" * 5000), whole(None)
    (42, None, None, None, None)
    """
    if text is None or not _WHOLE.match(text):
        return None
    number = int(text)
    return number if number <= most else None


def integer(text: str | None) -> int | None:
    """A whole number of either sign."""
    size = whole(text.removeprefix("-")) if text else None
    return -size if size is not None and text and text.startswith("-") else size


def counted(value: object, most: int = MOST) -> int | None:
    """A value of JSON or a pickle that is a whole number from 0 to `most`."""
    return value if type(value) is int and 0 <= value <= most else None


def decimal(text: str | None) -> float | None:
    """A finite number with or without a fraction and an exponent.

    >>> decimal("1.5"), decimal("nan"), decimal("1e400")
    (1.5, None, None)
    """
    return float(text) if text is not None and _DECIMAL.match(text) else None


def rank(text: str | None) -> int | None:
    """A rank that some job can have."""
    return whole(text, MOST_RANKS - 1)


def pid(text: str | None) -> int | None:
    """A process id that Linux can give."""
    return whole(text, MOST_PID)
