r"""Where secrets and prompts stand in a text.

Secrets are found by what stands before them (`token=`, `--api-key`, `Bearer`) or by their own shape (`hf_…`, a JWT, a private key),
prompts by the words of the engines' request logs. Words of language models (`max_new_tokens`, `tokenizer`) are no secrets.

Each search starts at a literal and looks no further than a bounded distance, unless what it passes over is then replaced: so the time
grows with the text and not with its square.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from typing import Literal

Kind = Literal["secret", "host", "address", "user", "prompt"]
Span = tuple[int, int]
Change = tuple[int, int, Kind, str]
"""From where, to where, what stands there, and what shall stand there."""

HIDDEN = "<secret>"
ESCAPE = re.compile(r"\A(?:u[0-9a-fA-F]{4}|[bfnrt])")  # behind a backslash: a string of JSON or Python, of which this is no letter

# A quote may stand in a string of JSON, and that in another: then 1 or 3 backslashes stand before it.
_QUOTE = r"\\{0,3}[\"']"
_ASSIGNED = r"\]?[ \t]{0,3}(?:=(?:={1,2}|>)?|:(?!:)=?)[ \t]{0,8}"
_TAIL = rf"(?P<close>{_QUOTE})?(?:{_ASSIGNED}|(?P<flag>[ \0]|(?<=[\"']),[ \t]{{0,3}}(?={_QUOTE})))"
_MORE = r"[a-z0-9_-]{0,24}"  # `secret_access_key`, `passwordHash`, `api-keys`
_KEYS = tuple(
    (literal, re.compile(key + _TAIL))
    for literal, key in (
        ("token", r"tokens?(?![a-z_\-/.)])"),  # nothing more: `token_ids`, `token-num`, `tokenizer` are no secrets
        ("secret", r"secret" + _MORE),
        ("passw", r"passw(?:or)?d" + _MORE),
        ("passphrase", r"passphrase"),
        ("credential", r"credential" + _MORE),
        ("authorization", r"authorization"),
        ("api", r"api[-_]?key" + _MORE),
        ("access", r"access[-_]?key" + _MORE),
        ("private", r"private[-_]?key" + _MORE),
        ("signature=", r"signature(?==)"),  # of a signed URL
        ("sig=", r"sig(?<=[?&]sig)"),
    )
)
_LEFT = re.compile(r"[a-z0-9_.-]*\Z")  # what stands before the word in the same name
# The last word before `token` by which it is a token of a language model, and the one before `tokens` by which it is not.
_MODEL_TOKENS = frozenset(
    "bos eos pad unk sep cls mask image video audio special start stop end next last first new max min num total draft prefill decode "
    "prompt input output generated sampled per think thinking reasoning tool call eot eom bot boi eoi vision speech mm placeholder "
    "additional added accepted bonus target current prev previous cached kv".split()
)
_SECRET_TOKENS = frozenset("access api auth bearer hf refresh secret session security".split())
_PLAIN = re.compile(r"(?i)<secret>\n*|\*+|\.{3}|none|null|nil|true|false|str|string|int|bool|optional\[str|\[?redacted\]?")
_NUMBER = re.compile(r"[-+]?\d[\d.,%]{0,9}|<[^<>]{1,40}>|\[[A-Z_]{2,20}\]?")  # a count or an id, or a special token of a vocabulary
_OPEN = re.compile(
    rf"(?P<list>[\[(]|[A-Za-z]\w{{0,23}}\()?[bfruBFRU]{{0,2}}(?P<quote>{_QUOTE})(?![,:;)}}\]](?:[\s\"'{{\[(,}}\])]|\Z)|[\r\n]|\Z)"
)
_NEXT = re.compile(rf"{_QUOTE}[ \t]{{0,3}},[ \t]{{0,3}}[bfruBFRU]{{0,2}}(?P<quote>{_QUOTE})")
_NO_VALUE = re.compile(rf"-|[^\"'\\\n]{{0,64}}{_QUOTE}[ \t]{{0,3}}:")  # the next option, or the next key of a dict
_BARE = re.compile(r"(?![\[{(])(?:[^\s\0\"'&\\]|&(?![\w.-]{1,64}=)|\\(?!\\{0,7}[\"'])[^\s\0nrt])+")
_ANY_QUOTE = re.compile(r"(?<!\\)\\*[\"']")
_SCHEME = re.compile(r"(?:bearer|basic|digest|token|apikey|negotiate)[ \t]{1,4}")
_BEARER = re.compile(r"(?:\b|(?<=\\[nrt]))bearer[ \t]{1,4}(?!tokens?\b|auth|scheme|realm|credential|key\b|is\b|or\b)(?P<value>[\w.~+/=-]+)")
_USERINFO = re.compile(r"://[^\s/@:\"'<>\0]{0,128}:(?P<value>[^\s/\"'\0]{1,256})@")
# The literal comes first because `re` then jumps from one to the next.
_SHAPES = tuple(
    (literal, re.compile(rf"{literal}(?:(?<![0-9A-Za-z]{literal})|(?<=\\[nrt]{literal})){rest}"))
    for literal, rest in (
        ("hf_", r"(?:(?=[a-z]{0,40}[A-Z0-9])[A-Za-z0-9]{8,}|[A-Za-z0-9]{20,})"),
        ("sk-", r"(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{12,}"),
        *((f"gh{letter}_", r"[A-Za-z0-9]{12,}") for letter in "pousr"),
        ("github_pat_", r"\w{12,}"),
        ("glpat-", r"[\w-]{8,}"),
        ("nvapi-", r"[\w-]{16,}"),
        ("AKIA", r"[0-9A-Z]{12,}"),
        ("ASIA", r"[0-9A-Z]{12,}"),
        *((f"xox{letter}-", r"[\w-]{8,}") for letter in "abeoprs"),
        ("AIza", r"[\w-]{20,}"),
        ("eyJ", r"(?<![-_]eyJ)[\w-]{6,}\.[\w-]{4,}\.[\w-]*"),
    )
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY")
_PEM_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_PEM_LONGEST = 20_000
_LONGEST_ENTRY = 8192  # of an environment; a NUL further behind in a log ends nothing
_PEM_LINES = re.compile(
    r"-{0,5}(?:(?:\\[rn]|[ \t\r\n]){1,40}[A-Za-z0-9+/=]{40,100})*(?:(?:\\[rn]|[\r\n]){1,4}[A-Za-z0-9+/=]{1,80}(?=[\r\n\"'\\]|\Z))?"
)

_PROMPTS = tuple(
    (literal, re.compile(rf"{literal}(?:(?<![a-z]{literal})|(?<=\\[nrt]{literal}))s?(?P<close>{_QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}"))
    for literal in ("prompt", "content", "text")
)
_IDS = re.compile(rf"_ids(?:{_QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}(?:(?:tensor|array)\()?\[(?P<value>[-0-9., \t\[\]]*)")
_ID_LISTS = ("prompt", "prompt_token", "input", "input_token", "output")
_PROMPT_DONE = re.compile(r"<prompt of \d+ characters>")


def secrets(text: str, low: str) -> list[Change]:
    """All secrets; those that overlap are one, which takes as many lines as they did."""
    merged: list[tuple[int, int, str]] = []
    for start, end, quote in sorted([*_keyed(text, low), *_shaped(text, low)]):
        if merged and start < merged[-1][1]:
            first, last, kept = merged[-1]
            merged[-1] = (first, max(last, end), kept)
        else:
            merged.append((start, end, quote))
    return [(start, end, "secret", f"{quote}{HIDDEN}{quote}" + "\n" * text.count("\n", start, end)) for start, end, quote in merged]


def _shaped(text: str, low: str) -> Iterator[tuple[int, int, str]]:
    """What is a secret by its own looks."""
    spans = [found.span() for literal, pattern in _SHAPES if literal in text for found in pattern.finditer(text)]
    spans += [found.span("value") for found in _BEARER.finditer(low)] if "bearer" in low else []
    spans += [m.span("value") for m in _USERINFO.finditer(text) if m["value"] != HIDDEN] if "://" in text else []
    spans += _private_keys(text) if "PRIVATE KEY" in text else []
    yield from ((start, end, "") for start, end in spans)


def _private_keys(text: str) -> Iterator[Span]:
    """Blocks of PEM (RFC 7468); of one without an end the lines that look like it."""
    ends = [found.end() for found in _PEM_END.finditer(text)]
    done = 0
    for begin in _PEM.finditer(text):
        which = bisect(ends, begin.start())
        end = ends[which] if which < len(ends) else len(text) + _PEM_LONGEST
        if begin.start() < done:
            continue
        if end - begin.start() > _PEM_LONGEST or _ANY_QUOTE.search(text, begin.end(), end):  # the end of another, or of none
            lines = _PEM_LINES.match(text, begin.end())
            end = lines.end() if lines else begin.end()
        done = end
        yield begin.start(), end


def _keyed(text: str, low: str) -> Iterator[tuple[int, int, str]]:
    """Values that are secrets by what stands before them: assignments, headers, options, environments, JSON and Python's repr."""
    for literal, pattern in _KEYS:
        done = 0
        for found in pattern.finditer(low) if literal in low else ():
            left = _LEFT.search(low, max(0, found.start() - 64), found.start())
            name = ESCAPE.sub("", left[0]) if left and low[left.start() - 1 : left.start()] == "\\" else left[0] if left else ""
            if found.start() < done or not _sounds_secret(found, name):
                continue
            token = literal == "token"
            for start, end in _values(text, low, found, found.start() - len(name)):
                done = end
                plain = _PLAIN.fullmatch(text, start, end) or (token and _NUMBER.fullmatch(text, start, end))
                if start < end and not plain:
                    quoted = text[start - 1] in "\"'"
                    yield start, end, "" if quoted or found["flag"] else found["close"] or ""


