"""One line of a log: who wrote it, when, with which program, and what is left when all prefixes are off.

Formats: LMDeploy `lmdeploy/utils.py` and `src/turbomind/utils/logger.*` (v0.6–v0.18), NCCL `src/debug.cc` (2.18–2.30),
PyTorch glog (1.12–2.13), vLLM and SGLang loggers, Ray, mpirun/torchrun/compose/Kubernetes wrappers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from hanglens import number
from hanglens.expressions import required_literals
from hanglens.model import NOBODY, Speaker, Stamp
from hanglens.parse.stamps import read_stamp

ANSI = re.compile(r"(?:\x1b|ESC|#033)\[[0-9;?]{0,30}[A-Za-z]|\x1b[()][A-Z0-9]")
_ANSI_SIGNS = ("\x1b", "ESC[", "#033[")
STATES = 48  # of a line that rewrites itself: so many of its last ones are looked at
LONGEST_PREFIX = 1000  # characters at the beginning of a line that can be prefixes; NCCL's own limit is 1024
LONGEST_CONTENT = 4000  # characters of a message by which its program is told


_NAMED = re.compile(r"\(\?P<\w+>")


class _Prefixes:
    """Beginnings of lines, of which the first that matches counts. They are tried as one expression: each for itself takes far longer."""

    def __init__(self, *expressions: str) -> None:
        """Their only groups are named ones."""
        self._expressions = expressions
        self._any = re.compile("|".join(f"({_NAMED.sub('(?:', expression)})" for expression in expressions))

    def match(self, text: str) -> tuple[int, re.Match[str]] | None:
        """Which one it is, counted from 0, and its match."""
        found = self._any.match(text, 0, LONGEST_PREFIX)
        if found is None:
            return None
        which = (found.lastindex or 1) - 1
        return which, _compiled(self._expressions[which]).match(text, 0, LONGEST_PREFIX) or found


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


WRAPPERS = _Prefixes(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)) (?:std(?:out|err) [FP] )?",  # by containerd, CRI-O
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (?P<tag>[\w.-]+) >> ",
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}) \[[A-Z]{4,5} ?\] W-\S+ ?MODEL_LOG - ",
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host>[\w.-]+) [\w.@-]+\[\d+\]: ",  # the pid may be the container runtime's
    r"(?P<time>\d\d:\d\d:\d\d\.\d{3}) (?=\()",
    r"\[\d+,(?P<rank>\d{1,6})\]<(?:stdout|stderr)>: ?",
    r"\[(?P<rank>\d{1,6})\]<(?:stdout|stderr)>: ?",
    r"\[rank(?P<rank>\d{1,6})\[?\]: ?",
    r"\[RANK (?P<rank>\d{1,6})\] ",
    r"\[(?P<tag>default\d+)\]: ?",  # torchrun --tee; the number is a local rank
    r"\((?P<tag>[A-Za-z_]\w*)\[rank=(?P<rank>\d{1,6})\] pid=(?P<pid>\d{1,10})(?:, ip=(?P<host>[\w.:-]+))?\) ",
    r"\((?P<tag>[A-Za-z_]\w*) rank=(?P<rank>\d{1,6}) pid=(?P<pid>\d{1,10})\) ",
    r"\((?P<tag>[A-Za-z_]\w*) pid=(?P<pid>\d{1,10})(?:, ip=(?P<host>[\w.:-]+))?\) ",
    r"\(pid=(?P<pid>\d{1,10})(?:, ip=(?P<host>[\w.:-]+))?\) ",
    r"\((?P<tag>raylet|gcs_server|autoscaler)[^)]*\) ?",
    r"(?P<tag>[\w.-]+)\.(?P<host>[\w-]+)(?:\.nolog)? \[(?:stdout|stderr)\] ",
    r"(?P<tag>[\w.-]+) +\| ",
    r"(?P<host>[\w-]+): (?=(?:\[[^\]]*\] )?\S*:\d+:\d+ \[-?\d+\])",
    r"(?:> ?)+",
)

_LEVELS = {"E": "ERROR", "W": "WARN", "I": "INFO", "F": "FATAL", "D": "DEBUG", "WARNING": "WARN", "CRITICAL": "FATAL"}

NCCL = re.compile(
    r"(?:\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\] )?"
    r"(?P<host>[^\s:>\]\[]{0,255}):(?P<pid>\d{1,10}):(?P<tid>\d{1,10}) (?:\[(?P<dev>-?\d{1,6})\] )?"
    r"(?:[^\s:]+(?::\d+)? ){0,2}(?:\(\w+\) )?\**"
    r"NCCL (?P<level>INFO|WARN|TRACE|CALL|VERSION) "
)
_NCCL_SIGN = re.compile("NCCL (?:INFO|WARN|TRACE|CALL|VERSION) ")

_HEADERS = (
    (
        "lmdeploy",
        (
            r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - lmdeploy[\w.]* - (?P<level>[A-Z]+) - "
            r"(?:\[pid=(?P<pid>\d{1,10}) ppid=\d+\] - )?(?:[\w.]+\.py:\d+ - )?"
        ),
    ),
    (
        "turbomind",
        r"\[?TM\]\[(?P<level>[A-Z]+)\](?:\[(?P<time>\d{4}[^\]]+)\])?(?:\[[\w.]+\.(?:cc|cu|h):\d+\])?(?:\[(?P<rank>\d{1,6})\])? ?",
    ),
    ("torch", r"\[(?P<level>[IWEF])(?P<time>\d{3,4} \d\d:\d\d:\d\d(?:\.\d+)?)? ?[\w.]+\.(?:cpp|hpp|cc|h):\d+\] "),
    ("launcher", r"(?P<level>[IWEF])(?P<time>\d{4} \d\d:\d\d:\d\d\.\d+) (?P<pid>\d{1,10}) \S*torch/distributed/\S+:\d+\] "),
    ("launcher", r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\] torch\.distributed\.\S+: \[(?P<level>[A-Z]+)\] "),
    ("vllm", r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) (?P<time>\d\d-\d\d \d\d:\d\d:\d\d) \[?[\w/.]+:\d+\] "),
    ("sglang", r"\[(?P<time>(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d)(?P<tag>(?: (?:DP|PP|TP|EP|ATTN\w*)\d+)*)\] "),
    ("ray", r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\s+(?P<level>DEBUG|INFO|WARNING|ERROR) [\w./]+\.py:\d+ -- "),
    ("kernel", r"(?:\[ *\+?\d+\.\d+\] |\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4})\] )"),
    ("kernel", r"(?:(?P<time>[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d) (?P<host>[\w.-]+) )?kernel: (?:\[ *\d+\.\d+\] )?"),
    (
        "text",
        (
            r"\[?(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)\]? ?(?:- )?\[?(?:rank ?(?P<rank>\d{1,6})(?!\d))?\]? ?"
            r"(?:\[?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\]? )?"
        ),
    ),
    ("text", r"(?P<time>\d\d:\d\d:\d\d(?:[.,]\d{1,6})?) (?:- )?\[?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\b\]?:?(?: -)? ?"),
)

SOURCES = tuple(source for source, _ in _HEADERS)
HEADERS = _Prefixes(*(expression for _, expression in _HEADERS))

CONTENT = (
    ("nccl", r"^\**NCCL version \d"),
    (
        "torch",
        (
            r"WorkNCCL\(|\[c10d\]|ProcessGroup|gloo/|gloo::|[Gg]loo |monitoredBarrier|torch\.distributed\.|store-based barrier"
            r"|CollectiveFingerPrint|TCPStore|WorkGloo"
        ),
    ),
    ("kernel", r"NVRM: |oom-kill|\bstate:D\b|mlx5_core "),
    ("ray", r"^ray::|ray\.exceptions\.|Worker exit type:|^The actor (?:is dead|died)"),
    (
        "python",
        (
            r'^\s*File "[^"]+", line \d+|^Traceback \(most recent call last\)'
            r"|^[\w.]*(?:Error|Exception|Interrupt|Exit)(?:: |$)"
        ),
    ),
)

Groups = Mapping[str, "str | None"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `raw` is as it stands in the file, `text` is without control codes, `message` without prefixes too.

    `source` is the program: nccl, lmdeploy, turbomind, torch, launcher, vllm, sglang, ray, kernel, python or text.
    `level` is DEBUG, INFO, WARN, ERROR, FATAL, TRACE, CALL or nothing.
    """

    number: int
    raw: str
    text: str
    message: str
    source: str = "text"
    level: str = ""
    time: Stamp | None = None
    speaker: Speaker = NOBODY
    device: int | None = None


