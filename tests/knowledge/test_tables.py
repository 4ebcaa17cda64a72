"""The tables of start-up stages and of stack frames."""

from __future__ import annotations

import re

import pytest

from hanglens.expressions import SHORTEST_LITERAL, fault, search
from hanglens.knowledge.schema import SOURCES
from hanglens.knowledge.tables import Stage, load_frames, load_tracks
from hanglens.scan import Pattern

TRACKS = load_tracks()
STAGES = [stage for track in TRACKS for stage in track.stages]
PATTERNS = [pattern for track in TRACKS for pattern in (*track.marks, *(stage.pattern for stage in track.stages))]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_every_pattern_can_be_searched(pattern: Pattern) -> None:
    """Each stage and mark has a good expression, a literal to find it by, and programs that there are."""
    assert not fault(pattern.expression)
    assert min(map(len, pattern.required())) >= SHORTEST_LITERAL
    assert pattern.sources
    assert pattern.sources <= set(SOURCES)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.id)
def test_every_stage_is_told_in_both_languages(stage: Stage) -> None:
    """A stage has a title in English and Chinese."""
    assert stage.title.en
    assert re.search("[\u4e00-\u9fff]", stage.title.zh)


def test_names_are_unique() -> None:
    """No two stages have one id, and no two patterns one name."""
    assert len({stage.id for stage in STAGES}) == len(STAGES)
    assert len({pattern.name for pattern in PATTERNS}) == len(PATTERNS)
    assert all(track.marks for track in TRACKS)


@pytest.mark.parametrize(
    ("message", "track", "stage"),
    [
        ("MASTER_ADDR=127.0.0.1, MASTER_PORT=29500", "lmdeploy-legacy", "spawn"),
        ("build model.", "lmdeploy-legacy", "build-model"),
        ("loading weights.", "lmdeploy-legacy", "load-weights"),
        ("device<1> free gpu memory: 12", "lmdeploy-legacy", "free-memory"),
        ("block num: 812", "lmdeploy-legacy", "block-num"),
        ("build CacheEngine with config:CacheConfig(", "lmdeploy-legacy", "cache-engine"),
        ("Build <mp> executor.", "lmdeploy-mp", "executor"),
        ("rank[3] - loading weights.", "lmdeploy-mp", "load-weights"),
        ("proc[1] call method: <warmup>.", "lmdeploy-mp", "warmup-call"),
        ("Init ray cluster.", "lmdeploy-ray", "cluster"),
        ("Warming up distribute environment, this might take long time, please waiting...", "lmdeploy-ray", "warmup-dist"),
        ("[Gemm2] Tuning sequence: 8, 16", "turbomind", "tuning"),
        ("vLLM is using nccl==2.28.9", "vllm", "nccl"),
        ("rank 0 in world size 4 is assigned as DP rank 0, PP rank 0, TP rank 0", "vllm", "rank-map"),
        ("GPU KV cache size: 1,383,552 tokens", "vllm", "cache"),
        ("Init torch distributed begin.", "sglang", "distributed"),
        ("Load weight end. elapsed=4.58 s, type=X", "sglang", "weights"),
        ("The server is fired up and ready to roll!", "sglang", "ready"),
    ],
)
def test_stages_of_an_engine(message: str, track: str, stage: str) -> None:
    """A message of an engine's start-up is the stage it begins, and no other one of that engine."""
    (found,) = [t for t in TRACKS if t.name == track]
    assert [s.id for s in found.stages if search(s.pattern.expression, message)] == [f"{track}/{stage}"]


def test_stages_that_each_rank_prints_name_the_rank_they_print() -> None:
    """Where the line of a stage says a rank, its pattern takes it."""
    found = search(next(s.pattern.expression for s in STAGES if s.id == "lmdeploy-legacy/free-memory"), "device<3> free gpu memory: 1")
    assert found is not None
    assert found["rank"] == "3"


