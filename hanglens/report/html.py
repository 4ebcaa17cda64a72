"""The report as one HTML file in both languages: it needs no network, runs no foreign text, and works without its script."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hanglens.report import charts, i18n, waitgraph
from hanglens.report.i18n import Lang, label, pick, say
from hanglens.report.plain import cut
from hanglens.report.view import LETTERS, view
from hanglens.verdict import Diagnosis, Text

KEY_LINE = 240  # characters of a quote at the top of the page


def render(d: Diagnosis, *, lang: Lang) -> str:
    """The whole page; `lang` is the language that it opens in."""
    shown = view(d)
    template = _environment().get_template("report.html")
    drawings = {"chart": charts.draw(shown.timeline), "wait_graph": waitgraph.draw(shown.graph)}
    return template.render(v=shown, d=shown.d, lang=lang, title=_title(shown.d, lang), **drawings) + "\n"


def both(text: Text) -> Markup:
    """A text in both languages; the style sheet shows one of them."""
    return Markup(f'<span lang="en">{escape(pick(text, "en"))}</span><span lang="zh">{escape(pick(text, "zh"))}</span>')  # noqa: S704


def _title(d: Diagnosis, lang: Lang) -> str:
    return f"{say(i18n.VERDICTS[d.verdict], lang)}: {pick(d.summary, lang)} · HangLens"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hanglens.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = _asset("report.css"), _asset("report.js")
    environment.globals.update(
        t=lambda english, **values: both(label(english, **values)),
        letters=LETTERS,
        states=i18n.STATES,
        standings=i18n.STANDINGS,
        call_states=i18n.CALL_STATES,
        kinds=i18n.KINDS,
        verdicts=i18n.VERDICTS,
        confidences=i18n.CONFIDENCES,
        confidence_words=i18n.CONFIDENCE_WORDS,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'",
    )
    environment.filters.update(both=both, shortened=lambda text: cut(text.strip(), KEY_LINE))
    return environment


def _asset(name: str) -> Markup:
    return Markup((files("hanglens.report") / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 (our own file)


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
