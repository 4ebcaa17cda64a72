"""The report in a real browser, from the recorded hang of a few ranks to a job of 1024."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.report.browser import FOLDED, REACHABLE, THINNED, WIDEST, Report, Visit, in_chinese, report_on, squeezed, unfold
from tests.stuckjob import StuckJob

Opened = Callable[..., Visit]

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
pytestmark = pytest.mark.slow  # each opens a page in Chromium

either_width = pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
large_only = pytest.mark.parametrize("report", ["1024-ranks"], indirect=True)
with_a_cause = pytest.mark.parametrize("report", ["64-ranks", "1024-ranks"], indirect=True)
either_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])
# Each language with each theme and width, each theme with each width: a look takes seconds, and all eight would find no more.
PAIRWISE = [("en", "light", PHONE), ("en", "dark", DESK), ("zh", "light", DESK), ("zh", "dark", PHONE)]


def test_it_opens_alone_and_in_silence(report: Report, opened: Opened) -> None:
    """The file is opened from disk: nothing else is asked for, and neither the console nor the script complains."""
    seen = opened(report)

    assert seen.page.inner_text("#summary") == report.diagnosis.summary.en
    assert (seen.requests, seen.complaints, seen.dialogs) == ([report.url], [], [])


@large_only
def test_the_culprit_of_a_large_job_is_named_on_top(report: Report, opened: Opened) -> None:
    """Of 1024 ranks the first screen names the one that is to blame."""
    page = opened(report, viewport=DESK).page

    assert "rank 577" in page.inner_text("#summary")
    assert page.locator("#summary").bounding_box()["y"] < DESK["height"] / 2


@large_only
def test_a_large_report_loads_at_once(report: Report, opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    """The report of 1024 ranks is below 3 MB, and loaded and laid out within a second; a busy machine gets three."""
    page = opened(report, viewport=DESK).page
    seconds = page.evaluate("() => (document.body.getBoundingClientRect(), performance.now() / 1000)")
    megabytes = report.file.stat().st_size / 1e6
    with capsys.disabled():
        sys.stdout.write(f"\nreport of 1024 ranks: {megabytes:.2f} MB, loaded and laid out in {seconds:.2f} s\n")

    assert megabytes < 3
    assert seconds < 3


def test_the_language_is_switched(report: Report, opened: Opened) -> None:
    """A button changes all that is shown and what the document says of its language, and another one changes it back."""
    seen = opened(report)
    summary, root = report.diagnosis.summary, seen.page.locator("html")
    english = seen.text

    in_chinese(seen.page)
    assert squeezed(summary.zh) in seen.text
    assert squeezed(summary.en) not in seen.text
    assert str(root.get_attribute("lang")).startswith("zh")

    seen.page.click("[data-set-lang=en]")
    assert (seen.text, root.get_attribute("lang")) == (english, "en")


@either_scheme
def test_the_theme_is_switched(report: Report, opened: Opened, scheme: str) -> None:
    """The page follows the system's theme, and a button turns it into the other one and back."""
    page = opened(report, color_scheme=scheme).page

    def brightness() -> float:
        red, green, blue = re.findall(r"[\d.]+", page.evaluate("() => getComputedStyle(document.body).backgroundColor"))[:3]
        return float(red) + float(green) + float(blue)

    at_first = brightness()
    page.click("#theme")
    switched = brightness()
    page.click("#theme")

    assert (at_first > switched) == (scheme == "light")
    assert abs(at_first - switched) > 300
    assert brightness() == at_first


def test_a_fold_answers_to_enter(report: Report, opened: Opened) -> None:
    """Enter on the head of a fold opens it, and closes it again."""
    page = opened(report).page
    unfold(page, opened=False)
    fold = page.locator("main details:visible").first
    head, inside = fold.locator("> summary"), fold.locator("> :not(summary)").first

    head.press("Enter")
    assert inside.is_visible()
    head.press("Enter")
    assert not inside.is_visible()


def test_all_is_unfolded_at_once(report: Report, opened: Opened) -> None:
    """A button opens every fold, and closes them when it is pressed again."""
    page = opened(report).page
    closed = page.locator("main details:not([open])")
    assert closed.count()

    page.click("#unfold")
    assert closed.count() == 0
    page.click("#unfold")
    assert closed.count()


