"""``semvec inspect``, as a shell runs it, on models of all kinds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import semvec
from semvec.encoders.static import StaticEncoder
from semvec.encoders.word import WordEncoder
from tests.cli.test_encode import refused, run
from tests.encoders.test_train import TEXTS

SMALL = ("--dim", "8", "--min-count", "2", "--epochs", "2", "--seed", "7", "-q")


@pytest.mark.parametrize("name", ["glove.txt", "glove.vec", "glove.bin"])
def test_a_file_of_word_vectors(tmp_path: Path, glove_file: Path, name: str) -> None:
    shutil.copy(glove_file, tmp_path / name)
    table = WordEncoder.from_pretrained(glove_file).table
    shown = run("inspect", tmp_path / name, "-n", "2").stdout.splitlines()
    assert shown[0] == f"{tmp_path / name}: 8 words of 4 numbers, weights {table.weights[:16]}"
    assert shown[2:] == ["the first rows:", "  the  [0.100 0.200 -0.300 0.500]", "  bank  [0.900 -0.100 0.300 0.250]"]
    assert json.loads(run("inspect", tmp_path / name, "--json").stdout)["weights"] == table.weights


def test_a_name(glove_file: Path) -> None:
    shown = run("inspect", "glove-50d", "-n", "1").stdout
    assert shown.startswith("glove-50d: 400,000 words of 50 numbers, weights ")
    assert shown.endswith("the first rows:\n  the  [0.418 0.250 -0.412 0.122 …]\n")


def test_a_static_model(static_folder: Path) -> None:
    encoder = semvec.load_encoder(static_folder)
    assert isinstance(encoder, StaticEncoder)
    shown = run("inspect", static_folder).stdout
    tokens, dim = encoder.table.vectors.shape
    assert f"{tokens:,} tokens of {dim} numbers, weights {encoder.table.weights[:16]}" in shown
    assert json.loads(run("inspect", static_folder, "--json").stdout)["tokens"] == tokens


def test_a_transformer(sentence_folder: Path, folders: dict[str, Path]) -> None:
    shown = run("inspect", sentence_folder).stdout
    assert f"{sentence_folder}: a sentence model in {sentence_folder}" in shown
    assert f"--model {sentence_folder}' encodes with it" in shown
    assert json.loads(run("inspect", folders["bert"], "--json").stdout)["family"] == "contextual"


def test_a_trained_model_in_readable_lines(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join(TEXTS))
    for kind, old in (("fasttext", ()), ("fasttext", ("--continue", tmp_path / "m0"))):
        done = run("train", kind, tmp_path / "t.txt", "-o", tmp_path / f"m{len(old) // 2}", *SMALL, *old)
        assert done.exit_code == 0, done.output
    shown = run("inspect", tmp_path / "m1", "-n", "1").stdout
    assert not set("{}'") & set(shown)
    assert "None" not in shown
    first = WordEncoder.from_pretrained(tmp_path / "m0").table
    words = sum(len(text.split()) for text in TEXTS)
    assert "\n  n-grams: of 3 to 6 characters, 200,000 vectors" in shown
    assert "\ntrained: fasttext cbow, dim 8, window 5, min count 2, " in shown
    assert f"\n  corpus: 200 texts, {words:,} words, sha256 " in shown
    assert f"\n  went on from: weights {first.weights[:16]}\n" in shown
    assert first.counts is not None
    assert f"\n  {first.words[0]}  [" in shown
    assert shown.endswith(f" …]  {2 * int(first.counts[0]):,} times\n")
    header = json.loads(run("inspect", tmp_path / "m1", "--json").stdout)
    assert header == json.loads((tmp_path / "m1" / "header.json").read_text())


def test_what_cannot_be_shown(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text("the bank\nParis\n")
    (tmp_path / "pickle").write_bytes(b"\x80\x04.")
    assert run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "c", "-m", glove_file, "-q").exit_code == 0
    assert run("encode", tmp_path / "t.txt", "-o", tmp_path / "x.vec", "-m", glove_file, "-q").exit_code == 0
    (tmp_path / "x.vec.json").write_text("{")
    refused(run("inspect", tmp_path / "c"), "a collection; 'semvec index info")
    refused(run("inspect", tmp_path / "pickle"), "a pickle; 'semvec convert", "--trust-pickle")
    refused(run("inspect", tmp_path / "x.vec"), "x.vec")
    refused(run("inspect", tmp_path), "no model that semvec knows")
    refused(run("inspect", "glove-50"), "no such file, and no model here that is called so (did you mean 'glove-50d'?)")
