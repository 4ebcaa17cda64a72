"""System calls by number, which differ between processors."""

from __future__ import annotations

from dataclasses import replace

from hanglens.analyze.machines import with_x86_calls
from hanglens.model import Collection, Process, SourceRef, ThreadState
from tests.builders import parsed


def test_calls_of_arm_are_told_by_the_numbers_of_x86() -> None:
    """On aarch64 202 is accept and 98 is futex; what has no number of ours is none of ours; elsewhere numbers stay."""
    threads = tuple(ThreadState(SourceRef("t.txt", n), 7, "7", "S", 0, call) for n, call in enumerate(["98", "202", "4", "running"]))
    process = Process(SourceRef("s.txt", 1), 7, syscall="63")
    bundle = Collection(SourceRef("manifest.json", 1), "n1", machine="aarch64", times={"t.txt": 5.0})
    found = with_x86_calls(replace(parsed(process), threads=threads, collections=(bundle,)))
    assert [thread.syscall for thread in found.threads] == ["202", "43", "aarch64:4", "running"]
    assert found.processes[0].syscall == "0"
    assert {thread.at for thread in found.threads} == {5.0}
    ours = with_x86_calls(replace(parsed(process), threads=threads, collections=(replace(bundle, machine="x86_64"),)))
    assert [thread.syscall for thread in ours.threads] == ["98", "202", "4", "running"]
