"""What users asked, as vLLM, SGLang, LMDeploy and OpenAI's protocol write it: strings and lists of token ids."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanglens.privacy.plain import Plain, Span
from hanglens.privacy.values import OPEN, QUOTE, strings_in

# Words of requests and answers; those that are common elsewhere count as keys of JSON or of a dict only.
_WORDS = ("prompt", "content", "generated text", "question", "instruction")
_KEYS = ("text", "input", "query", "completion", "arguments", "system")
_PROMPTS = tuple(
    (word, re.compile(rf"{word}(?:(?<![a-z]{word})|(?<=\\[nrt]{word}))s?(?P<close>{QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}"))
    for word in (*_WORDS, *_KEYS)
)
_IDS = re.compile(rf"_ids(?:{QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}(?:(?:tensor|array)\()?\[(?P<value>[-0-9., \t\[\]]*)")
_ID_LISTS = ("prompt", "prompt_token", "input", "input_token", "output")
_DONE = re.compile(r"<prompt of \d+ characters>\s*")
_TURNS = (("<|im_start|>", "<|im_end|>"), ("<|start_header_id|>", "<|eot_id|>"), ("[INST]", "[/INST]"))
LONGEST = 32 << 10  # characters of a prompt behind its first line that are looked at
# How a line begins that a program printed behind a prompt that was cut off: a stamp, a level, a rank, a traceback.
_RECORD = re.compile(
    r"\n(?:\[?(?:\d{4}[-/]\d\d[-/]\d\d|\d\d:\d\d:\d\d|\d\d-\d\d \d\d:)|\[[A-Za-z]{0,12}\d{1,6}[\]:]"
    r"|(?:INFO|WARN(?:ING)?|ERROR|DEBUG|CRITICAL)\b"
    r"|\(\w{1,40}(?: \w{1,40})? pid=|[\w.-]{1,253}:\d{1,10}:\d{1,10} \[|[IWEF]\d{4} |Traceback \(most|  File \"|Thread \d|Process \d"
    r"|[ \t]{4,40}[\w.<>-]{1,200}(?:: | \())"
)


def prompts(view: Plain) -> Iterator[tuple[Span, str]]:
    """The spans of prompts, and what stands there instead."""
    for word, pattern in _PROMPTS:
        done = 0
        for found in pattern.finditer(view.low) if word in view.low else ():
            opened = OPEN.match(view.text, found.end()) if found.start() >= done else None
            for start, end in _strings(view, word, found, opened) if opened else ():
                done = end
                if start < end and not _DONE.fullmatch(view.text, start, end):
                    yield (start, end), f"<prompt of {end - start} characters>"
    yield from _ids(view)
    yield from _turns(view.text)


def _strings(view: Plain, word: str, found: re.Match[str], opened: re.Match[str]) -> Iterator[Span]:
    request = word == "text" and "ReqInput(" in view.text[max(0, found.start() - 1000) : found.start()]
    if word in _WORDS or found["close"] or request:
        triple = opened["quote"] * 3
        if len(triple) == 3 and view.text.startswith(triple, opened.start("quote")):
            end = view.text.find(triple, opened.end() + 2, opened.end() + LONGEST)
            yield opened.end() + 2, end if end >= 0 else min(len(view.text), opened.end() + LONGEST)
            return
        for start, end in strings_in(view.text, opened, many=bool(opened["list"]), rest=True):
            yield start, end if view.text[end : end + 1] not in "\r\n" else _end_below(view.text, end, opened["quote"])


def _end_below(text: str, at: int, quote: str) -> int:
    """Where a string ends that goes on in the lines below: at a quote that ends a value, or where a program prints again."""
    limit = min(len(text), at + LONGEST)
    closed = re.compile(rf"(?<!\\){re.escape(quote)}[ \t]{{0,3}}(?:[,)\]}};]|\r?\n|\Z)").search(text, at, limit)
    last = closed.start() if closed else limit
    record = _RECORD.search(text, at, last)
    return record.start() if record else last


def _turns(text: str) -> Iterator[tuple[Span, str]]:
    """What stands between the marks of a chat template."""
    for mark, close in _TURNS:
        at = text.find(mark)
        while at >= 0 and (end := text.find(close, at + len(mark))) >= 0:
            start = at + len(mark)
            if end - start > LONGEST:
                end = start
            elif not _DONE.fullmatch(text, start, end) and end > start:
                yield (start, end), f"<prompt of {end - start} characters>"
            at = text.find(mark, end)


def _ids(view: Plain) -> Iterator[tuple[Span, str]]:
    for found in _IDS.finditer(view.low) if "_ids" in view.low else ():
        if view.low.endswith(_ID_LISTS, max(0, found.start() - 16), found.start()):
            start, ids = found.start("value"), found["value"]
            size = ids.rfind("]") if "]" in ids else len(ids)
            if ids[:size].strip():
                yield (start, start + size), f"<prompt of {size} characters>"
