"""Which dumps were given, and which are still to be had."""

from __future__ import annotations

from dataclasses import replace

from hanglens.advice import next_evidence, summary
from hanglens.analyze.rows import rank_rows
from hanglens.dumps_given import nameless_dumps, other_dumps
from hanglens.rules.conclude import Conclusion
from tests.builders import call, dumps, incident, member, members_of, parsed

NOTHING = Conclusion(verdict="unknown", chosen=None, root_cause=None, findings=())


def test_the_dumps_of_the_others_come_before_all_else() -> None:
    """Who gave the dump of one rank is asked for those of the others, and never for a run with the flight recorder on."""
    about = incident(evidence=parsed(*dumps(3), members_of("0", *range(6)), call(3, 1)))
    steps = next_evidence(NOTHING, (), {}, about)
    assert "ranks 0-2,4-5 too" in steps[0].what.en
    assert not [step for step in steps if "prepare" in step.command or "flight recorder" in step.what.en]


def test_nothing_is_asked_for_where_all_dumps_are_there() -> None:
    """Nor where no dump was given at all, or their ranks are not known."""
    whole = parsed(*dumps(0, 1), members_of("0", 0, 1))
    assert other_dumps(incident(evidence=whole)) == []
    assert other_dumps(incident()) == []
    assert other_dumps(incident(evidence=replace(whole, recorder_dumps=(replace(dumps(0)[0], rank=-1),)))) == []


def test_dumps_of_which_no_rank_is_known_are_counted() -> None:
    """They were collected, whoever's they are: the headline says how many, and no rank counts as not collected."""
    nameless = tuple(replace(dump, rank=-1) for dump in dumps(0, 1))
    about = incident(member(0), member(1), evidence=replace(parsed(), recorder_dumps=nameless))
    assert summary(NOTHING, {}, nameless_dumps(about)).en.endswith(": 2 flight-recorder dumps were given, of which no rank could be told.")
    assert [row.collected for row in rank_rows(about, {})] == [True, True]
    assert nameless_dumps(incident(evidence=replace(parsed(), recorder_dumps=(*nameless, *dumps(1))))).en == ""
