"""Diagnoses for the tests of the renderers: a rich one, one that decides nothing, a hostile one and a large one."""

from __future__ import annotations

from hanglens.verdict import (
    CollectiveCell,
    CommunicatorTable,
    CulpritProcess,
    Diagnosis,
    Evidence,
    Finding,
    Fix,
    GapRow,
    InputRow,
    LastEvent,
    NextEvidence,
    RankRow,
    RootCause,
    StackGroup,
    Surrounding,
    Text,
    TimelineSpan,
    Wait,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "{{7*7}}",
    "</script><img src=x onerror=alert(2)>",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
    "```\n</details># heading @someone",
    "| a | b | [link](javascript:alert(3)) ![i](http://example.com/i.png)",
)


def text(en: str, zh: str) -> Text:
    """A text in both languages."""
    return Text(en=en, zh=zh)


_BARRIER = "    barrier (torch/distributed/distributed_c10d.py:4818)"
_LOCK = "    acquire (filelock/_api.py:344)"

CAUSE = Finding(
    rule="missing-rank/file-lock",
    category="missing-rank",
    role="cause",
    confidence="likely",
    ranks=(3,),
    title=text("A rank waits for a file lock while the others wait for it", "某个 rank 在等待文件锁，其余 rank 都在等它"),
    explanation=text(
        "Ranks 0-2 wait in barrier for rank 3. Rank 3 never got there: it stands in filelock.acquire while it loads an extension,"
        " and no living process holds that lock.",
        "rank 0-2 在 barrier 中等待 rank 3。rank 3 从未到达：它在加载扩展时停在 filelock.acquire，而该锁没有存活的持有者。",
    ),
    evidence=(
        Evidence(
            file="stacks/rank3.pyspy.txt",
            line=14,
            rank=3,
            text=_LOCK,
            context=(
                'Thread 4713 (active): "MainThread"',
                "    sleep (filelock/_util.py:12)",
                _LOCK,
                "    __enter__ (filelock/_api.py:402)",
                "    build_extension (engine/ops/jit.py:88)",
            ),
        ),
        Evidence(file="stacks/rank0.pyspy.txt", line=9, rank=0, text=_BARRIER),
        Evidence(file="stacks/rank1.pyspy.txt", line=9, rank=1, text=_BARRIER),
        Evidence(
            file="logs/server.log",
            line=1288,
            rank=3,
            time="2026-03-01T02:11:09.112",
            text="2026-03-01 02:11:09,112 - engine - INFO - rank 3: building extension fused_rope",
        ),
        Evidence(file="dump/rank1.pickle", record=41, rank=1, text="barrier seq=41 state=scheduled group=default_pg"),
        Evidence(file="logs/server.log", line=1290, rank=0, text="rank 0: entering start-up barrier", time="2026-03-01T02:11:10"),
        Evidence(file="proc/lsof.txt", line=3, text="python 4713 11uW REG /root/.cache/ext/fused_rope.lock", polarity="against"),
    ),
    fixes=(
        Fix(
            title=text("Stop the job, remove the stale lock and start again", "停止任务，删除残留的锁文件后重启"),
            command="fuser -v ~/.cache/ext/fused_rope.lock || rm ~/.cache/ext/fused_rope.lock",
            risk=text("Low: only remove it when no process holds it.", "低：仅在没有进程持有它时删除。"),
            verify=text(
                "All four ranks print 'entering start-up barrier' within a minute.", "一分钟内四个 rank 都打印 entering start-up barrier。"
            ),
        ),
        Fix(
            title=text("Build the extension once before the ranks start", "在各 rank 启动前先编译一次扩展"),
            command="python -m engine.ops.build",
            risk=text("None; the start takes a minute longer.", "无；启动多花一分钟。"),
        ),
    ),
    references=("https://example.com/filelock", "javascript:alert(1)"),
)

RULED_OUT = Finding(
    rule="gpu-p2p/iommu",
    category="gpu-p2p",
    role="ruled-out",
    confidence="possible",
    title=text("PCIe peer-to-peer is broken by the IOMMU", "IOMMU 破坏了 PCIe P2P"),
    explanation=text("A first collective that never ends fits broken peer-to-peer.", "首个集合通信永不结束符合 P2P 故障。"),
    evidence=(Evidence(file="logs/nccl.log", line=77, text="Channel 00/24 : 0[0] -> 1[1] via P2P/CUMEM", polarity="against"),),
    why_not=text("40 earlier collectives over the same links completed.", "同样的链路上此前 40 次集合通信都已完成。"),
)

