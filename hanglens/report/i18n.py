"""The words of the reports in English and Chinese: the English is the key, locale/zh.json has the Chinese."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from hanglens.verdict import Confidence, RankStateName, Role, SpanKind, Text, Verdict

Lang = Literal["en", "zh"]


VERDICTS: dict[Verdict, str] = {
    "hung": "Hung",
    "failed": "Failed",
    "slow": "Slow",
    "healthy": "Healthy",
    "unknown": "Not decidable yet",
}
CONFIDENCES: dict[Confidence, str] = {
    "confirmed": "confirmed: the evidence shows the mechanism itself",
    "likely": "likely: one decisive sign, and nothing against it",
    "possible": "possible: it fits, and so may something else",
}
CONFIDENCE_WORDS: dict[Confidence, str] = {"confirmed": "confirmed", "likely": "likely", "possible": "possible"}
KINDS: dict[SpanKind, str] = {"stage": "stage", "progress": "progress", "silence": "silence", "error": "error", "timeout": "time-out"}
ROLES: dict[Role, str] = {"contributing": "contributes", "ruled-out": "ruled out"}
STATES: dict[RankStateName, str] = {
    "running": "in own code",
    "waiting": "waiting",
    "stopped": "stopped",
    "gone": "gone",
    "failed": "failed",
    "idle": "idle",
    "unknown": "unknown",
}
CALL_STATES: dict[str, str] = {
    "not called": "not called",
    "enqueued": "enqueued",
    "scheduled": "scheduled",
    "started": "started",
    "completed": "completed",
}
STANDINGS: dict[str, str] = {  # the kinds of places where a stack may stand
    "collective": "waits in a collective",
    "nccl-init": "sets up NCCL",
    "gpu-comm": "waits in a GPU transfer",
    "gpu-wait": "waits for its GPU",
    "rendezvous": "waits for the others to come",
    "rpc-wait": "waits for an answer of its workers",
    "idle": "waits for work",
    "file-lock": "waits for a file lock",
    "jit": "compiles",
    "weights": "loads weights",
    "own": "in code of its own",
    "waiting": "waits",
}


def label(english: str, **values: object) -> Text:
    """A text of the report in both languages; `{name}` in it is filled from `values`. Without a translation: English twice."""
    texts = Text(en=english, zh=catalogue().get(english, english))
    return Text(en=texts.en.format(**values), zh=texts.zh.format(**values)) if values else texts


def pick(text: Text, lang: Lang) -> str:
    """The text in one language, or in the other if it is missing there."""
    return (text.zh or text.en) if lang == "zh" else (text.en or text.zh)


def say(english: str, lang: Lang, **values: object) -> str:
    """A text of the report in one language."""
    return pick(label(english, **values), lang)


def those(ranks: str, lang: Lang) -> str:
    """Ranks, as ranges, in words; nothing for none."""
    return ranks and say("rank {n}" if ranks.isdecimal() else "ranks {n}", lang, n=ranks)


@lru_cache(maxsize=1)
def catalogue() -> dict[str, str]:
    """English → Chinese, as packaged."""
    texts: dict[str, str] = json.loads((files("hanglens.report") / "locale" / "zh.json").read_text(encoding="utf-8"))
    return texts
