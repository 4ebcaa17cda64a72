"""Lines of vLLM, SGLang, Ray and Horovod that analyses need, and the progress bars that any of them draws.

Formats: vLLM 0.4 to 0.2x (`vllm/distributed/parallel_state.py`, `vllm/v1/metrics/loggers.py`), SGLang 0.3 to 0.5
(`sglang/srt/managers/scheduler*.py`), tqdm 4 (`n/total [elapsed<left, rate]`).
"""

from __future__ import annotations

from hanglens.scan import Pattern

PATTERNS = (
    Pattern("vllm.start", r"Initializing an? (?:V\d )?LLM engine \(v(?P<version>[\w.+]+)\)"),
    Pattern("vllm.parallel", r"\btensor_parallel_size=(?P<tp>\d{1,6})"),
    Pattern("vllm.rank_map", r"rank (?P<rank>\d{1,6}) in world size (?P<world>\d{1,6}) is assigned as"),
    Pattern("vllm.stats", r"generation throughput: (?P<throughput>[\d.]+) tokens/s, Running: (?P<running>\d{1,18}) reqs"),
    Pattern("vllm.ready", r"Application startup complete|Starting vLLM (?:API )?server",
            literals=("Application startup complete", "Starting vLLM ")),
    Pattern("sglang.start", r"\bserver_args=ServerArgs\("),
    Pattern("sglang.decode", r"Decode batch[.,] .{0,500}?gen throughput \(token/s\): (?P<throughput>[\d.]+)", literals=("Decode batch",)),
    Pattern("sglang.ready", r"The server is fired up and ready to roll"),
    Pattern("progress.bar",
            r"(?P<percent>\d{1,3})%[^\[]{0,400}?(?:\|| )(?P<done>\d[\d.]{0,20}\w?)/(?P<total>\d[\d.]{0,20}\w?) "
            r"\[(?P<elapsed>[\d:]{1,20})<(?P<left>[\d:?]{1,20})",
            literals=("it/s", "s/it", "examples/s", "B/s", "tokens/s]", "s/step")),
    Pattern("nccl_tests.row",
            r"^\s*\d+\s+\d+\s+(?:float|half|int8|uint8|double|bfloat16|int32)\s+(?:sum|none|prod|max|min)\s+-?\d+\s+[\d.]+",
            literals=(" float ", " half ", " int8 ", " uint8 ", " double ", " bfloat16 ", " int32 ")),
    Pattern("log.error", r"\S", literals=("ERROR", "Error", "NCCL WARN", "[E", "[F", "Exception", "FATAL",
            "CRITICAL", "KeyboardInterrupt")),
)  # fmt: skip
