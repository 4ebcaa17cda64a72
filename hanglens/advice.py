"""The sentence on top of a diagnosis, and what to collect next while it does not decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hanglens.dumps_given import other_dumps
from hanglens.incident import Incident
from hanglens.rules.conclude import Conclusion
from hanglens.rules.findings import Candidate
from hanglens.verdict import Fact, NextEvidence, Text

MOST_NEXT = 3

_VERDICTS = {
    "hung": Text(en="The job hung", zh="任务挂起"),
    "failed": Text(en="The job failed", zh="任务失败"),
    "slow": Text(en="The job is slow, not hung", zh="任务只是慢，并未挂起"),
    "healthy": Text(en="The job is healthy", zh="任务正常"),
    "unknown": Text(en="The evidence does not tell whether the job hung", zh="现有证据不能判断任务是否挂起"),
}
_NOTHING = Text(en="", zh="")
_SURE = {"confirmed": _NOTHING, "likely": Text(en="Most likely: ", zh="很可能："), "possible": Text(en="Possibly: ", zh="可能：")}

_COLLECT = NextEvidence(
    what=Text(en="All of the job as it is now, every process twice", zh="任务当前的全部状态，每个进程采样两次"),
    command="hanglens collect --pid PID",
)
_LONGER = NextEvidence(
    what=Text(en="Samples over a longer time: what is only slow moves in it", zh="更长时间的采样：只是慢的任务会在其间前进"),
    command="hanglens collect --pid PID --samples 3 --interval 30",
)
_PREPARED = NextEvidence(
    what=Text(en="A run that records: NCCL's log (NCCL_DEBUG=INFO) and the flight recorder",
              zh="带记录的一次运行：NCCL 日志（NCCL_DEBUG=INFO）和 flight recorder"),
    command='eval "$(hanglens prepare)"; <your command>',
)  # fmt: skip
_LOGGED = NextEvidence(
    what=Text(en="A run that keeps NCCL's log", zh="保留 NCCL 日志的一次运行"),
    command="NCCL_DEBUG=INFO NCCL_DEBUG_FILE=nccl.%h.%p.log <your command>",
)
_P2P = NextEvidence(
    what=Text(en="One run with peer-to-peer transfers off: if it passes, the path between the GPUs is at fault",
              zh="关闭 P2P 运行一次：若能通过，则问题在 GPU 之间的通路"),
    command="NCCL_P2P_DISABLE=1 NCCL_DEBUG=INFO <your command>",
)  # fmt: skip


def summary(conclusion: Conclusion, facts: Mapping[str, Sequence[Fact]], nameless: Text = _NOTHING) -> Text:
    """What happened, why as far as that is known, and who holds the others up; `nameless` is what could not be told of whom it is."""
    verdict, root = _VERDICTS[conclusion.verdict], conclusion.root_cause
    if root is None:
        if conclusion.verdict == "unknown":
            return Text(en=f"{verdict.en}{nameless.en}.", zh=f"{verdict.zh}{nameless.zh}。")
        where = _wedged(facts)
        return Text(en=f"{verdict.en}{where.en}. The evidence does not decide why.", zh=f"{verdict.zh}{where.zh}。现有证据不能确定原因。")
    sure = _SURE[root.confidence]
    blamed = ", ".join([f"rank {rank}" for rank in conclusion.culprits] or [f"pid {pid}" for pid in conclusion.pids])
    title = _lowered(root.title.en) if sure.en else root.title.en
    en = f"{verdict.en}. {sure.en}{title}" + (f" ({blamed})." if blamed else ".")
    zh = f"{verdict.zh}。{sure.zh}{root.title.zh}" + (f"（{blamed}）。" if blamed else "。")
    return Text(en=en, zh=zh)


def _lowered(title: str) -> str:
    """A title that goes on after a colon: its first word small, unless it is a name or an abbreviation."""
    word = title.split(" ", 1)[0]
    return title[:1].lower() + title[1:] if word[1:].islower() or len(word) == 1 else title


def _wedged(facts: Mapping[str, Sequence[Fact]]) -> Text:
    """Where all ranks wait alike, if they do."""
    wedge = next(iter(facts.get("wedge.symmetric", ())), None)
    if wedge is None:
        return _NOTHING
    stuck = next((fact for fact in facts.get("stage.stuck_between", ()) if fact.values["collective"]), None)
    where = str(stuck.values["call"]) if stuck else str(wedge.values["op"])
    number = wedge.values["of"]
    return Text(
        en=f": all {number} ranks wait alike in {where}, and no rank is to blame",
        zh=f"：全部 {number} 个 rank 同样等在 {where}，没有哪个 rank 有过错",
    )


def next_evidence(
    conclusion: Conclusion, fired: Sequence[Candidate], facts: Mapping[str, Sequence[Fact]], incident: Incident
) -> tuple[NextEvidence, ...]:
    """One to three things that would settle it; none if the cause is confirmed."""
    if conclusion.root_cause and conclusion.root_cause.confidence == "confirmed":
        return ()
    open_causes = [c for c in fired if c.finding.role == "cause" and c.finding.confidence == "possible"]
    chosen = [conclusion.chosen] if conclusion.chosen else []
    ids = tuple(dict.fromkeys(c.rule.id for c in (*chosen, *open_causes)))
    ids = ids if len(ids) > 1 else ()  # one alone is told apart from nothing
    steps = [
        NextEvidence(what=step.what, command=step.command, splits=ids)
        for c in (*chosen, *open_causes)
        for step in c.next
        if not facts.get(step.unless)
    ]
    general = [NextEvidence(what=e.what, command=e.command, splits=ids) for e in _general(facts, incident)]
    ordered = [*general, *steps] if facts.get("wedge.symmetric") else [*steps, *general]
    ordered = [*other_dumps(incident), *ordered]
    unique = list({step.command or step.what.en: step for step in ordered}.values())
    return tuple(unique[:MOST_NEXT])


def _general(facts: Mapping[str, Sequence[Fact]], incident: Incident) -> list[NextEvidence]:
    """What helps whatever the cause, the kind that is missing first."""
    looked = [] if facts.get("stack.still") or facts.get("stack.moving") else [_COLLECT]
    recorded = [] if _has_recorded(incident) else [_LOGGED if incident.parsed.recorder_dumps else _PREPARED]
    if facts.get("wedge.symmetric") or any(fact.values.get("first") for fact in facts.get("collective.timeout", ())):
        return [_P2P, *recorded, *looked]
    if facts.get("collective.timeout"):
        return [*recorded, *looked] or [_LONGER]
    return [*looked, *recorded] or [_LONGER]


def _has_recorded(incident: Incident) -> bool:
    """Whether a run with NCCL's log and the flight recorder on would bring nothing new; a job without GPUs has neither."""
    parsed = incident.parsed
    has_log = any(event.source == "nccl" for event in parsed.events)
    return (has_log and bool(parsed.recorder_dumps)) or (bool(parsed.collections) and not parsed.gpus)
