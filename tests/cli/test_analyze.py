"""`hanglens analyze` and `hanglens report`, as a user calls them."""

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from hanglens.cli import main

STOPPED = "nccl-rank-stopped"


def run(*arguments: str) -> int:
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def written() -> list[str]:
    """What lies in the working directory."""
    return sorted(path.name for path in Path().iterdir())


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test works in a folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def evidence(fixtures_dir):
    """A hang whose cause is certain."""
    return str(fixtures_dir / STOPPED / "evidence")


def test_without_options_prints_a_summary_and_writes_the_report(evidence, capsys):
    """The summary goes to standard output, the report into the working directory, the note about it to standard error."""
    assert run("analyze", evidence) == 0
    shown = capsys.readouterr()
    assert "rank 1" in shown.out
    assert "missing-rank/stopped-process" in shown.out
    assert "hanglens-report.html" in shown.err
    assert written() == ["hanglens-report.html"]


def test_no_report_writes_nothing(evidence, capsys):
    """--no-report leaves the working directory as it is."""
    assert run("analyze", evidence, "--no-report") == 0
    assert written() == []


@pytest.mark.parametrize(
    ("name", "begins"),
    [("r.html", "<!doctype html>"), ("r.json", '{\n  "verdict"'), ("r.md", "#"), ("r.txt", "Hung"), ("r.speedscope.json", '{"$schema"')],
)
def test_the_suffix_picks_the_format(evidence, name, begins, capsys):
    """-o writes one file in the format of its suffix, and nothing to standard output."""
    assert run("analyze", evidence, "-o", name) == 0
    assert Path(name).read_text(encoding="utf-8").lstrip().lower().startswith(begins.lower())
    assert written() == [name]
    assert capsys.readouterr().out == ""


def test_format_without_output_prints_the_result_alone(evidence, capsys):
    """--format json prints JSON to standard output and writes no file."""
    assert run("analyze", evidence, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["culprit_ranks"] == [1]
    assert written() == []


def test_report_renders_a_saved_result_without_the_evidence(evidence, tmp_path, capsys):
    """`hanglens report RESULT.json` gives the page that analyze would have given."""
    assert run("analyze", evidence, "-o", "result.json") == 0
    assert run("analyze", evidence, "-o", "direct.html", "--lang", "en") == 0
    assert run("report", "result.json", "-o", "again.html", "--lang", "en") == 0
    assert Path("again.html").read_bytes() == Path("direct.html").read_bytes()


def test_stacks_and_timeline_for_other_tools(fixtures_dir, capsys):
    """`analyze` and `report` write the stacks for speedscope and the timeline for Perfetto, by suffix or --format."""
    told = str(fixtures_dir / "lmdeploy-0.7-tp4-config-sync" / "evidence")
    assert run("analyze", told, "-o", "r.trace.json") == 0
    assert run("analyze", told, "-o", "R.Speedscope.JSON") == 0
    assert run("analyze", told, "-o", "x.result.json") == 0
    assert json.loads(Path("r.trace.json").read_text(encoding="utf-8"))["traceEvents"]
    assert run("report", "x.result.json", "--format", "speedscope") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("R.Speedscope.JSON").read_text(encoding="utf-8"))


def test_a_format_that_needs_what_is_not_there(tmp_path, capsys):
    """Without stacks there is nothing for speedscope: the error says what to collect, and no file is written."""
    log = tmp_path / "engine.log"
    log.write_text("2026-01-05 10:00:00,000 - lmdeploy - ERROR - engine.py:1 - failed\n")
    assert run("analyze", str(log), "-o", "r.speedscope.json") == 3
    assert "hanglens collect --pid PID" in capsys.readouterr().err
    assert written() == []


def test_a_failed_write_leaves_no_half_file(evidence, capsys):
    """An output that cannot be written is an error with the next step, and nothing is left behind."""
    assert run("analyze", evidence, "-o", "/proc/self/r.html") == 1
    assert "choose another place" in capsys.readouterr().err
    assert written() == []


