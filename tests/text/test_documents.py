"""Every kind of source → documents, and bad rows named."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard

from semvec.errors import InputError, OptionError
from semvec.text.document import BadRow, Document
from semvec.text.documents import read_documents
from semvec.text.readers import ReadOptions
from semvec.text.sources import find_sources, identify


def read(*inputs: Any, kind: str | None = None, **options: Any) -> list[Document | BadRow]:
    return list(read_documents(find_sources(list(inputs), kind=kind), ReadOptions(**options)))


def pairs(items: list[Document | BadRow]) -> list[tuple[Any, ...]]:
    return [(item.id, item.text) if isinstance(item, Document) else (item.line, item.reason) for item in items]


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\u2028still two\x0b\x85\nthree".encode())
    assert pairs(read(path)) == [("1", "one"), ("2", "two\u2028still two\x0b\x85"), ("3", "three")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed(tmp_path: Path, suffix: str) -> None:
    squeeze = {".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    (tmp_path / f"a.txt{suffix}").write_bytes(squeeze(b"one\ntwo\n") + squeeze(b"three"))
    assert [text for _, text in pairs(read(tmp_path / f"a.txt{suffix}"))] == ["one", "two", "three"]
    (tmp_path / f"a.csv{suffix}").write_bytes(squeeze(b"id,text\nx,one\n"))
    assert pairs(read(tmp_path / f"a.csv{suffix}")) == [("x", "one")]
    whole = squeeze(b"some text that is long enough to be cut " * 500)
    (tmp_path / f"cut.txt{suffix}").write_bytes(whole[:-5])
    with pytest.raises(InputError, match=r"cut\.txt.*: damaged or cut short"):
        read(tmp_path / f"cut.txt{suffix}")
    (tmp_path / f"foreign.txt{suffix}").write_bytes(b"not compressed at all")
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / f"foreign.txt{suffix}")


def test_csv_with_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text,x\nq,"one, ""two""\nthree",1\nr,four,2\n', encoding="utf-8")
    assert pairs(read(path)) == [("q", 'one, "two"\nthree'), ("r", "four")]
    assert pairs(read(path, text_field="x", id_field="text")) == [('one, "two"\nthree', "1"), ("four", "2")]


def test_csv_rows_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\na,one\nb\nc,three,more\n\nd,four\n,five\na,six\n", encoding="utf-8")
    found = pairs(read(path))
    assert found == [
        ("a", "one"), (3, "1 cells where the header has 2"), (4, "3 cells where the header has 2"), (5, "the row is empty"),
        ("d", "four"), (7, "the id is missing"), (8, f"id 'a' stands already at {path}, line 2"),
    ]  # fmt: skip


def test_tsv_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('label\ttext\npos\t"quoted" and \'not\npos\tb\n', encoding="utf-8")
    assert pairs(read(path)) == [("2", '"quoted" and \'not'), ("3", "b")]


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = ['{"_id": 7, "text": "one"}', "", "{broken", "[1]", '{"_id": "x"}', '{"_id": "y", "text": null}', '{"_id": "z", "text": 3}',
            '{"_id": null, "text": "a"}', '{"_id": true, "text": "a"}', '{"_id": "s", "text": "\\ud800"}', '{"_id": "7", "text": "again"}']  # fmt: skip
    path.write_text("\n".join(rows), encoding="utf-8")
    found = pairs(read(path))
    assert found[0] == ("7", "one")
    reasons = [reason for _, reason in found[1:]]
    for reason, start in zip(
        reasons,
        ["the row is empty", "not JSON", "not a JSON object but list", "no field 'text'; there are '_id'", "the text is null", "the text is not a string but int (3)",
         "the id is missing", "the id is neither", "not Unicode text: lone surrogate U+D800", f"id '7' stands already at {path}, line 1"],
        strict=True,
    ):  # fmt: skip
        assert reason.startswith(start)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"id": ["a", "b", "c"], "text": ["one", None, "three"], "n": [1, 2, 3]}), path)
    assert pairs(read(path)) == [("a", "one"), (2, "the text is null"), ("c", "three")]
    with pytest.raises(InputError, match="column 'n' holds int64, not strings"):
        read(path, text_field="n")
    for column, complaint in (([1.5, 2.5, 3.5], "'id' holds neither strings nor whole numbers"),):
        pa.parquet.write_table(pa.table({"id": column, "text": ["a", "b", "c"]}), tmp_path / "ids.parquet")
        with pytest.raises(InputError, match=complaint):
            read(tmp_path / "ids.parquet")
    pa.parquet.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), tmp_path / "twice.parquet"
    )
    with pytest.raises(InputError, match="2 columns called 'text'"):
        read(tmp_path / "twice.parquet")
    strange = pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string())
    pa.parquet.write_table(pa.table({"text": strange}), tmp_path / "bytes.parquet")
    with pytest.raises(InputError, match="not a Parquet file that can be read"):
        read(tmp_path / "bytes.parquet")
    (tmp_path / "broken.parquet").write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"broken\.parquet: not a Parquet file"):
        read(tmp_path / "broken.parquet")


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,review\na,b\n")
    (tmp_path / "a.jsonl").write_text('{"title": "a", "review": "b"}\n')
    for name in ("a.csv", "a.jsonl"):
        with pytest.raises(InputError, match="no column called 'text'; --text-field names one of 'title', 'review'"):
            read(tmp_path / name)
        with pytest.raises(InputError, match=r"no column 'txt' \(--text-field\); there are 'title', 'review'"):
            read(tmp_path / name, text_field="txt")
        assert [item.text for item in read(tmp_path / name, text_field="review") if isinstance(item, Document)] == ["b"]
    (tmp_path / "one.csv").write_text("whatever\na\n")
    assert pairs(read(tmp_path / "one.csv")) == [("2", "a")]


def test_tables_that_are_not_what_they_seem(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_bytes("text\na\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"u\.csv: is in UTF-16: save it as UTF-8"):
        read(tmp_path / "u.csv")
    (tmp_path / "two.csv").write_text("text,n,text\na,1,b\n")
    with pytest.raises(InputError, match="two columns are called 'text'"):
        read(tmp_path / "two.csv")
    (tmp_path / "head.csv").write_bytes(b"text,na\xefve\na,b\n")
    with pytest.raises(InputError, match="the name of a column: not UTF-8"):
        read(tmp_path / "head.csv")
    (tmp_path / "t.txt").write_text("a\n")
    with pytest.raises(InputError, match="has no columns, so --id-field and --delimiter would do nothing"):
        read(tmp_path / "t.txt", id_field="id", delimiter=";")


def test_what_cannot_be_read_in_a_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "a.txt").write_text("a")
    (tmp_path / "d" / "b.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match=r"b\.txt: cannot be read: the link leads nowhere"):
        read(tmp_path / "d")
    (tmp_path / "d" / "b.txt").unlink()
    inside = os.scandir

    def refused(path: str) -> Any:
        if str(path).endswith("sub"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return inside(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(InputError, match="sub: cannot be read: Permission denied"):
        read(tmp_path / "d")


def test_folders_and_globs_give_a_text_a_file(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "b.txt").write_text("first\nsecond\n")
    (tmp_path / "d" / "sub" / "a.md").write_bytes(b"\xef\xbb\xbfmark\r\ndown")
    (tmp_path / "d" / "t.csv").write_text("text\nrow\n")
    (tmp_path / "d" / ".hidden").write_text("no")
    d = tmp_path / "d"
    assert pairs(read(d)) == [
        (str(d / "b.txt"), "first\nsecond\n"),
        (str(d / "sub" / "a.md"), "mark\ndown"),
        (f"{d / 't.csv'}:2", "row"),
    ]
    assert pairs(read(f"{d}/**/*.md")) == [(str(d / "sub" / "a.md"), "mark\ndown")]
    assert pairs(read(d / "b.txt", d / "t.csv")) == [
        (f"{d}/b.txt:1", "first"),
        (f"{d}/b.txt:2", "second"),
        (f"{d}/t.csv:2", "row"),
    ]
    assert pairs(read(d / "b.txt", kind="file")) == [(str(d / "b.txt"), "first\nsecond\n")]
    for missing, complaint in ((tmp_path / "nowhere", "no such file"), (f"{d}/*.xyz", "no files there")):
        with pytest.raises(InputError, match=complaint):
            read(missing)
    (tmp_path / "hollow").mkdir()
    with pytest.raises(InputError, match="no files there"):
        read(tmp_path / "hollow")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, content, expected in (
        ("lines", b"a\nb", ["a", "b"]),
        ("jsonl", b'{"text": "x"}', ["x"]),
        ("file", b"a\nb", ["a\nb"]),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert [item.text for item in read("-", kind=kind) if isinstance(item, Document)] == expected
    with pytest.raises(InputError, match="only once"):
        read("-", "-")
    with pytest.raises(OptionError, match="'xml' is unknown"):
        read("-", kind="xml")


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("ünï".encode() + b"\nna\xefve\nfine\nnul\0here\n")
    found = pairs(read(path))
    assert found == [("1", "ünï"), (2, "not UTF-8: byte 0xef at position 2"), ("3", "fine"), (4, "NUL character at position 3")]
    (tmp_path / "a.csv").write_bytes(b"text\nna\xefve\nfine\n")
    assert pairs(read(tmp_path / "a.csv")) == [(2, "not UTF-8: byte 0xef at position 2"), ("3", "fine")]
    (tmp_path / "utf16.txt").write_bytes("wide".encode("utf-16"))
    assert "not UTF-8: byte 0xff at position 0" in pairs(read(tmp_path / "utf16.txt"))[0][1]


def test_blank_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n\n \t\nfour\n")
    assert pairs(read(path)) == [
        ("1", "one"),
        (2, "the row is empty (--keep-blank takes it for a text)"),
        (3, "the row is blank (--keep-blank takes it for a text)"),
        ("4", "four"),
    ]
    assert pairs(read(path, keep_blank=True)) == [("1", "one"), ("2", ""), ("3", " \t"), ("4", "four")]


@pytest.mark.parametrize(("name", "head"), [("a.txt", b""), ("a.csv", b"text\n"), ("a.tsv", b"text\n")])
def test_a_line_that_is_far_too_long(tmp_path: Path, name: str, head: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(head + b"one\n" + b"x" * 5000 + b"\n" + b"y" * 150 + b"\nfour\n")
    found = pairs(read(path, max_chars=100))
    assert [text for _, text in found][0] == "one"
    assert "longer than 100 characters" in found[1][1]
    assert "150 characters, over the limit of 100" in found[2][1]
    assert found[3][1] == "four"


def test_a_json_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x" * 5000}) + "\n" + json.dumps({"text": "ok"}) + "\n")
    found = pairs(read(path, max_chars=100))
    assert "longer than 100" in found[0][1]
    assert found[1] == ("2", "ok")


def test_identity_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("one\ntwo")
    path = tmp_path / "d" / "a.txt"
    records, total = identify(find_sources([path]))
    assert (records[0]["bytes"], total) == (7, 2)
    import hashlib

    assert records[0]["sha256"] == hashlib.sha256(b"one\ntwo").hexdigest()
    before = identify(find_sources([tmp_path / "d"]))[0]
    (tmp_path / "d" / "b.txt").write_text("")
    assert identify(find_sources([tmp_path / "d"]))[0] != before
    (tmp_path / "t.csv").write_text("text\na\nb\n")
    assert identify(find_sources([tmp_path / "t.csv"]))[1] == 2