def clean(raw: str) -> str:
    """The line without colour codes and NUL bytes, and only the last state of a progress bar that rewrites itself."""
    body = raw.rstrip("\r\n")
    if "\r" not in body:
        return _bare(body)
    return next((text for text in map(_bare, reversed(states(body))) if text.strip()), "")


def _bare(text: str) -> str:
    text = text.replace("\0", "")
    return ANSI.sub("", text) if any(sign in text for sign in _ANSI_SIGNS) else text


def states(text: str) -> list[str]:
    """The last of the states that a line which rewrites itself went through; blank ones are left out."""
    return [part for part in text.rsplit("\r", STATES)[-STATES:] if part.strip()]


def read_line(raw: str, number: int) -> Line:
    """Take the prefixes off, outermost first; a line of an unknown format is all message."""
    return Line(number, raw, *(_remembered(raw) if len(raw) <= LONGEST_PREFIX else _read(raw)))


_Parts = tuple[str, str, str, str, "Stamp | None", Speaker, "int | None"]


def _read(raw: str) -> _Parts:
    """What a Line knows but its number and what it was."""
    text = clean(raw)
    rest, speaker, time = _unwrap(text)
    if found := _nccl_header(rest):
        source = "nccl"
    elif header := HEADERS.match(rest):
        which, found = header
        source = SOURCES[which]
    else:
        return text, rest, _by_content(rest, speaker.tag), "", time, speaker, None
    groups, message = found.groupdict(), rest[found.end() :]
    if source == "text":
        source = _by_content(message, speaker.tag)
    level, device = groups.get("level") or "", groups.get("dev")
    speaker, time = _merge(speaker, groups), _stamp(groups) or time
    return text, message, source, _LEVELS.get(level, level), time, speaker, number.integer(device)