POSSIBLE = Finding(
    rule="jit-compile/slow-compile",
    category="jit-compile",
    role="cause",
    confidence="possible",
    ranks=(3,),
    title=text("The rank compiles, and will get there", "该 rank 正在编译，稍后会到达"),
    explanation=text("Compilation of fused_rope began on rank 3 and did not end.", "rank 3 开始编译 fused_rope，尚未结束。"),
    evidence=(Evidence(file="logs/server.log", line=1288, text="rank 3: building extension fused_rope"),),
)

CASCADE = Finding(
    rule="observation/watchdog-timeout",
    category="observation",
    role="cascade",
    confidence="confirmed",
    ranks=(0, 1, 2),
    title=text("The watchdog of the waiting ranks fired", "等待中的 rank 触发了看门狗"),
    explanation=text("They complain because they wait; they are not to blame.", "它们报错是因为在等待，并非原因。"),
    evidence=(Evidence(file="logs/server.log", line=1402, text="Watchdog caught collective operation timeout"),),
)

OBSERVATION = Finding(
    rule="observation/op-fallback",
    category="observation",
    role="observation",
    confidence="confirmed",
    title=text("Operators fell back to their default implementation", "部分算子回退到默认实现"),
    explanation=text("Harmless.", "无害。"),
    evidence=(Evidence(file="logs/server.log", line=12, text="Op apply_rotary fallback to default implementation"),),
)


def _waiting(rank: int) -> RankRow:
    return RankRow(
        rank=rank,
        state="waiting",
        collected=True,
        host="node-a",
        pid=4710 + rank,
        device=rank,
        waiting_in="barrier",
        stage=text("weights loaded", "权重已加载"),
        how_known="RANK in the process environment",
        last_event=LastEvent(
            text=f"rank {rank}: entering start-up barrier", file="logs/server.log", line=1290 + rank, time="2026-03-01T02:11:10"
        ),
    )


RANKS = (
    *map(_waiting, range(3)),
    RankRow(
        rank=3,
        state="running",
        collected=True,
        host="node-a",
        pid=4713,
        device=3,
        how_known="py-spy locals (`rank=3`)",
        last_event=LastEvent(
            text="rank 3: building extension fused_rope", file="logs/server.log", line=1288, time="2026-03-01T02:11:09.112"
        ),
    ),
)


def _cells(rank: int) -> tuple[CollectiveCell, ...]:
    done = CollectiveCell(
        rank=rank, seq=40, op="all_reduce", state="completed", size="4096 bf16", file=f"dump/rank{rank}.pickle", record=40
    )
    return (
        (done,) if rank == 3 else (done, CollectiveCell(rank=rank, seq=41, op="barrier", state="scheduled", size="1", odd=False, record=41))
    )


