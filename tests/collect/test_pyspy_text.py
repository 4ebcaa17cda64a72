"""The text of a dump, made from its JSON."""

from __future__ import annotations

import json
import sys
from itertools import pairwise

import msgspec
import pytest

from hanglens.collect.commands import run
from hanglens.collect.pyspy_text import as_json, as_text, rank_of, read_dump
from hanglens.printable import printable
from tests.collect.processes import Processes, job_of, stop

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at through Linux's /proc")

RANK = """
import threading, time
def waits(rank, prompt, world_size=4):
    secret_token = "hf_abcdefgh12345678"
    tp_rank = "not a number"
    local_rank = 3
    ranks = [1, 2]
    if prompt:
        print("ready", flush=True)
    time.sleep(60)
threading.Thread(target=waits, args=(7, ""), name="second thread", daemon=True).start()
waits(2, "write me a poem")
"""


def dump(py_spy: str, pid: int, *options: str) -> bytes:
    """What py-spy prints of a process that stands."""
    outcome = run([py_spy, "dump", "--nonblocking", *options, "--pid", str(pid)], deadline=20)
    assert outcome.status == "ok", outcome
    return outcome.output


def told(text: str) -> list[list[str]]:
    """The lines that say something, by thread; the one that names the Python stands in no JSON. A command line is one line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("Python v")]
    heads = [number for number, line in enumerate(lines) if line.startswith("Thread ")]
    command = printable("\n".join(lines[: heads[0]]))
    return [[command], *sorted(lines[start:end] for start, end in pairwise([*heads, len(lines)]))]


def threads(*variables: dict[str, object], name: str = "run", place: str = "train.py") -> bytes:
    """A dump of one thread with a frame for each of these variables, innermost first."""
    frames = [{"name": name, "filename": place, "short_filename": place, "line": 4, "locals": [{"arg": True} | v]} for v in variables]
    return json.dumps([{"pid": 5, "thread_id": 6, "thread_name": "MainThread", "frames": frames}]).encode()


def test_text_is_what_py_spy_prints(py_spy: str, start: Processes) -> None:
    """The text of a real process is py-spy's own of it, thread by thread, but for the line that names the Python."""
    child = start.python(RANK)
    stop(child.pid)
    (target,) = job_of(child.pid).targets
    theirs = dump(py_spy, child.pid).decode()
    ours = as_text(read_dump(dump(py_spy, child.pid, "--json")), child.pid, target.proc.line)
    assert told(ours) == told(theirs)
    assert 'second thread"' in ours


def test_a_line_end_in_a_name_forges_no_line() -> None:
    """What a process calls itself, its threads and its functions cannot add a thread or a frame to the dump."""
    forged = threads({"name": "rank", "repr": "1"}, name='run\nThread 7 (active): "MainThread"', place="a.py\x1b[2J")
    text = as_text(read_dump(forged), 5, "python3\nThread 8 (active)")
    assert [line for line in text.splitlines() if line.startswith("Thread")] == ['Thread 0x6 (idle): "MainThread"']
    assert "\x1b" not in text


def test_of_the_variables_only_who_it_is_survives(py_spy: str, start: Processes) -> None:
    """Ranks and sizes that are small numbers stay, in both forms; prompts, tokens and all else do not."""
    child = start.python(RANK)
    found = read_dump(dump(py_spy, child.pid, "--json", "--locals"))
    text, raw = as_text(found, child.pid, "python3"), as_json(found).decode()
    for said in (text, raw):
        assert "poem" not in said
        assert "hf_" not in said
        assert "not a number" not in said
    main = text.split('"MainThread"')[1].split("Thread ")[0]
    assert "        Arguments:\n            rank: 2\n            world_size: 4\n        Locals:\n            local_rank: 3\n" in main
    assert main.count(": ") == 3
    assert read_dump(raw.encode()) == found
    assert rank_of(found) is not None


