"""Which variables of an environment may be kept: those that matter for a hang."""

from __future__ import annotations

import re

SETTINGS = re.compile(
    r"(?:RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_RANK|NODE_RANK|NNODES|CUDA_VISIBLE_DEVICES|CUDA_LAUNCH_BLOCKING|CUDA_MODULE_LOADING"
    r"|CUDA_DEVICE_MAX_CONNECTIONS|OMP_NUM_THREADS|LD_PRELOAD|NVIDIA_VISIBLE_DEVICES|MAX_JOBS"
    r"|(?:MASTER|NCCL|TORCH|TORCHELASTIC|PYTORCH|GLOO|TP|LMDEPLOY|TM|VLLM|SGLANG|SGL|RAY|OMPI_COMM_WORLD|PMI|SLURM|HF_HUB|TRITON|FLASHINFER|NVSHMEM"
    r"|UCX|FI|MC)_\w+)$"
)
_SECRET = re.compile(r"(?i)token|secret|password|passwd|credential|api_?key")


def keep_setting(name: str) -> bool:
    """Whether an environment variable is worth keeping: it matters for a hang, and does not sound like a secret."""
    return bool(SETTINGS.match(name)) and not _SECRET.search(name)