HUNG = Diagnosis(
    verdict="hung",
    tool_version="0.1.0",
    summary=text(
        "Rank 3 never entered the barrier in which ranks 0-2 wait: it waits for a file lock.",
        "rank 3 从未进入 rank 0-2 所在的 barrier：它在等待文件锁。",
    ),
    root_cause=RootCause(id=CAUSE.rule, category=CAUSE.category, title=CAUSE.title, confidence="likely", score=0.86),
    culprit_ranks=(3,),
    culprit_processes=(CulpritProcess(host="node-a", pid=4713, rank=3),),
    victim_ranks=(0, 1, 2),
    world_size=4,
    findings=(CAUSE, POSSIBLE, CASCADE, OBSERVATION, RULED_OUT),
    ranks=RANKS,
    waits=(
        *(Wait(who=r, for_whom=3, in_what="barrier (default_pg)") for r in range(3)),
        Wait(who=3, for_whom="lock fused_rope.lock", in_what="filelock.acquire"),
        Wait(who="api server", for_whom=0, in_what="rpc: init"),
    ),
    communicators=(
        CommunicatorTable(
            id="0",
            name="default_pg",
            members=(0, 1, 2, 3),
            divergence=tuple(
                cell
                if cell.seq == 40 or cell.rank != 1
                else CollectiveCell(rank=1, seq=41, op="all_reduce", state="scheduled", size="1", odd=True)
                for rank in range(4)
                for cell in _cells(rank)
            ),
        ),
    ),
    stack_groups=(
        StackGroup(
            ranks=(3,),
            frames=(
                "sleep (filelock/_util.py:12)",
                "acquire (filelock/_api.py:344)",
                "build_extension (engine/ops/jit.py:88)",
                "main (engine/worker.py:31)",
            ),
            waiting_in="filelock.acquire",
            moving=False,
        ),
        StackGroup(
            ranks=(0, 1, 2),
            frames=("barrier (torch/distributed/distributed_c10d.py:4818)", "main (engine/worker.py:40)"),
            waiting_in="barrier",
            moving=False,
        ),
        StackGroup(
            ranks=(),
            processes=("api server (pid 4700)",),
            frames=("poll (selectors.py:415)", "run_forever (asyncio/base_events.py:603)"),
            moving=None,
        ),
    ),
    timeline=(
        *(
            TimelineSpan(rank=r, start="2026-03-01T02:10:02", end="2026-03-01T02:10:58", kind="stage", label="load weights")
            for r in range(4)
        ),
        *(
            TimelineSpan(rank=r, start=f"2026-03-01T02:11:1{r}", end="2026-03-01T02:41:10", kind="silence", label="no line printed")
            for r in range(3)
        ),
        TimelineSpan(rank=3, start="2026-03-01T02:10:58", end="2026-03-01T02:11:09.112", kind="stage", label="build extension"),
        TimelineSpan(rank=3, start="2026-03-01T02:11:09.112", end="2026-03-01T02:41:10", kind="silence", label="no line printed"),
        TimelineSpan(rank=0, start="2026-03-01T02:41:10", end="2026-03-01T02:41:10", kind="timeout", label="watchdog"),
        TimelineSpan(rank=None, start="2026-03-01T02:12:10", end="2026-03-01T02:12:10", kind="error", label="probe failed: 503"),
    ),
    environment=(
        Surrounding(name="torch", value="2.7.1+cu128", file="logs/server.log", line=2),
        Surrounding(name="NCCL", value="2.26.2", file="logs/nccl.log", line=1),
        Surrounding(
            name="/dev/shm",
            value="64 MiB",
            file="proc/df.txt",
            line=5,
            unusual=text("the default of a container; NCCL wants more with 4 ranks", "容器默认值；4 个 rank 时 NCCL 需要更多"),
        ),
    ),
    gaps=(
        GapRow(what="native frames of rank 3", why="py-spy ran without --native", how_to_collect="py-spy dump --native --pid 4713"),
        GapRow(what="GPU state", why="nvidia-smi was not collected"),
    ),
    next_evidence=(
        NextEvidence(
            what=text("Who holds the lock file", "谁持有锁文件"),
            command="fuser -v ~/.cache/ext/fused_rope.lock",
            splits=("missing-rank/file-lock", "jit-compile/slow-compile"),
        ),
    ),
    inputs=(
        InputRow(file="logs/server.log", kind="engine log", bytes=181_233, lines=1402, how_known="content"),
        InputRow(file="stacks/rank3.pyspy.txt", kind="py-spy dump", bytes=2_114, lines=61, rank=3, how_known="content"),
        InputRow(file="dump/rank1.pickle", kind="flight recorder", bytes=51_002, rank=1, how_known="content"),
    ),
)

UNKNOWN = Diagnosis(
    verdict="unknown",
    tool_version="0.1.0",
    summary=text(
        "The evidence shows ordinary waits and does not tell whether they end.", "现有证据只显示正常的等待，无法判断它们是否会结束。"
    ),
    world_size=2,
    findings=(OBSERVATION,),
    ranks=(
        RankRow(rank=0, state="waiting", collected=True, pid=10, waiting_in="epoll_wait"),
        RankRow(rank=1, state="unknown", collected=False),
    ),
    gaps=(GapRow(what="a stack of rank 1", why="not collected", how_to_collect="py-spy dump --pid PID"),),
    next_evidence=(
        NextEvidence(
            what=text("Two stack dumps of every rank, ten seconds apart", "相隔十秒，对每个 rank 各做两次堆栈转储"),
            command="hanglens collect --pid PID",
        ),
        NextEvidence(
            what=text("The NCCL log", "NCCL 日志"), command="NCCL_DEBUG=INFO", splits=("gpu-p2p/iommu", "nccl-shm/dev-shm-too-small")
        ),
    ),
)