def test_text_with_variables_is_as_py_spy_writes_them(py_spy: str, start: Processes) -> None:
    """Where all variables of a frame are kept they stand as `py-spy dump --locals` prints them."""
    child = start.python("import time\ndef run(rank, world_size):\n    print('ready', flush=True)\n    time.sleep(60)\nrun(1, 2)")
    stop(child.pid)
    (target,) = job_of(child.pid).targets
    theirs = dump(py_spy, child.pid, "--locals").decode()
    ours = as_text(read_dump(dump(py_spy, child.pid, "--json", "--locals")), child.pid, target.proc.line)
    assert told(ours) == told(theirs)
    assert "            rank: 1" in ours.splitlines()


@pytest.mark.parametrize(
    ("variables", "rank", "how"),
    [
        (({"name": "rank", "repr": "9"}, {"name": "rank", "repr": "1"}), 1, "variable rank of run (train.py:4)"),
        (({"name": "rank", "repr": "1"}, {"name": "global_rank", "repr": "5"}), 5, "variable global_rank of run (train.py:4)"),
        (({"name": "rank_id", "repr": "0"}, {"name": "tp_rank", "repr": "2"}), 0, "variable rank_id of run (train.py:4)"),
        (({"name": "tp_rank", "repr": "2"}, {"name": "local_rank", "repr": "3"}), 2, "variable tp_rank of run (train.py:4)"),
        (({"name": "local_rank", "repr": "3"},), None, ""),
        (({"name": "rank", "repr": "-1"},), None, ""),
        (({"name": "rank", "repr": "1234567"},), None, ""),
        (({"name": "rank", "repr": None},), None, ""),
        (({"name": "ranks", "repr": "1"}, {"name": "i", "repr": "1"}), None, ""),
        ((), None, ""),
    ],
    ids=["the outermost", "the global one first", "before tensor parallelism", "the tp one", "a local one", "no rank", "a large one",
         "unread", "others", "none"],
)  # fmt: skip
def test_rank_of(variables: tuple[dict[str, object], ...], rank: int | None, how: str) -> None:
    """The global rank is told by the variables that mean it, and where it stood is said."""
    assert rank_of(read_dump(threads(*variables))) == (None if rank is None else (rank, how))


def test_index_of_a_process_that_torch_spawned() -> None:
    """`i` means the rank in the one function of torch that starts spawned processes, and nowhere else."""
    variable = {"name": "i", "repr": "3"}
    assert (rank_of(read_dump(threads(variable, name="_wrap", place="torch/multiprocessing/spawn.py"))) or (None,))[0] == 3
    assert rank_of(read_dump(threads(variable, name="_wrap", place="mine.py"))) is None


@pytest.mark.parametrize(
    ("thread", "head"),
    [
        ({"os_thread_id": 77, "active": True, "owns_gil": True, "thread_name": "A"}, 'Thread 77 (active+gil): "A"'),
        ({"os_thread_id": 77, "active": True}, "Thread 77 (active)"),
        ({"active": False, "owns_gil": True}, "Thread 0xFF (idle)"),
    ],
)
def test_heads(thread: dict[str, object], head: str) -> None:
    """A thread is named by its number, state and name as py-spy does."""
    raw = json.dumps([{"pid": 5, "thread_id": 255, "frames": []} | thread]).encode()
    assert as_text(read_dump(raw), 5, "python3") == f"Process 5: python3\n\n{head}\n"


@pytest.mark.parametrize("raw", [b"", b"{}", b"Error: no", b'[{"pid": "x"}]', b"[[]]", b"\xff"])
def test_no_dump(raw: bytes) -> None:
    """What is no dump raises the one error that the caller expects."""
    with pytest.raises(msgspec.MsgspecError):
        read_dump(raw)


def test_a_frame_without_a_line() -> None:
    """A native frame without a line has its file or its module only."""
    frames = [{"name": "poll", "filename": "", "module": "/lib/libc.so.6", "line": 0}, {"name": "f", "filename": "a.py", "line": 2}]
    raw = json.dumps([{"pid": 5, "thread_id": 1, "frames": frames}]).encode()
    assert as_text(read_dump(raw), 5, "x").splitlines()[3:] == ["    poll (/lib/libc.so.6)", "    f (a.py:2)"]
