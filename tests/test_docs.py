"""What the documents say is what the program does."""

import re
import subprocess
import sys

import pytest
import yaml

from hanglens import pipeline
from hanglens.cli.program import _COMMANDS
from hanglens.knowledge.load import load_facts, load_rules
from hanglens.knowledge.schema import CATEGORIES, SOURCES
from hanglens.rules.lint import lint

READMES = {"README.md": "en", "README.zh-CN.md": "zh"}
SAMPLE = re.compile(r"<!-- sample: (\S+) -->\n```text\n(.*?)\n```", re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_readme_names_every_command(root, name):
    """Each command of the program stands in the README, in both languages."""
    text = (root / name).read_text(encoding="utf-8")
    assert not [command for command in _COMMANDS if f"hanglens {command}" not in text]


@pytest.mark.parametrize("name", READMES)
def test_samples_are_real_output(root, name, tmp_path):
    """What the README shows is what a user sees who runs the command above it, to the end or to where it is cut with an ellipsis."""
    samples = SAMPLE.findall((root / name).read_text(encoding="utf-8"))
    assert samples
    for fixture, shown in samples:
        evidence = str(root / "fixtures" / fixture / "evidence")
        command = [sys.executable, "-m", "hanglens", "analyze", evidence, "--no-report", "--lang", READMES[name]]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        beginning, cut = shown.removesuffix("\n…"), shown.endswith("\n…")
        assert done.stdout.startswith(beginning + "\n") if cut else done.stdout.rstrip() == shown


def test_readmes_are_kept_equal(root):
    """The Chinese README has the sections, tables and code blocks of the English one."""
    shapes = []
    for name in READMES:
        lines = (root / name).read_text(encoding="utf-8").splitlines()
        shapes.append([line.split(" ")[0][:3] for line in lines if line.startswith(("#", "|", "```", "- **"))])
    ours, theirs = ([mark for mark in shape if mark != "```"] for shape in shapes)
    assert ours == theirs


def test_readme_links_lead_somewhere(root):
    """Every file that a document links to exists."""
    for name in (*READMES, "CONTRIBUTING.md", "rules/README.md", "fixtures/README.md"):
        folder = (root / name).parent
        targets = re.findall(r"\]\(([^)#:]+)\)", (root / name).read_text(encoding="utf-8"))
        assert not [target for target in targets if not (folder / target).exists()], name


def test_rule_guide_names_sources_and_its_example_is_a_good_rule(root, tmp_path):
    """rules/README.md names every source and category, and the whole rule it shows passes `rules lint` and `rules test`."""
    guide = (root / "rules" / "README.md").read_text(encoding="utf-8")
    assert not [name for name in (*SOURCES, *CATEGORIES) if name not in guide]
    example = guide.split("```yaml\n", 1)[1].split("```", 1)[0]
    folder = tmp_path / "nccl-shm"
    folder.mkdir()
    (folder / "example.yaml").write_text(example, encoding="utf-8")
    pack = load_rules([tmp_path], builtin=False)
    assert not pack.problems
    assert lint(pack, beside=load_rules()) == []
    assert pipeline.test_rules(pack) == []


def test_every_category_has_rules():
    """No category of the contract is empty."""
    assert set(CATEGORIES) == {rule.category for rule in load_rules().rules}


def test_facts_are_described(root):
    """Each fact that rules may ask for says what it is about."""
    assert all(load_facts().values())
    assert yaml.safe_load((root / "rules" / "facts.yaml").read_text(encoding="utf-8"))
