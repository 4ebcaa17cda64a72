"""NCCL RAS answers as text: tables, counts, missing ranks; alone and in the middle of a log."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanglens.model import Parsed
from hanglens.parse.blocks import Place
from hanglens.parse.index import PatternIndex
from hanglens.parse.ras import BLOCKS
from hanglens.parse.text import read_text

HEAD = """SERVER PROTOCOL 2
NCCL version 2.28.9 compiled with CUDA 13.0
CUDA runtime version 13000, driver version 13000

Job summary
===========

  Nodes  Processes         GPUs  Processes     GPUs
(total)   per node  per process    (total)  (total)
      1          2            1          2        2

Communicators... (0.000s)
=============

Group     Comms     Nodes     Ranks     Ranks     Ranks    Status  Errors
    #  in group  per comm  per node  per comm  in group
"""
MISMATCH = """    0         1         1         2         2         2   RUNNING  MISMATCH

Errors
======

Warnings
========

#0-0 (de160110acb33f76) MISMATCH
  Communicator ranks have different AllReduce operation counts
  Rank 0 has launched up to operation 6 -- GPU 0 managed by process 3081 on node 192.0.2.2
  Rank 1 has launched up to operation 5 -- GPU 1 managed by process 3082 on node 192.0.2.2

"""
KILLED = """    0         1         1         1         2         1   RUNNING  INCOMPLETE

Errors
======

INCOMPLETE
  Missing communicator data from 1 job process
  Process 955 on node 192.0.2.2 managing GPU 1

#0-0 (ad6d156f37465d6d) INCOMPLETE
  Missing communicator data from 1 rank
  Rank 1 -- GPU 1 managed by process 955 on node 192.0.2.2

Warnings
========

"""
SECTIONS = """    0         2       1-2         8     31-32        62   RUNNING  INCOMPLETE,MISMATCH
    1         1         1         2         2         2   INIT      OK

Errors
======

#0-1 (00ff) INCOMPLETE
  Missing communicator data from 3 ranks
  The missing ranks: 3,8-9

Warnings
========

TIMEOUT
  Encountered 2 communication timeouts while gathering communicator data

#0-1 (00ff) MISMATCH
  Communicator ranks have different status
  1 rank has status INIT
  Rank 7 -- GPU 7 managed by process 17 on node n1
  Communicator ranks have different AllGather operation counts
  26 ranks have launched up to operation 640
  2 ranks have launched up to operation 641
  Rank 12 -- GPU 4 managed by process 504 on node n2
  Rank 13 -- GPU 5 managed by process 505 on node n2
  1 rank has not launched any operations
  Rank 14 -- GPU 6 managed by process 506 on node n2
"""


def read(text: str) -> Parsed:
    """Parse a file that holds this text."""
    return read_text(io.BytesIO(text.encode()), Place("ras.txt"), PatternIndex([], BLOCKS))


def test_ranks_with_different_counts() -> None:
    """A mismatch gives the communicator by its hash, and each rank's count with process, device, host, line and text."""
    (report,) = read(HEAD + MISMATCH).ras_reports
    (communicator,) = report.communicators
    assert (communicator.id, communicator.size, communicator.status, communicator.errors) == ("de160110acb33f76", 2, "RUNNING", "MISMATCH")
    assert (communicator.text, communicator.ref.line) == ("#0-0 (de160110acb33f76) MISMATCH", 25)
    assert [(c.op, c.launched, c.number, c.ref.line) for c in communicator.counts] == [("AllReduce", 6, 1, 27), ("AllReduce", 5, 1, 28)]
    assert [(r.rank, r.device, r.pid, r.host) for c in communicator.counts for r in c.ranks] == [
        (0, 0, 3081, "192.0.2.2"),
        (1, 1, 3082, "192.0.2.2"),
    ]
    assert communicator.counts[1].text.startswith("  Rank 1 has launched up to operation 5")
    assert (report.nccl_version, report.ref.line) == ("2.28.9", 1)


