"""One line of a log: who wrote it, when, with which program, and what is left when all prefixes are off.

Formats: LMDeploy `lmdeploy/utils.py` and `src/turbomind/utils/logger.*` (v0.6–v0.18), NCCL `src/debug.cc` (2.18–2.30),
PyTorch glog (1.12–2.13), vLLM and SGLang loggers, Ray, mpirun/torchrun/compose/Kubernetes wrappers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hanglens.model import NOBODY, Speaker, Stamp
from hanglens.parse.stamps import read_stamp

ANSI = re.compile(r"(?:\x1b|ESC|#033)\[[0-9;?]{0,30}[A-Za-z]|\x1b[()][A-Z0-9]")
_ANSI_SIGNS = ("\x1b", "ESC[", "#033[")
STATES = 48  # of a line that rewrites itself: so many of its last ones are looked at
LONGEST_PREFIX = 1000  # characters at the beginning of a line that can be prefixes; NCCL's own limit is 1024
LONGEST_CONTENT = 4000  # characters of a message by which its program is told

WRAPPERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)) ",
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
)

_LEVELS = {"E": "ERROR", "W": "WARN", "I": "INFO", "F": "FATAL", "D": "DEBUG", "WARNING": "WARN", "CRITICAL": "FATAL"}

NCCL = re.compile(
    r"(?:\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\] )?"
    r"(?P<host>[^\s:>\]\[]{0,255}):(?P<pid>\d{1,10}):(?P<tid>\d{1,10}) (?:\[(?P<dev>-?\d{1,6})\] )?"
    r"(?:[^\s:]+(?::\d+)? ){0,2}(?:\(\w+\) )?\**"
    r"NCCL (?P<level>INFO|WARN|TRACE|CALL|VERSION) "
)
_NCCL_SIGN = re.compile("NCCL (?:INFO|WARN|TRACE|CALL|VERSION) ")

HEADERS = (
    (
        "lmdeploy",
        re.compile(
            r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - lmdeploy[\w.]* - (?P<level>[A-Z]+) - "
            r"(?:\[pid=(?P<pid>\d{1,10}) ppid=\d+\] - )?(?:[\w.]+\.py:\d+ - )?"
        ),
    ),
    (
        "turbomind",
        re.compile(
            r"\[?TM\]\[(?P<level>[A-Z]+)\](?:\[(?P<time>\d{4}[^\]]+)\])?(?:\[[\w.]+\.(?:cc|cu|h):\d+\])?(?:\[(?P<rank>\d{1,6})\])? ?"
        ),
    ),
    ("torch", re.compile(r"\[(?P<level>[IWEF])(?P<time>\d{3,4} \d\d:\d\d:\d\d(?:\.\d+)?)? ?[\w.]+\.(?:cpp|hpp|cc|h):\d+\] ")),
    ("launcher", re.compile(r"(?P<level>[IWEF])(?P<time>\d{4} \d\d:\d\d:\d\d\.\d+) (?P<pid>\d{1,10}) \S*torch/distributed/\S+:\d+\] ")),
    ("launcher", re.compile(r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\] torch\.distributed\.\S+: \[(?P<level>[A-Z]+)\] ")),
    ("vllm", re.compile(r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) (?P<time>\d\d-\d\d \d\d:\d\d:\d\d) \[?[\w/.]+:\d+\] ")),
    ("sglang", re.compile(r"\[(?P<time>(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d)(?P<tag>(?: (?:DP|PP|TP|EP|ATTN\w*)\d+)*)\] ")),
    ("ray", re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\s+(?P<level>DEBUG|INFO|WARNING|ERROR) [\w./]+\.py:\d+ -- ")),
    ("kernel", re.compile(r"(?:\[ *\+?\d+\.\d+\] |\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4})\] )")),
    ("kernel", re.compile(r"(?:(?P<time>[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d) (?P<host>[\w.-]+) )?kernel: (?:\[ *\d+\.\d+\] )?")),
    (
        "text",
        re.compile(
            r"\[?(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)\]? ?(?:- )?\[?(?:rank ?(?P<rank>\d{1,6})(?!\d))?\]? ?"
            r"(?:\[?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\]? )?"
        ),
    ),
)

CONTENT = (
    ("nccl", re.compile(r"^\**NCCL version \d")),
    (
        "torch",
        re.compile(
            r"WorkNCCL\(|\[c10d\]|ProcessGroup|gloo/|gloo::|[Gg]loo |monitoredBarrier|torch\.distributed\.|store-based barrier"
            r"|CollectiveFingerPrint|TCPStore|WorkGloo"
        ),
    ),
    ("kernel", re.compile(r"NVRM: |oom-kill|\bstate:D\b|mlx5_core ")),
    ("ray", re.compile(r"^ray::|ray\.exceptions\.|Worker exit type:|^The actor (?:is dead|died)")),
    (
        "python",
        re.compile(
            r'^\s*File "[^"]+", line \d+|^Traceback \(most recent call last\)'
            r"|^[\w.]*(?:Error|Exception|Interrupt|Exit)(?:: |$)"
        ),
    ),
)


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
    text = clean(raw)
    rest, speaker, time = _unwrap(text)
    line = Line(number=number, raw=raw, text=text, message=rest, time=time, speaker=speaker)
    if found := _nccl_header(rest):
        return _with_header(line, "nccl", found, rest)
    for source, header in HEADERS:
        found = header.match(rest, 0, LONGEST_PREFIX)
        if found and found.end():
            return _with_header(line, source, found, rest)
    return replace(line, source=_by_content(rest, speaker.tag))


def _nccl_header(text: str) -> re.Match[str] | None:
    """NCCL's prefix stands anywhere: users choose the stamp before it, and other programs write on the same line."""
    sign = _NCCL_SIGN.search(text)
    return NCCL.search(text, max(0, sign.start() - LONGEST_PREFIX // 2), sign.end()) if sign else None


def _unwrap(text: str) -> tuple[str, Speaker, Stamp | None]:
    rest, speaker, time = text.lstrip(), Speaker(), None
    indented = text[: len(text) - len(rest)]
    for _ in range(4):
        found = next((m for m in (w.match(rest, 0, LONGEST_PREFIX) for w in WRAPPERS) if m), None)
        if found is None:
            return indented + rest, speaker, time
        indented = ""
        speaker, time = _merge(speaker, found), time or _stamp(found)
        rest = rest[found.end() :]
    return rest, speaker, time


def _with_header(line: Line, source: str, found: re.Match[str], rest: str) -> Line:
    groups = found.groupdict()
    message = rest[found.end() :]
    level = groups.get("level") or ""
    if source == "text":
        source = _by_content(message, line.speaker.tag)
    return replace(
        line,
        source=source,
        level=_LEVELS.get(level, level),
        message=message,
        time=_stamp(found) or line.time,
        speaker=_merge(line.speaker, found),
        device=int(groups["dev"]) if groups.get("dev") else None,
    )


def _by_content(message: str, tag: str) -> str:
    if tag in ("raylet", "gcs_server", "autoscaler"):
        return "ray"
    return next((source for source, pattern in CONTENT if pattern.search(message, 0, LONGEST_CONTENT)), "text")


def _merge(speaker: Speaker, found: re.Match[str]) -> Speaker:
    groups = found.groupdict()
    return Speaker(
        host=groups.get("host") or speaker.host,
        pid=int(groups["pid"]) if groups.get("pid") else speaker.pid,
        rank=int(groups["rank"]) if groups.get("rank") else speaker.rank,
        tag=(groups.get("tag") or "").strip() or speaker.tag,
    )


def _stamp(found: re.Match[str]) -> Stamp | None:
    text = found.groupdict().get("time")
    return read_stamp(text) if text else None
