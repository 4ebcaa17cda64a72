"""Evidence is redacted before a parser sees it: line by line, across pieces, and in dumps."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path

import pytest

from hanglens.bundle import open_evidence
from hanglens.limits import BundleError
from hanglens.model import Gap
from hanglens.privacy import evidence
from hanglens.privacy.evidence import redacted_items, redacted_lines
from hanglens.privacy.redactor import Redactor

SECRET = "password=hunter2\n"
PEM = ["-----BEGIN RSA PRIVATE KEY-----\n", *["MIIabcd" * 9 + "\n"] * 30, "-----END RSA PRIVATE KEY-----\n"]


def redacted(*paths: Path, names: bool = True, stdin: io.BytesIO | None = None) -> dict[str, bytes]:
    """The content of every file, by its path."""
    items = open_evidence([str(path) for path in paths], stdin=stdin)
    return {item.path: item.stream.read() for item in redacted_items(items, Redactor(names=names)) if not isinstance(item, Gap)}


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    """A line is where it was, whatever was taken out above it."""
    (tmp_path / "a.log").write_text("".join(["x\n", *PEM, "prompt: 'one\ntwo', n\n", "last\n"]))
    (content,) = redacted(tmp_path).values()
    assert content.decode().split("\n")[len(PEM) + 3] == "last"
    assert b"MIIabcd" not in content
    assert b"two" not in content


@pytest.mark.parametrize("piece", [1, 100, 4000])
def test_what_spans_pieces_is_found(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of many lines goes wherever a piece ends in it, and the result is that of the whole text."""
    monkeypatch.setattr(evidence, "PIECE", piece)
    monkeypatch.setattr(evidence, "BORDER", 3000)
    lines = [f"line {n}\n" for n in range(500)] + PEM + [f"line {n}\n" for n in range(500)] + ["cut off password=hunter2"]
    given = (line.encode() for line in lines)
    assert b"".join(redacted_lines(given, Redactor())) == Redactor().bytes("".join(lines).encode())


def test_every_kind_of_path_goes_through(tmp_path: Path) -> None:
    """Archives in archives, compressed files, UTF-16 and standard input are redacted like plain files."""
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(SECRET.encode()))
    (tmp_path / "w.log").write_bytes(SECRET.encode("utf-16"))
    with tarfile.open(tmp_path / "in.tar", "w") as inner:
        inner.add(tmp_path / "w.log", "w.log")
    with tarfile.open(tmp_path / "out.tar.gz", "w:gz") as outer:
        outer.add(tmp_path / "in.tar", "in.tar")
    read = redacted(tmp_path, Path("-"), stdin=io.BytesIO(SECRET.encode()))
    assert len(read) == 4 + 1
    assert {content for path, content in read.items() if not path.endswith("in.tar")} == {b"password=<secret>\n"}


def test_one_name_has_one_pseudonym_in_all_files(tmp_path: Path) -> None:
    """Who joins files by their hosts still can."""
    for number in range(2):
        (tmp_path / f"{number}.log").write_text(f"trainbox:1{number}:1 [0] NCCL INFO x\n")
    assert redacted(tmp_path) == {f"{n}.log": f"host-1:1{n}:1 [0] NCCL INFO x\n".encode() for n in range(2)}


def test_document_of_one_line_stays_whole(tmp_path: Path) -> None:
    """JSON that is one long line is not cut as the line of a log would be."""
    value = {"rows": [{"host": "trainbox", "n": n} for n in range(120_000)], "token": "hunter2"}
    (tmp_path / "a.json").write_text(json.dumps(value))
    (content,) = redacted(tmp_path).values()
    read = json.loads(content)
    assert len(read["rows"]) == 120_000
    assert read["rows"][-1] == {"host": "host-1", "n": 119_999}
    assert read["token"] == "<secret>"


def test_dump_is_a_dump_still(tmp_path: Path) -> None:
    """The strings in a flight recorder's pickle are redacted, and nothing else of it."""
    (tmp_path / "trace_0").write_bytes(pickle.dumps({"version": "2", "entries": [{"f": "/home/alice/x.py"}]}, protocol=2))
    (content,) = redacted(tmp_path).values()
    assert pickle.loads(content) == {"version": "2", "entries": [{"f": "/home/user-1/x.py"}]}


def test_damage_comes_behind_the_good_lines(tmp_path: Path) -> None:
    """What stands before damage is redacted and read, then the damage is reported."""
    whole = gzip.compress(b"".join(b"line %d password=hunter2 %d\n" % (n, n * n) for n in range(50_000)))
    (tmp_path / "a.log.gz").write_bytes(whole[: len(whole) // 2])
    for item in redacted_items(open_evidence([str(tmp_path)]), Redactor()):
        assert not isinstance(item, Gap)
        good = item.stream.read(1 << 30)
        with pytest.raises(BundleError):
            item.stream.read(1)
    assert good.startswith(b"line 0 password=<secret> 0\n")
    assert b"hunter2" not in good