def _sounds_secret(found: re.Match[str], left: str) -> bool:
    """Whether the word, with what stands before it in its name, is the name of a secret; an option that a blank ends begins with dashes."""
    if found["flag"] and not left.startswith("--"):
        return False
    before = found.string[found.start() - len(left) - 1 : found.start() - len(left)]
    if before == "/" and found["close"] is None and ":" in found[0]:
        return False  # `/etc/passwd: permission denied`
    last = re.split(r"[_.-]", left.rstrip("_.-"))[-1]
    if found[0].startswith("tokens"):
        return last in _SECRET_TOKENS
    return not (found[0].startswith("token") and last in _MODEL_TOKENS)


def _values(text: str, low: str, found: re.Match[str], begin: int) -> Iterator[Span]:
    """The values behind a name that begins at `begin`: a string, several in a list, an entry that NUL ends, a word."""
    option = bool(found["flag"])
    many = option and found[0].startswith("api")  # servers take several keys: `--api-keys a b`
    entry = begin == 0 or text[begin - 1] == "\0"
    equals = found.string.find("=", found.start(), found.end()) + 1 if entry else 0
    end = text.find("\0", found.end(), found.end() + _LONGEST_ENTRY) if equals else -1
    if found["flag"] == "\0":
        yield from _arguments(text, found.end(), many=many)
    elif end >= 0:
        yield equals, end
    elif opened := _OPEN.match(text, found.end()):
        if not (option and _NO_VALUE.match(text, opened.end())):
            yield from _strings_in(text, opened, many=many or bool(opened["list"]))
    else:
        scheme = _SCHEME.match(low, found.end())
        yield from _words(text, scheme.end() if scheme else found.end(), option=option, many=many)


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