FRAMES = {
    "collective": [
        "all_reduce (torch/distributed/distributed_c10d.py)",
        "gather_object (/opt/py/site-packages/torch/distributed/distributed_c10d.py)",
        "barrier (sglang/srt/distributed/parallel_state.py)",
        "gloo::transport::tcp::UnboundBuffer::waitRecv (libtorch_cpu.so)",
    ],
    "nccl-init": ["ncclCommInitRank (vllm/distributed/device_communicators/pynccl_wrapper.py)"],
    "gpu-comm": ["ncclLocalOpAppend (libnccl.so.2)"],
    "rendezvous": ["_create_c10d_store (torch/distributed/rendezvous.py)", "c10d::TCPStore::wait (libtorch_cpu.so)"],
    "gpu-wait": ["synchronize (torch/cuda/__init__.py)", "synchronize (torch/cuda/streams.py)", "cudaStreamSynchronize (libcudart.so.12)"],
    "rpc-wait": ["Notifier.set (lmdeploy/pytorch/engine/executor/mp_executor.py)", "get (ray/_private/worker.py)"],
    "idle": [
        "Worker.main_loop (ray/_private/worker.py)",
        "_tp_model_loop (lmdeploy/pytorch/engine/model_agent.py)",
        "worker_busy_loop (vllm/v1/executor/multiproc_executor.py)",
        "ExecutorProc._main_loop (lmdeploy/pytorch/engine/executor/mp_executor.py)",
    ],
    "file-lock": ["acquire (filelock/_api.py)", "wait (torch/utils/file_baton.py)"],
    "jit": ["compile (triton/compiler/compiler.py)", "load (torch/utils/cpp_extension.py)"],
    "weights": ["safe_open (safetensors/torch.py)", "load_weights (vllm/model_executor/models/llama.py)"],
    "helper": [
        "TMonitor.run (tqdm/_monitor.py)",
        "main (multiprocessing/resource_tracker.py)",
        "SubprocMain.main (torch/_inductor/compile_worker/subproc_pool.py)",
        "PythonGCThread.run (ray/_private/gc_collect_manager.py)",
        "TPModelAgent._mp_watchdog (lmdeploy/pytorch/engine/model_agent.py)",
    ],
    "transparent": [
        "_exception_logger.<locals>.wrapper (torch/distributed/c10d_logger.py)",
        "context_decorator.<locals>.decorate_context (torch/utils/_contextlib.py)",
        "Condition.wait (threading.py)",
        "EpollSelector.select (selectors.py)",
        "Future.result (concurrent/futures/_base.py)",
        "__futex_abstimed_wait_common (libc.so.6)",
        "0x7f0012 (libcuda.so.1)",
    ],
    "own": [
        "train_step (train.py)",
        "load_batch (train.py)",
        "<module> (train.py)",
        "barrier (mytrainer/sync.py)",
        "synchronize (mytrainer/clock.py)",
        "LlamaModel.forward (lmdeploy/pytorch/models/llama.py)",
        "",
    ],
}


@pytest.mark.parametrize(("described", "kind"), [(frame, kind) for kind, frames in FRAMES.items() for frame in frames])
def test_frames(described: str, kind: str) -> None:
    """What a frame says of its thread, by function and file; the same names in other packages are a program's own."""
    assert load_frames().kind(described) == kind


@pytest.mark.parametrize(
    ("kind", "callers", "means"),
    [
        ("collective", ["recv_requests (sglang/srt/managers/scheduler.py)"], "idle"),
        ("collective", ["Scheduler.recv_requests (sglang/srt/managers/scheduler.py)"], "idle"),
        ("collective", ["train_step (train.py)"], "collective"),
        ("idle", ["get_response (vllm/v1/executor/multiproc_executor.py)"], "rpc-wait"),
        ("own", ["recv_requests (sglang/srt/managers/scheduler.py)"], "own"),
    ],
)
def test_callers_change_what_a_frame_means(kind: str, callers: list[str], means: str) -> None:
    """A collective by which a worker waits for requests is idle; a queue that a main process waits at for answers is not."""
    table = load_frames()
    assert table.kind_below(kind, [table.turn(kind, caller) for caller in callers]) == means


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        (
            "landmarks",
            ["_tp_build_model.<locals>._broadcast_config (lmdeploy/pytorch/engine/model_agent.py)", "WorkerWrapperBase.warmup (x.py)"],
        ),
        ("helper_threads", ["tqdm_monitor", "QueueFeederThread", "pin_memory_thread"]),
        ("helper_commands", ["python -c from multiprocessing.resource_tracker import main", "/ray/gcs/gcs_server --x", "ray::IDLE"]),
    ],
)
def test_lists_of_names(table: str, texts: list[str]) -> None:
    """Landmarks, threads and commands are found; a main thread and a training command are none of them."""
    expression = getattr(load_frames(), table)
    assert all(expression.search(text) for text in texts)
    assert not any(expression.search(text) for text in ("MainThread", "python train.py --rank 1", "helper (train.py)"))
