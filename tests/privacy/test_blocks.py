"""What several words or lines make a secret is found as a whole."""

from __future__ import annotations

import pytest

from hanglens.privacy.redactor import Redactor

PUTTY = "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 2\nAAABAQCq5MLfgxnZ\nAAAAgQDk\nPrivate-MAC: x\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PUTTY, "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 2\n<secret>\n\nPrivate-MAC: x\n"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n-----END PGP PRIVATE KEY BLOCK-----", "<secret>\n\n\n"),
        ("machine git.example\n  login me\n  password hunter2\n", "machine git.example\n  login me\n  password <secret>\n"),
        ("- name: DB_PASS\n  value: hunter2\n- name: N\n  value: 3\n", "- name: DB_PASS\n  value: <secret>\n- name: N\n  value: 3\n"),
        ('[{"name": "X_TOKEN", "value": "hunter2"}]', '[{"name": "X_TOKEN", "value": "<secret>"}]'),
        ('[{"value": "hunter2", "name": "X_TOKEN"}]', '[{"value": "<secret>", "name": "X_TOKEN"}]'),
        ('<add key="DbPassword" value="hunter2"/>', '<add key="DbPassword" value="<secret>"/>'),
        (
            "apiVersion: v1\ndata:\n  cfg.json: aHVudGVyMg==\n  x: eA==\nkind: Secret\n",
            "apiVersion: v1\ndata:\n  cfg.json: <secret>\n  x: <secret>\nkind: Secret\n",
        ),
        ("kind: Secret\nstringData:\n  cfg: hunter2 here\ntype: Opaque\n", "kind: Secret\nstringData:\n  cfg: <secret>\ntype: Opaque\n"),
        ("Cookie: a=hunter2; b=hunter3\nx", "Cookie: <secret>\nx"),
        ('{"Set-Cookie": "sid=hunter2; HttpOnly"}', '{"Set-Cookie": "<secret>"}'),
        ("sent Basic aHVudGVyMjpodW50ZXIy to", "sent Basic <secret> to"),
        ("pull https://t0ken4you9x8y@git.example/r.git", "pull https://<secret>@git.example/r.git"),
        ("root:hunter2@tcp(db:3306)/x", "root:<secret>@tcp(db:3306)/x"),
        ("postgresql+asyncpg://me:hunter2@db/x", "postgresql+asyncpg://me:<secret>@db/x"),
    ],
)  # fmt: skip
def test_block_is_hidden(text: str, expected: str) -> None:
    """Only the secret of it goes, and it has as many lines as before."""
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "basic functionality of the default login with password auth", "ssh://git@github.com/x and postgres://app@db/x",
        "- name: LOG_LEVEL\n  value: debug\n", "cookie jar: empty", "https://github.com/a/b@v1", "-----BEGIN PUBLIC KEY-----",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    """Accounts without a password, other names and other words stay."""
    assert Redactor().text(text) == text
