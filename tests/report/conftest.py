"""What the tests of the reports share: one browser, and three reports to open in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.report.browser import Report, Visit, chromium, report_on, visit
from tests.stuckjob import StuckJob

JOBS = {"64-ranks": StuckJob(ranks=64, culprit=37), "1024-ranks": StuckJob(ranks=1024, culprit=577)}
SEED = "lmdeploy-0.7-tp4-config-sync"


@pytest.fixture(scope="session")
def browser():
    """Chromium, started once; every test gets a profile of its own in it."""
    with chromium() as started:
        yield started


# Asking for the browser first saves the diagnoses where there is none.
@pytest.fixture(scope="session", params=[SEED, *JOBS])
def report(request: pytest.FixtureRequest, browser, fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a recorded hang, of a job of 64 ranks and of one of 1024, each out of its evidence."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param in JOBS:
        JOBS[request.param].write(folder)
        return report_on(folder, tmp_path_factory.mktemp("report"))
    return report_on(fixtures_dir / request.param / "evidence", folder)


@pytest.fixture
def opened(browser) -> Iterator[Callable[..., Visit]]:
    """Opens a report, or any address, in a fresh profile; keywords are those of playwright's `new_context`."""
    with ExitStack() as until_the_end:

        def open_it(what: Report | str, **options: object) -> Visit:
            context = until_the_end.enter_context(browser.new_context(**options))
            return visit(context, what if isinstance(what, str) else what.url)

        yield open_it