@pytest.mark.parametrize(
    ("fixture", "code"), [(STOPPED, 10), ("lmdeploy-0.7-tp4-config-sync", 11), ("nccl-healthy", 12)], ids=["cause", "hung", "unknown"]
)
def test_exit_code_tells_the_verdict(fixtures_dir, fixture, code, capsys):
    """--exit-code ends with 10 for a firm cause, 11 for hung or failed without one, 12 for unknown."""
    assert run("analyze", str(fixtures_dir / fixture / "evidence"), "--no-report", "--exit-code") == code


def test_pasted_text_on_standard_input(monkeypatch, capsys):
    """`-` reads what was pasted."""
    pasted = b"[E socket.cpp:472] [c10d] The server socket has failed to bind to 0.0.0.0:29500 (errno: 98 - Address already in use).\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pasted)))
    assert run("analyze", "-", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["root_cause"]["id"] == "rendezvous/port-in-use"


def test_an_archive_gives_what_its_folder_gives(fixtures_dir, evidence, capsys):
    """A zip of the folder leads to the same culprit, and names the files as they stand in it."""
    with zipfile.ZipFile("bundle.zip", "w") as archive:
        for path in sorted((fixtures_dir / STOPPED / "evidence").iterdir()):
            archive.write(path, f"case/{path.name}")
    assert run("analyze", "bundle.zip", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["culprit_ranks"] == [1]
    assert found["findings"][0]["evidence"][0]["file"].startswith("case/")


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 40, b"\x1f\x8b\x08\x00truncated"], ids=["empty", "binary", "truncated gzip"])
def test_nothing_readable_is_exit_code_3(tmp_path, content, capsys):
    """Input of which nothing can be read is refused in one line that says why."""
    path = tmp_path / "evidence.gz"
    path.write_bytes(content)
    assert run("analyze", str(path)) == 3
    assert "nothing readable" in capsys.readouterr().err
    assert written() == []


def test_what_cannot_be_read_is_a_gap_and_the_rest_counts(fixtures_dir, tmp_path, capsys):
    """A hostile pickle, junk and an empty file beside good evidence are gaps; the cause is found all the same, and nothing ran."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in (fixtures_dir / STOPPED / "evidence").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    marker = tmp_path / "executed"
    (folder / "nccl_trace_rank_7").write_bytes(b"\x80\x04cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    (folder / "junk.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "empty.log").write_bytes(b"")
    assert run("analyze", str(folder), "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["culprit_ranks"] == [1]
    assert {"nccl_trace_rank_7", "junk.bin", "empty.log"} <= {gap["what"] for gap in found["gaps"]}
    assert not marker.exists()


def test_markup_in_a_log_stays_text(tmp_path, capsys):
    """A log with <script> cannot put markup into the report."""
    log = tmp_path / "engine.log"
    log.write_text("2026-01-05 10:00:00,000 - lmdeploy - ERROR - engine.py:1 - <script>alert(1)</script> {{7*7}} failed\n")
    assert run("analyze", str(log), "-o", "r.html") == 0
    page = Path("r.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "49 failed" not in page


def test_a_third_partys_rules_need_no_python(tmp_path, capsys):
    """--rules adds a folder of YAML; a broken file in it is named with line and field, and the rest is used."""
    rules = tmp_path / "pack" / "kernel-hang"
    rules.mkdir(parents=True)
    (rules / "my-cause.yaml").write_text(
        """title: {en: "A cause of ours", zh: "我们的原因"}
when: {source: text, pattern: 'gizmo (?P<number>\\d+) is stuck for ever'}
confidence: {confirmed: always}
explain: {en: "Gizmo {number}.", zh: "Gizmo {number}。"}
tests: {match: ["gizmo 7 is stuck for ever"], near_miss: ["gizmo 7 is fine"]}
"""
    )
    (rules / "broken.yaml").write_text('title: {en: a, zh: b}\nwhen:\n  pattren: "typo"\nexplain: {en: a, zh: b}\ntests: {}\n')
    log = tmp_path / "job.log"
    log.write_text("gizmo 42 is stuck for ever\n")
    assert run("analyze", str(log), "--rules", str(tmp_path / "pack"), "--format", "json") == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["root_cause"]["id"] == "kernel-hang/my-cause"
    assert found["findings"][0]["explanation"]["en"] == "Gizmo 42."
    assert "broken.yaml:3" in shown.err
    assert "when" in shown.err
