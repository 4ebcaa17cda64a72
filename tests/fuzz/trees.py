"""Mutations of a folder of evidence: which files there are, what they are called, and which hosts they are of."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from tests.fuzz import packs
from tests.fuzz.lines import interleave

Files = dict[str, bytes]

_ODD = (
    "rank-1.log", "rank99999.log", "rank00000007.pyspy.txt", "x\x1b[31m.log", "a\nb.log", "\u202egol.0knar", "²rank².log", "-", "--help",
    "~", "pid0.proc-stat.txt", "nccl_trace_rank_", "nccl_trace_rank_999999", "nccl_trace_rank_-1", "rank0.log.gz", "rank1.json",
    "nccl-ras.txt", "a|b.md", "manifest.json", "pid999999999.threads.txt", "nccl.vm.1.log", "```.log", "<b>.log", "rank0 (copy).log",
    "x" * 200 + ".log", "empty_trace_1",
)  # fmt: skip
_HOSTS = ("node0", "node1", "gpu-17", "10.0.0.1", "host\u202e", "rank3", "hanglens-vm-20261123T050255Z")
_PID = re.compile(r"(?<=pid)\d+|(?<=\.)\d+(?=\.log$)")
_RANK = re.compile(r"(?<=rank)\d+|(?<=rank_)\d+")


def drop(rng: Random, files: Files) -> Files:
    """Without some of the files."""
    gone = set(rng.sample(sorted(files), rng.randint(0, len(files) - 1)))
    return {name: data for name, data in files.items() if name not in gone}


def empty(rng: Random, files: Files) -> Files:
    """One of them empty, or blank."""
    return files | {rng.choice(list(files)): rng.choice((b"", b"", b"\n", b" ", b"\0" * 300))}


def rename(rng: Random, files: Files) -> Files:
    """One of them under an odd name."""
    old, new = rng.choice(list(files)), rng.choice(_ODD)
    return {new if name == old else name: data for name, data in files.items()}


def renumber(rng: Random, files: Files) -> Files:
    """One of them under the name of another rank or process."""
    old = rng.choice(list(files))
    new = rng.choice((_PID, _RANK)).sub(str(rng.choice((0, 1, 2, 5, 77, 4194304, 12345678901))), old)
    return {new if name == old else name: data for name, data in files.items()}


def swap(rng: Random, files: Files) -> Files:
    """The contents of two of them swapped."""
    one, other = rng.choice(list(files)), rng.choice(list(files))
    return files | {one: files[other], other: files[one]}


def copy(rng: Random, files: Files) -> Files:
    """One of them twice: two ranks with the same pid, two dumps of one rank."""
    old = rng.choice(list(files))
    new = _RANK.sub(str(rng.randrange(4)), old) if rng.random() < 0.5 else _PID.sub(str(rng.randrange(900, 904)), old)
    return files | {f"again/{old}" if new == old else new: files[old]}


def move(rng: Random, files: Files) -> Files:
    """Some of them in folders of their own, as of hosts."""
    return {f"{rng.choice(_HOSTS)}/{name}" if rng.random() < 0.5 else name: data for name, data in files.items()}


def hosts(rng: Random, files: Files) -> Files:
    """All of them in two folders: what two hosts with the same processes would leave."""
    one, other = rng.sample(_HOSTS, 2)
    return {f"{host}/{name}": data for host in (one, other) for name, data in files.items() if rng.random() < 0.9 or host == one}


def join(rng: Random, files: Files) -> Files:
    """Two files in one, one behind the other or line by line."""
    one, other = rng.choice(list(files)), rng.choice(list(files))
    both = interleave(rng, files[one], files[other]) if rng.random() < 0.5 else files[one] + files[other]
    return files | {one: both}


def squeeze(rng: Random, files: Files) -> Files:
    """One of them compressed."""
    old = rng.choice(list(files))
    new, data = packs.squeezed(rng, old, files[old])
    return {name: content for name, content in files.items() if name != old} | {new: data}


MUTATIONS: tuple[Callable[[Random, Files], Files], ...] = (
    drop, empty, rename, rename, renumber, swap, copy, move, hosts, hosts, join, join, squeeze,
)  # fmt: skip
