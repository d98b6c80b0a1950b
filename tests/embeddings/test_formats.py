"""The formats as other tools see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from semvec.embeddings.storage import format_of, read_embeddings, read_header, write_embeddings
from semvec.errors import FormatError, OutputError
from tests.sample import TEXTS


def test_numpy_reads_npy_and_npz(tmp_path: Path, sentence: Any) -> None:
    found = sentence.encode(TEXTS)
    for suffix in (".npy", ".npz"):
        write_embeddings(found, tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), found.vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["vectors"], found.vectors)
    assert isinstance(read_embeddings(tmp_path / "x.npy").vectors, np.memmap)


def test_the_safetensors_library_reads_safetensors(tmp_path: Path, sentence: Any) -> None:
    from safetensors.numpy import load_file

    found = sentence.encode(TEXTS, level="token")
    write_embeddings(found, tmp_path / "x.safetensors")
    tensors = load_file(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(tensors["vectors"], found.vectors)
    np.testing.assert_array_equal(tensors["text_index"], found.text_index)


def test_parquet_is_a_plain_table(tmp_path: Path, sentence: Any) -> None:
    found = sentence.encode(["the bank", "", "river"], level="word").with_ids(["a", "b", "c"])
    write_embeddings(found, tmp_path / "x.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert [(row["id"], row["surface"], row["start"]) for row in table] == [
        ("a", "the", 0),
        ("a", "bank", 4),
        ("b", None, None),
        ("c", "river", 0),
    ]
    np.testing.assert_array_equal(np.array(table[1]["vector"], np.float32), found.vectors[1])
    assert table[2]["vector"] is None


def test_jsonl_is_plain_json(tmp_path: Path, sentence: Any) -> None:
    found = sentence.encode(["the bank", ""], level="word").with_ids(["a", "b"])
    write_embeddings(found, tmp_path / "x.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [row["surface"] for row in rows] == ["the", "bank", None]
    np.testing.assert_array_equal(np.array(rows[0]["vector"], np.float32), found.vectors[0])


@pytest.mark.parametrize("suffix", [".vec", ".bin"])
def test_gensim_reads_word2vec(tmp_path: Path, sentence: Any, suffix: str) -> None:
    from gensim.models import KeyedVectors

    found = sentence.encode(TEXTS[:4]).with_ids(["a", "b c", "50%", "中"])
    write_embeddings(found, tmp_path / f"x{suffix}")
    keyed = KeyedVectors.load_word2vec_format(str(tmp_path / f"x{suffix}"), binary=suffix == ".bin")
    assert list(keyed.key_to_index) == ["a", "b%20c", "50%25", "中"]
    np.testing.assert_allclose(keyed.vectors, found.vectors, atol=1e-7)
    words = sentence.encode(["the bank the"], level="word")
    write_embeddings(words, tmp_path / f"w{suffix}")
    keyed = KeyedVectors.load_word2vec_format(str(tmp_path / f"w{suffix}"), binary=suffix == ".bin")
    assert list(keyed.key_to_index) == ["the@0:0", "bank@0:4", "the@0:9"]


def test_foreign_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    with pytest.raises(FormatError, match="no header beside it"):
        read_embeddings(tmp_path / "x.npy")
    with pytest.raises(FormatError, match="no such file"):
        read_header(tmp_path / "nowhere.npy")
    with pytest.raises(FormatError, match=r"not kept as \.txt; choose from \.npy"):
        format_of("x.txt")
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match="without a header"):
        read_embeddings(tmp_path / "model.safetensors")
    (tmp_path / "p.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "p.npy.json").write_text('{"format": "something else"}')
    with pytest.raises(FormatError, match="not a vectors file of semvec"):
        read_embeddings(tmp_path / "p.npy")


def test_outputs_that_cannot_be(tmp_path: Path, word: Any) -> None:
    found = word.encode(["a"])
    with pytest.raises(OutputError, match="does not exist"):
        write_embeddings(found, tmp_path / "no" / "x.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_embeddings(found, tmp_path / "folder.npy")


def test_object_arrays_are_never_unpickled(tmp_path: Path, word: Any) -> None:
    write_embeddings(word.encode(["a"]), tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="not an array that can be read"):
        read_embeddings(tmp_path / "x.npy")
