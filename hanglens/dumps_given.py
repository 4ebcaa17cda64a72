"""What was given of the flight recorders, and which dumps are still to be had: they lie on the hosts of the job."""

from __future__ import annotations

from hanglens.incident import Incident
from hanglens.ranges import ranges
from hanglens.verdict import NextEvidence, Text

MOST_NAMED = 16  # runs of ranks that are written out


def nameless_dumps(incident: Incident) -> Text:
    """Where of no dump the rank is known: how many there are."""
    dumps = incident.parsed.recorder_dumps
    if not dumps or any(dump.rank >= 0 for dump in dumps):
        return Text(en="", zh="")
    number = len(dumps)
    en = f"{number} flight-recorder dumps were given, of which" if number > 1 else "a flight-recorder dump was given, of which"
    return Text(en=f": {en} no rank could be told", zh=f"：给出了 {number} 个 flight recorder dump，但无法判断属于哪个 rank")


def other_dumps(incident: Incident) -> list[NextEvidence]:
    """The dumps of the ranks of which none was given, where others were: nothing else is as cheap, or tells as much."""
    dumped = {dump.rank for dump in incident.parsed.recorder_dumps}
    if not dumped or -1 in dumped:
        return []
    lacking = sorted({rank for group in incident.groups.values() for rank in group.members} - dumped)
    if not lacking:
        return []
    ranks = f"rank{'s' * (len(lacking) > 1)} {ranges(lacking, MOST_NAMED)}"
    what = Text(
        en=f"The flight-recorder dumps of {ranks} too; each host keeps those of its ranks beside the ones given here",
        zh=f"rank {ranges(lacking, MOST_NAMED)} 的 flight recorder dump；每台主机把自己的 rank 的 dump 保存在与这些 dump 相同的位置",
    )
    return [NextEvidence(what=what, command="hanglens analyze <a folder with the dumps of all ranks>")]
