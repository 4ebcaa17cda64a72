"""Lines of LMDeploy's PyTorch engine and of TurboMind that analyses need; the start-up stages are in rules/stages.yaml.

Formats: `lmdeploy/pytorch/engine/` and `lmdeploy/serve/` of v0.6 to v0.18.
"""

from __future__ import annotations

from hanglens.scan import Pattern

_LMDEPLOY = frozenset({"lmdeploy"})

PATTERNS = (
    Pattern("lmdeploy.start", r"input backend=(?P<backend>\w+), backend_config=\w+\(.*?\btp=(?P<tp>\d+)", _LMDEPLOY,
            literals=("input backend=",)),
    Pattern("lmdeploy.rank", r"(?:\brank\[(?P<rank>\d+)\]|proc\[(?P<proc>\d+)\] call method)", _LMDEPLOY, literals=("rank[", "proc[")),
    Pattern("lmdeploy.call", r"proc\[(?P<rank>\d+)\] call method: <(?P<method>\w+)>", _LMDEPLOY),
    Pattern("lmdeploy.singleton", r"pid:(?P<pid>\d+) - Creating instance of singleton class (?P<what>\w+)", _LMDEPLOY),
    Pattern("lmdeploy.request", r"Receive ADD_MESSAGE Request", _LMDEPLOY),
    Pattern("lmdeploy.response", r"Response: num_outputs=(?P<outputs>\d+)", _LMDEPLOY),
    Pattern("lmdeploy.finished", r"session (?P<session>\d+) finished, reason", _LMDEPLOY, literals=(" finished, reason",)),
    Pattern("lmdeploy.accepted", r"session=(?P<session>\d+), input_tokens=", _LMDEPLOY, literals=(", input_tokens=",)),
)  # fmt: skip