def test_missing_ranks() -> None:
    """Ranks and job processes of which RAS has no data are kept: the process apart, since its communicator is not told."""
    (report,) = read(HEAD + KILLED).ras_reports
    found = [(c.id, c.errors, [(m.rank, m.pid, m.device) for m in c.missing]) for c in report.communicators]
    assert found == [("job", "INCOMPLETE", [(None, 955, 1)]), ("ad6d156f37465d6d", "INCOMPLETE", [(1, 955, 1)])]


def test_sections_of_a_larger_job() -> None:
    """A communicator of both sections is one; listed ranks belong to the count above them; rows without details stay as groups."""
    (report,) = read(HEAD + SECTIONS).ras_reports
    by_id = {c.id: c for c in report.communicators}
    assert list(by_id) == ["#0", "#1", "00ff", "job"]
    told = by_id["00ff"]
    assert (told.errors, told.size) == ("INCOMPLETE,MISMATCH", None)
    assert [m.rank for m in told.missing] == [3, 8, 9]
    assert [(c.launched, c.number, [r.rank for r in c.ranks]) for c in told.counts] == [(640, 26, []), (641, 2, [12, 13]), (-1, 1, [14])]
    assert (by_id["#0"].errors, by_id["#1"].errors, by_id["#1"].status, by_id["#1"].size) == ("OK", "OK", "INIT", 2)


def test_an_answer_in_the_middle_of_a_log() -> None:
    """Log lines above and below do not disturb the report, and indented lines below it are not taken."""
    log = "2026-01-02 03:04:05 starting\n$ ncclras\n" + HEAD + MISMATCH + '  File "serve.py", line 3\nINFO: still serving\n' + HEAD + KILLED
    reports = read(log).ras_reports
    assert [r.communicators[-1].id for r in reports] == ["de160110acb33f76", "ad6d156f37465d6d"]
    assert [r.ref.line for r in reports] == [3, 34]


def test_two_answers_one_after_the_other_are_two_reports() -> None:
    """Two samples tell whether the counts move, so they are kept apart even without a line between them."""
    first = HEAD.removeprefix("SERVER PROTOCOL 2\n") + MISMATCH.rstrip("\n") + "\n"
    reports = read(first + first.replace("operation 6", "operation 8")).ras_reports
    assert [[c.launched for c in r.communicators[0].counts] for r in reports] == [[6, 5], [8, 5]]


def test_the_version_is_a_setting() -> None:
    """The head gives NCCL's version, also when nothing else of the answer is there."""
    parsed = read("NCCL version 2.26.2 compiled with CUDA 12.4\n")
    assert [(s.name, s.value, s.ref.line) for s in parsed.settings] == [("nccl.version", "2.26.2", 1)]
    assert (parsed.ras_reports, parsed.gaps) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "SERVER PROTOCOL 2\n",
        HEAD,
        "ncclras: Connecting to localhost:28028: Connection refused\n",
        "nc: connect to localhost port 28028 (tcp) failed: Connection refused (ncclras)\n",
    ],
)
def test_no_answer_is_a_gap(text: str) -> None:
    """An answer without communicators, or a port that refuses, is a gap that says how to ask again."""
    parsed = read(text)
    assert parsed.ras_reports == ()
    assert ["ncclras" in gap.how_to_collect for gap in parsed.gaps] == [True]


def test_other_refused_connections_are_not_of_ras() -> None:
    """A store or a database that refuses a connection says nothing of RAS."""
    assert read("[c10d] The client socket has failed to connect to [host]:29500 (errno: 111 - Connection refused).\n").gaps == ()


@given(st.lists(st.sampled_from((HEAD + SECTIONS + KILLED).splitlines()) | st.text(max_size=80), max_size=40))
def test_torn_answers_never_raise(lines: list[str]) -> None:
    """Lines in any order, mixed with anything, give reports or gaps."""
    read("\n".join(lines))