HEALTHY = Diagnosis(
    verdict="healthy", tool_version="0.1.0", summary=text("The server waits for requests.", "服务器在等待请求。"), world_size=1
)


def hostile(payload: str) -> Diagnosis:
    """A diagnosis with `payload` in every string that can come from evidence."""
    both = text(payload, payload)
    return Diagnosis(
        verdict="hung",
        tool_version=payload,
        summary=both,
        root_cause=RootCause(id=payload, category=payload, title=both, confidence="possible", score=0.5),
        culprit_ranks=(0,),
        culprit_processes=(CulpritProcess(host=payload, pid=1, rank=0),),
        world_size=1,
        findings=(
            Finding(
                rule=payload,
                category=payload,
                role="cause",
                confidence="possible",
                title=both,
                explanation=both,
                ranks=(0,),
                references=(payload,),
                evidence=(
                    Evidence(file=payload, line=1, text=payload, context=(payload, payload), time=payload),
                    Evidence(file=payload, record=1, text=payload, polarity="against"),
                ),
                fixes=(Fix(title=both, command=payload, risk=both, verify=both),),
            ),
            Finding(rule=payload, category=payload, role="ruled-out", confidence="possible", title=both, explanation=both, why_not=both),
        ),
        ranks=(
            RankRow(
                rank=0,
                state="failed",
                collected=True,
                host=payload,
                stage=both,
                waiting_in=payload,
                how_known=payload,
                last_event=LastEvent(text=payload, file=payload, line=1, time=payload),
            ),
        ),
        waits=(Wait(who=payload, for_whom=payload, in_what=payload),),
        communicators=(
            CommunicatorTable(
                id=payload,
                name=payload,
                members=(0,),
                divergence=(CollectiveCell(rank=0, seq=1, op=payload, state=payload, size=payload, odd=True, file=payload),),
            ),
        ),
        stack_groups=(StackGroup(ranks=(0,), frames=(payload,), waiting_in=payload, processes=(payload,)),),
        timeline=(
            TimelineSpan(rank=0, start="2026-03-01T00:00:00", end="2026-03-01T00:00:09", kind="stage", label=payload),
            TimelineSpan(rank=0, start=payload, end=payload, kind="error", label=payload),
        ),
        environment=(Surrounding(name=payload, value=payload, unusual=both, file=payload),),
        gaps=(GapRow(what=payload, why=payload, how_to_collect=payload),),
        next_evidence=(NextEvidence(what=both, command=payload, splits=(payload,)),),
        inputs=(InputRow(file=payload, kind=payload, bytes=1, how_known=payload),),
    )


def large(world: int = 1024) -> Diagnosis:
    """A job of many ranks of which one is to blame."""
    rows = tuple(
        RankRow(
            rank=r,
            state="running" if r == 77 else "waiting",
            collected=r != 5,
            host=f"n{r // 8}",
            pid=1000 + r,
            device=r % 8,
            waiting_in=None if r == 77 else "all_reduce",
        )
        for r in range(world)
    )
    return Diagnosis(
        verdict="hung",
        tool_version="0.1.0",
        summary=text("Rank 77 is missing.", "缺少 rank 77。"),
        world_size=world,
        culprit_ranks=(77,),
        ranks=rows,
        victim_ranks=tuple(r for r in range(world) if r != 77),
        waits=tuple(Wait(who=r, for_whom=77, in_what="all_reduce") for r in range(world) if r != 77),
        timeline=tuple(
            TimelineSpan(rank=r, start="2026-03-01T00:00:00", end="2026-03-01T00:09:00", kind="silence", label="quiet")
            for r in range(world)
        ),
        findings=tuple(
            Finding(
                rule=f"observation/n{n}",
                category="observation",
                role="observation",
                confidence="possible",
                title=text(f"Seen {n}", f"见 {n}"),
                explanation=text("x " * 900, "中 " * 900),
                evidence=(Evidence(file="a.log", line=n, text="y" * 500),) * 10,
            )
            for n in range(60)
        ),
        inputs=tuple(InputRow(file=f"logs/rank{r}.log", kind="engine log", bytes=10) for r in range(world)),
    )
