"""The versions of what the job runs, and who runs another one than the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hanglens import number
from hanglens.analyze.holders import Held, Holders, different, short, who_has_which
from hanglens.incident import Incident
from hanglens.verdict import Surrounding, Text

_MOST = 4  # values of one thing that a cell shows
_BUILD = re.compile(r"\+cu(\d\d)\d$")  # `2.8.0+cu128`

_IN_A_JOB = Text(en="processes of one job usually run one version", zh="同一任务的各进程通常使用同一版本")
_ON_HOSTS = Text(en="the hosts of one job usually have one driver", zh="同一任务的各主机通常使用同一驱动")
_IN_A_COMMUNICATOR = Text(en="ranks of one communicator need one version", zh="同一通信域的各 rank 需要同一版本")


@dataclass(frozen=True, slots=True)
class _Versioned:
    """A setting that is a version, the name that people know it by, and why it should be one."""

    setting: str
    name: str
    one: Text = _IN_A_JOB


_FIRST = (
    _Versioned("lmdeploy.version", "LMDeploy"),
    _Versioned("vllm.version", "vLLM"),
    _Versioned("sglang.version", "SGLang"),
    _Versioned("torch.version", "PyTorch"),
)
_NCCL = _Versioned("nccl.version", "NCCL", _IN_A_COMMUNICATOR)
_DRIVER = _Versioned("driver.version", "NVIDIA driver", _ON_HOSTS)
_CUDA_OF_DRIVER = _Versioned("driver.cuda_version", "CUDA (driver)", _ON_HOSTS)
_CUDA_OF_TORCH = _Versioned("torch.cuda_version", "CUDA (PyTorch)")
_LAST = (
    _CUDA_OF_TORCH,
    _Versioned("cuda.version", "CUDA (toolkit)"),
    _Versioned("ray.version", "Ray"),
    _Versioned("transformers.version", "transformers"),
    _Versioned("triton.version", "Triton"),
    _Versioned("flashinfer.version", "FlashInfer"),
    _Versioned("python.version", "Python"),
)


def version_rows(incident: Incident, holders: Holders) -> Iterator[Surrounding]:
    """The engine, PyTorch, NCCL, the driver, CUDA, and the rest."""
    held: dict[str, list[Held]] = {}
    for setting in incident.parsed.settings:
        held.setdefault(setting.name, []).append(holders.of_setting(setting))
    for event in incident.parsed.events:
        if event.name == "vllm.start":
            held.setdefault("vllm.version", []).append(holders.of_event(event, event.fields["version"]))
    for what in _FIRST:
        yield from _row(what, held.get(what.setting, []))
    yield from _nccl(incident, holders, held.get("nccl.version", []))
    yield from _row(_DRIVER, held.get(_DRIVER.setting, []))
    yield from _cuda_of_driver(held)
    for what in _LAST:
        yield from _row(what, held.get(what.setting, []))


def _row(what: _Versioned, held: Sequence[Held]) -> Iterator[Surrounding]:
    held = _with_builds(held)
    if held:
        yield shown(what.name, held, mixed(held, what.one))


def _with_builds(held: Sequence[Held]) -> list[Held]:
    """Installers leave out the build that the program prints: `2.8.0` is `2.8.0+cu128` where only that one is seen."""
    builds: dict[str, set[str]] = {}
    for one in held:
        builds.setdefault(one.value.split("+", 1)[0], set()).update({one.value} if "+" in one.value else ())
    return [replace(one, value=min(found)) if len(found := builds.get(one.value, set())) == 1 else one for one in held]


def shown(name: str, held: Sequence[Held], unusual: Text | None = None, more: str = "") -> Surrounding:
    """A row with the different values, and the place of the first."""
    values = [short(value) for value in different(held)]
    value = ", ".join(values[:_MOST]) + (f", … (+{len(values) - _MOST})" if len(values) > _MOST else "") + more
    return Surrounding(name=name, value=value, unusual=unusual, file=held[0].ref.file, line=held[0].ref.line)


def mixed(held: Sequence[Held], why: Text) -> Text | None:
    """Who has which of several values, and why that may matter."""
    who = who_has_which(held)
    return Text(en=f"{who.en}: {why.en}", zh=f"{who.zh}：{why.zh}") if who else None


def _nccl(incident: Incident, holders: Holders, settings: Sequence[Held]) -> Iterator[Surrounding]:
    """What NCCL itself printed counts; a list of packages may be of another environment, and is only put beside it."""
    answers = {report.ref.file for report in incident.parsed.ras_reports}
    printed = [holders.of_event(e, e.fields["version"]) for e in incident.parsed.events if e.name == "nccl.version"]
    running = printed + [one for one in settings if one.ref.file in answers]
    installed = [one for one in settings if one.ref.file not in answers]
    if not running:
        yield from _row(_NCCL, installed)
        return
    others = [value for value in different(installed) if value not in different(running)]
    unusual = mixed(running, _NCCL.one) or _unnamed(running)
    yield shown(_NCCL.name, running, unusual, f" (installed: {', '.join(others[:_MOST])})" if others else "")


def _unnamed(running: Sequence[Held]) -> Text | None:
    """Lines that name no process are of several; one process may well print two versions, that of a library and that of PyTorch."""
    if len(different(running)) < 2 or any(one.pid is not None or one.rank is not None for one in running):
        return None
    return Text(en=f"the log prints more than one: {_NCCL.one.en}", zh=f"日志中出现了多个版本：{_NCCL.one.zh}")


def _cuda_of_driver(held: dict[str, list[Held]]) -> Iterator[Surrounding]:
    """A driver runs what is built for its own major version of CUDA and those before it."""
    drivers = held.get(_CUDA_OF_DRIVER.setting, [])
    if not drivers:
        return
    built = [_major(one.value) for one in held.get(_CUDA_OF_TORCH.setting, [])]
    built += [_major(found[1]) for one in held.get("torch.version", []) if (found := _BUILD.search(one.value))]
    unusual = mixed(drivers, _CUDA_OF_DRIVER.one)
    if built and min(built) > max(_major(one.value) for one in drivers):
        unusual = Text(
            en=f"PyTorch is built for CUDA {min(built)}, which this driver does not know: CUDA may fail to start",
            zh=f"PyTorch 为 CUDA {min(built)} 构建，而该驱动不支持此大版本：CUDA 可能无法初始化",
        )
    yield shown(_CUDA_OF_DRIVER.name, drivers, unusual)


def _major(version: str) -> int:
    return number.whole(version.split(".", 1)[0]) or 0
