"""The manifest of a bundle of `hanglens collect`: processes with their ranks, what could not be had, and what was expected to be there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

import msgspec

from hanglens import number
from hanglens.manifest import Item, ListedProcess, Manifest, decode
from hanglens.model import Collection, DumpFailure, Gap, Parsed, Process, SourceRef
from hanglens.parse.blocks import Place

MOST_NAMED = 6  # pids that a gap names


def is_manifest(head: bytes) -> bool:
    """Whether a file that begins so is a bundle's manifest."""
    return head.lstrip().startswith(b"{") and b'"tool_version"' in head and b'"given_pids"' in head


def parse_manifest(data: bytes, place: Place) -> Parsed:
    """Read a manifest; one that is cut off or of another shape is a Gap."""
    try:
        manifest = decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Parsed(gaps=(Gap(place.file, f"no whole manifest: {error}"[:500], "collect the bundle again"),))
    lines = _Lines(data, place.file)
    return Parsed(
        processes=tuple(_process(process, manifest, lines) for process in manifest.processes),
        dump_failures=tuple(_failures(manifest, lines)),
        collections=(_collection(manifest, lines),),
        gaps=tuple(_gaps(manifest)),
    )


class _Lines:
    """Where in the file a process or an item stands; the JSON is indented, a field a line."""

    def __init__(self, data: bytes, file: str) -> None:
        self._file = file
        self._of: dict[bytes, int] = {}
        for at, line in enumerate(data.split(b"\n"), 1):
            self._of.setdefault(line.strip().rstrip(b","), at)

    def beside(self, file: str) -> str:
        """The path of a file that the manifest names as the path from its own folder."""
        return f"{self._file.rpartition('/')[0]}/{file}".lstrip("/")

    def ref(self, field: str, value: object) -> SourceRef:
        """The first line with that field and value."""
        return SourceRef(self._file, self._of.get(f'"{field}": '.encode() + msgspec.json.encode(value), 1))


def _process(process: ListedProcess, manifest: Manifest, lines: _Lines) -> Process:
    """Its state stands in files of its own."""
    return Process(
        lines.ref("pid", process.pid), pid=process.pid, host=manifest.host, ppid=process.ppid, command=process.command,
        rank=process.rank, how_known=process.how_known, namespace_pid=process.namespace_pid,
    )  # fmt: skip


def _failures(manifest: Manifest, lines: _Lines) -> Iterator[DumpFailure]:
    for item in manifest.items:
        if item.what == "py-spy dump" and item.status != "ok" and item.pid is not None:
            yield DumpFailure(item.reason, lines.ref("reason", item.reason), item.pid)


def _gaps(manifest: Manifest) -> Iterator[Gap]:
    """What could not be had; the same of several processes is said once."""
    if manifest.interrupted:
        yield Gap(
            "the collection", "it was interrupted; what was there by then is in the bundle", "hanglens collect --pid PID, and let it end"
        )
    alike: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in manifest.items:
        if item.status != "ok":
            alike[item.what, item.reason].append(item)
        elif item.cut:
            where = f"{item.cut.left_out} of {item.cut.bytes} bytes are left out behind line {item.cut.after_line}"
            yield Gap(item.file, where, "hanglens collect --log-limit SIZE with a larger size")
    for (what, reason), items in alike.items():
        pids = list(dict.fromkeys(item.pid for item in items if item.pid is not None))
        named = ", ".join(map(str, pids[:MOST_NAMED])) + (", …" if len(pids) > MOST_NAMED else "")
        yield Gap(f"{what} of pid {named}" if pids else what, f"{items[0].status}: {reason}", items[0].how_to_collect)


def _collection(manifest: Manifest, lines: _Lines) -> Collection:
    ours = [process for process in manifest.processes if process.rank is not None]
    expected = {rank for text in manifest.expected_ranks.split(",") if (rank := number.rank(text)) is not None}
    return Collection(
        lines.ref("expected_ranks", manifest.expected_ranks), manifest.host, _began(manifest),
        text=f'"expected_ranks": "{manifest.expected_ranks}"', expected_ranks=tuple(sorted(expected)),
        present_ranks=tuple(sorted(process.rank for process in ours if process.rank is not None and process.state not in ("Z", "X"))),
        times={lines.beside(i.file): at for i in manifest.items if i.what == "threads" and (at := _seconds(i.start)) is not None},
        machine=manifest.machine, ended=_ended(manifest),
        cut_logs={lines.beside(item.file): item.cut.after_line for item in manifest.items if item.cut},
    )  # fmt: skip


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _on_local_clock(manifest: Manifest, times: list[float]) -> list[float]:
    """Seconds since the epoch as the host's logs would print them."""
    try:
        offset = int(manifest.clock.get("utc_offset_seconds", 0))
        return [at + offset for at in times]
    except (ValueError, OverflowError):
        return []


def _began(manifest: Manifest) -> float | None:
    starts = [process.started for process in manifest.processes if process.started]
    times = [at for start in starts if (at := _seconds(start)) is not None]
    return min(_on_local_clock(manifest, times), default=None) if len(times) == len(starts) else None


def _ended(manifest: Manifest) -> float | None:
    times = [at for item in manifest.items if (at := _seconds(item.start)) is not None]
    return max(_on_local_clock(manifest, times), default=None)
