from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hanglens.report import html
from hanglens.report.html import render
from hanglens.verdict import Diagnosis
from tests.samples import HEALTHY, HOSTILE, HUNG, UNKNOWN, hostile, large

VOID = {"meta", "br", "link", "img", "input", "hr", "rect", "line", "path"}
ASSETS = Path(html.__file__).parent / "assets"


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, texts, and tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.content: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and that it is open."""
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without content."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last, and no other."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep text apart from code."""
        inside = self.open[-1] if self.open else ""
        self.content.get(inside, self.words).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        """An attribute wherever it stands."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


EVERY = [HUNG, UNKNOWN, HEALTHY, large(128), *map(hostile, HOSTILE), hostile(" ".join(HOSTILE))]


@pytest.mark.parametrize("d", EVERY, ids=range(len(EVERY)))
def test_the_page_is_whole_and_asks_nothing_of_the_network(d: Diagnosis) -> None:
    """Tags match, ids are unique and are what links point to, and nothing is fetched: one style, one script, both inline."""
    page = Page(render(d, lang="en"))
    ids = page.values("id")

    assert page.open == []
    assert len(set(ids)) == len(ids)
    assert all(url.startswith("https://") or url[1:] in ids for url in page.values("href"))
    assert all(name in ids for names in page.values("aria-labelledby") for name in names.split())
    assert page.values("src") == page.values("style") == page.values("onclick") == page.values("onerror") == []
    assert (len(page.all("script")), len(page.all("style"))) == (1, 1)
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.elements}


def test_assets_fetch_nothing() -> None:
    """Neither the style sheet nor the script names an address, apart from the hatch pattern in the page itself."""
    for asset in ASSETS.iterdir():
        code = asset.read_text(encoding="utf-8")

        assert not re.search(r"https?:|//\w+\.|@import|@font-face|fetch\(|XMLHttp|eval\(|innerHTML", code)
        assert set(re.findall(r"url\([^)]*\)", code)) <= {"url(#hatch)"}


def test_the_policy_allows_exactly_our_style_and_script() -> None:
    """The page forbids everything but the style and the script whose hashes it carries."""
    page = Page(render(hostile("</style></script><script>alert(1)</script>"), lang="en"))
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")

    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        content = "".join(page.content[kind])
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("payload", HOSTILE)
def test_evidence_is_only_text(payload: str) -> None:
    """Evidence adds no element to the page, is never read as a template, and turns no text around."""
    page, harmless = render(hostile(payload), lang="en"), render(hostile("harmless"), lang="en")

    assert [tag for tag, _ in Page(harmless).elements] == [tag for tag, _ in Page(page).elements]
    assert "49" not in "".join(Page(page).words) or "49" in payload
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)


def test_a_link_is_https_or_no_link() -> None:
    """A reference with any other scheme is printed, not linked."""
    page = Page(render(HUNG, lang="en"))

    assert "https://example.com/filelock" in page.values("href")
    assert "javascript:alert(1)" in "".join(page.words)
    assert not [url for url in page.values("href") if url.startswith("javascript")]


def test_a_huge_line_makes_no_huge_page() -> None:
    """A line of a megabyte is cut before it reaches the page."""
    assert len(render(hostile("x" * 1_000_000), lang="en")) < 200_000


@pytest.mark.parametrize("d", [HUNG, UNKNOWN, HEALTHY], ids=lambda d: d.verdict)
def test_both_languages_stand_in_the_one_file(d: Diagnosis) -> None:
    """Every text is there twice, in a pair; `lang` only says which is shown."""
    english, chinese = Page(render(d, lang="en")), Page(render(d, lang="zh"))

    texts = [attributes["lang"] for tag, attributes in english.elements if tag in {"span", "tspan"} and "lang" in attributes]
    assert texts == ["en", "zh"] * (len(texts) // 2)
    assert english.all("html")[0] == {"lang": "en", "data-lang": "en"}
    assert chinese.all("html")[0] == {"lang": "zh-CN", "data-lang": "zh"}
    assert [tag for tag, _ in english.elements] == [tag for tag, _ in chinese.elements]


def test_all_of_the_diagnosis_is_shown() -> None:
    """Nothing that the diagnosis says is left out of the page: every string of it is there."""
    shown = re.sub(r"\s+", " ", "".join(Page(render(HUNG, lang="en")).words))
    d = HUNG
    wanted = [
        d.summary.en, d.summary.zh,
        *(part for f in d.findings for part in (f.title.en, f.title.zh, f.explanation.en, f.rule)),
        *(part for f in d.findings for e in f.evidence for part in (e.text.strip(), e.file)),
        *(part for f in d.findings for x in f.fixes for part in (x.title.en, x.command, x.risk.en, x.verify.en)),
        *(f.why_not.en for f in d.findings if f.why_not),
        *(part for r in d.ranks if r.last_event for part in (r.how_known, r.last_event.text)),
        *(part for w in d.waits for part in (str(w.for_whom), w.in_what)),
        *(frame.partition(":")[0] for s in d.stack_groups for frame in s.frames),
        *(part for x in d.environment for part in (x.name, x.value)),
        *(part for g in d.gaps for part in (g.what, g.why, g.how_to_collect)),
        *(part for n in d.next_evidence for part in (n.what.en, n.command)),
        *(part for i in d.inputs for part in (i.file, i.kind)),
        *(s.label for s in d.timeline),
    ]  # fmt: skip

    assert [part for part in wanted if part not in shown] == []


def test_states_are_told_without_colour() -> None:
    """The strip names each state by a letter, the culprit by a sign, and an odd call by ≠."""
    page = render(HUNG, lang="en")

    assert '<span class="flag" aria-hidden="true">▼</span><span class="letter" aria-hidden="true">O</span>' in page
    assert page.count('<span class="flag" aria-hidden="true"></span>') == 3
    assert '<span class="sign">≠' in page


def test_what_is_not_decided_shows_what_to_collect() -> None:
    """Without a firm cause the top of the page asks for evidence instead of giving a fix."""
    page = render(UNKNOWN, lang="en")

    assert "not decidable from this evidence" in page
    assert page.index("Collect this next") < page.index("hanglens collect --pid PID")
    assert "Do this first" not in page


def test_a_healthy_job_has_a_short_page() -> None:
    """Sections without content are not there, nor are links to them."""
    page = Page(render(HEALTHY, lang="en"))

    assert page.all("section") == [{"class": "top verdict-healthy", "aria-labelledby": "summary"}]
    assert page.values("href") == []


def test_tables_can_be_read_aloud() -> None:
    """Every table has a caption, and its headers say what they head."""
    page = Page(render(HUNG, lang="en"))

    assert len(page.all("table")) == len(page.all("caption"))
    assert all(header.get("scope") in {"col", "row"} for header in page.all("th"))
    assert len(page.all("h1")) == 1


def _themes() -> list[dict[str, str]]:
    css = (ASSETS / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root[^{]*\{([^}]*--ground[^}]*)\}", css)
    return [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_text_has_contrast() -> None:
    """In both themes, what is printed on a ground stands out from it by at least 4.5 to 1; the two dark blocks agree."""
    light, dark, chosen = _themes()
    assert dark == chosen

    for theme in (light, dark):
        grounds = [name for name in theme if re.fullmatch("--.+-ground", name)]
        pairs = [
            *itertools.product(["--ink", "--quiet", "--link"], ["--ground", "--card", "--sunk"]),
            *itertools.product(["--ink", "--quiet"], grounds),
            ("--ink", "--mark"),
            *((ground.removesuffix("-ground"), ground) for ground in grounds),
            *itertools.product(["--bad", "--warn", "--good"], ["--card", "--ground"]),
        ]
        assert [(a, b) for a, b in pairs if _contrast(theme[a], theme[b]) < 4.5] == []


def test_the_script_is_small() -> None:
    """The page's script can be read in one sitting."""
    assert len((ASSETS / "report.js").read_text(encoding="utf-8").splitlines()) < 150
