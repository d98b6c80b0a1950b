"""semvec index and semvec search, as a shell runs them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

import semvec
from semvec.errors import FieldNotThere
from semvec.search.searcher import Searcher
from semvec.store.collection import Collection
from tests.cli.test_encode import refused, run

TEXTS = "the bank of the river\nParis\nof the bank\ndon't\n"


def test_from_texts_to_hits(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXTS)
    place = tmp_path / "c"
    done = run("index", "build", tmp_path / "t.txt", "-o", place, "-m", glove_file)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"4 items new, 0 replaced, in {place}\nindex: flat over 4 items, recall at 10 1.000 on a sample\n"
    found = run("search", place, "of the BANK", "-k", "2")
    encoder = semvec.load_encoder(glove_file)
    rows, scores = semvec.nearest(encoder.encode_query(["of the BANK"]), encoder.encode_document(TEXTS.splitlines()), 2)
    lines = TEXTS.splitlines()
    expected = [
        f"{score:7.4f}  {tmp_path}/t.txt:{row + 1}  {lines[row]}"
        for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True)
    ]
    assert found.stdout.splitlines() == expected
    (record,) = [
        json.loads(line)
        for line in run("search", place, "-", "-k", "1", "--format", "jsonl", stdin=b"Paris\n\n").stdout.splitlines()
    ]
    assert record["query"] == "Paris"
    assert (record["hits"][0]["id"], record["hits"][0]["text"]) == (f"{tmp_path}/t.txt:2", "Paris")
    assert run("index", "add", place, tmp_path / "t.txt").stdout == f"0 items new, 4 replaced, in {place}\n"
    assert (
        run("index", "delete", place, f"{tmp_path}/t.txt:2", "nobody").stdout == "1 items deleted, 3 left, 1 ids were not there\n"
    )
    assert "flat over 3 items" in run("index", "optimise", place).stdout
    assert run("index", "check", place).stdout == "sound\n"
    info = json.loads(run("index", "info", place, "--json").stdout)
    assert (info["items"], info["dim"], info["snapshot"]["rows"]) == (3, 4, 3)
    assert "3 items in" in run("index", "export", place, tmp_path / "out.jsonl").stdout
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one["id"] for one in records] == [f"{tmp_path}/t.txt:{line}" for line in (1, 3, 4)]
    np.testing.assert_allclose(records[0]["vector"], encoder.encode(["the bank of the river"]).vectors[0])


def test_from_a_vectors_file(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXTS)
    run("encode", tmp_path / "t.txt", "-o", tmp_path / "v.parquet", "-m", glove_file)
    done = run("index", "build", tmp_path / "v.parquet", "-o", tmp_path / "c")
    assert done.exit_code == 0, done.output
    with Collection.open(tmp_path / "c") as collection:
        assert [item.text for item in collection.scan()] == TEXTS.splitlines()
        hits = Searcher(semvec.load_encoder(glove_file), collection).search(["Paris"], 1)[0]
        assert (hits.query, hits.ids) == ("Paris", ["2"])


def test_what_is_refused(tmp_path: Path, glove_file: Path, sentence_folder: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXTS)
    place = tmp_path / "c"
    run("index", "build", tmp_path / "t.txt", "-o", place, "-m", glove_file)
    refused(run("index", "build", tmp_path / "t.txt", "-o", place), "is a collection already")
    refused(run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "d", "--kind", "hsnw"), "did you mean 'hnsw'")
    refused(run("index", "build", tmp_path / "none.txt", "-o", tmp_path / "d"), "none.txt")
    assert not (tmp_path / "d").exists()
    refused(run("search", place, "x", "--where", "lang = de"), "character 8", "strings stand in quotes")
    refused(run("search", place, "the", "--where", "lang = 'de'"), "no item has a field 'lang'")
    refused(run("search", place, "zyxxyq"), "holds nothing that the model knows")
    refused(run("search", tmp_path / "none", "the"), "none: is not there")
    refused(run("search", place, "the", "-m", sentence_folder), "two encoders cannot be compared")
    refused(run("index", "optimise", place, "--recall", "2"), "recall must be")


def reviews(folder: Path) -> Path:
    rows = [
        "id,text,lang,year,zip",
        "a,the bank,en,2019,007",
        "b,of the river,en,2021,",
        "c,Paris,fr,2022,75001",
        "d,don't,en,2022,1.5",
    ]
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return folder / "t.csv"


def test_other_columns_are_metadata(tmp_path: Path, glove_file: Path) -> None:
    table, place = reviews(tmp_path), tmp_path / "c"
    run("index", "build", table, "-o", place, "-m", glove_file)
    with Collection.open(place) as collection:
        assert [item.metadata for item in collection.scan()] == [
            {"lang": "en", "year": 2019, "zip": "007"},
            {"lang": "en", "year": 2021},
            {"lang": "fr", "year": 2022, "zip": 75001},
            {"lang": "en", "year": 2022, "zip": 1.5},
        ]
    found = run("search", place, "the bank", "--where", "year >= 2021 and lang = 'en'", "--format", "json")
    (one,) = json.loads(found.stdout)
    assert {hit["id"] for hit in one["hits"]} == {"b", "d"}
    assert "[lang=en year=2019 zip=007]" in run("search", place, "the bank", "-k", "1").stdout
    run("index", "build", table, "-o", tmp_path / "few", "-m", glove_file, "--fields", "lang", "--dtype", "int8")
    with Collection.open(tmp_path / "few") as collection:
        assert [item.metadata for item in collection.scan()][2] == {"lang": "fr"}
        assert collection.settings.dtype == "int8"
    refused(
        run("index", "build", table, "-o", tmp_path / "x", "-m", glove_file, "--fields", "land"),
        "no column 'land' (--fields); there are 'id', 'text', 'lang', 'year', 'zip'",
    )
    assert not (tmp_path / "x").exists()


WRONG = "the metadata hold a whole number that does not fit 64 bits with a sign; a string would do (field 'n')"
BAD_ROWS = {
    "t.csv": (b"id,text,n\na,the bank,1\nb,Paris,\xff\n", "line 3: the metadata are not JSON: not UTF-8: byte 0xff (field 'n')"),
    "t.tsv": (b"id\ttext\tn\na\tthe bank\t1\nb\tParis\tx\0\n", "line 3: the metadata are not JSON: NUL character (field 'n')"),
    "nan.jsonl": (b'{"id": "b", "text": "Paris", "n": NaN}\n{"id": "a", "text": "the bank"}', "line 1: the metadata are not JSON: Out of range"),
    "big.jsonl": (b'{"id": "a", "text": "the bank"}\n{"id": "b", "text": "Paris", "n": [1, 9223372036854775808]}', f"line 2: {WRONG}"),
    "key.jsonl": (b'{"id": "a", "text": "the bank"}\n{"id": "b", "text": "Paris", "n\\ud800": 1}', "line 2: the metadata are not JSON: not Unicode"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_metadata_that_cannot_be_kept_are_named_by_file_and_line(tmp_path: Path, glove_file: Path, name: str) -> None:
    content, said = BAD_ROWS[name]
    (tmp_path / name).write_bytes(content)
    the_row_is_named(tmp_path, glove_file, tmp_path / name, said)


def test_metadata_of_parquet_that_cannot_be_kept(tmp_path: Path, glove_file: Path) -> None:
    columns = {"id": ["a", "b"], "text": ["the bank", "Paris"]}
    for name, values, said in (
        ("u64", pa.array([2**63 - 1, 2**63], pa.uint64()), f"row 2: {WRONG}"),
        ("date", pa.array([0, 86_400_000 * 10**7], pa.date64()), "row 2: the field 'n' cannot be read: date value out of range"),
    ):
        pq.write_table(pa.table({**columns, "n": values}), tmp_path / f"{name}.parquet")
        the_row_is_named(tmp_path, glove_file, tmp_path / f"{name}.parquet", said)
    for name, values in (
        ("plain", pa.array([None, b"x"], pa.binary())),
        ("nested", pa.array([{"k": [b"x"]}] * 2, pa.struct([("k", pa.list_(pa.large_binary()))]))),
        ("dictionary", pa.array([b"x", b"y"], pa.binary()).dictionary_encode()),
    ):
        pq.write_table(pa.table({**columns, "n": values, "lang": ["en", "fr"]}), tmp_path / f"{name}.parquet")
        build = ("index", "build", tmp_path / f"{name}.parquet", "-o", tmp_path / name, "-m", glove_file)
        refused(run(*build), f"{name}.parquet: column 'n' holds bytes, which metadata cannot; --fields names the others")
        assert not (tmp_path / name).exists()
        assert run(*build, "--fields", "lang").exit_code == 0
        assert run(*build, "--fields", "n").exit_code == 2
    twice = pa.Table.from_arrays([pa.array(["the bank"]), pa.array([1]), pa.array([2])], names=["text", "n", "n"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    refused(run("index", "build", tmp_path / "twice.parquet", "-o", tmp_path / "x", "-m", glove_file), "2 columns called 'n'")


def the_row_is_named(folder: Path, model: Path, path: Path, said: str) -> None:
    """A build stops at the row of id b and names it, and leaves nothing; told to, it leaves the row out; so does an add."""
    place = folder / f"of {path.name}"
    refused(run("index", "build", path, "-o", place, "-m", model), f"{path}, {said}")
    assert not place.exists()
    done = run("index", "build", path, "-o", place, "-m", model, "--on-error", "skip")
    assert done.exit_code == 0, done.output
    assert f"1 bad rows left out, the first: {path}, {said}" in done.stderr
    refused(run("index", "add", place, path), f"{path}, {said}")
    with Collection.open(place) as collection:
        assert [item.id for item in collection.scan()] == ["a"]


def test_what_a_filter_is_true_of_is_exported_and_deleted(tmp_path: Path, glove_file: Path) -> None:
    place, out = tmp_path / "c", tmp_path / "out.jsonl"
    run("index", "build", reviews(tmp_path), "-o", place, "-m", glove_file)
    assert run("index", "export", place, out, "--where", "year >= 2021").stdout == f"3 items in {out}\n"
    kept = out.read_text()
    assert [json.loads(line)["id"] for line in kept.splitlines()] == ["b", "c", "d"]
    for where, said in (("land = 'en'", "did you mean 'lang'"), ("lang = en", "strings stand in quotes"), ("", "filter")):
        refused(run("index", "export", place, out, "--overwrite", "--where", where), said)
        refused(run("index", "delete", place, "--where", where), said)
    assert out.read_text() == kept
    refused(run("index", "delete", place), "which items? Give each ID, or --where")
    refused(run("index", "delete", place, "a", "--where", "lang = 'en'"), "one of the two")
    assert run("index", "delete", place, "--where", "lang = 'en' and year < 2022").stdout == "2 items deleted, 2 left\n"
    assert run("index", "delete", place, "--where", "lang = 'xx'").stdout == "0 items deleted, 2 left\n"
    assert run("index", "delete", place, "--where", "not lang is null").stdout == "2 items deleted, 0 left\n"
    assert run("index", "export", place, out, "--overwrite", "--where", "lang = 'en'").stdout == f"0 items in {out}\n"
    assert run("index", "check", place).stdout == "sound\n"


def test_check_mends_what_filters_ask(tmp_path: Path, glove_file: Path) -> None:
    place = tmp_path / "c"
    run("index", "build", reviews(tmp_path), "-o", place, "-m", glove_file)
    with sqlite3.connect(place / "collection.sqlite") as connection:
        connection.execute("DELETE FROM attributes WHERE value = 'en'")
    refused(run("index", "check", place), "3 of 4 items looked at have other attributes than their metadata say")
    mended = run("index", "check", place, "--repair")
    assert mended.stdout == "what filters ask was made anew from the metadata\nsound\n"
    assert run("index", "check", place, "--repair").stdout == "sound\n"
    assert run("index", "delete", place, "--where", "lang = 'en'").stdout == "3 items deleted, 1 left\n"
    assert "index: flat over 4 items" in run("index", "info", place).stdout


def test_drop_asks_first(tmp_path: Path, glove_file: Path) -> None:
    place = tmp_path / "c"
    run("index", "build", reviews(tmp_path), "-o", place, "-m", glove_file)
    question = f"Remove {place} with its 4 items? [y/N] "
    for answer in (b"n\n", b"\n", b"nonsense\n"):
        done = run("index", "drop", place, stdin=answer)
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", question + "nothing was removed\n")
    refused(run("index", "drop", place, stdin=b""), "nobody answered, so nothing was removed")
    assert run("index", "check", place).stdout == "sound\n"
    (place / "mine.txt").write_text("x")
    done = run("index", "drop", place, stdin=b"y\n")
    assert (done.exit_code, done.stdout) == (0, f"removed {place} with its 4 items\n")
    assert [path.name for path in place.iterdir()] == ["mine.txt"]
    refused(run("index", "drop", place, "--yes"), "holds no collection")
    (place / "mine.txt").unlink()
    run("index", "build", tmp_path / "t.csv", "-o", place, "-m", glove_file)
    lock = FileLock(place / "writer.lock")
    with lock:
        refused(run("index", "drop", place, "--yes"), "another process writes to it")
    assert run("index", "check", place).stdout == "sound\n"
    assert run("index", "drop", place, "--yes").stdout == f"removed {place} with its 4 items\n"
    assert not place.exists()


def test_a_build_that_fails_leaves_nothing_in_another_store(tmp_path: Path, glove_file: Path) -> None:
    pytest.importorskip("qdrant_edge")
    (tmp_path / "t.txt").write_text("the bank\n\nParis\n")
    place = f"qdrant-edge:{tmp_path}#notes"
    refused(run("index", "build", tmp_path / "t.txt", "-o", place, "-m", glove_file), "line 2: the row is empty")
    refused(run("index", "info", place), "there is no collection notes")
    assert run("index", "build", tmp_path / "t.txt", "-o", place, "-m", glove_file, "--on-error", "skip").exit_code == 0
    assert run("index", "delete", place, "--where", "lang = 'de'").exit_code == 2
    assert run("index", "drop", place, "--yes").stdout == f"removed {place} with its 2 items\n"
    refused(run("index", "drop", place, "--yes"), "there is no collection notes")


def test_hybrid_rerank_and_groups(tmp_path: Path, glove_file: Path) -> None:
    place = tmp_path / "c"
    run("index", "build", reviews(tmp_path), "-o", place, "-m", glove_file)
    (one,) = json.loads(run("search", place, "river", "--hybrid", "--format", "json").stdout)
    assert one["hits"][0]["id"] == "b"
    assert set(one["hits"][0]["parts"]) == {"dense", "dense_rank", "bm25", "bm25_rank"}
    (one,) = json.loads(run("search", place, "the river", "--rerank", "maxsim", "--format", "json").stdout)
    assert one["hits"][0]["id"] == "b"
    assert one["hits"][0]["score"] == one["hits"][0]["parts"]["rerank"]
    (one,) = json.loads(run("search", place, "the bank", "--group-by", "lang", "--format", "json").stdout)
    assert [hit["metadata"]["lang"] for hit in one["hits"]] in (["en", "fr"], ["fr", "en"])
    refused(run("search", place, "Paris", "--rerank", "nosuch"), "no model")


def test_copy_similar_and_collections(tmp_path: Path, glove_file: Path) -> None:
    table, place = reviews(tmp_path), tmp_path / "all" / "c"
    place.parent.mkdir()
    run("index", "build", table, "-o", place, "-m", glove_file)
    assert run("copy", place, tmp_path / "all" / "d").stdout == f"4 items copied to {tmp_path / 'all' / 'd'}\n"
    refused(run("copy", place, tmp_path / "all" / "d"), "holds 4 items already; --resume goes on")
    (tmp_path / "all" / "bad").mkdir()
    (tmp_path / "all" / "bad" / "collection.sqlite").write_bytes(b"garbage" * 1000)
    listed = json.loads(run("collections", tmp_path / "all", "--json").stdout)
    assert [(Path(one["place"]).name, one.get("items")) for one in listed] == [("bad", None), ("c", 4), ("d", 4)]
    assert "damaged" in run("collections", tmp_path / "all").stdout
    (tmp_path / "a.txt").write_text("the river\nParis\n")
    done = run("similar", tmp_path / "a.txt", table, "-m", glove_file, "--format", "tsv")
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [["1", "b"], ["2", "c"]]
    run("encode", tmp_path / "a.txt", "-o", tmp_path / "a.parquet", "-m", glove_file)
    run("encode", table, "-o", tmp_path / "b.npy", "-m", glove_file)
    assert run("similar", tmp_path / "a.parquet", tmp_path / "b.npy", "--format", "tsv").stdout == done.stdout
    refused(run("similar", tmp_path / "a.txt", tmp_path / "none.txt", "-m", glove_file), "none.txt")


def test_a_build_that_fails_leaves_nothing_in_the_way(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text("the bank\n\nzyxxy\nParis\n")
    build = ("index", "build", tmp_path / "t.txt", "-o", tmp_path / "c", "-m", glove_file)
    refused(run(*build), "line 2: the row is empty")
    assert not (tmp_path / "c").exists()
    done = run(*build, "--on-error", "skip")
    assert done.exit_code == 0, done.output
    assert "1 bad rows left out, the first:" in done.stderr
    assert "1 texts left out: nothing in them that the model knows" in done.stderr
    assert done.stdout.startswith("2 items new")
    (tmp_path / "other.txt").write_text("of the river\n")
    assert run("index", "add", tmp_path / "c", tmp_path / "other.txt").stdout.startswith("1 items new, 0 replaced")


def test_inputs_that_do_not_go_together(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXTS)
    run("encode", tmp_path / "t.txt", "-o", tmp_path / "v.npy", "-m", glove_file)
    run("index", "build", tmp_path / "v.npy", "-o", tmp_path / "c")
    refused(run("index", "build", tmp_path / "v.npy", tmp_path / "t.txt", "-o", tmp_path / "d"), "one kind at a time")
    refused(run("index", "build", tmp_path / "v.npy", tmp_path / "v.npy", "-o", tmp_path / "d"), "id '1' comes twice")
    refused(run("index", "build", tmp_path / "v.npy", "-o", tmp_path / "e", "--fields", "x"), "--fields does nothing")
    refused(run("index", "build", tmp_path / "c", "-o", tmp_path / "e", "-m", glove_file), "is a collection, not a file")
    refused(run("copy", tmp_path / "c", tmp_path / "c" / ".." / "c"), "not copied onto itself")
    refused(run("copy", tmp_path / "c", "redis:somewhere"), "no store is called 'redis'")
    os.mkfifo(tmp_path / "pipe.jsonl")
    refused(run("index", "export", tmp_path / "c", tmp_path / "pipe.jsonl", "--overwrite"), "is no file")
    assert not (tmp_path / "e").exists()


def test_what_newcomers_ran_into(tmp_path: Path, glove_file: Path) -> None:
    place, table = tmp_path / "c", tmp_path / "t.jsonl"
    rows = [("a", ["space", "öl"]), ("b", ["spam", "zoo"]), ("c", ["ape", "x", "spa"]), ("d", ["apple"])]
    table.write_text("\n".join(json.dumps({"id": name, "text": "the bank", "tags": tags}) for name, tags in rows))
    with pytest.warns(FieldNotThere, match=r"no line has a field 'nope' \(--fields\)"):
        run("index", "build", table, "-o", place, "-m", glove_file, "--fields", "tags,nope")
    out = tmp_path / "e.jsonl"
    run("index", "export", place, out, "--where", "tags startswith 'sp'")
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["a", "b", "c"]
    for name in ("e.parquet", "e.jsonl.gz", "-"):
        refused(run("index", "export", place, name), "an export is JSON lines")
    refused(run("similar", table, table, "-m", glove_file, "--min-score", "nan"), "min_score must be a number, not nan")
    refused(run("similar", table, place, "-m", glove_file), "is a collection, not a file of texts")
    refused(run("compare", glove_file, glove_file, "--texts", place), "is a collection, not a file of texts")
    refused(run("search", tmp_path / "none", "the"), "none: is not there")
    refused(run("search", table, "the"), "is a file, not a collection")
    refused(run("index", "build", table, "-o", table, "-m", glove_file), "is a file; a collection is a folder")
    told = run("index", "delete", place, "-", stdin=b"a\r\nb\r\nnope\r\n")
    assert told.stdout == "2 items deleted, 2 left, 1 ids were not there\n"


def test_an_interrupted_build_says_what_is_kept(tmp_path: Path, glove_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.txt").write_text(TEXTS)
    whole = Searcher.add

    def broken_off(self: Searcher, *given: object) -> Iterator[object]:
        yield from whole(self, *given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Searcher, "add", broken_off)
    done = run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "c", "-m", glove_file)
    assert done.exit_code == 130
    assert "items are kept in" in done.stderr
    assert "'semvec index add' adds the others" in done.stderr
