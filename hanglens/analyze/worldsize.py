"""How many ranks the job has, and what says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hanglens import number
from hanglens.model import Event, Gap, Parsed

_DEFAULT_GROUP = "default_pg"


class World(NamedTuple):
    """The number of ranks, where it is known, what says it, and a Gap where what says it contradicts itself."""

    size: int | None = None
    how: str = ""
    gap: Gap | None = None


def world_size(parsed: Parsed) -> World:
    """The most trusted size that has room for every rank seen; of equally trusted ones the largest, since sub-groups are smaller."""
    claims = sorted(((trust, size, how) for trust, size, how in _claims(parsed) if size), key=lambda claim: claim[:2], reverse=True)
    top, where = max(_ranks_seen(parsed), default=(-1, ""))
    for _, size, how in claims:
        if size > top:
            return World(size, how)
    if not claims:
        return World()
    _, size, how = claims[0]
    return World(gap=Gap("world size", f"{how} is {size}, but {where} is of rank {top}: the number of ranks is unknown",
                         "analyze the evidence of one job at a time"))  # fmt: skip


def _ranks_seen(parsed: Parsed) -> Iterator[tuple[int, str]]:
    """The ranks that left evidence, with a file of it."""
    for process in parsed.processes:
        for rank in (process.rank, number.rank(process.environ.get("RANK"))):
            if rank is not None:
                yield rank, process.ref.file
    yield from ((dump.rank, dump.ref.file) for dump in parsed.recorder_dumps)
    yield from ((event.speaker.rank, event.ref.file) for event in parsed.events if event.speaker.rank is not None)
    stated = [event for event in parsed.events if event.rank is not None]  # what lines say outweighs the name of a file
    files, pids = {event.ref.file for event in stated}, {event.speaker.pid for event in stated} - {None}
    named = (about for about in parsed.inputs if about.bytes and about.file not in files and about.pid not in pids)
    yield from ((about.rank, about.file) for about in named if about.rank is not None)


def _claims(parsed: Parsed) -> Iterator[tuple[int, int | None, str]]:
    """Trust, size and where it is said; None for a size that no job has."""
    yield from _from_logs(parsed.events)
    for group in parsed.group_members:
        if group.description == _DEFAULT_GROUP or group.group == "0":
            yield 3, len(group.members), "flight recorder"
    for report in parsed.ras_reports:
        for communicator in report.communicators:
            yield 2, communicator.size, "NCCL RAS"
    for process in parsed.processes:
        yield 3, number.whole(process.environ.get("WORLD_SIZE"), number.MOST_RANKS), "WORLD_SIZE of a process"


def _from_logs(events: Iterable[Event]) -> Iterator[tuple[int, int | None, str]]:
    for event in events:
        if event.name in ("torch.world", "torch.store_barrier", "vllm.rank_map"):
            yield 3, number.whole(event.fields["world"], number.MOST_RANKS), "world_size in the log"
        elif event.name in ("nccl.init", "nccl.topology"):
            yield 2, number.whole(event.fields["nranks"], number.MOST_RANKS), "NCCL communicator"
        elif event.name in ("lmdeploy.start", "vllm.parallel"):
            yield 2, number.whole(event.fields["tp"], number.MOST_RANKS), "tensor parallel size"
