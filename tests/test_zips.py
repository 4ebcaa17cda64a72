"""Zip members: one after the other, all good bytes of each, whatever the list says."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import struct
import time
import zipfile
from collections.abc import Callable

import pytest

from hanglens.zips import Member, open_member, zip_members, zip_refusal

TEXT = b"".join(b"%07d NCCL INFO\n" % number for number in range(20_000))
METHODS = {
    "stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA,
}  # fmt: skip


def packed(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    """A zip of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def listed(data: bytes) -> list[Member]:
    """The members of a zip."""
    return list(zip_members(io.BytesIO(data), contextlib.nullcontext))


def content(data: bytes, member: Member) -> tuple[bytes, str]:
    """What is given of a member, and why not more."""
    given = b""
    try:
        stream = open_member(io.BytesIO(data), member)
        while piece := stream.read(1000):
            given += piece
    except (zipfile.BadZipFile, EOFError) as error:
        return given, str(error)
    return given, ""


@pytest.mark.parametrize("method", METHODS)
def test_members_are_read_as_the_standard_library_reads_them(method: str) -> None:
    """Each method that people use gives the names, the sizes and the bytes that zipfile gives."""
    data = packed(METHODS[method], first=TEXT, empty=b"", last=b"z")
    assert [(member.name, *content(data, member)) for member in listed(data)] == [
        ("first", TEXT, ""),
        ("empty", b"", ""),
        ("last", b"z", ""),
    ]


def test_an_archive_behind_other_bytes_is_read() -> None:
    """An archive that unpacks itself has a program before it, and a comment may stand behind it."""
    data = bytearray(packed(a=b"text"))
    data[-2:] = struct.pack("<H", 7)
    data = bytearray(b"#!/bin/sh\n") + data + b"comment"
    assert [content(bytes(data), member) for member in listed(bytes(data))] == [(b"text", "")]


def test_a_wrong_checksum_costs_no_byte() -> None:
    """All bytes of the member are given, and then it is said that they are not those that were packed."""
    data = packed(a=TEXT)
    crc = struct.pack("<I", zipfile.ZipFile(io.BytesIO(data)).infolist()[0].CRC)
    wrong = data.replace(crc, b"\1\2\3\4")
    assert content(wrong, listed(wrong)[0]) == (TEXT, "its checksum is wrong")


def larger(size: int) -> int:
    """A size that is too large."""
    return size + 5


def smaller(size: int) -> int:
    """A size that is too small."""
    return size - 5


@pytest.mark.parametrize(("lie", "given"), [(larger, TEXT), (smaller, TEXT[:-5])])
def test_a_size_that_lies_is_damage_behind_the_good_bytes(lie: Callable[[int], int], given: bytes) -> None:
    """No more is given than the list says, no less than there is."""
    data = packed(a=TEXT)
    at = data.index(b"PK\x01\x02") + 24
    wrong = data[:at] + struct.pack("<I", lie(len(TEXT))) + data[at + 4 :]
    found, why = content(wrong, listed(wrong)[0])
    assert (found, bool(why)) == (given, True)


def test_what_is_not_read_is_named() -> None:
    """Encrypted members, links and rare methods are refused before they are opened."""
    plain = Member("a", 1, 1, 0, 0, method=8, flags=0, mode=0)
    assert not zip_refusal(plain)
    assert zip_refusal(Member("a", 1, 1, 0, 0, method=8, flags=1, mode=0)) == "encrypted"
    assert zip_refusal(Member("a", 1, 1, 0, 0, method=8, flags=0, mode=0o120777)) == "a link"
    assert "method 9" in zip_refusal(Member("a", 1, 1, 0, 0, method=9, flags=0, mode=0))


def test_a_list_of_more_members_than_16_bits_count_is_read_in_linear_time() -> None:
    """A zip64 of 70 000 members: nothing of the list is kept."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(70_000):
            archive.writestr(zipfile.ZipInfo(f"rank{number}.log"), b"")
    begin = time.process_time()
    assert sum(1 for _ in zip_members(io.BytesIO(out.getvalue()), contextlib.nullcontext)) == 70_000
    assert time.process_time() - begin < 5


def test_damage_anywhere_ends_with_an_error_of_the_format() -> None:
    """Cut at any byte, or with any byte changed, an archive gives members or an error that bundles know."""
    from hanglens.damage import FAULTS

    whole, chance = packed(a=b"a" * 99, b=b"b"), random.Random(5)
    changed = [bytes(byte ^ (place == at) * 0xFF for place, byte in enumerate(whole)) for at in range(len(whole))]
    for data in (*(whole[:size] for size in range(len(whole))), *changed, *(chance.randbytes(99) + whole for _ in range(9))):
        with contextlib.suppress(*FAULTS):
            for member in listed(data):
                with contextlib.suppress(*FAULTS):
                    open_member(io.BytesIO(data), member).read(1 << 16)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20  # KiB: no size that is only named is asked for