@with_a_cause
def test_a_link_opens_the_fold_that_it_leads_to(report: Report, opened: Opened) -> None:
    """Whoever follows the cause at the top to its finding finds it open and in view."""
    page = opened(report, viewport=DESK).page
    unfold(page, opened=False)
    link = page.locator("main a[href^='#finding']").first
    finding = page.locator(str(link.get_attribute("href")))

    link.click()
    page.wait_for_function("finding => finding.open", arg=finding.element_handle())
    page.wait_for_function("finding => finding.getBoundingClientRect().top < innerHeight", arg=finding.element_handle())


def test_an_address_opens_every_fold_around_a_finding(report: Report, opened: Opened) -> None:
    """The address of a finding that is folded twice shows it unfolded."""
    target = opened(report).page.locator("#why details details[id]").last.get_attribute("id")
    page = opened(f"{report.url}#{target}").page

    assert page.locator(f"[id='{target}'] > :not(summary)").first.is_visible()


def test_every_command_can_be_copied(report: Report, opened: Opened) -> None:
    """A copy button puts its command onto the clipboard, and says so."""
    page = opened(report, permissions=["clipboard-read", "clipboard-write"]).page
    unfold(page)
    buttons = page.locator(".copy:visible").all()
    assert buttons

    for button in buttons:
        before = button.inner_text()
        button.click()
        assert page.evaluate("() => navigator.clipboard.readText()") in commands(report)
        assert button.inner_text() != before


def test_a_command_is_selected_where_the_clipboard_is_refused(report: Report, opened: Opened) -> None:
    """Without access to the clipboard the command is at least selected, so that a key copies it."""
    page = opened("about:blank").page
    page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); document.execCommand = () => false;")
    page.goto(report.url)

    page.locator(".copy:visible").first.click()
    assert page.evaluate("() => getSelection().toString()") in commands(report)


def commands(report: Report) -> set[str]:
    """Every command that the report may show."""
    d = report.diagnosis
    fixes = (fix.command for finding in d.findings for fix in finding.fixes)
    return {*fixes, *(wanted.command for wanted in d.next_evidence), *(gap.how_to_collect for gap in d.gaps)} - {""}


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_what_is_folded_is_printed(report: Report, opened: Opened, script: bool) -> None:
    """On paper every fold is open, without anybody's doing."""
    page = opened(report, java_script_enabled=script).page
    assert page.evaluate(FOLDED) != []

    page.emulate_media(media="print")
    assert page.evaluate(FOLDED) == []


def test_paper_is_light(report: Report, opened: Opened) -> None:
    """Whoever reads in the dark prints black on white, whether the system or the button made it dark."""
    for scheme in ("light", "dark"):
        page = opened(report, color_scheme=scheme).page
        if scheme == "light":
            page.click("#theme")
        page.emulate_media(media="print", color_scheme=scheme)

        assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(28, 33, 39)"


def test_it_prints(report: Report, opened: Opened) -> None:
    """The browser makes a PDF of A4 pages of it, and afterwards the folds are as they were."""
    page = opened(report).page
    before = page.locator("details[open]").count()
    pdf = page.pdf(format="A4", page_ranges="1-3")  # all is laid out, and little is drawn

    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") >= 1
    assert page.locator("details[open]").count() == before


