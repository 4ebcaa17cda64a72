from __future__ import annotations

from hanglens.report.view import view
from hanglens.verdict import CulpritProcess, Diagnosis, Evidence, Finding
from tests.samples import HEALTHY, HUNG, UNKNOWN, hostile, large, text


def test_findings_are_sorted_by_role() -> None:
    """The root cause leads; the rest are shown by what they are to it, each once."""
    v = view(HUNG)

    assert v.lead is not None
    assert v.lead.finding.rule == "missing-rank/file-lock"
    assert [c.finding.rule for c in v.possible] == ["jit-compile/slow-compile"]
    assert [c.finding.rule for c in v.ruled_out] == ["gpu-p2p/iommu"]
    assert [c.finding.rule for c in v.cascades] == ["observation/watchdog-timeout"]
    assert [c.finding.rule for c in v.observations] == ["observation/op-fallback"]
    assert v.contributing == ()


def test_what_is_not_decided_asks_for_evidence_first() -> None:
    """Only a likely or confirmed cause, or a job that is well, puts anything before the next evidence."""
    assert view(HUNG).decided
    assert view(HEALTHY).decided
    assert not view(UNKNOWN).decided
    assert not view(hostile("x")).decided


def test_evidence_is_split_and_keeps_its_surroundings() -> None:
    """A quote stands between the lines before and after it, and evidence against is kept apart."""
    v = view(HUNG)

    assert v.lead is not None
    first = v.lead.supporting[0]
    assert first.place == "stacks/rank3.pyspy.txt:14"
    assert first.before[-1].strip() == "sleep (filelock/_util.py:12)"
    assert first.after[0].strip() == "__enter__ (filelock/_api.py:402)"
    assert [q.place for q in v.lead.opposing] == ["proc/lsof.txt:3"]
    assert "dump/rank1.pickle#41" in [q.place for q in v.lead.supporting]


def test_a_cut_line_is_found_in_its_context() -> None:
    """A line that was cut around its match still takes its own place among the lines around it."""
    evidence = Evidence(file="a", text="…the match…", context=("before", "long the match line", "after"))
    finding = Finding(
        rule="a/b", category="a", role="cause", confidence="possible", title=text("", ""), explanation=text("", ""), evidence=(evidence,)
    )
    quote = view(Diagnosis(verdict="hung", summary=text("", ""), tool_version="1", findings=(finding,))).possible[0].supporting[0]

    assert (quote.before, quote.after) == (("before",), ("after",))


def test_equal_ranks_are_one_group_and_culprits_come_first() -> None:
    """A job of a thousand ranks is a table of three rows, the culprit on top."""
    v = view(large())

    assert [group.ranks for group in v.groups] == ["77", "0-4,6-76,78-1023", "5"]
    assert v.groups[0].culprit
    assert v.rows == v.groups
    assert v.missing == "5"
    assert v.groups[1].hosts == "n0, n1, n2, … (128)"


def test_few_ranks_are_shown_one_by_one() -> None:
    """A small job has a row for each rank, in their order."""
    assert [row.ranks for row in view(HUNG).rows] == ["0", "1", "2", "3"]


def test_a_culprit_is_named_with_all_that_is_known() -> None:
    """Host, pid and device come from the rank's row where the culprit itself does not say them."""
    process = CulpritProcess(host=None, pid=None, rank=3)
    d = Diagnosis(
        verdict="hung", summary=text("", ""), tool_version="1", ranks=HUNG.ranks, culprit_ranks=(3, 9), culprit_processes=(process,)
    )

    assert [(c.rank, c.host, c.pid, c.device) for c in view(d).culprits] == [(3, "node-a", 4713, 3), (9, None, None, None)]


def test_equal_waits_are_one() -> None:
    """Ranks that wait for the same in the same place are one line; the culprit is marked."""
    waits = view(HUNG).waits

    assert [(w.ranks, w.names, w.for_rank, w.for_name) for w in waits] == [
        ("0-2", "", 3, ""), ("3", "", None, "lock fused_rope.lock"), ("", "api server", 0, ""),
    ]  # fmt: skip
    assert [w.culprit for w in waits] == [True, False, False]


def test_the_matrix_shows_who_made_no_call() -> None:
    """Ranks with equal calls share a row, and a rank without a call at a number has an empty cell there."""
    matrix = view(HUNG).matrices[0]

    assert matrix.seqs == (40, 41)
    assert [ranks for ranks, _ in matrix.rows] == ["0,2", "1", "3"]
    assert matrix.rows[1][1][1] is not None
    assert matrix.rows[1][1][1].odd
    assert matrix.rows[2][1][1] is None


def test_unusual_surroundings_come_first() -> None:
    """What is unusual in the environment is not buried under versions."""
    assert [fact.name for fact in view(HUNG).environment] == ["/dev/shm", "torch", "NCCL"]


def test_anchors_are_unique() -> None:
    """Two findings of one rule, or of rules that differ only in signs, can both be linked to."""
    findings = tuple(
        Finding(rule=rule, category="a", role="observation", confidence="possible", title=text("", ""), explanation=text("", ""))
        for rule in ("a/b", "a/b", "A b", "\x00")
    )
    cards = view(Diagnosis(verdict="hung", summary=text("", ""), tool_version="1", findings=findings)).observations

    assert len({card.anchor for card in cards}) == len(findings)
