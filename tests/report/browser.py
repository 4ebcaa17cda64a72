"""Reports as files, and a real Chromium that opens them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import pytest

from hanglens.knowledge.load import RulePack, load_rules
from hanglens.pipeline import diagnose
from hanglens.report.html import render
from hanglens.verdict import Diagnosis

if TYPE_CHECKING:  # these modules can be imported where playwright is not installed
    from playwright.sync_api import Browser, BrowserContext, Page

# Quiet: nothing is looked up, updated or reported. Without a sandbox, since CI is root in a container.
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()

# A thousand cells and rows of one kind take axe minutes, and it says of each what it says of the first.
THINNED = """() => {
    for (const parent of document.querySelectorAll("main *")) for (const more of [...parent.children].slice(20)) more.remove();
}"""

# What lies in a fold, apart from what the other language says: elements with words of their own, whether they can be seen, and the words.
FOLDED = """() => [...document.querySelectorAll("details > :not(summary), details > :not(summary) *")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && !e.closest('[lang="zh"], .needs-script'))
    .filter((e) => !e.checkVisibility({ visibilityProperty: true }) || !e.getClientRects().length)
    .map((e) => e.textContent.trim().slice(0, 80))"""

# All that one may reach with Tab and see; what stands before it has a look that the focus has to change.
REACHABLE = """() => {
    const look = (e) => { const s = getComputedStyle(e); return [s.outline, s.boxShadow, s.border, s.backgroundColor, s.stroke].join(); };
    const wanted = 'a[href], button:enabled, summary, input:enabled, select:enabled, [tabindex]';
    window.reachable = [...document.querySelectorAll(wanted)].filter((e) => e.tabIndex >= 0 && e.checkVisibility());
    window.looks = reachable.map(look);
    window.focused = () => {
        const at = reachable.indexOf(document.activeElement);
        return [at, at >= 0 && look(document.activeElement) !== looks[at]];
    };
    return reachable.map((e) => e.outerHTML.slice(0, 80));
}"""

# A section, and the innermost part of it without which a page would be narrower.
WIDEST = """() => {
    const narrower = (e) => {
        const before = document.documentElement.scrollWidth, display = e.style.display;
        e.style.display = "none";
        const found = document.documentElement.scrollWidth < before;
        e.style.display = display;
        return found;
    };
    let at = document.body;
    for (let next = at; next; next = [...at.children].slice(0, 50).findLast(narrower)) at = next;
    return `${at.closest("section")?.id}: ${at.outerHTML.slice(0, 200)}`;
}"""


@dataclass(frozen=True)
class Report:
    """A report on disk, and the diagnosis that it shows."""

    file: Path
    diagnosis: Diagnosis

    @property
    def url(self) -> str:
        """Its address, as a browser has it that opened the file."""
        return self.file.as_uri()


@dataclass(frozen=True)
class Visit:
    """A page in a profile of its own, and what it did that nobody asked for."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a reader sees of it, with single spaces."""
        return squeezed(self.page.inner_text("body"))


@lru_cache(maxsize=1)
def rules() -> RulePack:
    """The packaged rules, read once."""
    return load_rules()


def report_on(evidence: Path, folder: Path) -> Report:
    """The report of this evidence in English, written into a folder."""
    diagnosis = diagnose([str(evidence)], rules())
    file = folder / "report.html"
    file.write_text(render(diagnosis, lang="en"), encoding="utf-8")
    return Report(file, diagnosis)


def squeezed(text: str) -> str:
    """The text with single spaces."""
    return " ".join(text.split())


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium with a fresh profile; a test that needs it is skipped where it is not there."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'hanglens[test]'")
    program = which("chromium") or which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium: apt install chromium, on Debian")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


def visit(context: BrowserContext, url: str) -> Visit:
    """Open an address, and note from then on what it does."""
    context.set_default_timeout(15_000)  # milliseconds, also on a busy machine; what takes longer does not come
    seen = Visit(context.new_page())
    page = seen.page
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(url)
    return seen


def unfold(page: Page, *, opened: bool = True) -> None:
    """Open or close every fold behind the back of the page's own script."""
    page.evaluate("opened => { for (const fold of document.querySelectorAll('details')) fold.open = opened; }", opened)


def in_chinese(page: Page) -> None:
    """Switch the page to Chinese, as its reader would."""
    page.click("[data-set-lang=zh]")
