"""Static vectors against model2vec's and sentence-transformers' own, and what is not in the vocabulary."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from semvec.encoders.catalog import load_encoder
from semvec.encoders.static import StaticEncoder
from semvec.errors import ModelError, OptionError
from semvec.types import Metric, Oov
from tests import tiny
from tests.sample import TEXTS

UNKNOWN = ["☃ ☃", "the ☃ bank", "", "   \t"]


@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"quantised": True}])
def test_texts_are_model2vecs(tmp_path: Path, options: dict[str, bool]) -> None:
    from model2vec import StaticModel

    folder = tiny.make_static_model(tmp_path / "m", **options)
    texts = [*TEXTS, *UNKNOWN]
    expected = StaticModel.from_pretrained(folder).encode(texts)
    encoder = load_encoder(folder)
    assert isinstance(encoder, StaticEncoder)
    found = encoder.encode(texts)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert found.fingerprint.normalized == options.get("normalize", True)
    assert found.oov.tolist() == [Oov.EXACT] * len(TEXTS) + [Oov.ZERO, Oov.EXACT, Oov.ZERO, Oov.ZERO]


@pytest.mark.parametrize("normalize", [True, False])
def test_texts_are_sentence_transformers(tmp_path: Path, normalize: bool) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny.make_static_model(
        tmp_path / "m",
        kind="sentence-transformers",
        normalize=normalize,
        prompts={"query": "the right to ", "all": "bank: "},
        default_prompt_name="all",
        similarity_fn_name="dot",
    )
    theirs = SentenceTransformer(str(folder), device="cpu")
    texts = [*TEXTS, *UNKNOWN[:2]]
    encoder = load_encoder(folder)
    assert isinstance(encoder, StaticEncoder)
    assert encoder.metric == Metric.DOT
    np.testing.assert_allclose(encoder.encode(texts).vectors, theirs.encode(texts), atol=1e-5)
    asked = theirs.encode(texts, prompt_name="query")
    np.testing.assert_allclose(encoder.encode_query(texts).vectors, asked, atol=1e-5)
    bare = theirs.encode(texts, prompt="")
    np.testing.assert_allclose(encoder.encode(texts, prompt="").vectors, bare, atol=1e-5)
    assert encoder.encode(texts).n_tokens.tolist() == encoder.encode(texts, prompt="").n_tokens.tolist()


def test_a_model2vec_model_is_the_same_to_sentence_transformers(static_folder: Path, static: StaticEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(static_folder), device="cpu").encode(["the bank", "all human beings"])
    np.testing.assert_allclose(static.encode(["the bank", "all human beings"]).vectors, theirs, atol=1e-5)


def test_no_text_is_cut_and_padding_is_no_text(tmp_path: Path, static_folder: Path, static: StaticEncoder) -> None:
    from model2vec import StaticModel

    shutil.copytree(static_folder, tmp_path / "m")
    settings = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    settings["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    settings["padding"] = {
        "strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    (tmp_path / "m" / "tokenizer.json").write_text(json.dumps(settings))
    long = ["the bank of the river " * 300, "Paris " * 600 + "river"]
    found = load_encoder(tmp_path / "m").encode(long)
    np.testing.assert_array_equal(found.vectors, static.encode(long).vectors)
    np.testing.assert_allclose(found.vectors, StaticModel.from_pretrained(static_folder).encode(long, max_length=None), atol=1e-5)
    assert found.n_truncated.tolist() == [0, 0]
    assert static.count_tokens(long)[0].tolist() == found.n_tokens.tolist() == [1500, found.n_tokens[1]]


def test_words_tokens_and_spans_by_hand(static: StaticEncoder, static_folder: Path) -> None:
    table, vocabulary = load_file(static_folder / "model.safetensors")["embeddings"], static.table.tokenizer.get_vocab()
    text = "The bank ☃, naïve"
    tokens = static.encode([text], level="token")
    assert [text[a:b] for a, b in zip(tokens.start, tokens.end, strict=True)] == tokens.surface.tolist()
    names = static.table.tokenizer.encode(text, add_special_tokens=False).tokens
    assert names[:4] == ["the", "bank", "[UNK]", ","]
    expected = table[[vocabulary[name] for name in names]]
    expected[2] = 0
    np.testing.assert_allclose(tokens.vectors, expected)
    assert tokens.oov.tolist() == [Oov.ZERO if name == "[UNK]" else Oov.EXACT for name in names]
    words = static.encode([text], level="word")
    assert words.surface.tolist() == ["The", "bank", "☃", "naïve"]
    np.testing.assert_allclose(words.vectors[:2], expected[:2])
    np.testing.assert_allclose(words.vectors[3], expected[4:].mean(0), atol=1e-6)
    assert not words.vectors[2].any()
    assert words.oov.tolist() == [Oov.EXACT, Oov.EXACT, Oov.ZERO, Oov.EXACT]
    first = static.encode([text], level="word", subword="first").vectors[3]
    np.testing.assert_allclose(first, expected[4])
    whole = np.delete(expected, 2, axis=0).mean(0)
    np.testing.assert_allclose(static.encode([text]).vectors[0], whole / np.linalg.norm(whole), atol=1e-6)
    span = expected[:2].mean(0)
    np.testing.assert_allclose(
        static.encode(["[The bank ☃], naïve"], level="span").vectors[0], span / np.linalg.norm(span), atol=1e-6
    )
    largest = np.delete(expected, 2, axis=0).max(0)
    np.testing.assert_allclose(static.encode([text], pooling="max").vectors[0], largest / np.linalg.norm(largest), atol=1e-6)


def test_chunks_are_texts_of_their_own(static: StaticEncoder) -> None:
    text = "the bank of the river. The bank! The river of the bank?"
    found = static.encode([text, ""], level="chunk", chunk_by="sentences", chunk_tokens=7)
    assert found.surface.tolist() == ["the bank of the river.", "The bank!", "The river of the bank?"]
    np.testing.assert_allclose(found.vectors, static.encode(found.surface.tolist()).vectors, atol=1e-6)


def test_a_vector_has_the_same_bits_whatever_stands_beside_it(static: StaticEncoder) -> None:
    together = static.encode(TEXTS).vectors
    np.testing.assert_array_equal(together, np.concatenate([static.encode([text]).vectors for text in TEXTS]))


def test_options_for_transformers_are_refused(static: StaticEncoder, static_folder: Path) -> None:
    with pytest.raises(OptionError, match="layers, special: of no use to static vectors"):
        static.encode(["a"], layers="all", special=True, level="token")
    with pytest.raises(OptionError, match="truncate_dim 33 is more than the 32"):
        static.encode(["a"], truncate_dim=33)
    with pytest.raises(OptionError, match="device 'cuda': static vectors are looked up on the cpu"):
        load_encoder(static_folder, device="cuda")


def test_a_shorter_vector_is_of_length_one(static: StaticEncoder) -> None:
    found = static.encode(TEXTS[:3], truncate_dim=8).vectors
    expected = static.encode(TEXTS[:3]).vectors[:, :8]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_fingerprints_tell_static_models_apart(tmp_path: Path, static: StaticEncoder, static_folder: Path) -> None:
    shutil.copytree(static_folder, tmp_path / "m")
    assert load_encoder(tmp_path / "m").fingerprint == static.fingerprint
    tensors = load_file(static_folder / "model.safetensors")
    save_file({"embeddings": tensors["embeddings"] * 2}, tmp_path / "m" / "model.safetensors")
    assert load_encoder(tmp_path / "m").fingerprint != static.fingerprint
    assert static.fingerprint.family == "static"


def damage(folder: Path, what: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    table = tensors["embeddings"]
    if what == "few rows":
        save_file({"embeddings": table[:5].copy()}, folder / "model.safetensors")
    elif what == "nan":
        table[7, 3] = np.nan
        save_file({"embeddings": table}, folder / "model.safetensors")
    elif what == "other name":
        save_file({"rows": table}, folder / "model.safetensors")
    elif what == "modules":
        (folder / "config.json").unlink()
        modules = json.loads((folder / "modules.json").read_text())
        modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
        (folder / "modules.json").write_text(json.dumps(modules))
    elif what.startswith("no "):
        (folder / what.removeprefix("no ")).unlink()
    else:
        (folder / what).write_bytes(b"{ broken")


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("few rows", "the tokenizer gives token .*, but there are 5 vectors"),
        ("nan", "the vector of '.*' holds a number that is not finite"),
        ("other name", "no table of vectors among rows"),
        ("modules", "a model of StaticEmbedding, Normalize, Dense, where static vectors are"),
        ("no model.safetensors", "no model.safetensors"),
        ("no tokenizer.json", "no tokenizer.json"),
        ("model.safetensors", "cannot be read as static vectors"),
        ("tokenizer.json", "cannot be read as static vectors"),
    ],
)
def test_a_wrong_folder_is_one_clear_error(tmp_path: Path, static_folder: Path, what: str, complaint: str) -> None:
    shutil.copytree(static_folder, tmp_path / "m")
    damage(tmp_path / "m", what)
    with pytest.raises(ModelError, match=complaint) as caught:
        load_encoder(tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "m") in str(caught.value)


def test_families_are_insisted_on(static_folder: Path, sentence_folder: Path, glove_file: Path) -> None:
    for model, family in ((sentence_folder, "static"), (glove_file, "static"), (static_folder, "word"), (static_folder, "sentence"), (static_folder, "contextual")):  # fmt: skip
        with pytest.raises(ModelError) as caught:
            load_encoder(model, family=family)
        assert "\n" not in str(caught.value)


def test_a_static_encoder_needs_no_torch(static_folder: Path) -> None:
    script = (
        "import sys, semvec; e = semvec.load_encoder(sys.argv[1]); e.encode(['the bank'], level='word'); e.encode(['the bank']);"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers', 'model2vec', 'umap', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(static_folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_wordllama_is_wordllamas() -> None:
    wordllama = pytest.importorskip("wordllama")
    theirs = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    texts = [text for text in TEXTS if text.strip()]
    np.testing.assert_allclose(load_encoder("wordllama").encode(texts).vectors, theirs.embed(texts), atol=1e-5)