@pytest.mark.parametrize(("lang", "scheme", "viewport"), PAIRWISE, ids=["en-light-phone", "en-dark-desk", "zh-light-desk", "zh-dark-phone"])
def test_nobody_is_kept_out(report: Report, opened: Opened, lang: str, scheme: str, viewport: dict[str, int]) -> None:
    """With every fold open, axe finds nothing serious or critical in either language, theme and width."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python: pip install 'hanglens[test]'")
    page = opened(report, viewport=viewport, color_scheme=scheme, reduced_motion="reduce").page
    unfold(page)
    page.evaluate(THINNED)
    if lang == "zh":
        in_chinese(page)

    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [broken for broken in map(told, found) if broken] == []


def told(violation: dict) -> str:
    """A violation that keeps somebody out, and the first places where it is; nothing for a lesser one."""
    places = "; ".join(str(node["target"]) for node in violation["nodes"][:3])
    return f"{violation['id']} × {len(violation['nodes'])}: {places}" if violation["impact"] in ("serious", "critical") else ""


@either_width
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_never_scrolls_sideways(report: Report, opened: Opened, viewport: dict[str, int], lang: str) -> None:
    """The page is no wider than the screen, folds open or not; what is wider scrolls in a frame of its own."""
    page = opened(report, viewport=viewport).page
    if lang == "zh":
        in_chinese(page)

    for folds in (False, True):
        unfold(page, opened=folds)
        assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0, page.evaluate(WIDEST)


@either_scheme
def test_tab_reaches_all_and_the_focus_is_seen(report: Report, opened: Opened, scheme: str) -> None:
    """Whatever can be operated is reached with Tab alone, and looks different while it has the focus."""
    page = opened(report, viewport=DESK, color_scheme=scheme).page
    wanted = page.evaluate(REACHABLE)
    stops = dict(tabbed(page, len(wanted)))

    assert [what for at, what in enumerate(wanted) if at not in stops] == []
    assert [wanted[at] for at, seen in stops.items() if at >= 0 and not seen] == []


def tabbed(page, number: int) -> Iterator[tuple[int, bool]]:
    """Where each Tab leads and whether that is seen; a few more than there are places, since some keep two of them."""
    for _ in range(number + 20):
        page.keyboard.press("Tab")
        yield tuple(page.evaluate("() => focused()"))


def test_it_is_whole_without_script(report: Report, opened: Opened) -> None:
    """With scripts switched off the same is there, folds work, and no dead button is shown."""
    dead = opened(report, java_script_enabled=False)
    alive = opened(report)
    closed = dead.page.locator("main details:not([open])")
    folded = closed.count()
    closed.locator("> summary:visible").first.press("Enter")
    assert closed.count() == folded - 1
    for seen in (dead, alive):
        unfold(seen.page)

    assert not dead.page.locator("button:visible").count()
    assert dead.page.inner_text("#ranks") == alive.page.inner_text("#ranks")
    assert [frame for group in report.diagnosis.stack_groups for frame in group.frames if squeezed(frame) not in dead.text] == []
    assert [f.title.en for f in report.diagnosis.findings if f.title.en not in dead.text] == []


HOSTILE = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "{{7*7}}", "\u202egnp.exe\u2066")


@pytest.fixture(scope="module")
def attacked(browser, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Report]:
    """A report on evidence with hostile texts in its logs, stacks, dumps and file names, and the same with harmless ones."""
    return tuple(report_of(tmp_path_factory, text) for text in (" ".join(HOSTILE), "harmless"))


def report_of(folders: pytest.TempPathFactory, text: str) -> Report:
    """The report of a job of two ranks that brings up this text wherever it can, also in a line of a megabyte."""
    folder = folders.mktemp("evidence")
    StuckJob(2, culprit=1, frame=f"{text} (x.py:1)", says=f"{text} {'z' * 1_000_000}", group=text).write(folder)
    (folder / f"{text.replace('/', '_')}.log").write_text(f"2026-11-22 15:17:00 [rank0] ERROR {text}\n", encoding="utf-8")
    return report_on(folder, folders.mktemp("report"))


def test_evidence_stays_text(attacked: tuple[Report, Report], opened: Opened) -> None:
    """What a log, a stack, a dump or the name of a file says is shown and not obeyed: no dialog, no element, no request, no answer."""
    hostile, harmless = (opened(report) for report in attacked)
    for seen in (hostile, harmless):
        unfold(seen.page)

    assert [text for text in HOSTILE if text.strip("\u202e\u2066") not in hostile.text] == []
    assert "\u202e" not in hostile.text
    assert (hostile.requests, hostile.complaints, hostile.dialogs) == ([attacked[0].url], [], [])
    assert elements(hostile) == elements(harmless)


def elements(seen: Visit) -> Counter[str]:
    """How many elements of each kind the page has."""
    return Counter(seen.page.evaluate("() => [...document.all].map((e) => e.tagName)"))


def test_a_line_of_a_megabyte_is_no_wide_page(attacked: tuple[Report, Report], opened: Opened) -> None:
    """Such a line is cut, and neither widens nor fills the page."""
    page = opened(attacked[0], viewport=PHONE).page
    unfold(page)

    assert attacked[0].file.stat().st_size < 200_000
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0, page.evaluate(WIDEST)
