from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest

from hanglens.errors import HangLensError
from hanglens.report.speedscope import LONGEST_NAME, Frame, frame_of, render
from hanglens.verdict import Diagnosis, StackGroup
from tests.samples import HEALTHY, HOSTILE, HUNG, hostile, text


def of_stacks(*groups: StackGroup) -> Diagnosis:
    """A diagnosis that has stacks and nothing else."""
    return Diagnosis(verdict="hung", summary=text("Hung.", "挂起。"), tool_version="0", stack_groups=groups)


def written(d: Diagnosis) -> Any:
    """The file, which has all that the published schema requires and holds together."""
    file = json.loads(render(d, lang="en"))
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert 0 <= file["activeProfileIndex"] < len(file["profiles"])
    assert all(frame["name"] and frame.keys() <= {"name", "file", "line"} for frame in file["shared"]["frames"])
    for profile in file["profiles"]:
        assert profile.keys() == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
        assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "none", 0)
        assert profile["endValue"] == sum(profile["weights"])
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= at < len(file["shared"]["frames"]) for sample in profile["samples"] for at in sample)
    return file


def calls(file: Any, profile: int) -> list[list[str]]:
    """The names of the frames of each sample of a profile."""
    return [[file["shared"]["frames"][at]["name"] for at in sample] for sample in file["profiles"][profile]["samples"]]


def test_all_ranks_come_first_then_each_group() -> None:
    """The first profile has every rank and process, the others are named by theirs, with the sign of the culprit."""
    profiles = written(HUNG)["profiles"]

    assert [profile["name"] for profile in profiles] == ["All ranks", "▶ rank 3", "ranks 0-2", "api server (pid 4700)"]
    assert [profile["weights"] for profile in profiles] == [[1, 3, 1], [1], [3], [1]]


def test_calls_go_from_the_outermost_inwards() -> None:
    """A flame graph grows from the callers, and where all ranks are shown it ends in the name of those who stand there."""
    file = written(HUNG)

    assert calls(file, 0)[1] == ["main", "barrier", "ranks 0-2"]
    assert calls(file, 1) == [["main", "build_extension", "acquire", "sleep"]]
    assert calls(file, 2) == [["main", "barrier"]]


def test_a_frame_of_several_stacks_is_one() -> None:
    """Ranks that were called from one place share its frame, so that the picture shows where they part."""
    file = written(
        of_stacks(StackGroup(ranks=(0,), frames=("a (x.py:2)", "main (x.py:1)")), StackGroup(ranks=(1,), frames=("main (x.py:1)",)))
    )
    samples = file["profiles"][0]["samples"]

    assert samples[0][0] == samples[1][0]
    assert [frame["name"] for frame in file["shared"]["frames"]] == ["main", "a", "rank 0", "rank 1"]


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        (
            "gather_object (torch/distributed/distributed_c10d.py:3430)",
            Frame("gather_object", "torch/distributed/distributed_c10d.py", 3430),
        ),
        ("<module> (<string>:1)", Frame("<module>", "<string>", 1)),
        ("ncclAllReduce(void const*, int) (libnccl.so.2)", Frame("ncclAllReduce(void const*, int)", "libnccl.so.2")),
        ("f (C:\\a b\\c.py)", Frame("f", "C:\\a b\\c.py")),
        ('File "/opt/a.py", line 12, in run', Frame("run", "/opt/a.py", 12)),
        ('(pid=7)   File "/opt/a.py", line 12 in run', Frame("run", "/opt/a.py", 12)),
        ("#1  0x00007f01 in poll (fds=0x1, n=2) from /lib/libc.so.6", Frame("poll", "/lib/libc.so.6")),
        ("#2  main (argc=1) at src/main.c:31", Frame("main", "src/main.c", 31)),
        ("#3 c10d::Work::wait() from ProcessGroupNCCL.cpp:900", Frame("c10d::Work::wait()", "ProcessGroupNCCL.cpp", 900)),
        ("#4  0x00007f01 in ?? ()", Frame("??")),
        ("poll", Frame("poll")),
        ("poll ()", Frame("poll ()")),
        ("f (a.py:99999999999)", Frame("f", "a.py:99999999999")),
        ("f (a.py:١)", Frame("f", "a.py:١")),
    ],
)
def test_a_frame_is_split_as_far_as_it_can_be(line: str, frame: Frame) -> None:
    """Name, file and line of each dumper's lines stand apart; what has none of them is a name."""
    assert frame_of(line) == frame


def test_an_empty_frame_has_a_name_all_the_same() -> None:
    """Speedscope shows frames by their names, so a frame without a text gets a sign."""
    assert calls(written(of_stacks(StackGroup(ranks=(0,), frames=("",)))), 1) == [["?"]]


@pytest.mark.parametrize("d", [HEALTHY, of_stacks(StackGroup(ranks=(0,), frames=()), StackGroup(ranks=(), frames=("main (a.py:1)",)))])
def test_without_stacks_there_is_no_file(d: Diagnosis) -> None:
    """Speedscope opens no file without a profile, so the error says how to get stacks; a stack of nobody is none."""
    with pytest.raises(HangLensError, match=r"no stacks.*hanglens collect --pid PID"):
        render(d, lang="en")


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_text_stays_text(payload: str) -> None:
    """No text of the evidence breaks the file, and no control character reaches the window."""
    file = written(hostile(payload))
    names = [frame["name"] for frame in file["shared"]["frames"]] + [profile["name"] for profile in file["profiles"]] + [file["name"]]

    assert sum(file["profiles"][0]["weights"]) == 2
    assert not [c for name in names for c in name if unicodedata.category(c) in {"Cc", "Cf", "Cs"}]


def test_the_name_of_a_large_group_is_cut() -> None:
    """Every second rank of a thousand is still a name that fits into a list."""
    file = written(of_stacks(StackGroup(ranks=tuple(range(0, 1000, 2)), frames=("main (a.py:1)",))))

    assert file["profiles"][1]["weights"] == [500]
    assert len(file["profiles"][1]["name"]) == LONGEST_NAME


def test_names_are_in_the_language_asked_for() -> None:
    """The profiles and the title follow --lang."""
    file = json.loads(render(of_stacks(StackGroup(ranks=(0, 1), frames=("main (a.py:1)",))), lang="zh"))

    assert file["name"] == "挂起。"
    assert [profile["name"] for profile in file["profiles"]] == ["所有 rank", "rank 0-1"]
