"""Bytes that cannot be read, or not further: what the parsers of formats raise, and the Gap that says so."""

from __future__ import annotations

import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from typing import cast

from isal import igzip_lib

from hanglens.limits import UNPACKED, BundleError
from hanglens.model import Gap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# What the standard parsers raise on bad bytes is not documented and differs by version.
FAULTS: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, RuntimeError, ArithmeticError, LookupError, MemoryError, struct.error, zlib.error,
    cast("type[Exception]", igzip_lib.error), lzma.LZMAError, zstd.ZstdError, tarfile.TarError, zipfile.BadZipFile, BundleError,
    NotImplementedError,
)  # fmt: skip


class DecoderTooLarge(ValueError):
    """To inflate a stream takes more memory than a decoder gets."""


def damaged(path: str, error: BaseException) -> Gap:
    """The Gap for bytes that a parser refused, or that the system or what they are packed in did not give."""
    if isinstance(error, BundleError):
        return error.gap
    if isinstance(error, DecoderTooLarge):
        return Gap(path, str(error), UNPACKED)
    if isinstance(error, MemoryError):
        return Gap(path, "there is not enough memory to read it further", "allow more memory (ulimit -v), or use a larger machine")
    if isinstance(error, OSError) and error.errno:
        return Gap(path, f"cannot be read: {error.strerror}", "make it readable for this user, then analyze again")
    reason = str(error) or type(error).__name__
    told = reason if reason.isprintable() else ascii(reason)
    return Gap(path, f"cut off or damaged ({told}); what stands before that is read", "copy it again from where it was collected")
