from __future__ import annotations

from msgspec import structs

from hanglens.report.brief import collective_lines, environment_lines, input_line, stack_lines, timeline_lines, tree_lines
from hanglens.report.timeline import lay_out
from hanglens.report.view import view
from hanglens.verdict import CollectiveCell, CommunicatorTable, TimelineSpan
from tests.samples import HUNG, large

SHOWN = view(HUNG)


def test_the_timeline_in_words() -> None:
    """A line for each row: the last stage, errors and time-outs, and how long it has been silent."""
    assert SHOWN.timeline
    lines = timeline_lines(SHOWN.timeline, "en", 9)

    assert lines[0] == "▶ rank 3: 02:10:58 build extension · 02:11:09 silence (30 min 1 s)"
    assert lines[4] == "job: 02:12:10 error probe failed: 503"


def test_a_silence_before_the_last_one_is_told() -> None:
    """A row that was silent, went on and fell silent again tells both, and of several before the last the longest, with their number."""
    spans = [
        TimelineSpan(rank=0, start=f"02:{start}:00", end=f"02:{end}:00", kind="silence", label="words", text="words")
        for start, end in ((10, 11), (20, 30), (35, 36), (40, 50))
    ]
    drawn = lay_out(spans, ())
    assert drawn
    assert timeline_lines(drawn, "en", 9) == ["rank 0: 02:20:00 silence (10 min 0 s) and 2 shorter ones · 02:40:00 silence (10 min 0 s)"]


def test_the_stacks_in_words() -> None:
    """Those to blame first, each place with its innermost frames and whether it moved."""
    assert stack_lines(SHOWN.stacks, "en", 1) == [
        "▶ rank 3: filelock.acquire, the same in every sample",
        "    sleep (filelock/_util.py:12)",
        "    acquire (filelock/_api.py:344)",
        "… and 2 more",
    ]


def test_the_tree_in_words() -> None:
    """Outermost frame first, a branch indented below what it shares, and who is not there."""
    assert tree_lines(SHOWN.stacks, "en")[:3] == [
        "ranks 0-3", "    main (engine/worker.py:31|40)", "    ▶ rank 3: filelock.acquire, the same in every sample"
    ]  # fmt: skip
    assert "    ranks 0-2 | not here: 3: barrier, the same in every sample" in tree_lines(SHOWN.stacks, "en")


def test_the_call_at_which_ranks_differ() -> None:
    """Only that sequence number is told, the odd call marked."""
    assert collective_lines(SHOWN.matrices[0], "en", 2) == [
        "group 0, default_pg #41", "    rank 1: ≠ all_reduce 1 scheduled", "    ranks 0,2: barrier 1 scheduled", "… and 1 more"
    ]  # fmt: skip


def test_the_environment_in_words() -> None:
    """What is unusual has a line of its own, with why."""
    unusual, usual = environment_lines(SHOWN.environment, "en")

    assert unusual == "/dev/shm = 64 MiB: the default of a container; NCCL wants more with 4 ranks"
    assert usual == "torch 2.7.1+cu128 · NCCL 2.26.2"


def test_the_inputs_in_a_line() -> None:
    """Files are counted by kind."""
    assert input_line(view(large(64)).input_groups, "en") == "64 files: 64 × engine log"
    assert input_line(SHOWN.input_groups, "zh").startswith("3 个文件: 1 × engine log")


def test_a_rank_of_which_no_record_was_given() -> None:
    """It is not said to have made no call, and does not decide which call is told."""
    cells = [CollectiveCell(rank=r, seq=s, op="all_reduce", state="completed" if s < 9 else "scheduled") for r in (0, 1) for s in (7, 8, 9)]
    table = CommunicatorTable(id="0", name="default_pg", members=(0, 1, 2, 3), divergence=tuple(cells))
    (matrix,) = view(structs.replace(HUNG, communicators=(table,))).matrices

    assert collective_lines(matrix, "en", 9) == [
        "group 0, default_pg #9", "    ranks 0-1: all_reduce scheduled", "    ranks 2-3: no record of it was given"
    ]  # fmt: skip
