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
from semvec.encoders.model_folder import weights_hash
from semvec.encoders.quick import quick_modules, quick_transformer
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.transformer import Transformer
from semvec.errors import ModelError
from tests import tiny
from tests.sample import TEXTS


def quick(folder: Path, device: str) -> Transformer | None:
    return quick_transformer(folder, device, weights_hash(folder))


def as_transformers(folder: Path) -> Transformer:
    return _loaded(folder, "cpu", trust_pickle=False, trust_remote_code=False)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_it_is_the_same_model(folders: dict[str, Path], kind: str) -> None:
    own, whole = quick(folders[kind], "cpu"), as_transformers(folders[kind])
    assert own is not None
    assert own.is_read
    for name in ("max_tokens", "limit", "n_layers", "hidden"):
        assert getattr(own, name) == getattr(whole, name)
    for name in ("prefix", "suffix", "pad"):
        assert getattr(own.tokenizer, name) == getattr(whole.tokenizer, name)
    for one, other in zip(own.tokenizer(TEXTS), whole.tokenizer(TEXTS), strict=True):
        for name in ("ids", "start", "end"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    encoders = [ContextualEncoder(its, model="m", weights="w") for its in (own, whole)]
    for backend in ("auto", "torch"):
        one, other = (
            encoders[0].encode(TEXTS, backend=backend, level="token"),
            encoders[1].encode(TEXTS, backend="torch", level="token"),
        )
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
    from sentence_transformers import SentenceTransformer

    folder = tiny.make_sentence_model(tmp_path, pooling="cls", normalize=False)
    old = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old))
    about = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(about | {"model_max_length": 16}))
    for length in (12, 40):  # a length of its own stands in the place of the tokenizer's
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length, "do_lower_case": False}))
        own, theirs = SentenceEncoder.from_pretrained(folder, device="cpu"), SentenceTransformer(str(folder), device="cpu")
        assert own.transformer.is_read
        assert own.max_tokens == length
        texts = [*TEXTS, " ".join(TEXTS)]
        np.testing.assert_allclose(own.encode(texts).vectors, theirs.encode(texts), atol=1e-5)


def test_dimensions_that_a_model_says_to_keep(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny.make_sentence_model(tmp_path)
    about = json.loads((folder / "config_sentence_transformers.json").read_text())
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about | {"truncate_dim": 8}))
    own, theirs = SentenceEncoder.from_pretrained(folder, device="cpu"), SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(own.encode(TEXTS).vectors, theirs.encode(TEXTS, normalize_embeddings=True), atol=1e-5)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": True}),
        ("sentence_roberta_config.json", {"max_seq_length": 9}),
        ("modules.json", [{"idx": 0, "path": "", "type": "my_own.Transformer"}]),
        ("config_sentence_transformers.json", {"truncate_dim": 8}),
        ("config_sentence_transformers.json", {"default_prompt_name": "none"}),
        ("1_Pooling/config.json", {"pooling_mode": "mean", "odd": 1}),
    ],
)
def test_modules_out_of_the_ordinary(tmp_path: Path, file: str, change: object) -> None:
    folder = tiny.make_sentence_model(tmp_path)
    assert quick_modules(folder) is not None
    (folder / file).write_text(json.dumps(change))
    assert quick_modules(folder) is None


def as_bert(folder: Path, place: Path, tokenizer: dict[str, object], settings: dict[str, object]) -> Path:
    """The tiny BERT with a tokenizer of the class BertTokenizer, which transformers makes anew by its settings."""
    shutil.copytree(folder, place)
    written, about = (json.loads((place / name).read_text()) for name in ("tokenizer.json", "tokenizer_config.json"))
    about = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64} | settings
    written["normalizer"] |= {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    written["normalizer"] |= tokenizer
    (place / "tokenizer.json").write_text(json.dumps(written))
    (place / "tokenizer_config.json").write_text(json.dumps({name: its for name, its in about.items() if its is not None}))
    return place


def test_a_tokenizer_that_transformers_makes_anew(tmp_path: Path, folders: dict[str, Path]) -> None:
    plain = as_bert(folders["bert"], tmp_path / "plain", {}, {})
    own = quick(plain, "cpu")
    assert own is not None
    theirs = as_transformers(plain)
    for one, other in zip(own.tokenizer(TEXTS), theirs.tokenizer(TEXTS), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
    for at, (tokenizer, settings) in enumerate(
        (
            ({"lowercase": False}, {"do_lower_case": None}),
            ({"strip_accents": False}, {}),
            ({"clean_text": False}, {}),
            ({}, {"cls_token": "[SEP]"}),
            ({}, {"split_special_tokens": True}),
            ({}, {"max_len": 20}),
            ({}, {"additional_special_tokens": ["the"]}),
            ({}, {"added_tokens_decoder": {"9": {"content": "bank"}}}),
            ({}, {"model_max_length": None}),
        )
    ):
        assert quick(as_bert(folders["bert"], tmp_path / str(at), tokenizer, settings), "cpu") is None


def test_what_is_out_of_the_ordinary_is_left_to_the_libraries(tmp_path: Path, folders: dict[str, Path]) -> None:
    assert quick(folders["bert"], "cuda") is None
    assert [quick(folders[kind], "cpu") for kind in ("gpt2", "llama", "t5")] == [None] * 3
    for file, change in (
        ("config.json", {"architectures": ["MyBert"]}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}),
        ("config.json", {"vocab_size": 10}),
        ("config.json", {"max_position_embeddings": 32}),
        ("config.json", {"pad_token_id": None}),
        ("tokenizer_config.json", {"tokenizer_class": "MyTokenizer"}),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": False}),
    ):
        folder = tmp_path / "m"
        shutil.copytree(folders["bert"], folder)
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
        assert quick(folder, "cpu") is None
        shutil.rmtree(folder)


def test_weights_that_were_replaced_are_not_taken_for_those_read(tmp_path: Path, folders: dict[str, Path]) -> None:
    shutil.copytree(folders["bert"], tmp_path / "m")
    encoder = ContextualEncoder.from_pretrained(tmp_path / "m", device="cpu")
    encoder.encode(TEXTS)
    whole = (tmp_path / "m" / "model.safetensors").read_bytes()
    (tmp_path / "m" / "model.safetensors").unlink()
    (tmp_path / "m" / "model.safetensors").write_bytes(whole[:-4] + b"\x00\x00\x00\x40")
    with pytest.raises(ModelError, match="holds other weights than those that were read"):
        encoder.encode(TEXTS, backend="torch")


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
