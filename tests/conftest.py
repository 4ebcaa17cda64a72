"""What tests share: where the evidence lies, and how hypothesis runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
PRIVATE = ROOT.parent / "shared"  # more cases, which the maintainers have and may not publish
WITHOUT_PRIVATE = "needs recordings of the maintainers that cannot be published; the fixtures pass the same checks"

# No deadline: a busy machine is no failure. In CI the same examples each time, so that a red run can be repeated.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--accept`: the reports as they are rendered now become those that tests/report/test_gold.py compares with."""
    parser.addoption("--accept", action="store_true", help="accept the present reports into tests/gold")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout that these tests belong to."""
    return ROOT


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The recorded hangs: `<name>/evidence/` for each."""
    return ROOT / "fixtures"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The maintainers' private cases; a test that cannot do without them is skipped."""
    if not (PRIVATE / "cases").is_dir():
        pytest.skip(WITHOUT_PRIVATE)
    return PRIVATE
