"""What a rank's own dump says last, and what the dumps say of who belongs to a group."""

from __future__ import annotations

from collections.abc import Iterator

from hanglens.analyze.cite import cite, cite_collective
from hanglens.analyze.recorder import wavefront
from hanglens.analyze.unjoined import Unjoined
from hanglens.groups import Group
from hanglens.incident import Incident
from hanglens.model import RecorderDump
from hanglens.verdict import Evidence

MOST_NAMED = 32  # members of a group that are written out


def own_records(incident: Incident, rank: int, group: Group) -> Iterator[Evidence]:
    """The newest record of a rank, and how far it has come in a group by its own counters."""
    last = wavefront(incident).last(rank)
    dump = next((dump for dump in incident.parsed.recorder_dumps if dump.rank == rank), None)
    if last:
        yield cite_collective(last)
    elif dump:
        yield cite_empty(incident, dump)
    if group.counted(rank):
        row = group.status[rank]
        text = f"rank {rank}: group {group.title}: last enqueued #{row.enqueued}, last completed #{row.completed} (pg_status)"
        yield cite(row.ref, text, rank)


def cite_empty(incident: Incident, dump: RecorderDump) -> Evidence:
    """A dump without a record. One that keeps only what is unfinished has counters that tell of more."""
    went = any(row.enqueued > 0 for row in incident.parsed.group_statuses if row.rank == dump.rank)
    what = "no call is unfinished in the dump" if went else "no collective was recorded before the dump"
    return cite(dump.ref, f"rank {dump.rank}: {what}", dump.rank)


def cite_members(incident: Incident, found: Unjoined) -> Iterator[Evidence]:
    """The list of a group's members that names those of whom there is no dump."""
    listed = (entry for entry in incident.parsed.group_members if entry.rank == found.call.rank and entry.group == found.call.group)
    entry = next(listed, None) if found.silent else None
    if entry:
        named = ", ".join(map(str, entry.members[:MOST_NAMED])) + (", …" if len(entry.members) > MOST_NAMED else "")
        yield cite(entry.ref, f"rank {entry.rank}: group {found.group.title}: members {named} (pg_config)", entry.rank)
