"""Makes the JSON of checked rules and tables that a wheel carries; `hatch_build.py` calls it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hanglens.knowledge.load import load_rules
from hanglens.knowledge.packaged import Compiled
from hanglens.knowledge.schema import Plain
from hanglens.knowledge.yamlfile import read_yaml

TABLES = ("facts.yaml", "stages.yaml", "frames.yaml")


def compile_rules(folder: Path) -> bytes:
    """All rules and tables of a folder. Raises RuleError for a rule that is wrong."""
    pack = load_rules([folder], builtin=False)
    for problem in pack.problems:
        raise problem
    tables: dict[str, dict[str, Plain]] = {name: read_yaml(folder / name, name) for name in TABLES}
    return msgspec.json.encode(Compiled(pack.rules, tables))
