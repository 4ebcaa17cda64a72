"""NCCL RAS in its JSON form (`ncclras -f json`).

Format: NCCL `src/ras/client_support.cc`, 2.28.7 to 2.30.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from hanglens import number
from hanglens.model import Gap, Parsed, RasCommunicator, RasCount, RasRank, RasReport, Setting, SourceRef
from hanglens.parse.blocks import Place
from hanglens.parse.ras import HOW_TO_GET

_KEYS = re.compile(rb'"(?:nccl_version|communicators|communicators_count)"')

# NCCL 2.28.9 leaves this comma out in each rank that is missing.
_NO_COMMA = re.compile(rb'("nvml_dev": {0,2}-?[0-9]{1,9})(\s{1,40}"status")')


def is_ras_json(head: bytes) -> bool:
    """Whether these first 4 KiB of a file begin such an answer."""
    return head.lstrip()[:1] == b"{" and len(set(_KEYS.findall(head))) >= 2


def parse_ras_json(data: bytes, place: Place) -> Parsed:
    """Read a whole answer. The `record` of a reference is the index of the communicator. Damage becomes a Gap."""
    try:
        answer = msgspec.json.decode(_NO_COMMA.sub(rb"\1,\2", data))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Parsed(gaps=(Gap(place.file, f"an NCCL RAS answer that is damaged: {error}", HOW_TO_GET),))
    rows = _rows(answer, "communicators")
    if not rows:
        return Parsed(gaps=(Gap(place.file, "an NCCL RAS answer without communicators", HOW_TO_GET),))
    version = _text(answer.get("nccl_version"))
    ref = SourceRef(place.file)
    settings = (Setting("nccl.version", version, ref),) if version else ()
    communicators = tuple(_communicator(row, SourceRef(place.file, record=i)) for i, row in enumerate(rows))
    return Parsed(ras_reports=(RasReport(ref, communicators, version),), settings=settings)


def _communicator(row: Mapping[str, object], ref: SourceRef) -> RasCommunicator:
    ranks, missing = _rows(row, "ranks"), _rows(row, "missing_ranks")
    counts = tuple(_counts(ranks, ref))
    wrong = [
        name
        for name, holds in (
            ("INCOMPLETE", bool(missing)),
            ("ERROR", any(_status(rank).get("async_error") not in (None, 0, "ncclSuccess") for rank in ranks)),
            ("MISMATCH", len({count.op for count in counts}) < len(counts)),
        )
        if holds
    ]
    return RasCommunicator(
        id=_text(row.get("hash")).removeprefix("0x") or f"#{ref.record}",
        ref=ref,
        size=_number(row.get("size")),
        status=",".join(sorted({_text(_status(rank).get("init_state")) for rank in ranks} - {""})),
        errors=",".join(wrong) or "OK",
        counts=counts,
        missing=tuple(_rank(rank, ref) for rank in missing),
    )


def _counts(ranks: list[Mapping[str, object]], ref: SourceRef) -> Iterable[RasCount]:
    """For each operation that some rank launched, the ranks by how far they are, most ranks first."""
    launched = [(_rank(rank, ref), _table(rank.get("collective_counts"))) for rank in ranks]
    for op in dict.fromkeys(op for _, counts in launched for op, launches in counts.items() if _number(launches)):
        levels: dict[int, list[RasRank]] = {}
        for rank, counts in launched:
            levels.setdefault(_number(counts.get(op)) or -1, []).append(rank)
        for level, members in sorted(levels.items(), key=lambda item: -len(item[1])):
            named = ", ".join(str(member.rank) for member in members[:8]) + (", …" if len(members) > 8 else "")
            yield RasCount(str(op), level, ref, f"{op}: launched up to {level} by rank {named}", len(members), tuple(members))


def _rank(row: Mapping[str, object], ref: SourceRef) -> RasRank:
    rank, pid, host = _number(row.get("rank")), _number(row.get("pid")), _text(row.get("host"))
    return RasRank(rank, _number(row.get("cuda_dev")), pid, host or None, ref, f"rank {rank}, pid {pid} on {host or '?'}")


def _status(rank: Mapping[str, object]) -> Mapping[str, object]:
    return _table(rank.get("status"))


def _rows(value: object, key: str) -> list[Mapping[str, object]]:
    rows = value.get(key) if isinstance(value, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int | None:
    return number.counted(value)


def _text(value: object) -> str:
    return str(value) if isinstance(value, (str, int)) else ""
