"""`hanglens prepare`: what it prints is used by shells, docker, Kubernetes and programs."""

import json
import re
import subprocess

import pytest
import yaml

from hanglens.cli import main
from hanglens.knowledge.prepare import ENGINES

OWN = {"lmdeploy": "LMDEPLOY_LOG_FILE", "vllm": "VLLM_LOGGING_LEVEL", "sglang": "--soft-watchdog-timeout", "torchrun": "--tee"}


@pytest.fixture
def prepare(capsys):
    """What the command prints with these arguments: on standard output, and beside it."""

    def run(*arguments: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["prepare", *arguments])
        assert not ended.value.code
        return capsys.readouterr()

    return run


def evaluated(fragment: str) -> dict[str, str]:
    """The environment of a shell that evaluated it, and had nothing else in it."""
    subprocess.run(["sh", "-n"], input=fragment, text=True, check=True)
    command = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "sh", "-euc", 'eval "$1" && env', "sh", fragment]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines() if "=" in line)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("engine", ["any", *ENGINES])
def test_a_shell_takes_it(prepare, tmp_path, engine, lang):
    """`eval` sets the variables and makes the folder they point to, in both languages and for every engine."""
    folder = tmp_path / "new"
    environment = evaluated(prepare("--for", engine, "--dir", str(folder), "--lang", lang)[0])
    assert folder.is_dir()
    assert environment["NCCL_DEBUG"] == "INFO"
    assert environment["NCCL_DEBUG_SUBSYS"] == "INIT,BOOTSTRAP,NET,ENV"
    assert environment["NCCL_DEBUG_FILE"] == f"{folder}/nccl.%h.%p.log"
    assert environment["TORCH_FR_BUFFER_SIZE"] == environment["TORCH_NCCL_TRACE_BUFFER_SIZE"] == "2000"
    assert environment["TORCH_NCCL_DEBUG_INFO_PIPE_FILE"].startswith(f"{folder}/")
    assert environment["PYTHONUNBUFFERED"] == "1"


@pytest.mark.parametrize("form", ["shell", "docker", "k8s", "json"])
@pytest.mark.parametrize("engine", OWN)
def test_an_engine_adds_its_own(prepare, engine, form):
    """What only one engine understands is printed for that one."""
    shown = prepare("--for", engine, "--format", form)[0]
    assert [name for name, mark in OWN.items() if mark in shown] == [engine]


def test_an_option_of_a_command_is_told_where_eval_hides_it(prepare):
    """A log level that no variable sets is a comment, and a line on standard error where the output is not seen."""
    out, err = prepare("--for", "lmdeploy", "--lang", "en")
    assert "# also start the server or job with: --log-level DEBUG" in out.splitlines()
    assert err == "hanglens: also start the server or job with: --log-level DEBUG\n"
    assert prepare("--for", "vllm")[1] == ""


def test_what_is_costly_is_left_to_the_user(prepare, tmp_path):
    """A line for each collective, and tracing of every call, are shown as comments with their cost, and not set."""
    out, _ = prepare("--for", "vllm", "--dir", str(tmp_path), "--lang", "en")
    assert "\n# if you need it:\n# export NCCL_DEBUG_SUBSYS=INIT,BOOTSTRAP,NET,ENV,COLL\n" in out
    assert not {"TORCH_DISTRIBUTED_DEBUG", "VLLM_TRACE_FUNCTION"} & set(evaluated(out))


def test_every_line_that_sets_something_is_explained(prepare):
    """Above each setting stand what it gives, what it costs and since when there is such a thing."""
    blocks = [block.splitlines() for block in prepare("--for", "lmdeploy", "--lang", "en")[0].split("\n\n")]
    for block in (lines for lines in blocks if any(line.startswith("export ") for line in lines)):
        comments = [line for line in block if line.startswith("# ") and not line.startswith("# ==")]
        assert [line.split(":")[0] for line in comments] == ["# gives", "# costs", "# since"]


