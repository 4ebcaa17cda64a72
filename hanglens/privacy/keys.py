"""Values that are secrets by their names: assignments, headers, options, environments, JSON, YAML, XML and Python's repr.

Words of language models (`max_new_tokens`, `tokenizer`) and of collectives (`forward_pass`) are no names of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from hanglens.privacy.plain import Plain, Span
from hanglens.privacy.values import ESCAPE, NUMBER, PLAIN, QUOTE, TAIL, values


class Key(NamedTuple):
    """How names of secrets end: with `literal` and `rest`, behind a `left` that ends so; in `value` what their values look like.

    Names in lower case, values as they are. A `number` is no secret of that name.
    """

    literal: str
    rest: str
    example: str
    near_miss: str
    left: str = ""
    value: str = ""
    number: bool = False


_MORE = r"[a-z0-9_-]{0,24}"  # `secret_access_key`, `passwordHash`, `api-keys`
_WHOLE = r"(?:^|[_.-])"
_LONG = r"(?=.{0,200}[0-9])(?=.{0,200}[A-Za-z])[\w+/=.~-]{16,}"  # what a machine made
_CODE = r"(?=[a-z_/+-]{0,40}[A-Z0-9=])[\w+/.-]{8,}={0,2}"
_MASTERS = "db|user|ssh|smtp|root|admin|my|mail|ftp|ldap|login|pg|sql|mysql|redis|mongo|svn|git|registry|vnc|ipmi|bmc|idrac"
_OF_KEYS = (  # what stands before `key` in the name of one that opens something
    r"(?:(?:api|access|private|account|encryption)|"
    + _WHOLE
    + r"(?:shared|signing|sign|encrypt|enc|decryption|aes|hmac|rsa|master|client|deploy|license|service|storage|ssh|auth|app|consumer"
    r"|subscription|routing|integration|webhook|crypto|cipher|jwt|wg|admin|instrumentation))[_. -]?"
)

KEYS = (
    # nothing more behind it: `token_ids`, `token-num`, `tokenizer` are no secrets
    Key("token", r"tokens?(?![a-z_\-/.)])", "HF_TOKEN=hunter2", "num_tokens=5", number=True),
    Key("secret", r"secret" + _MORE, "client_secret: hunter2", "secretary said"),
    Key("passw", r"passw(?:or)?[dt]" + _MORE, "db_password=hunter2", "passwordless login"),
    Key("passphrase", r"passphrase" + _MORE, "passphrase: hunter2", "passphrase prompt"),
    Key("passcode", r"passcode", "passcode=hunter2", "passcode prompt"),
    Key("pass", r"pass(?![a-z0-9_-])", "SMTP_PASS=hunter2", "forward_pass=0.31s", r"^|[_-]|" + _WHOLE + f"(?:{_MASTERS})", number=True),
    Key("pwd", r"pwd(?![a-z])", "pwd=hunter2", "PWD=/root/x", r"(?<!old)", r"(?![/~.]).*"),
    Key("pw", r"pw(?![a-z0-9])", "root_pw=hunter2", "bpw=16", r"^|[_-]|" + _WHOLE + f"(?:{_MASTERS})", number=True),
    Key("credential", r"credential" + _MORE, "credentials=hunter2", "credential helper"),
    Key("authorization", r"authorization", "Authorization: hunter2", "authorization failed"),
    Key("key", r"keys?" + _MORE, "account_key=hunter2", "cache_key=hunter2", _OF_KEYS),
    Key("key", r"key(?![a-z0-9_-])", "DEEPSEEK_KEY=0a1b2c3d4e5f6a7b", "SORT_KEY=name", r"[a-z0-9]_", _LONG),
    Key("auth", r"auth(?![a-z0-9_-])", '"auth": "dXNlcjpodW50ZXIy"', "auth: enabled", r"^_?", _CODE),
    Key("pat", r"pat(?![a-z0-9])", "GITHUB_PAT=0a1b2c3d4e5f6a7b", "spat=1", r"[_-]", _LONG),
    Key("jwt", r"jwt(?![a-z0-9_-])", "jwt=0a1b2c3d4e5f6a7b8c", "jwt=on", r"^|[_-]", _LONG),
    Key("psk", r"psk(?![a-z0-9_-])", "psk=hunter2hunter2", "psk=on", r"^|[_-]", r".{8,}"),
    Key("sk", r"sk(?![a-z0-9_-])", "sk=0a1b2c3d4e5f6a7b", "disk=0a1b2c3d4e5f6a7b", r"^|[_-]", _LONG),
    Key("ak", r"ak(?![a-z0-9_-])", "ak=0a1b2c3d4e5f6a7b", "peak=0a1b2c3d4e5f6a7b", r"^|[_-]", _LONG),
    Key("webhook", r"webhook(?:[_-]?ur[li])?(?![a-z])", "WEBHOOK_URL=https://x.example/0a1b", "webhook=on", "", r"https?://.*"),
    Key("signature", r"signature(?==)", "X-Amz-Signature=0a1b2c", "signature: (self)"),
    Key("sig", r"sig(?<=[?&;]sig)", "?sig=0a1b2c", "sig=15"),
    Key("sessid", r"sessid", "PHPSESSID=0a1b2c3d4e", "sessid seen", "", r".{8,}"),
    Key("sessionid", r"sessionid", "JSESSIONID=0A1B2C3D4E5F", "sessionid=15", "", _CODE, number=True),
)
_COMPILED = tuple(
    (key, re.compile(key.rest + TAIL), re.compile(f"(?:{key.left})\\Z"), re.compile(key.value or ".*", re.DOTALL)) for key in KEYS
)
_LEFT = re.compile(r"[a-z0-9_.-]*\Z")  # what stands before the word in the same name

# The last word before `token` by which it is a token of a language model, and the one before `tokens` by which it is not.
_MODEL_TOKENS = frozenset(
    "bos eos pad unk sep cls mask image video audio special start stop end next last first new max min num total draft prefill decode "
    "prompt input output generated sampled per think thinking reasoning tool call eot eom bot boi eoi vision speech mm placeholder "
    "additional added accepted bonus target current prev previous cached kv".split()
)
_SECRET_TOKENS = frozenset("access api auth bearer hf refresh secret session security".split())
_STEPS = frozenset("forward backward fwd bwd first second third one two single multi last next test compiler optimizer by num max".split())

_SPOKEN = re.compile(  # names of secrets in other languages
    rf"(?:密码|口令|令牌|密钥|私钥|凭证|凭据|授权码|访问码|パスワード|비밀번호|пароль|contraseña|mot de passe)(?P<close>{QUOTE})?"
    r"[ \t]{0,3}(?:[为是]?[:=]|[为是])[ \t]{0,8}(?P<flag>(?!))?(?=[!-~])"
)
_SPOKEN_HINTS = ("密", "口令", "令牌", "私钥", "凭", "授权码", "访问码", "パスワード", "비밀번호", "пароль", "contraseña", "mot de passe")


def keyed(view: Plain) -> Iterator[tuple[Span, str]]:
    """The spans of such values, and the quote that what is put there must have."""
    for key, pattern, left, looks in _COMPILED:
        if key.literal in view.low:
            yield from _of_key(view, key, pattern, (left, looks))
    if any(hint in view.low for hint in _SPOKEN_HINTS):
        for found in _SPOKEN.finditer(view.low):
            yield from _secret(view, found, values(view, found, found.start()), "")


def sounds_secret(name: str) -> bool:
    """Whether what bears this name is a secret."""
    return any(True for _ in keyed(Plain(f'"{name}": "0A1b2C3d4E5f6A7b8C"')))


def _of_key(view: Plain, key: Key, pattern: re.Pattern[str], tests: tuple[re.Pattern[str], re.Pattern[str]]) -> Iterator[tuple[Span, str]]:
    left, looks = tests
    done = 0
    for found in pattern.finditer(view.low):
        name = _before(view.low, found.start())
        of_a_test = not name and ":" in found[0] and view.text[found.start() : found.start() + 4] == "PASS"
        if found.start() < done or of_a_test or not left.search(name) or not _in_place(found, name):
            continue
        for span, quote in _secret(view, found, values(view, found, found.start() - len(name)), key.literal if key.number else ""):
            done = max(done, span[1])
            if looks.fullmatch(view.text, *span):
                yield span, quote


def _before(low: str, at: int) -> str:
    """What stands before a place in the same name."""
    left = _LEFT.search(low, max(0, at - 64), at)
    name = left[0] if left else ""
    return ESCAPE.sub("", name) if low[max(0, at - len(name) - 1) : at - len(name)] == "\\" else name


def _secret(view: Plain, found: re.Match[str], spans: Iterator[Span], number: str) -> Iterator[tuple[Span, str]]:
    for start, end in spans:
        plain = PLAIN.fullmatch(view.text, start, end) or (number and NUMBER.fullmatch(view.text, start, end))
        if start < end and not plain:
            quoted = view.text[start - 1] in "\"'"
            yield (start, end), "" if quoted or found["flag"] else found["close"] or ""


def _in_place(found: re.Match[str], left: str) -> bool:
    """Whether the word, with what stands before it in its name, is the name of a secret; an option that a blank ends begins with a dash."""
    if found["flag"] and not left.startswith("-"):
        return False
    before = found.string[found.start() - len(left) - 1 : found.start() - len(left)]
    if before == "/" and found["close"] is None and ":" in found[0]:
        return False  # `/etc/passwd: permission denied`
    if found[0].rstrip().endswith(">") and "=" not in found[0] and before != "<":
        return False
    last = re.split(r"[_.-]", left.rstrip("_.-"))[-1]
    if found[0].startswith("tokens"):
        return last in _SECRET_TOKENS
    return last not in (_MODEL_TOKENS if found[0].startswith("token") else _STEPS if found[0].startswith("pass") else ())
