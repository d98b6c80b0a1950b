"""Sentence vectors against sentence-transformers' own encode."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.tokens import Tokenizer
from semvec.errors import ModelError, OptionError
from semvec.types import Oov
from tests import tiny
from tests.sample import TEXTS


def theirs(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def cosines(one: Any, other: Any) -> Any:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"])
@pytest.mark.parametrize("dense", [False, True])
def test_equals_sentence_transformers(tmp_path: Path, pooling: str, dense: bool) -> None:
    folder = tiny.make_sentence_model(tmp_path, pooling=pooling, dense=dense, normalize=not dense)
    found = SentenceEncoder.from_pretrained(folder, device="cpu").encode(TEXTS)
    expected = theirs(folder).encode(TEXTS)
    assert found.vectors.shape == expected.shape
    assert cosines(found.vectors, expected).min() >= 0.99999
    np.testing.assert_allclose(found.vectors, expected, atol=1e-4)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_prompts_of_queries_and_documents(tmp_path: Path, include_prompt: bool) -> None:
    folder = tiny.make_sentence_model(
        tmp_path, include_prompt=include_prompt, prompts={"query": "the query of: ", "passage": "everyone: "}
    )
    encoder, model = SentenceEncoder.from_pretrained(folder, device="cpu"), theirs(folder)
    short = [text for text in TEXTS if len(text) < 60]
    assert cosines(encoder.encode_query(short).vectors, model.encode_query(short)).min() >= 0.99999
    passages = model.encode(short, prompt_name="passage")  # its encode_document overlooks "passage" beside an empty "document"
    assert cosines(encoder.encode_document(short).vectors, passages).min() >= 0.99999
    assert np.abs(encoder.encode_query(short).vectors - encoder.encode(short).vectors).max() > 1e-3
    assert encoder.encode_query(short).fingerprint != encoder.encode(short).fingerprint


def test_a_prompt_leaves_offsets_alone(sentence: SentenceEncoder) -> None:
    bare = sentence.encode(TEXTS, level="token", max_tokens=64)
    prompted = sentence.encode(TEXTS, level="token", prompt="query: ", overflow="windows")
    plain = sentence.encode(TEXTS, level="token", overflow="windows")
    assert prompted.surface.tolist() == plain.surface.tolist()
    assert (prompted.start == plain.start).all()
    assert np.abs(prompted.vectors - plain.vectors).max() > 1e-3
    assert (prompted.n_tokens == bare.n_tokens).all()


def test_blank_texts_are_flagged_zero_rows(sentence: SentenceEncoder) -> None:
    found = sentence.encode(["", " \t", "a", "\u200b"])
    assert found.rows == 4
    assert found.oov.tolist() == [Oov.ZERO, Oov.ZERO, Oov.EXACT, found.oov[3]]
    assert not found.vectors[:2].any()
    assert np.isfinite(found.vectors).all()
    assert sentence.encode(["", " "], level="token").rows == 0
    assert sentence.encode([]).vectors.shape == (0, tiny.HIDDEN)


def test_equal_texts_are_encoded_once(sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    assert sentence.transformer.may_pad  # tried once, by batches of its own
    inner = sentence.transformer.batch
    monkeypatch.setattr(sentence.transformer, "batch", lambda ids, shape=None: (seen.append(len(ids)), inner(ids, shape))[1])
    found = sentence.encode(["one", "two", "one", "one"], backend="torch")
    assert sum(seen) == 2
    assert (found.vectors[0] == found.vectors[2]).all()
    assert len(found) == 4


def test_truncate_dim_and_normalize(sentence: SentenceEncoder) -> None:
    whole, cut = sentence.encode(TEXTS).vectors, sentence.encode(TEXTS, truncate_dim=8)
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(cut.vectors, expected, atol=1e-6)
    assert cut.dim == 8
    tokens = sentence.encode(TEXTS[:2], level="token", normalize=True)
    np.testing.assert_allclose(np.linalg.norm(tokens.vectors, axis=1), 1, atol=1e-6)
    with pytest.raises(OptionError, match="truncate_dim 33 is more than the 32"):
        sentence.encode(TEXTS, truncate_dim=33)


def test_small_types_are_those_of_sentence_transformers(sentence: SentenceEncoder) -> None:
    from sentence_transformers.util import quantize_embeddings

    floats = sentence.encode(TEXTS).vectors
    halves, codes, bits = (sentence.encode(TEXTS, dtype=kind) for kind in ("float16", "int8", "binary"))
    np.testing.assert_array_equal(halves.vectors, floats.astype(np.float16))
    np.testing.assert_array_equal(bits.vectors, quantize_embeddings(floats, "ubinary"))
    assert codes.calibration is not None
    assert np.abs(codes.floats() - floats).max() <= codes.calibration.scale / 2 + 1e-7
    assert cosines(codes.vectors.astype(np.float32), floats).min() > 0.999
    alone = sentence.encode(TEXTS[:1], dtype="int8")
    assert len(np.unique(alone.vectors)) > 10  # one text is not a constant
    again = sentence.encode(TEXTS[:1], dtype="int8", calibration=codes.calibration)
    np.testing.assert_array_equal(again.vectors[0], codes.vectors[0])


def test_stream_equals_encode(sentence: SentenceEncoder) -> None:
    parts = list(sentence.stream([TEXTS[:5], TEXTS[5:9], TEXTS[9:]], dtype="int8"))
    assert [len(part) for part in parts] == [5, 4, len(TEXTS) - 9]
    assert len({part.calibration for part in parts}) == 1
    whole = type(parts[0]).concatenate(parts)
    expected = sentence.encode(TEXTS, dtype="int8", calibration=parts[0].calibration)
    assert np.abs(whole.vectors.astype(int) - expected.vectors.astype(int)).max() <= 1
    assert whole.surface.tolist() == TEXTS


def test_modules_it_cannot_read_are_refused(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer, WeightedLayerPooling

    inner = tiny.make_model("bert", tmp_path / "inner")
    modules = [Transformer(str(inner), config_args={"output_hidden_states": True}), WeightedLayerPooling(32, 3, 1), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "model"))
    with pytest.raises(ModelError, match="WeightedLayerPooling"):
        SentenceEncoder.from_pretrained(tmp_path / "model", device="cpu")


def test_dense_refuses_other_layers(tmp_path: Path) -> None:
    encoder = SentenceEncoder.from_pretrained(tiny.make_sentence_model(tmp_path, dense=True), device="cpu")
    assert encoder.encode(["a"]).dim == 24
    assert encoder.encode(["a"], level="token").dim == tiny.HIDDEN
    with pytest.raises(OptionError, match=r"dense\+normalize wants 32"):
        encoder.encode(["a"], layers=[-1, -2], layer_mix="concat")


def test_vectors_that_are_not_finite_are_refused(sentence_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(sentence_folder, tmp_path / "m")
    [path] = (tmp_path / "m").rglob("model.safetensors")
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("LayerNorm.weight"))
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, path, metadata={"format": "pt"})
    for backend in ("auto", "torch"):
        with pytest.raises(ModelError, match="numbers that are not finite"):
            SentenceEncoder.from_pretrained(tmp_path / "m", device="cpu", backend=backend).encode(["the bank"])


def test_a_tokenizer_made_of_nothing_is_refused(sentence: SentenceEncoder) -> None:
    backend = Backend(models.WordPiece({name: at for at, name in enumerate(("[PAD]", "[UNK]", "[CLS]"))}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made = Tokenizer(backend, 0, lambda: None)  # what transformers makes of a folder without tokenizer.json and vocab.txt
    made.check(5)
    with pytest.raises(ModelError, match="the tokenizer knows no word: is tokenizer.json, or vocab.txt, missing"):
        made.check(30_522)
    sentence.transformer.tokenizer.check(30_522)
