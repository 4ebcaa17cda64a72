"""Dumps whose content does not tell their rank: numbers of a whole folder do, and what they do not tell is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hanglens.analyze.numbered import HOW_KNOWN, with_numbered_dumps
from hanglens.model import GroupMembers, Parsed, RecorderDump, SourceRef


def folder(*names: str, known: dict[str, int] | None = None, members: tuple[int, ...] = (0, 1, 2)) -> Parsed:
    """Dumps of these names, whose content tells no more ranks than the known ones."""
    dumps = tuple(RecorderDump((known or {}).get(name, -1), SourceRef(name), 1) for name in names)
    groups = tuple(GroupMembers("0", members, SourceRef(name)) for name in names if members)
    return Parsed(recorder_dumps=dumps, group_members=groups)


@pytest.mark.parametrize(
    ("parsed", "ranks"),
    [
        (folder("job/0", "job/2"), [0, 2]),
        (folder("job/0", "job/x"), [-1, -1]),
        (folder("job/0", "job/7"), [-1, -1]),
        (folder("job/1"), [-1]),
        (folder("a/1", "b/1"), [-1, -1]),
        (folder("a/0", "a/1", "b/0", "b/1"), [-1, -1, -1, -1]),
        (folder("job/0", "job/2", known={"job/2": 1}), [-1, 1]),
        (folder("job/0", "job/2", known={"job/2": 2}), [0, 2]),
        (folder("job/0", "job/1", members=()), [-1, -1]),
    ],
    ids="fit one-has-a-word one-is-no-member alone two-folders two-hosts-count-alike contradicted agreed no-groups".split(),
)
def test_numbers_count_where_all_of_a_folder_fit(parsed: Parsed, ranks: list[int]) -> None:
    """One name that is no number, one that is no member, or content that says otherwise, and none of them counts."""
    found = with_numbered_dumps(parsed)
    assert [dump.rank for dump in found.recorder_dumps] == ranks
    named = [entry.rank for entry in found.group_members if entry.rank is not None]
    assert named == ([rank for rank in ranks if rank >= 0] if -1 not in ranks else [])
    assert {dump.how_known for dump in found.recorder_dumps} <= {"", HOW_KNOWN}


def test_dumps_without_a_rank_are_one_gap() -> None:
    """How many there are, and of which nothing could be told; dumps with a rank are none of them."""
    parsed = folder("x1", "x2", "x3", "x4")
    one = replace(parsed, recorder_dumps=(*parsed.recorder_dumps, RecorderDump(0, SourceRef("trace_0"), 1)))
    (gap,) = with_numbered_dumps(one).gaps
    assert gap.what == "4 flight-recorder dumps (x1, x2, x3, …)"
    assert "no rank could be told" in gap.why
    assert with_numbered_dumps(Parsed()).gaps == ()
