"""What the first bytes of a file show: an archive or compression that is read, one that is not, or plain content.

Sources: gzip RFC 1952, bzip2, xz, Zstandard RFC 8878, tar (POSIX ustar), zip (APPNOTE 6.3); the magic numbers of the others as file(1)
has them.
"""

from __future__ import annotations

HEAD = 4096  # the first bytes of a file, enough for every magic number

_MAGIC = (
    (0, b"\x1f\x8b\x08", "gzip"), (0, b"\xfd7zXZ\x00", "xz"), (0, b"\x28\xb5\x2f\xfd", "zstd"), (0, b"BZh", "bzip2"),
    (0, b"PK\x03\x04", "zip"), (0, b"PK\x05\x06", "zip"), (0, b"PK\x06\x06", "zip"), (257, b"ustar", "tar"),
)  # fmt: skip
_FOREIGN = (
    (b"\x04\x22\x4d\x18", "lz4"), (b"\x02\x21\x4c\x18", "lz4"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x9d", ".Z (compress)"), (b"\xff\x06\x00\x00sNaPpY", "snappy"), (b"LZIP\x01", "lzip"), (b"\x89LZO\x00\r\n\x1a\n", "lzop"),
    (b"\x5d\x00\x00", ".lzma"), (b"PK\x07\x08", "split zip"), (b"MSCF\x00\x00\x00\x00", "cab"), (b"\x25\xb5\x2f\xfd", "zstd before 1.0"),
    (b"LPKSHHRH", "systemd journal"), (b"!<arch>\n", "ar"),
)  # fmt: skip
_FIRST = frozenset(magic[0] for magic, _ in _FOREIGN)  # bytes: most files are logs, and begin with none of them
_SKIPPABLE = b"\x2a\x4d\x18"  # behind 0x50 to 0x5f: a frame that holds nothing for a reader, in zstd (pzstd, seekable) and in lz4


def recognise(head: bytes) -> str:
    """The format that the first HEAD bytes show: gzip, bzip2, xz, zstd, zip, tar, or nothing where it is none that is read."""
    if _skips(head, 0):
        return "" if foreign(head) else "zstd"
    return next((kind for at, magic, kind in _MAGIC if head.startswith(magic, at)), "")


def foreign(head: bytes) -> str:
    """The name of a compression or archive that is not read, or nothing."""
    if not head or (head[0] not in _FIRST and head[0] >> 4 != 5):
        return ""
    at = 0
    while _skips(head, at):
        at += 8 + int.from_bytes(head[at + 4 : at + 8], "little")
    return next((name for magic, name in _FOREIGN if head.startswith(magic, at)), "")


def _skips(head: bytes, at: int) -> bool:
    return head.startswith(_SKIPPABLE, at + 1) and head[at] >> 4 == 5
