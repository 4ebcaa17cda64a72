"""Lines of vLLM, SGLang, Ray and progress bars."""

from __future__ import annotations

import io

import pytest

from hanglens.model import Event
from hanglens.parse.blocks import Place
from hanglens.parse.engines import PATTERNS
from hanglens.parse.index import PatternIndex
from hanglens.parse.text import read_text

INDEX = PatternIndex(PATTERNS, ())
VLLM, SGLANG = "(EngineCore pid=5) INFO 07-22 07:59:47 [core.py:1] ", "[2026-01-29 13:12:36 TP0] "


def read(line: str) -> dict[str, Event]:
    """The events of one line by name."""
    return {event.name: event for event in read_text(io.BytesIO(line.encode()), Place("a.log"), INDEX).events}


@pytest.mark.parametrize(
    ("line", "name", "fields"),
    [
        (VLLM + "Initializing a V1 LLM engine (v0.11.0) with config: x", "vllm.start", {"version": "0.11.0"}),
        (VLLM + "Initializing an LLM engine (v0.6.3.post1) with config", "vllm.start", {"version": "0.6.3.post1"}),
        (VLLM + "Initializing a V0 LLM engine (v0.8.5) with config", "vllm.start", {"version": "0.8.5"}),
        (VLLM + "config: tensor_parallel_size=4, pipeline_parallel_size=1", "vllm.parallel", {"tp": "4"}),
        (VLLM + "rank 3 in world size 4 is assigned as DP rank 0, PP rank 0, TP rank 3", "vllm.rank_map", {"rank": "3", "world": "4"}),
        (VLLM + "Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 3.5 tokens/s, Running: 3 reqs, Waiting: 0",
         "vllm.stats", {"throughput": "3.5", "running": "3"}),
        ("INFO:     Application startup complete.", "vllm.ready", {}),
        (VLLM + "Starting vLLM API server on http://0.0.0.0:8000", "vllm.ready", {}),
        (VLLM + "Starting vLLM server on http://0.0.0.0:8000", "vllm.ready", {}),
        ("[2026-01-29 13:12:36] server_args=ServerArgs(model_path='x')", "sglang.start", {}),
        (SGLANG + "Decode batch, #running-req: 1, #full token: 9, gen throughput (token/s): 454.39, #queue-req: 0",
         "sglang.decode", {"throughput": "454.39"}),
        (SGLANG + "Decode batch. #running-req: 1, gen throughput (token/s): 0.00, #queue-req: 0", "sglang.decode", {"throughput": "0.00"}),
        ("[2026-01-29 13:12:36] The server is fired up and ready to roll!", "sglang.ready", {}),
        ("Loading:  56%|█████▌    | 5/9 [00:13<00:11,  2.87s/it]", "progress.bar",
         {"percent": "56", "done": "5", "total": "9", "elapsed": "00:13", "left": "00:11"}),
        ("Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<00:11,  2.87s/it]", "progress.bar", {"done": "5"}),
        ("  0%|          | 0/9 [00:00<?, ?it/s]", "progress.bar", {"done": "0", "left": "?"}),
        ("model.bin:  10%|█         | 1.05G/9.98G [00:13<01:11, 80MB/s]", "progress.bar", {"done": "1.05G", "total": "9.98G"}),
        ("     8388608       2097152     float     sum      -1    133.2   62.98", "nccl_tests.row", {}),
    ],
)  # fmt: skip
def test_wordings(line: str, name: str, fields: dict[str, str]) -> None:
    """Start, readiness, throughput and progress are told with their numbers."""
    events = read(line)
    assert list(events) == [name]
    assert fields.items() <= events[name].fields.items()


@pytest.mark.parametrize(
    "line", ["RuntimeError: x", "ERROR x", "n:1:2 [0] a.cc:1 NCCL WARN x", "[E ProcessGroupNCCL.cpp:1] x", "KeyboardInterrupt"]
)
def test_errors_of_any_program(line: str) -> None:
    """A line that says error, exception or warning of NCCL is kept, whoever printed it."""
    assert list(read(line)) == ["log.error"]


@pytest.mark.parametrize(
    "line",
    [
        VLLM + "No available shared memory broadcast block found in 60 seconds.",
        SGLANG + "Prefill batch. #new-seq: 1",
        SGLANG + "Decode batch. " + "x" * 1000 + "gen throughput (token/s): 1",
        "CPU at 56% of 5/9 [cores]",
        "100% sure, 3 s/it",
        "footstep: 12",
        "steps: many",
        f"step: x{'9' * 100}",
        "float sum -1",
        "errors are none",
    ],
)
def test_near_misses(line: str) -> None:
    """Lines that look alike give nothing."""
    assert read(line) == {}


def test_the_last_state_of_a_bar_is_the_latest() -> None:
    """A bar that rewrites itself gives its states in order, all on one line."""
    bar = "\r".join(f" {n}%|#  | {n}/100 [00:0{n}<00:09, 1.0it/s]" for n in range(5))
    events = read_text(io.BytesIO(bar.encode() + b"\n"), Place("a.log"), INDEX).events
    assert [(event.ref.line, event.fields["percent"]) for event in events] == [(1, str(n)) for n in range(5)]
