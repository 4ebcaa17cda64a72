r"""The value behind a name: a string in quotes, several in a list, an entry that NUL ends, a word, a line below.

A quote may stand in a string of JSON, and that in another: then 1 or 3 backslashes stand before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanglens.privacy.plain import Plain, Span

HIDDEN = "<secret>"
QUOTE = r"\\{0,3}[\"']"
ASSIGNED = r"\]?[ \t]{0,3}(?:=(?:={1,2}|>)?|:(?!:)=?|>(?=[^<>\n]{1,256}</))[ \t]{0,8}"
TAIL = rf"(?P<close>{QUOTE})?(?:{ASSIGNED}|(?P<flag>[ \0]|(?<=[\"']),[ \t]{{0,3}}(?={QUOTE})))"

# What stands where a secret would, and is none: what was taken out already, types, and references that are filled in elsewhere.
ESCAPE = re.compile(r"\A(?:u[0-9a-fA-F]{4}|[bfnrt])")  # behind a backslash: a string of JSON or Python, of which this is no letter
PLAIN = re.compile(
    r"(?i)<secret>\n*|\*+|\.{3}|none|null|nil|true|false|str|string|int|bool|optional\[str|\[?redacted\]?"
    r"|\$\{[^}\n]{1,64}\}?|\$\(.{0,64}|(?-i:\$[A-Z_]{1,64})|\{\w{0,40}\}|\{\{.{0,64}|%[sdr]|(?:env|file):[\w./-]{1,200}|<[^<>]{1,40}>|x{3,64}"
)
NUMBER = re.compile(r"[-+]?\d[\d.,%]{0,9}|<[^<>]{1,40}>|\[[A-Z_]{2,20}\]?")  # a count or an id, or a special token of a vocabulary
OPEN = re.compile(
    rf"(?P<list>[\[(]|[A-Za-z]\w{{0,23}}\()?[bfruBFRU]{{0,2}}(?P<quote>{QUOTE})(?![,:;)}}\]](?:[\s\"'{{\[(,}}\])]|\Z)|[\r\n]|\Z)"
)
_NEXT = re.compile(rf"{QUOTE}[ \t]{{0,3}},[ \t]{{0,3}}[bfruBFRU]{{0,2}}(?P<quote>{QUOTE})")
_NO_VALUE = re.compile(rf"-|[^\"'\\\n]{{0,64}}{QUOTE}[ \t]{{0,3}}:")  # the next option, or the next key of a dict
_BARE = re.compile(r"(?![\[{(])(?:[^\s\0\"'&;\\]|[&;](?![\w.-]{1,64}=)|\\(?!\\{0,7}[\"'])[^\s\0nrt])+")
ANY_QUOTE = re.compile(r"(?<!\\)\\*[\"']")
_SCHEME = re.compile(
    r"(?:bearer|basic|digest|token|api[-_]?(?:key|token)|negotiate|ssws|key|bot|splunk|geniekey|oauth|ntlm|jwt|sso-key)[ \t]{1,4}"
)
_LONGEST_ENTRY = 8192  # of an environment; a NUL further behind in a log ends nothing
_DEEPEST = 80  # characters before a name that may be its indentation
# A value below its name, further in than it: of YAML, alone or as a block.
_BELOW = re.compile(
    r"(?P<block>[|>][-+]?\d?[ \t]{0,8})?\r?\n(?P<indent>[ \t]{1,64})"
    r"(?=(?P<value>[^\s:{}\[\],\"']{6,4096})[ \t]{0,64}(?:\r?\n|\Z))(?(block)|(?=\S*\d))"
)


def values(view: Plain, found: re.Match[str], begin: int) -> Iterator[Span]:
    """The values behind a name that begins at `begin` in a view; `found` is its last word and what assigns, which is `TAIL`."""
    text, option = view.text, bool(found["flag"])
    many = option and "api" in view.low[begin : found.end()]  # servers take several keys: `--api-keys a b`
    entry = begin == 0 or text[begin - 1] == "\0"
    equals = found.string.find("=", found.start(), found.end()) + 1 if entry else 0
    end = text.find("\0", found.end(), found.end() + _LONGEST_ENTRY) if equals else -1
    if found["flag"] == "\0":
        yield from _arguments(text, found.end(), many=many)
    elif end >= 0:
        yield equals, end
    elif found[0].endswith(">") and "=" not in found[0]:
        yield found.end(), text.index("<", found.end())
    elif opened := OPEN.match(text, found.end()):
        if not (option and _NO_VALUE.match(text, opened.end())):
            yield from strings_in(text, opened, many=many or bool(opened["list"]))
    elif below := None if option else _BELOW.match(text, found.end()):
        yield from _lines_below(text, below, begin)
    else:
        scheme = _SCHEME.match(view.low, found.end())
        yield from _words(text, scheme.end() if scheme else found.end(), option=option, many=many)


def _lines_below(text: str, below: re.Match[str], begin: int) -> Iterator[Span]:
    """The word in the line below a name, or all lines of a block, if they stand further in than the name."""
    before = text[text.rfind("\n", max(0, begin - _DEEPEST), begin) + 1 : begin]
    if len(below["indent"]) <= len(before) < _DEEPEST and not before.strip(" \t-\"'"):
        return
    yield below.span("value")
    at = below.end("value")
    more = re.compile(rf"[ \t]{{0,64}}\r?\n{below['indent']}(?P<value>\S[^\r\n]*)")
    while below["block"] and (found := more.match(text, at)):
        yield found.span("value")
        at = found.end()


def _arguments(text: str, at: int, *, many: bool) -> Iterator[Span]:
    """What follows an option in a command line of /proc, up to the next option."""
    while at < len(text) and text[at] != "-":
        end = text.find("\0", at)
        end = len(text) if end < 0 else end
        yield at, end
        at = end + 1 if many else len(text)


def _words(text: str, at: int, *, option: bool, many: bool) -> Iterator[Span]:
    """Words up to a blank; the brackets and stops behind a word are not of it."""
    bare = None if option and text[at : at + 1] == "-" else _BARE.match(text, at)
    while bare and not (option and bare[0][0] == "-"):
        yield bare.start(), bare.start() + len(bare[0].rstrip(",;)]}."))
        bare = _BARE.match(text, bare.end() + 1) if many and text[bare.end() : bare.end() + 1] == " " else None


def strings_in(text: str, opened: re.Match[str], *, many: bool, rest: bool = False) -> Iterator[Span]:
    """What stands between the quotes; with `many` also in the strings that follow behind commas.

    A string that its line does not end was cut off, and is taken to the end of the line with `rest`. Otherwise its quote may be an
    apostrophe, and what it stands in shall stay whole: then it is taken to the next quote.
    """
    found: re.Match[str] | None = opened
    while found:
        end, closed = _string_end(text, found.end(), found["quote"])
        other = None if closed or rest else ANY_QUOTE.search(text, found.end(), end)
        yield found.end(), other.start() if other else end
        found = _NEXT.match(text, end) if many and closed else None
        found = None if found and _NO_VALUE.match(text, found.end()) else found


def _string_end(text: str, at: int, quote: str) -> tuple[int, bool]:
    """Where a string ends that was opened by `quote`, and whether a quote ends it, or the line.

    The string is written in as many others as its quote has backslashes for (0, 1, 3); then a quote of its own has twice as many
    and one more.
    """
    depth = len(quote) - 1
    for found in re.compile(rf"(?<!\\)\\*[{quote[-1]}\n]").finditer(text, at):
        slashes = found.end() - found.start() - 1
        if text[found.end() - 1] == "\n":
            end = found.end() - 1
            return (end - 1 if end > at and text[end - 1] == "\r" else end), False
        if slashes % (2 * depth + 2) == depth:
            return found.end() - 1 - depth, True
        if slashes < depth:
            return found.start(), False
    return len(text), False
