"""Evidence as harmless text: what a terminal, a browser or an editor would obey is removed or made visible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

from hanglens.verdict import Diagnosis

LONGEST_LINE = 500
LONGEST_PROSE = 4000
_PROSE = frozenset({"en", "zh", "command", "how_to_collect", "why"})  # fields that may have several lines

_ESCAPE_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)"  # OSC: window titles, links
    r"|[\x1b\x9b]\[?[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI and two-character sequences: colours, cursor
)
_SUSPECT = re.compile(r"[^\S \n]|[^\w\s!-~]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(d: Diagnosis) -> Diagnosis:
    """The same diagnosis with every string in it made harmless; over-long ones are cut."""
    return msgspec.convert(_cleaned(msgspec.to_builtins(d), ""), Diagnosis)


def _cleaned(value: object, name: str) -> object:
    if isinstance(value, str):
        return _prose(value) if name in _PROSE else line(value)
    if isinstance(value, dict):
        return {key: _cleaned(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(item, name) for item in value]
    return value


def line(text: str, longest: int = LONGEST_LINE) -> str:
    r"""One line of at most `longest` characters; inner line ends become ⏎.

    >>> line("a\x1b[31mred\x1b[0m\u202e<b>")
    'ared⟨U+202E⟩<b>'
    """
    if len(text) <= longest and _harmless(text):
        return text
    return cut(visible(cut(text, 4 * longest).rstrip("\r\n")).replace("\n", " ⏎ "), longest)


def _harmless(text: str) -> bool:
    """Most strings are, and there may be a million of them."""
    return text.isascii() and text.isprintable()


def _prose(text: str) -> str:
    return cut(visible(cut(text, LONGEST_PROSE)).strip("\n"), LONGEST_PROSE)


def cut(text: str, longest: int) -> str:
    """`text`, or its beginning and an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def few(names: Iterable[object], most: int) -> str:
    """The first names, and how many there are if these are not all."""
    known = list(map(str, names))
    return ", ".join(known[:most]) + (f", … ({len(known)})" if len(known) > most else "")


def visible(text: str) -> str:
    """Without terminal escape sequences, and with control, bidi and zero-width characters spelled out; line ends stay."""
    return _SUSPECT.sub(_shown, _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n")))


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\t":
        return "    "
    if character < " ":
        return chr(0x2400 + ord(character))  # the picture of the control character: ␛ ␍ ␀
    if unicodedata.category(character) in _INVISIBLE:
        return f"⟨U+{ord(character):04X}⟩"
    return character
