"""Lines of LMDeploy's PyTorch engine and of TurboMind that analyses need; the start-up stages are in rules/stages.yaml.

Formats: `lmdeploy/pytorch/engine/` and `lmdeploy/serve/` of v0.6 to v0.18.
"""

from __future__ import annotations

from hanglens.scan import Pattern

_LMDEPLOY = frozenset({"lmdeploy"})

PATTERNS = (
    Pattern("lmdeploy.start", r"input backend=(?P<backend>\w+), backend_config=\w{1,80}\(.{0,2000}?\btp=(?P<tp>\d{1,6})", _LMDEPLOY,
            literals=("input backend=",)),
    Pattern("lmdeploy.rank", r"(?:\brank\[(?P<rank>\d{1,6})\]|proc\[(?P<proc>\d{1,6})\] call method)", _LMDEPLOY,
            literals=("rank[", "proc[")),
    Pattern("lmdeploy.finished", r"session (?P<session>\d{1,18}) finished, reason", _LMDEPLOY, literals=(" finished, reason",)),
    Pattern("lmdeploy.accepted", r"session=(?P<session>\d{1,18}), input_tokens=", _LMDEPLOY, literals=(", input_tokens=",)),
)  # fmt: skip
