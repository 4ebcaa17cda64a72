"""`hanglens rules` and `hanglens explain`."""

import pytest

from hanglens.cli import main


def run(*arguments: str) -> int:
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_list_names_every_rule(capsys):
    """One line a rule, with its role and its title in the language asked for."""
    assert run("rules", "list", "--lang", "en") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["observation/lmdeploy-fallback-lines", "observation"] for line in lines)
    assert len(lines) >= 30


def test_the_packaged_rules_are_clean(capsys):
    """Every rule that ships passes its own snippets and the linter."""
    assert run("rules", "test") == 0
    assert run("rules", "lint") == 0


def test_a_failing_snippet_is_named(tmp_path, capsys):
    """`rules test` ends with 1 and names the rule and the snippet that does not do as it must."""
    folder = tmp_path / "oom"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        'title: {en: a, zh: b}\nwhen: {pattern: "constant text"}\nexplain: {en: a, zh: b}\n'
        'tests: {match: ["something else"], near_miss: ["constant text"]}\n'
    )
    assert run("rules", "test", "--rules", str(tmp_path)) == 1
    shown = capsys.readouterr().out
    assert "oom/mine: tests.match.0 does not match" in shown
    assert "oom/mine: tests.near_miss.0 matches" in shown


def test_explain_prints_the_page_of_a_rule(capsys):
    """What happens, how to recognise it, fixes with command, risk and check, look-alikes."""
    assert run("explain", "nccl-shm/dev-shm-too-small", "--lang", "en") == 0
    shown = capsys.readouterr().out
    assert all(heading in shown for heading in ("What happens", "How to recognise it", "Fixes", "Do not confuse with"))


def test_explain_takes_a_part_of_an_id_if_it_is_clear(capsys):
    """A name without its category is enough where only one rule has it."""
    assert run("explain", "stopped-process", "--lang", "zh") == 0
    assert "missing-rank/stopped-process" in capsys.readouterr().out
