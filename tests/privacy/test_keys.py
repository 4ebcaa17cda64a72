"""A value is a secret by its name; names that only sound alike keep theirs."""

from __future__ import annotations

import pytest

from hanglens.privacy.keys import KEYS, Key, sounds_secret
from hanglens.privacy.redactor import Redactor

SECRETS = ("hunter2", "0a1b2c", "0A1B2C", "dXNlcjpodW50ZXIy")


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.example)
def test_key_is_known(key: Key) -> None:
    """The value goes and its name stays."""
    redacted = Redactor().text(f"x {key.example} y") if " " not in key.example and '"' not in key.example else Redactor().text(key.example)
    assert not any(secret in redacted for secret in SECRETS)
    assert "<secret>" in redacted


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.near_miss)
def test_near_miss_stays(key: Key) -> None:
    """What only sounds like the name of a secret is left as it is."""
    assert Redactor().text(key.near_miss) == key.near_miss


@pytest.mark.parametrize(
    ("name", "secret"), [("DB_PASS", True), ("X_TOKEN", True), ("MYSQL_PWD", True), ("LOG_LEVEL", False), ("NUM_TOKENS", False)]
)
def test_name_sounds_secret(name: str, secret: bool) -> None:
    """A name alone tells, for lists of names and values."""
    assert sounds_secret(name) is secret


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("密码: hunter2", "密码: <secret>"),
        ("数据库密码=hunter2 ok", "数据库密码=<secret> ok"),
        ("访问密钥：hunter2", "访问密钥：<secret>"),
        ("令牌＝hunter2", "令牌＝<secret>"),
        ("口令为hunter2", "口令为<secret>"),
        ('{"密钥": "hunter2"}', '{"密钥": "<secret>"}'),
        ("password：hunter2", "password：<secret>"),
        ("\x1b[36mdb_passwd\x1b[0m\x1b[2m=\x1b[0mhunt\x1b[1mer2\x1b[0m", "\x1b[36mdb_passwd\x1b[0m\x1b[2m=\x1b[0m<secret>\x1b[0m"),
        (r"\u001b[36mtoken\u001b[0m=hunter2\u001b[0m", r"\u001b[36mtoken\u001b[0m=<secret>\u001b[0m"),
        ("GET /cb?next=%2Fx%3Fapi_key%3Dhunter2&n=1", "GET /cb?next=%2Fx%3Fapi_key%3D<secret>&n=1"),
        ("state=token%253Dhunter2%3D", "state=token%253D<secret>"),
        ("api_key=\\\n  hunter2\nx", "api_key=\\\n  <secret>\nx"),
        ("auth_token:\n    hunter2hunter2\nnext: 1", "auth_token:\n    <secret>\nnext: 1"),
        ("db:\n  password: |\n    hunter2\n    hunter3\n  port: 1", "db:\n  password: |\n    <secret>\n    <secret>\n  port: 1"),
        ("<password>hunter2</password>", "<password><secret></password>"),
        ("server=db;uid=sa;pwd=hunter2;x=1", "server=db;uid=sa;pwd=<secret>;x=1"),
        ("AccountName=x;SharedAccessKey=aHVudGVyMg==;y=1", "AccountName=x;SharedAccessKey=<secret>;y=1"),
        ("java -password hunter2 x", "java -password <secret> x"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=<secret> psql"),
    ],
)  # fmt: skip
def test_value_is_found_however_it_is_written(text: str, expected: str) -> None:
    """Other languages, full-width signs, colours, percent-encoding, lines that go on, YAML, XML and connection strings hide nothing."""
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "密码错误，请重试", "令牌：无效", "PWD=/root/work", "OLDPWD=/root", "forward_pass: 0.31", "pass=3 fail=0", "PASS: test_x",
        "password=$DB_PASS token=${TOKEN} secret={{ x }}", "api_key=%s", "tokens:\n  12\n  13\n", "auth: none", "--auth basic",
        "session_id=17 key=value sort_key=name", "the password is wrong, and a token was missing", "docker run -p 8000:8000 x",
        "ssh -p 22 n1", "mkdir -p a/b", "cp -u a:b c", "store key: default_pg/0//cpu//0/0",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "\x1b[32mINFO\x1b[0m eos_token=2", "busId 3b000 commId 0xf9ce7ea4ecead208", "100%3A x", "kind: Deployment\ndata:\n  a: bcdefghi1\n",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    """Prose, numbers, references, ports and paths are no secrets."""
    assert Redactor().text(text) == text