def _strings_in(text: str, opened: re.Match[str], *, many: bool, rest: bool = False) -> Iterator[Span]:
    """What stands between the quotes; with `many` also in the strings that follow behind commas.

    A string that its line does not end was cut off, and is taken to the end of the line with `rest`. Otherwise its quote may be an
    apostrophe, and what it stands in shall stay whole: then it is taken to the next quote.
    """
    found: re.Match[str] | None = opened
    while found:
        end, closed = _string_end(text, found.end(), found["quote"])
        other = None if closed or rest else _ANY_QUOTE.search(text, found.end(), end)
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


def prompts(text: str, low: str) -> Iterator[Change]:
    """What users asked, as vLLM, SGLang, LMDeploy and OpenAI's protocol write it: strings and lists of token ids."""
    for literal, pattern in _PROMPTS:
        done = 0
        for found in pattern.finditer(low) if literal in low else ():
            opened = _OPEN.match(text, found.end()) if found.start() >= done else None
            ours = literal != "text" or found["close"] or "ReqInput(" in text[max(0, found.start() - 1000) : found.start()]
            for start, end in _strings_in(text, opened, many=bool(opened["list"]), rest=True) if opened and ours else ():
                done = end
                if start < end and not _PROMPT_DONE.fullmatch(text, start, end):
                    yield start, end, "prompt", f"<prompt of {end - start} characters>"
    for found in _IDS.finditer(low) if "_ids" in low else ():
        if low.endswith(_ID_LISTS, max(0, found.start() - 16), found.start()):
            start, ids = found.start("value"), found["value"]
            size = ids.rfind("]") if "]" in ids else len(ids)
            if ids[:size].strip():
                yield start, start + size, "prompt", f"<prompt of {size} characters>"
