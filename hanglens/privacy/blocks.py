"""Secrets that several words or lines make: private keys, netrc, Kubernetes secrets, a name and its value, cookies, logins in URLs."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator

from hanglens.privacy.keys import sounds_secret
from hanglens.privacy.plain import Plain, Span
from hanglens.privacy.values import ANY_QUOTE, HIDDEN, OPEN, PLAIN, QUOTE, strings_in

_KEY_NAME = r"(?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?|OpenVPN Static key V1)"
_PEM = re.compile(rf"-----BEGIN {_KEY_NAME}")
_PEM_END = re.compile(rf"-----END {_KEY_NAME}-----")
_PEM_LONGEST = 20_000
_PEM_LINES = re.compile(
    r"-{0,5}(?:(?:\\[rn]|[ \t\r\n]){1,40}[A-Za-z0-9+/=]{40,100})*(?:(?:\\[rn]|[\r\n]){1,4}[A-Za-z0-9+/=]{1,80}(?=[\r\n\"'\\]|\Z))?"
)
_PUTTY = re.compile(r"private-lines: ?\d{1,3}\r?\n(?P<value>(?:[a-z0-9+/=]{1,80}(?:\r?\n|\Z)){1,400})")
_SCHEMES = tuple(
    (word, re.compile(rf"{word}(?:(?<![\w]{word})|(?<=\\[nrt]{word}))[ \t]{{1,4}}{value}"))
    for word, value in (
        ("bearer", r"(?!tokens?\b|auth|scheme|realm|credential|key\b|is\b|or\b)(?P<value>[\w.~+/=-]+)"),
        ("basic", r"(?P<value>[\w+/-]{8,}={0,2})"),
    )
)
_CODE = re.compile(r"(?=[a-z]*[A-Z0-9=])[\w+/-]{8,}={0,2}")
_USERINFO = re.compile(r"://[^\s/@:\"'<>\0]{0,128}:(?P<value>[^\s/\"'\0]{1,256})@")
_USER_TOKEN = re.compile(r"://(?P<value>(?=[A-Za-z_.-]{0,60}[0-9])(?=[0-9_.-]{0,60}[A-Za-z])[\w.~%+=-]{12,256})@")
_GO_DSN = re.compile(r"@(?:tcp|unix)\(")
_GO_PASSWORD = re.compile(r"(?<=\w:)[^\s@\"'/]{1,128}")
_LONGEST_LOGIN = 130
_NETRC = re.compile(
    r"(?:machine\s{1,8}\S{1,200}|(?m:^[ \t]{0,8}default))\s{1,40}login\s{1,8}\S{1,200}\s{1,40}password\s{1,8}(?P<value>\S{1,200})"
)
_COOKIE = re.compile(r"cookie2?(?P<close>" + QUOTE + r")?:[ \t]{0,4}(?P<open>" + QUOTE + r")?(?P<value>[\w.-]{1,100}=[^\r\n\"'\\]{1,8000})")
_PIPED = re.compile(
    r"(?:echo|printf)[ \t]{1,4}(?:-n[ \t]{1,4})?[\"']?(?P<value>[^\s\"'|]{1,200})[\"']?[ \t]{0,4}\|[ \t]{0,4}"
    r"(?:sudo[ \t][^\n|]{0,40}-S|[^\n|]{0,200}--(?:password-)?stdin|[^\n|]{0,40}chpasswd)"
)
_SAID = re.compile(
    r"(?:passw(?:or)?d|passphrase|secret|token)(?: for [^\s:]{1,64}(?: [^\s:]{1,64})?(?::| is)| is:?| was set to)[ \t]{1,3}"
    r"(?P<value>(?=[^\s\d]{0,60}\d)(?=[^\sa-z]{0,60}[a-z])[^\s\"']{6,200}?)(?=[.,;]?(?:[\s\"']|\Z))"
)
_VALUE = re.compile(rf"value(?<![a-z_.-]value)(?:{QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,8}}")
_NAMED = re.compile(
    rf"(?:name|key|variable)(?:{QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}(?:{QUOTE})?(?P<name>[\w.-]{{1,64}})(?:{QUOTE})?"
    rf"[ \t,;]{{0,8}}\s{{0,40}}(?:{QUOTE})?\Z"
)
_NAMED_BELOW = re.compile(
    rf"{QUOTE}\s{{0,8}},\s{{0,40}}{QUOTE}(?:name|key){QUOTE}[ \t]{{0,3}}:[ \t]{{0,3}}{QUOTE}(?P<name>[\w.-]{{1,64}}){QUOTE}"
)
_ONE_WORD = re.compile(r"[^\s\0\"',}]{1,4096}")
_KIND_SECRET = re.compile(rf"kind(?:{QUOTE})?:[ \t]{{0,3}}(?:{QUOTE})?secret(?![a-z])")
_DATA = re.compile(r"(?:string)?data:[ \t]{0,8}(?=\r?\n)")
_DATUM = re.compile(r"\r?\n[ \t]{1,40}[\w.-]{1,200}:[ \t]{1,8}(?P<value>[^\s|>][^\r\n]{0,100000})")
_AROUND = 8000  # characters between the kind of a Kubernetes object and its data


def blocks(view: Plain) -> Iterator[Span]:
    """The spans of such secrets."""
    low, text = view.low, view.text
    if "PRIVATE KEY" in text or "OpenVPN Static" in text:
        yield from _private_keys(text)
    if "private-lines" in low:
        yield from (found.span("value") for found in _PUTTY.finditer(low))
    yield from _schemes(view)
    if "password" in low:
        yield from (found.span("value") for found in _NETRC.finditer(low) if not PLAIN.fullmatch(text, *found.span("value")))
        yield from (found.span("value") for found in _SAID.finditer(low))
    if "stdin" in low or "-S" in text or "chpasswd" in text:
        yield from (found.span("value") for found in _PIPED.finditer(text) if not PLAIN.fullmatch(text, *found.span("value")))
    if "cookie" in low:
        yield from (found.span("value") for found in _COOKIE.finditer(low))
    if "@" in text:
        yield from _logins(text)
    if "value" in low:
        yield from _named(view)
    if "data:" in low:
        yield from _kubernetes(view)


def _private_keys(text: str) -> Iterator[Span]:
    """Blocks of PEM (RFC 7468); of one without an end the lines that look like it."""
    ends = [found.end() for found in _PEM_END.finditer(text)]
    done = 0
    for begin in _PEM.finditer(text):
        which = bisect(ends, begin.start())
        end = ends[which] if which < len(ends) else len(text) + _PEM_LONGEST
        if begin.start() < done:
            continue
        if end - begin.start() > _PEM_LONGEST or ANY_QUOTE.search(text, begin.end(), end):  # the end of another, or of none
            lines = _PEM_LINES.match(text, begin.end())
            end = lines.end() if lines else begin.end()
        done = end
        yield begin.start(), end


def _schemes(view: Plain) -> Iterator[Span]:
    for word, pattern in _SCHEMES:
        for found in pattern.finditer(view.low) if word in view.low else ():
            if word == "bearer" or _CODE.fullmatch(view.text, *found.span("value")):
                yield found.span("value")


def _logins(text: str) -> Iterator[Span]:
    if "://" in text:
        yield from (found.span("value") for found in _USERINFO.finditer(text) if found["value"] != HIDDEN)
        yield from (found.span("value") for found in _USER_TOKEN.finditer(text))
    for found in _GO_DSN.finditer(text):
        colon = text.rfind(":", max(0, found.start() - _LONGEST_LOGIN), found.start())
        if colon >= 0 and _GO_PASSWORD.fullmatch(text, colon + 1, found.start()) and text[colon + 1 : found.start()] != HIDDEN:
            yield colon + 1, found.start()


def _named(view: Plain) -> Iterator[Span]:
    """`- name: DB_PASS`, `value: x`, in YAML, JSON and XML."""
    done = 0
    for found in _VALUE.finditer(view.low):
        if found.start() < done:
            continue
        opened = OPEN.match(view.text, found.end())
        word = None if opened else _ONE_WORD.match(view.text, found.end())
        span = next(strings_in(view.text, opened, many=False)) if opened else word.span() if word else (0, 0)
        done = span[1]
        start = max(0, found.start() - 200)
        named = _NAMED.search(view.low[start : found.start()]) or (_NAMED_BELOW.match(view.low, span[1]) if opened else None)
        if named and span[0] < span[1] and sounds_secret(named["name"]) and not PLAIN.fullmatch(view.text, *span):
            yield span


def _kubernetes(view: Plain) -> Iterator[Span]:
    """Everything under `data` of an object of kind Secret."""
    kinds = [found.start() for found in _KIND_SECRET.finditer(view.low)]
    at = 0
    for found in _DATA.finditer(view.low) if kinds else ():
        if found.start() < at:
            continue
        which = bisect(kinds, found.start())
        near = [kinds[at] for at in (which - 1, which) if 0 <= at < len(kinds)]
        at = found.end()
        while any(abs(kind - found.start()) < _AROUND for kind in near) and (datum := _DATUM.match(view.text, at)):
            at = datum.end()
            if not PLAIN.fullmatch(view.text, *datum.span("value")):
                yield datum.span("value")
