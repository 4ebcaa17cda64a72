"""From what was read to facts: the reasoning across ranks that rules cannot do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import msgspec

from hanglens.analyze.activity import activity_facts
from hanglens.analyze.calls import call_facts
from hanglens.analyze.endings import ending_facts
from hanglens.analyze.enqueued import enqueue_facts
from hanglens.analyze.kernel import kernel_facts
from hanglens.analyze.missing import missing_facts
from hanglens.analyze.processes import process_facts
from hanglens.analyze.ras import ras_facts
from hanglens.analyze.recorder import recorder_facts
from hanglens.analyze.stages import stage_facts
from hanglens.analyze.surroundings import surrounding_facts
from hanglens.analyze.watchdog import watchdog_facts
from hanglens.incident import Incident
from hanglens.verdict import Fact

ANALYSES: tuple[Callable[[Incident], Iterator[Fact]], ...] = (
    surrounding_facts, stage_facts, process_facts, kernel_facts, ras_facts, recorder_facts, enqueue_facts, watchdog_facts, missing_facts,
    call_facts, activity_facts, ending_facts,
)  # fmt: skip


def compute_facts(incident: Incident) -> dict[str, list[Fact]]:
    """Every fact by its name, in the order of the analyses; ranks that the job does not have are left out of it."""
    facts: dict[str, list[Fact]] = defaultdict(list)
    for analysis in ANALYSES:
        for fact in analysis(incident):
            ranks = tuple(rank for rank in fact.ranks if incident.has(rank))
            facts[fact.name].append(fact if ranks == fact.ranks else msgspec.structs.replace(fact, ranks=ranks))
    return dict(facts)
