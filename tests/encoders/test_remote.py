"""Texts and vectors that lie elsewhere: what comes out is what the same files here give."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from semvec.embeddings.storage import read_embeddings, read_header
from semvec.encoders.files import check_run, encode_files
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, MissingExtra, OutputError, OutputExists, ResumeMismatch
from semvec.text.remote import path_in, shown
from semvec.text.sources import find_sources, identify
from tests.sample import TEXTS

LINES = [" ".join(text.split()) for text in TEXTS if text.strip()]
PLAIN = ("\n".join(LINES) + "\n").encode()


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    system = fsspec.filesystem("memory")
    system.store.clear()
    table = pa.table({"id": [f"t{i}" for i in range(len(LINES))], "text": LINES})
    with system.open("/in/a.parquet", "wb") as stream:
        pq.write_table(table, stream)
    for name, content in (("b.txt", PLAIN), ("c.txt.gz", gzip.compress(PLAIN)), ("d.txt.zst", zstandard.compress(PLAIN))):
        system.pipe(f"/in/{name}", content)
    yield system
    system.store.clear()


@pytest.mark.parametrize("name", ["a.parquet", "b.txt", "c.txt.gz", "d.txt.zst"])
def test_texts_elsewhere_give_the_same_vectors(name: str, memory: Any, tmp_path: Path, word: WordEncoder) -> None:
    local = tmp_path / name
    local.write_bytes(memory.cat(f"/in/{name}"))
    encode_files([local], "here.npz", word)
    report = encode_files([f"memory://in/{name}"], "there.npz", word)
    here, there = read_embeddings("here.npz"), read_embeddings("there.npz")
    assert report.texts == len(LINES)
    assert list(here.ids) == list(there.ids)
    assert here.vectors.tobytes() == there.vectors.tobytes()


def test_vectors_go_elsewhere_whole(memory: Any, tmp_path: Path, word: WordEncoder) -> None:
    encode_files(["memory://in/b.txt"], "here.parquet", word)
    report = encode_files(["memory://in/b.txt"], "memory://out/v.parquet", word)
    assert report.url == "memory://out/v.parquet"
    (tmp_path / "back.parquet").write_bytes(memory.cat("/out/v.parquet"))
    assert (tmp_path / "back.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"here.parquet", "back.parquet"}  # nothing is left here
    with pytest.raises(OutputExists, match="memory://out/v.parquet: exists already"):
        check_run(["memory://in/b.txt"], "memory://out/v.parquet")
    encode_files(["memory://in/a.parquet"], "memory://out/v.parquet", word, overwrite=True)
    encode_files(["memory://in/b.txt"], "memory://out/w.npy", word)  # three files
    assert memory.exists("/out/w.npy")
    assert len(memory.ls("/out")) > 2


def test_bad_rows_are_listed_beside_it(memory: Any, word: WordEncoder) -> None:
    memory.pipe("/in/bad.txt", PLAIN + b"\n\xff\n")
    report = encode_files(["memory://in/bad.txt"], "memory://out/v.npz", word, on_error="skip")
    assert report.skipped == 2
    assert report.errors_file == "v.npz.errors.jsonl"
    assert memory.cat("/out/v.npz.errors.jsonl").count(b"\n") == 2


def test_what_cannot_be_delivered_stays_and_is_tried_again(
    memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: WordEncoder
) -> None:
    opened = type(memory).open

    def full(self: Any, path: str, mode: str = "rb", **more: Any) -> Any:
        if "w" in mode:
            raise PermissionError("no room")
        return opened(self, path, mode, **more)

    with monkeypatch.context() as patched:
        patched.setattr(type(memory), "open", full)
        with pytest.raises(OutputError, match=r"no room; it is whole in v\.\w+\.remote\.npz, --resume tries again"):
            encode_files(["memory://in/b.txt"], "memory://out/v.npz", word)
    assert list(tmp_path.glob("v.*.remote.npz"))
    report = encode_files(["memory://in/b.txt"], "memory://out/v.npz", word, resume=True)
    assert report.resumed == len(LINES)
    assert memory.exists("/out/v.npz")


def test_a_file_here_of_the_same_name_stays(memory: Any, tmp_path: Path, word: WordEncoder) -> None:
    (tmp_path / "v.npz").write_text("mine")
    encode_files(["memory://in/b.txt"], "memory://out/v.npz", word, overwrite=True)
    assert (tmp_path / "v.npz").read_text() == "mine"
    encode_files(["memory://in/b.txt"], f"file://{tmp_path}/w.npz", word)  # the folder that we are in
    assert len(read_embeddings("w.npz")) == len(LINES)


def test_an_output_is_no_input(memory: Any, word: WordEncoder) -> None:
    encode_files(["memory://in/*.txt"], "memory://in/v.npz", word)
    memory.pipe("/in/b.npz", PLAIN)
    assert all("v.npz" not in source.path for source in find_sources("memory://in", output="memory://in/v.npz"))
    with pytest.raises(InputError, match="is what would be written"):
        encode_files(["memory://in/b.npz"], "memory:///in/b.npz", word, overwrite=True)


def test_what_was_listed_before_goes(memory: Any, word: WordEncoder) -> None:
    memory.pipe("/in/bad.txt", PLAIN + b"\n\xff\n")
    encode_files(["memory://in/bad.txt"], "memory://out/v.npz", word, on_error="skip")
    encode_files(["memory://in/b.txt"], "memory://out/v.npz", word, overwrite=True)
    assert not memory.exists("/out/v.npz.errors.jsonl")


def test_a_folder_that_is_not_there_is_told_first(memory: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        check_run(["memory://in/b.txt"], f"file://{tmp_path}/nowhere/v.npz")
    with pytest.raises(OutputError, match="cannot be written"):
        check_run(["memory://in/b.txt"], "https://127.0.0.1/v.npz")


def test_no_secret_is_shown() -> None:
    assert shown("https://me:pw@host/a.csv?X-Signature=s3cret") == "https://host/a.csv"
    assert shown("s3://bucket/a.csv") == "s3://bucket/a.csv"
    assert path_in("https://host/a.csv.gz?sig=1") == "/a.csv.gz"


def test_a_file_that_changed_is_another_run(memory: Any, word: WordEncoder) -> None:
    encode_files(["memory://in/b.txt"], "v.npz", word)
    memory.pipe("/in/b.txt", PLAIN + b"one more\n")
    with pytest.raises(ResumeMismatch):
        encode_files(["memory://in/b.txt"], "v.npz", word, resume=True)


def test_folders_and_globs(memory: Any) -> None:
    memory.pipe("/in/.hidden", b"x")
    assert [source.path for source in find_sources("memory://in/*.txt*")] == [
        "memory:///in/b.txt",
        "memory:///in/c.txt.gz",
        "memory:///in/d.txt.zst",
    ]
    kinds = {source.path.rpartition("/")[2]: source.kind for source in find_sources("memory://in")}
    assert kinds == {"a.parquet": "parquet", "b.txt": "file", "c.txt.gz": "file", "d.txt.zst": "file"}
    assert identify(find_sources("memory://in/a.parquet"))[1] == len(LINES)
    with pytest.raises(InputError, match="is the same file"):
        find_sources(["memory://in/b.txt", "memory://in/b.txt"])


@pytest.mark.parametrize("url", ["memory://in/nothing.txt", "memory://in/*.xyz", "nosuch://x/y.txt", "file:///no/such/place"])
def test_what_is_not_there(url: str, memory: Any) -> None:
    with pytest.raises(InputError, match=url.replace("*", r"\*")):
        find_sources(url)


def test_a_place_that_needs_a_library(memory: Any) -> None:
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match="s3fs"):
            find_sources("s3://bucket/texts.txt")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *rest: Any) -> None:
        pass

    def do_GET(self) -> None:
        if "cut" not in self.path:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"a text\n" * 10)


def test_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: WordEncoder) -> None:
    (tmp_path / "texts.txt").write_bytes(PLAIN)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.chdir(tmp_path)
    try:
        url = f"http://127.0.0.1:{server.server_port}/texts.txt"
        assert encode_files([url], "v.npz", word).texts == len(LINES)
        with pytest.raises(InputError, match="no such file"):
            find_sources(url + "x")
        where = f"127.0.0.1:{server.server_port}"
        (tmp_path / "table.csv").write_text("id,text\n1,the bank\n2,the river\n")
        report = encode_files([f"http://me:s3cret@{where}/table.csv?sig=s3cret2"], "t.npz", word)
        assert report.texts == 2  # rows, whatever follows the name
        assert b"s3cret" not in Path("t.npz").read_bytes()
        assert "s3cret" not in json.dumps(read_header(Path("t.npz")).job)
        with pytest.raises(InputError) as told:
            encode_files([f"http://me:s3cret@{where}/nothing.csv?sig=s3cret2"], "u.npz", word)
        assert "s3cret" not in str(told.value)
        (tmp_path / "table.csv").write_text("id,text\n1,the bank\n2,a bridge\n")  # as long as before
        os.utime(tmp_path / "table.csv", (1, 1))
        with pytest.raises(ResumeMismatch):
            encode_files([f"http://{where}/table.csv"], "t.npz", word, resume=True)
        with pytest.raises(InputError, match="cut.txt: cannot be read"):
            encode_files([f"http://{where}/cut.txt"], "c.npz", word)
    finally:
        server.shutdown()
