"""Whatever a command writes has the permissions that the umask gives, whichever library wrote it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_encode import run
from tests.encoders.test_train import TEXTS

SUFFIXES = ("npy", "npz", "parquet", "safetensors", "jsonl", "vec", "bin")


@pytest.fixture(params=[0o022, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_outputs_follow_the_umask(tmp_path: Path, umask: int, glove_file: Path, sentence_folder: Path) -> None:
    texts, out = tmp_path / "t.txt", tmp_path / "out"
    texts.write_text("\n".join(TEXTS))
    out.mkdir()
    for args in (
        ("distill", sentence_folder, "-o", out / "static", "--device", "cpu"),
        ("convert", glove_file, out / "words", "--sif", texts),
        ("train", "fasttext", texts, "-o", out / "trained", "--dim", "4", "--epochs", "1", "--buckets", "50"),
        *(("encode", texts, "-o", out / f"x.{suffix}", "-m", glove_file) for suffix in SUFFIXES),
        ("index", "build", texts, "-o", out / "collection", "-m", glove_file),
        ("index", "optimise", out / "collection", "--kind", "hnsw"),
    ):
        done = run(*args)
        assert done.exit_code == 0, done.output
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"model.safetensors", "ngrams.npy", "sif.npy", "x.npz", "words.parquet"}
    wrong = {
        str(path.relative_to(out)): oct(mode) for path in files if (mode := stat.S_IMODE(path.stat().st_mode)) != 0o666 & ~umask
    }
    assert not wrong
    folders = {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_dir()}
    assert folders == {0o777 & ~umask}
