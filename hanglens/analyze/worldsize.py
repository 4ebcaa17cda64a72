"""How many ranks the job has, and what says so."""

from __future__ import annotations

from collections.abc import Iterator

from hanglens.model import Parsed

LARGEST = 1 << 16  # no job is larger; what claims to be would only fill the memory
_DEFAULT_GROUP = "default_pg"


def world_size(parsed: Parsed) -> tuple[int | None, str]:
    """The most trusted statement; of equal ones the largest, since sub-groups are smaller than the job."""
    claims = sorted((claim for claim in _claims(parsed) if 0 < claim[1] <= LARGEST), key=lambda claim: (claim[0], claim[1]))
    return (claims[-1][1], claims[-1][2]) if claims else (None, "")


def _claims(parsed: Parsed) -> Iterator[tuple[int, int, str]]:
    """Trust, size and where it is said."""
    yield from _from_logs(parsed)
    for group in parsed.group_members:
        if group.description == _DEFAULT_GROUP or group.group == "0":
            yield 3, len(group.members), "flight recorder"
    for report in parsed.ras_reports:
        for communicator in report.communicators:
            if communicator.size:
                yield 2, communicator.size, "NCCL RAS"
    for process in parsed.processes:
        if process.environ.get("WORLD_SIZE", "").isdigit():
            yield 3, int(process.environ["WORLD_SIZE"]), "environment of a process"


def _from_logs(parsed: Parsed) -> Iterator[tuple[int, int, str]]:
    for event in parsed.events:
        fields = event.fields
        if event.name in ("torch.world", "torch.store_barrier", "vllm.rank_map"):
            yield 3, int(fields["world"]), "world_size in the log"
        elif event.name in ("nccl.init", "nccl.topology"):
            yield 2, int(fields["nranks"]), "NCCL communicator"
        elif event.name in ("lmdeploy.start", "vllm.parallel"):
            yield 2, int(fields["tp"]), "tensor parallel size"
