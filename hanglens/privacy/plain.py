r"""What a reader sees of a text: without colours, with lines that were broken by a backslash whole again, `%3D` as `=`, `：` as `:`.

Marks of secrets are searched for in this view, and what is found is put back to where it stands in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right

Span = tuple[int, int]

# Colours and other commands to a terminal (ECMA-48), raw or as JSON, Python and shells escape them; lines that go on; percent-encoding.
_COMMAND = r"\[[0-9;?]{0,32}[A-Za-z]"
_MARKS = (
    ("\x1b", re.compile(rf"\x1b{_COMMAND}")),
    ("\\", re.compile(rf"\\(?:(?:x1[bB]|u001[bB]|033){_COMMAND}|\r?\n[ \t]{{0,64}})")),
    ("%", re.compile(r"%(?:25)?3[ADad]")),
    ("：", re.compile("：")),
    ("＝", re.compile("＝")),
)
_SIGNS = {"a": ":", "d": "=", "：": ":", "＝": "="}  # by the last letter of what stands for them


def lower(text: str) -> str:
    """In lower case, character for character: this one alone would become two."""
    return text.replace("İ", "I").lower()


class Plain:
    """A text as a reader sees it, in its own letters (`text`) and in lower case (`low`)."""

    def __init__(self, raw: str) -> None:
        self._ours, self._theirs = [0], [0]  # where pieces begin that stand in both alike
        self._signs = set[int]()  # places of the view that several signs of the text stand for
        self.text = self._read(raw)
        self.low = lower(self.text)

    def _read(self, raw: str) -> str:
        marks = [found for sign, pattern in _MARKS if sign in raw for found in pattern.finditer(raw)]
        parts: list[str] = []
        done = length = 0
        for found in sorted(marks, key=lambda mark: mark.start()):
            sign = "" if found[0][0] in "\x1b\\" else _SIGNS[found[0][-1].lower()]
            parts += [raw[done : found.start()], sign]
            length += found.start() - done
            if sign:
                self._begin(length, found.start())
                self._signs.add(length)
            length, done = length + len(sign), found.end()
            self._begin(length, done)
        return "".join([*parts, raw[done:]]) if parts else raw

    def _begin(self, ours: int, theirs: int) -> None:
        self._ours.append(ours)
        self._theirs.append(theirs)

    def origin(self, span: Span) -> Span:
        """Where in the text a part of the view stands that is not empty."""
        last, which = self._place(span[1] - 1)
        return self._place(span[0])[0], self._theirs[which + 1] if span[1] - 1 in self._signs else last + 1

    def _place(self, at: int) -> tuple[int, int]:
        """Where a place of the view is in the text, and in which piece."""
        which = bisect_right(self._ours, at) - 1
        return self._theirs[which] + at - self._ours[which], which
