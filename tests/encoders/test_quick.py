"""A BERT that is read from its folder without transformers is the one that transformers loads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.contextual import ContextualEncoder, _loaded
from semvec.encoders.quick import quick_modules, quick_transformer
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.transformer import Transformer
from semvec.errors import ModelError
from tests import tiny
from tests.sample import TEXTS


def as_transformers(folder: Path) -> Transformer:
    return _loaded(folder, "cpu", trust_pickle=False, trust_remote_code=False)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_it_is_the_same_model(folders: dict[str, Path], kind: str) -> None:
    quick, whole = quick_transformer(folders[kind], "cpu"), as_transformers(folders[kind])
    assert quick is not None
    assert quick.is_read
    for name in ("max_tokens", "limit", "n_layers", "hidden"):
        assert getattr(quick, name) == getattr(whole, name)
    for name in ("prefix", "suffix", "pad"):
        assert getattr(quick.tokenizer, name) == getattr(whole.tokenizer, name)
    for one, other in zip(quick.tokenizer(TEXTS), whole.tokenizer(TEXTS), strict=True):
        for name in ("ids", "start", "end"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    encoders = [ContextualEncoder(its, model="m", weights="w") for its in (quick, whole)]
    for backend in ("auto", "torch"):
        one, other = (encoder.encode(TEXTS, backend=backend, level="token") for encoder in encoders)
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_sentence_models(tmp_path: Path, pooling: str, normalize: bool) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny.make_sentence_model(tmp_path, pooling=pooling, normalize=normalize, prompts={"query": "query: "})
    own, theirs = SentenceEncoder.from_pretrained(folder, device="cpu"), SentenceTransformer(str(folder), device="cpu")
    assert own.transformer.is_read
    np.testing.assert_allclose(own.encode(TEXTS).vectors, theirs.encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(own.encode_query(TEXTS).vectors, theirs.encode_query(TEXTS), atol=1e-5)
    loaded = SentenceEncoder.of(theirs, name=own.model, weights=own.weights, config=own.fingerprint.settings["config"])
    assert loaded.fingerprint == own.fingerprint
    assert (loaded.prompts, loaded.options, loaded.max_tokens) == (own.prompts, own.options, own.max_tokens)


def test_older_files_name_their_pooling_otherwise(tmp_path: Path) -> None:
    folder = tiny.make_sentence_model(tmp_path, pooling="cls")
    assert quick_modules(folder) is not None
    old = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20, "do_lower_case": false}')
    found = quick_modules(folder)
    assert found is not None
    assert (found.pooling, found.max_tokens) == (("cls", "mean"), 20)
    assert SentenceEncoder.from_pretrained(folder, device="cpu").max_tokens == 20
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20, "do_lower_case": true}')
    assert quick_modules(folder) is None  # sentence-transformers would write texts in small letters first


def test_what_is_out_of_the_ordinary_is_left_to_the_libraries(tmp_path: Path, folders: dict[str, Path]) -> None:
    assert quick_transformer(folders["bert"], "cuda") is None
    assert [quick_transformer(folders[kind], "cpu") for kind in ("gpt2", "llama", "t5")] == [None] * 3
    for file, change in (
        ("config.json", {"architectures": ["MyBert"]}),
        ("config.json", {"hidden_act": "relu"}),
        ("tokenizer_config.json", {"tokenizer_class": "MyTokenizer"}),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": False}),
    ):
        folder = tmp_path / "m"
        shutil.copytree(folders["bert"], folder)
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
        assert quick_transformer(folder, "cpu") is None
        shutil.rmtree(folder)


def test_a_damaged_folder_is_told_by_the_library(tmp_path: Path, folders: dict[str, Path]) -> None:
    shutil.copytree(folders["bert"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        ContextualEncoder.from_pretrained(tmp_path / "m")


def test_nothing_heavy_is_imported(sentence_folder: Path) -> None:
    code = (
        f"import sys, semvec; semvec.load_encoder({str(sentence_folder)!r}, device='cpu').encode(['the bank']);"
        "print([name for name in ('transformers', 'sentence_transformers', 'scipy', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
