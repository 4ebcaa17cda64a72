"""Environment variables that change how ranks communicate, or what ends a hang: those that are set, and who has another value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hanglens.analyze.holders import Held, Holders, different, who_has_which
from hanglens.analyze.versions import shown
from hanglens.incident import Incident
from hanglens.verdict import Surrounding, Text

# The ones that are only about logs and recorders are left out: they change what is known of a hang, and not the hang.
_COMMUNICATION = re.compile(
    r"NCCL_(?:P2P|SHM|IB|NET|SOCKET|CUMEM|NVLS|MNNVL|COLLNET|TOPO|GRAPH)_\w+|NCCL_(?:ALGO|PROTO|NET|HOSTID|BUFFSIZE|NTHREADS|MAX_CTAS|MIN_CTAS)"
    r"|NCCL_(?:MIN|MAX)_N?CHANNELS|NCCL_(?:COMM_BLOCKING|DMABUF_ENABLE|LAUNCH_ORDER_IMPLICIT|WORK_FIFO_DEPTH|RUNTIME_CONNECT)"
    r"|(?:TORCH_)?NCCL_(?:BLOCKING_WAIT|ASYNC_ERROR_HANDLING)|TORCH_NCCL_(?:ENABLE_MONITORING|HEARTBEAT_TIMEOUT_SEC|USE_COMM_NONBLOCKING)"
    r"|TORCH_SYMM_MEM_DISABLE_MULTICAST|(?:GLOO|TP)_SOCKET_IFNAME|CUDA_(?:LAUNCH_BLOCKING|VISIBLE_DEVICES|DEVICE_MAX_CONNECTIONS)|LD_PRELOAD"
)
_FILES = re.compile(r"NCCL_(?:TOPO|GRAPH)_DUMP\w*")
_MOST = 40  # rows; people set some ten
_OF_EACH_RANK = {"CUDA_VISIBLE_DEVICES", "NCCL_IB_HCA", "NCCL_HOSTID"}  # may well differ: a rank has its GPU and its adapter
_OFF = {
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": Text(en="PyTorch ends no collective that times out, so a hang may last without an error",
                                            zh="PyTorch 不会终止超时的集合通信，卡死时可能一直没有报错"),
    "TORCH_NCCL_ENABLE_MONITORING": Text(en="nothing watches PyTorch's watchdog, so one that is itself stuck goes unnoticed",
                                         zh="不再监视 PyTorch 的 watchdog，watchdog 自身卡住时无人察觉"),
}  # fmt: skip
_OFF["NCCL_ASYNC_ERROR_HANDLING"] = _OFF["TORCH_NCCL_ASYNC_ERROR_HANDLING"]  # its name before PyTorch 2.2
_BLOCKING = Text(en="every kernel launch waits for the kernel's end, which slows the job", zh="每次 kernel 启动都等待执行结束，任务会变慢")
_DIFFERS = Text(en="ranks that communicate with each other usually have one value", zh="相互通信的各 rank 通常取值一致")
_LOOPBACK = Text(en="the loopback interface reaches no other host", zh="回环接口无法连通其他主机")


def switch_rows(incident: Incident, holders: Holders, *, several_hosts: bool) -> Iterator[Surrounding]:
    """A row for each switch that is set, by name."""
    held: dict[str, list[Held]] = {}
    for name, one in (*_from_logs(incident, holders), *_from_processes(incident, holders)):
        if _COMMUNICATION.fullmatch(name) and not _FILES.fullmatch(name):
            held.setdefault(name, []).append(one)
    for name in sorted(held)[:_MOST]:
        yield shown(name, held[name], _unusual(name, held[name], _absent(incident, holders, name), several_hosts=several_hosts))


def _from_logs(incident: Incident, holders: Holders) -> Iterator[tuple[str, Held]]:
    for event in incident.parsed.events:
        if event.name == "nccl.switch":
            yield event.fields["name"], holders.of_event(event, event.fields["value"])


def _from_processes(incident: Incident, holders: Holders) -> Iterator[tuple[str, Held]]:
    for process in incident.parsed.processes:
        for name, value in process.environ.items():
            if value:
                yield name, holders.of_pid(process.pid, value, process.ref)


def _absent(incident: Incident, holders: Holders, name: str) -> list[Held]:
    """Ranks that a launcher started without it. What forks its own ranks may set it on the way, and /proc does not show that."""
    started = (p for p in incident.parsed.processes if "RANK" in p.environ and not p.environ.get(name))
    return [one for p in started if (one := holders.of_pid(p.pid, "", p.ref)).rank is not None]


def _unusual(name: str, held: Sequence[Held], absent: Sequence[Held], *, several_hosts: bool) -> Text | None:
    why = _reason(name, different(held), several_hosts=several_hosts)
    if name not in _OF_EACH_RANK and (who := _who(held, absent)):
        why = why or _DIFFERS
        return Text(en=f"{who.en}: {why.en}", zh=f"{who.zh}：{why.zh}")
    return why


def _reason(name: str, values: Sequence[str], *, several_hosts: bool) -> Text | None:
    """What a value does that is unlike the ordinary."""
    if name in _OFF and "0" in values:
        return _OFF[name]
    if name == "CUDA_LAUNCH_BLOCKING" and "1" in values:
        return _BLOCKING
    loopback = name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME") and {"lo", "=lo"}.intersection(values)
    return _LOOPBACK if loopback and several_hosts else None


def _who(held: Sequence[Held], absent: Sequence[Held]) -> Text | None:
    """Only ranks are compared: a front end and its ranks may differ, and so may two logs. A rank of which a log shows it has it."""
    ranks = {one.rank for one in held}
    told = [one for one in held if one.rank is not None] + [one for one in absent if one.rank not in ranks]
    return who_has_which(told)
