"""The built wheel: what is in it, and that the tests run on it and not on the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import hanglens

PACKAGE = Path(hanglens.__file__).resolve().parent


def _is_wheel() -> bool:
    try:
        direct = metadata.distribution("hanglens").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return False
    return '"editable": true' not in (direct or "")


pytestmark = pytest.mark.skipif(not _is_wheel(), reason="needs HangLens installed from its wheel: make test")


def _files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def test_tests_run_on_the_installed_package() -> None:
    """The checkout does not shadow the wheel: `hanglens` comes from site-packages."""
    assert Path(sysconfig.get_path("purelib")).resolve() / "hanglens" == PACKAGE


def test_wheel_carries_every_rule(root: Path) -> None:
    """Each file of rules/ (rules, tables, README) lies in the wheel's hanglens/_rules, byte for byte, beside their JSON."""
    rules, packaged = root / "rules", PACKAGE / "_rules"

    assert {"README.md", "facts.yaml"} <= _files_under(rules)
    assert _files_under(rules) | {"compiled.json"} == _files_under(packaged)
    assert all((rules / name).read_bytes() == (packaged / name).read_bytes() for name in _files_under(rules))
    assert any(packaged.glob("*/*.yaml"))


def test_a_start_reads_no_yaml(tmp_path: Path) -> None:
    """What the wheel carries as JSON is used: rules and tables are there without a YAML parser."""
    load = "from hanglens.knowledge import load, tables; n = len(load.load_rules().rules); tables.load_tracks(); tables.load_frames()"
    code = f"import sys; {load}; print(n, 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    number, parsed = done.stdout.split()
    assert int(number) > 100
    assert parsed == "False"


def test_wheel_carries_every_file_of_the_package(root: Path) -> None:
    """Templates, assets, catalogues and schemas are shipped beside the modules."""
    installed = {name for name in _files_under(PACKAGE) if not name.startswith("_rules/")}

    assert _files_under(root / "hanglens") == installed


def test_wheel_holds_the_package_and_nothing_else() -> None:
    """Tests, fixtures and tools stay out of other people's site-packages."""
    files = metadata.files("hanglens") or []
    tops = {file.parts[0] for file in files if file.parts[0] != ".."}  # ".." leads to the script in bin/

    assert tops == {"hanglens", f"hanglens-{hanglens.__version__}.dist-info"}


def test_dependencies_have_lower_bounds_only() -> None:
    """No requirement caps or pins a version, since it would clash with those of a serving environment."""
    versions = [requirement.partition(";")[0] for requirement in metadata.requires("hanglens") or []]

    assert [version for version in versions if any(mark in version for mark in ("<", "==", "~=", "!="))] == []


def test_entry_point_tells_the_version(tmp_path: Path) -> None:
    """`hanglens --version` answers from any folder with the version of the package."""
    script = Path(sysconfig.get_path("scripts")) / ("hanglens.exe" if sys.platform == "win32" else "hanglens")
    done = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert hanglens.__version__ in done.stdout
