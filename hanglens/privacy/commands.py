"""Secrets in command lines whose options do not say so: `mysql -pX`, `curl -u user:X`, `wandb login X`, as a shell or /proc has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from hanglens.privacy.hints import Hints
from hanglens.privacy.plain import Plain, Span
from hanglens.privacy.values import PLAIN


class Command(NamedTuple):
    """A program, and the expression of its secret behind it in the same command: `~` is what stands between two arguments."""

    program: str
    secret: str
    example: str
    near_miss: str


_LONGEST = 1000  # characters of a command that are looked at
_END = re.compile(r"[\n|;]|&&|`")
_BETWEEN = r"""(?:["']?(?:[ \t\0]{1,8}|,[ \t]{0,2})["']?)"""
_VALUE = r"""(?P<value>(?<=")[^"\n\0]{1,200}|(?<=')[^'\n\0]{1,200}|(?!-)[^\s\0"',|;&]{1,200})"""
_BEHIND_COLON = r"""(?P<value>[^\s\0"',|;&]{1,200})"""  # behind `user:`

COMMANDS = (
    *(
        Command(name, f"~-p{_VALUE}", f"{name} -u root -phunter2 db", f"{name} -P 3306 db")
        for name in ("mysql", "mysqldump", "mysqladmin", "mariadb")
    ),
    *(
        Command(name, f"~(?:-u|--user|-U|--proxy-user)(?:~|=)?[^\\s\\0\"':,]{{0,100}}:{_BEHIND_COLON}", f"{name} -u me:hunter2 http://x/", f"{name} -u me http://x:8000/")
        for name in ("curl", "wget", "http", "https", "xh")
    ),
    Command("sshpass", f"(?<=sshpass)~-p~?{_VALUE}", "sshpass -p hunter2 ssh -p 22 n1", "sshpass -e ssh -p 22 n1"),
    Command("redis-cli", f"~(?:-a|--pass)~{_VALUE}", "redis-cli -h c -a hunter2 ping", "redis-cli -h c -p 6379 ping"),
    Command("requirepass", f"~{_VALUE}", "requirepass hunter2", "requirepass"),
    Command("masterauth", f"~{_VALUE}", "masterauth hunter2", "masterauth"),
    *(
        Command(name, f"~login(?:~--?(?!token|key|k\\b)[\\w-]+(?:=\\S+)?){{0,6}}~(?:(?:--key|-k|--token|-t)(?:~|=))?{value}", f"{name} login {example}", f"{name} login --relogin")
        for name, value, example in (
            ("wandb", r"(?P<value>(?!-)[\w-]{16,200})", "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d"),
            ("swanlab", r"(?P<value>(?!-)[\w-]{12,200})", "-k 0a1b2c3d4e5f60718293"),
            ("vault", r"(?P<value>(?!-)[\w.-]{8,200})", "hunter2hunter2"),
        )
    ),
    *(
        Command(name, f"~login~.{{0,300}}?(?:-p|--password)(?:~|=){_VALUE}", f"{name} login -u me -p hunter2 r.example", f"{name} run -p 8000:8000 x")
        for name in ("docker", "podman", "nerdctl", "registry", "skopeo", "buildah", "crane", "oras", "az", "oc", "ossutil")
    ),
    Command("twine", f"~upload~.{{0,300}}?(?:-p|--password)(?:~|=){_VALUE}", "twine upload -p hunter2 dist/x", "twine upload dist/x"),
    *(
        Command(name, f"~(?:-p|--password)(?:~|=){_VALUE}", f"{name} -u me -p hunter2 db", f"{name} --port 27017 db")
        for name in ("mongo", "mongosh", "mongodump", "mongorestore")
    ),
    Command("ipmitool", f"~-P~{_VALUE}", "ipmitool -H b1 -U me -P hunter2 power status", "ipmitool -H b1 -p 623 power status"),
    Command("sqlcmd", f"~-P~?{_VALUE}", "sqlcmd -S db -U sa -P hunter2", "sqlcmd -S db -E"),
    Command("ldapsearch", f"~-w~{_VALUE}", "ldapsearch -D cn=me -w hunter2", "ldapsearch -x -W"),
    Command("smbclient", f"~-U~?[^\\s%]{{1,64}}%{_BEHIND_COLON}", "smbclient //s/x -U me%hunter2", "smbclient //s/x -U me"),
    Command("zip", f"~-P~?{_VALUE}", "zip -r -P hunter2 a.zip x", "zip -r a.zip x"),
    Command("7z", f"~-p{_VALUE}", "7z a -phunter2 a.7z x", "7z a a.7z x"),
    Command("openssl", f"~-(?:pass|passin|passout)~pass:{_BEHIND_COLON}", "openssl enc -pass pass:hunter2 -in x", "openssl enc -pass env:X -in x"),
    Command("ssh-keygen", f"~-[NP]~{_VALUE}", "ssh-keygen -t rsa -N hunter2", "ssh-keygen -t rsa -b 4096"),
    Command("ngrok", f"~(?:config~add-)?authtoken~{_VALUE}", "ngrok authtoken 0a1b2c3d4e5f", "ngrok http 8000"),
    Command("tailscale", f"~up~.{{0,200}}?--auth-?key(?:~|=){_VALUE}", "tailscale up --authkey hunter2", "tailscale up --ssh"),
    Command("htpasswd", f"~-[a-zA-Z]*b[a-zA-Z]*~[^\\s\\0]{{1,200}}~[^\\s\\0]{{1,100}}~{_VALUE}", "htpasswd -b f me hunter2", "htpasswd f me"),
    Command("lftp", f"~-u~[^\\s,]{{1,64}},{_BEHIND_COLON}", "lftp -u me,hunter2 host", "lftp host"),
    Command("aws", f"~configure~set~(?:\\S{{0,64}}\\.)?aws_(?:secret_access_key|session_token|access_key_id)~{_VALUE}", "aws configure set aws_secret_access_key hunter2", "aws configure set region x"),
    *(
        Command(name, f"~(?:alias~set|config~host~add)~\\S{{1,64}}~\\S{{1,200}}~(?:\\S{{1,100}}~)?{_VALUE}", f"{name} alias set s3 http://m me hunter2", f"{name} ls s3")
        for name in ("mc", "mcli")
    ),
    Command("vncpasswd", f"~-f~?{_VALUE}", "vncpasswd -f hunter2", "vncpasswd"),
    Command("git", f"~credential[^\\n]{{0,200}}password={_BEHIND_COLON}", "git credential approve password=hunter2", "git credential fill"),
)  # fmt: skip
_COMPILED = tuple((one.program, re.compile(one.secret.replace("~", _BETWEEN))) for one in COMMANDS)


_HINTS = Hints(one.program for one in COMMANDS)


def commanded(view: Plain) -> Iterator[Span]:
    """Where a command line has a secret."""
    there = _HINTS.there(view.text)
    for program, secret in _COMPILED:
        if program in there:
            yield from _of_program(view.text, program, secret)


def _of_program(text: str, program: str, secret: re.Pattern[str]) -> Iterator[Span]:
    done = 0
    for found in re.finditer(rf"{re.escape(program)}(?<![\w.-]{re.escape(program)})(?=[\"' \t\0])", text):
        if found.start() >= done:
            end = _END.search(text, found.end(), found.end() + _LONGEST)
            done = end.start() if end else min(len(text), found.end() + _LONGEST)
            value = secret.search(text, found.end(), done)
            if value and not PLAIN.fullmatch(text, *value.span("value")):
                yield value.span("value")
