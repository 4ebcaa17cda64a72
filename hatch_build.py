"""Puts the rules into the wheel a second time, checked and as one JSON: reading hundreds of YAML files is a third of a start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledRules(BuildHookInterface):
    """Called by hatchling; an editable installation reads the YAML of its checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the JSON beside the wheel that is being built, and have it packed."""
        if version != "standard":
            return
        sys.path.insert(0, self.root)
        from hanglens.knowledge.compile import compile_rules
        from hanglens.knowledge.packaged import COMPILED

        made = Path(self.root, "build", COMPILED)
        made.parent.mkdir(exist_ok=True)
        made.write_bytes(compile_rules(Path(self.root, "rules")))
        build_data["force_include"][str(made)] = f"hanglens/_rules/{COMPILED}"