_remembered = lru_cache(1 << 10)(_read)  # the last lines of a file are read as what they hold and as its end


def _nccl_header(text: str) -> re.Match[str] | None:
    """NCCL's prefix stands anywhere: users choose the stamp before it, and other programs write on the same line."""
    sign = _NCCL_SIGN.search(text)
    return NCCL.search(text, max(0, sign.start() - LONGEST_PREFIX // 2), sign.end()) if sign else None


def _unwrap(text: str) -> tuple[str, Speaker, Stamp | None]:
    rest, speaker, time = text.lstrip(), NOBODY, None
    indented = text[: len(text) - len(rest)]
    for _ in range(4):
        wrapper = WRAPPERS.match(rest)
        if wrapper is None:
            return indented + rest, speaker, time
        indented, found = "", wrapper[1]
        groups = found.groupdict()
        speaker, time = _merge(speaker, groups), time or _stamp(groups)
        rest = rest[found.end() :]
    return rest, speaker, time


def _by_content(message: str, tag: str) -> str:
    if tag in ("raylet", "gcs_server", "autoscaler"):
        return "ray"
    content = message[:LONGEST_CONTENT]
    return next(
        (source for source, expression in CONTENT if _may_match(expression, content) and _compiled(expression).search(content)), "text"
    )


def _may_match(expression: str, text: str) -> bool:
    """To look for constants is several times as fast as to try the expression."""
    literals = _literals(expression)
    return not literals or any(literal in text for literal in literals)


_literals = cache(required_literals)


_speaker = lru_cache(1 << 10)(Speaker)  # a log has few


def _merge(speaker: Speaker, groups: Groups) -> Speaker:
    host, pid, rank, tag = groups.get("host"), groups.get("pid"), groups.get("rank"), (groups.get("tag") or "").strip()
    if not (host or pid or rank or tag):
        return speaker
    return _speaker(
        host or speaker.host, _known(number.pid(pid), speaker.pid), _known(number.rank(rank), speaker.rank), tag or speaker.tag,
    )  # fmt: skip


def _known(told: int | None, before: int | None) -> int | None:
    return before if told is None else told


def _stamp(groups: Groups) -> Stamp | None:
    text = groups.get("time")
    return read_stamp(text) if text else None