def test_it_says_what_it_is_and_what_comes_next(prepare):
    """The first line says what this is, the last one what to do when it hangs; containers are thought of."""
    lines = prepare("--lang", "en")[0].splitlines()
    assert lines[0].startswith("# What to set before the next run")
    assert "hanglens collect --pid PID" in lines[-1]
    assert any("--cap-add SYS_PTRACE" in line for line in lines)
    assert any("--shm-size" in line for line in lines)


def test_quiet_leaves_the_settings(prepare, tmp_path):
    """With -q there are no comments, so that even an eval without quotes sets all of it."""
    said, err = prepare("-q", "--for", "lmdeploy", "--dir", str(tmp_path))
    whole, _ = prepare("--for", "lmdeploy", "--dir", str(tmp_path))
    assert all(line.startswith(("export ", "mkdir ")) for line in said.splitlines())
    assert not err
    assert evaluated(said) == evaluated(whole)


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "$(touch pwned)", "a;b", "`b`", "#a", "$HOME", "{ras_port}", "数据"])
def test_a_folder_of_any_name_is_quoted(prepare, tmp_path, monkeypatch, name):
    """The folder is one word to the shell, whatever it is called, and runs nothing."""
    monkeypatch.chdir(tmp_path)
    folder = f"{tmp_path}/{name}"
    assert evaluated(prepare("--dir", folder)[0])["TORCH_FR_DUMP_TEMP_FILE"] == f"{folder}/nccl_trace_rank_"
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert yaml.safe_load(prepare("--dir", folder, "--format", "k8s")[0])["env"][-1]["value"] == f"{folder}/nccl_pipe_rank_".replace(
        "$", "$$"
    )
    assert f"\nTORCH_FR_DUMP_TEMP_FILE={folder}/nccl_trace_rank_\n" in prepare("--dir", folder, "--format", "docker")[0]


def test_all_formats_set_the_same(prepare, tmp_path):
    """The env-file of docker, the list of Kubernetes and the JSON have the variables that the shell gets."""
    here = ("--for", "lmdeploy", "--dir", str(tmp_path))
    told = json.loads(prepare(*here, "--format", "json")[0])
    assert told["environment"].items() <= evaluated(prepare(*here)[0]).items()
    listed = yaml.safe_load(prepare(*here, "--format", "k8s")[0])["env"]
    assert {entry["name"]: entry["value"] for entry in listed} == told["environment"]
    lines = prepare(*here, "--format", "docker")[0].splitlines()
    assert dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) == told["environment"]
    assert all(set(entry["what"]) == set(entry["cost"]) == {"en", "zh"} for entry in told["settings"])
    assert told["options"] == ["--log-level DEBUG"]


def test_a_second_job_gets_its_own_port_and_folder(prepare, tmp_path):
    """Two jobs on a host are kept apart by --ras-port and --dir, and the usage line says so again."""
    out, _ = prepare("--ras-port", "28029", "--dir", f"{tmp_path}/", "--lang", "en")
    assert evaluated(out)["NCCL_RAS_ADDR"] == "localhost:28029"
    assert f'eval "$(hanglens prepare --for any --dir {tmp_path} --ras-port 28029)"' in out


def test_nothing_of_the_environment_is_printed(prepare, monkeypatch):
    """What is set already, a token say, does not get into the output."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NCCL_DEBUG_FILE", "/secret/file")
    assert not [form for form in ("shell", "docker", "k8s", "json") if re.search("secret", "".join(prepare("--format", form)))]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--for", "tgi"),
        ("--dir", "relative/folder"),
        ("--dir", "/tmp/%p"),
        ("--dir", "/tmp/a\nreboot"),
        ("--ras-port", "0"),
        ("--format", "xml"),
    ],
)
def test_wrong_usage(capsys, arguments):
    """An engine that is not known, a folder that means something else to each rank, a port that is none: one line and 2."""
    with pytest.raises(SystemExit) as ended:
        main(["prepare", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith("hanglens: ")
    assert said.err.count("\n") == 1
