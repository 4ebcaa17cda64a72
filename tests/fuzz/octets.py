"""Mutations of bytes, whatever they mean: flipped, lost, and put in where nobody expects them."""

from __future__ import annotations

import re
from random import Random

NASTY = (
    b"\0", b"\r", b"\n", b"\x1b[31m", b"\x1b]0;title\x07", b"\x9b2J", b"\xc2\x9b2J", b"\xc2\x85", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "\u202e\u2066".encode(), "\u2028\u200b".encode(), "\U000e0041".encode(), b"</script><b>",
    b"```\n# x\n```", b"{{ 7 * 7 }}", b"%s%n{0}", b"|x|[y](z)", b"A" * 5000, b"\xe2\x80\xa6", "²".encode(), b"\0" * 600, b"\\ud800",
)  # fmt: skip
NUMBERS = (
    b"9" * 5000, b"1" * 25, "²".encode(), "٣".encode(), "１".encode(), "⑦".encode(), b"-1", b"-2147483649", b"0", b"00000000000000000012",
    b"2147483648", b"4294967295", b"18446744073709551616", b"99999999", b"65536", b"1e999", b"-0", b"NaN", b"inf", b"", b"1_000", b"0x1f",
    b"0x" + b"f" * 300, b"3.5", b"1.", b"7",
)  # fmt: skip
_NUMBER = re.compile(rb"\d+")
_HEX = re.compile(rb"0x[0-9a-f]+")


def place(rng: Random, data: bytes) -> int:
    """Anywhere in the data, its end included."""
    return rng.randint(0, len(data))


def flip(rng: Random, data: bytes) -> bytes:
    """Some bits turned."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20)) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwrite(rng: Random, data: bytes) -> bytes:
    """One byte replaced by any other."""
    at = place(rng, data)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def insert(rng: Random, data: bytes) -> bytes:
    """Something put in that a terminal, a browser or a decoder would obey or choke on."""
    at = place(rng, data)
    return data[:at] + rng.choice(NASTY) + data[at:]


def noise(rng: Random, data: bytes) -> bytes:
    """Random bytes put in."""
    at = place(rng, data)
    return data[:at] + rng.randbytes(rng.choice((1, 4, 40))) + data[at:]


def delete(rng: Random, data: bytes) -> bytes:
    """A piece left out."""
    at = place(rng, data)
    return data[:at] + data[at + rng.choice((1, 2, 7, 60, 700)) :]


def truncate(rng: Random, data: bytes) -> bytes:
    """The end left out, or the beginning."""
    at = place(rng, data)
    return data[:at] if rng.random() < 0.7 else data[at:]


def repeat(rng: Random, data: bytes) -> bytes:
    """A piece many times."""
    at, length = place(rng, data), rng.choice((1, 5, 30))
    return data[:at] + data[at : at + length] * rng.choice((2, 30, 1000)) + data[at + length :]


def number(rng: Random, data: bytes) -> bytes:
    """Some numbers replaced by odd ones, or all that are like one of them."""
    found = list((_HEX if rng.random() < 0.1 else _NUMBER).finditer(data))
    if not found:
        return insert(rng, data)
    if rng.random() < 0.15:
        chosen, new = rng.choice(found), rng.choice(NUMBERS[3:])
        return re.sub(rb"(?<!\d)" + re.escape(chosen[0]) + rb"(?!\d)", new, data)
    some = sorted(rng.sample(found, min(rng.choice((1, 1, 4, 12)), len(found))), key=lambda one: -one.start())
    for one in some:
        data = data[: one.start()] + rng.choice(NUMBERS) + data[one.end() :]
    return data


def line_ends(rng: Random, data: bytes) -> bytes:
    """The line ends of another system, or of none."""
    return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\r\r\n", b"\x0b", b"\xe2\x80\xa8", b"\0")))


def encode(rng: Random, data: bytes) -> bytes:
    """The text in another encoding, with its mark or without."""
    text = data.decode("utf-8", "replace")
    mark, name = rng.choice(((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"", "utf-16-le"), (b"\xef\xbb\xbf", "utf-8")))
    return mark + text.encode(name) + rng.choice((b"", b"", b"\0", b"\x00\xd8"))


MUTATIONS = (flip, overwrite, insert, insert, noise, delete, truncate, repeat, number, number, number, line_ends, encode)
