"""What runs a transformer: packed it gives the vectors that transformers gives, and in bytes nearly so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from semvec.encoders.backends import bench, choose
from semvec.encoders.backends.bert import Affine, bert_weights
from semvec.encoders.backends.choose import has_byte_products
from semvec.encoders.backends.linear import FloatLinear
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.static import StaticEncoder
from semvec.encoders.transformer import Transformer
from semvec.encoders.word import WordEncoder
from semvec.errors import ModelError, OptionError
from semvec.types import Backend
from tests.cli.test_encode import refused, run
from tests.sample import TEXTS

vnni = pytest.mark.skipif(not has_byte_products(), reason="the processor has no products of bytes (VNNI)")


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"level": "token", "special": True},
        {"level": "word", "layers": "all", "layer_mix": "concat"},
        {"level": "text", "layers": [0, -1], "layer_mix": "sum", "pooling": "cls"},
        {"level": "token", "overflow": "windows", "max_tokens": 12},
        {"level": "chunk", "chunk_tokens": 8, "late": True, "batch_tokens": 40},
    ],
)  # fmt: skip
def test_packed_is_as_transformers(contextual: dict[str, ContextualEncoder], kind: str, options: dict[str, object]) -> None:
    theirs, own = (contextual[kind].encode(TEXTS, backend=name, **options) for name in ("torch", "packed"))  # type: ignore[arg-type]
    np.testing.assert_allclose(own.vectors, theirs.vectors, atol=1e-5)
    assert own.fingerprint == theirs.fingerprint


def test_packed_is_what_auto_takes(sentence: SentenceEncoder, contextual: dict[str, ContextualEncoder]) -> None:
    assert sentence._runners.get(Backend.AUTO) is sentence._runners.get(Backend.PACKED)
    alone = sentence.encode([TEXTS[0]]).vectors[0]
    np.testing.assert_allclose(sentence.encode(TEXTS).vectors[0], alone, atol=1e-6)
    for kind in ("gpt2", "llama", "t5"):
        assert contextual[kind]._runners.get(Backend.AUTO) is None
        with pytest.raises(OptionError, match="only models laid out as BERT, loaded by semvec on the cpu"):
            contextual[kind].encode(TEXTS, backend="packed")


def test_a_model_that_packs_wrongly_is_run_by_transformers(
    contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = contextual["bert"]
    expected = encoder.encode(TEXTS, backend="torch").vectors
    its = encoder.transformer
    transformer = Transformer.of(its.tokenizer.inner, its.model, "cpu")
    weights = transformer.weights
    assert weights is not None
    monkeypatch.setitem(transformer.__dict__, "weights", replace(weights, heads=1 if weights.heads > 1 else 2))
    encoder = ContextualEncoder(transformer, model="x", weights="x")
    np.testing.assert_array_equal(encoder.encode(TEXTS).vectors, expected)
    with pytest.raises(ModelError, match="run packed the model gives other vectors than by transformers"):
        encoder.encode(TEXTS, backend="packed")


def test_what_bert_is_not(contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    model = contextual["bert"].transformer.model
    tensors = model.state_dict()
    assert bert_weights(model.config, tensors) is not None
    assert bert_weights(model.config, {**tensors, "adapter.weight": tensors["embeddings.LayerNorm.weight"]}) is None
    assert (
        bert_weights(model.config, {name: its for name, its in tensors.items() if "layer.1.output.dense.bias" not in name})
        is None
    )
    for name, value in (("hidden_act", "relu"), ("is_decoder", True), ("model_type", "mpnet")):
        monkeypatch.setattr(model.config, name, value)
        assert bert_weights(model.config, tensors) is None
        monkeypatch.undo()


def test_a_model_that_is_trained_on_is_never_copied(sentence_folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(sentence_folder), device="cpu")
    encoder = SentenceEncoder.of(model, name="live", weights="w")
    encoder.encode(TEXTS)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, model.encode(TEXTS), atol=1e-5)
    with pytest.raises(OptionError, match="loaded by semvec"):
        encoder.encode(TEXTS, backend="packed")


def test_padding_tokens_in_a_text_have_their_place(contextual: dict[str, ContextualEncoder]) -> None:
    texts = ["the bank <pad> of the river", "<pad> the <pad><pad> bank", "[PAD] the bank"]
    for kind in ("roberta", "bert"):
        theirs, own = (contextual[kind].encode(texts, backend=name, level="token").vectors for name in ("torch", "packed"))
        np.testing.assert_allclose(own, theirs, atol=1e-5)


def test_what_torch_has_not_is_left_to_transformers(sentence_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_reorder_linear_weight'")

    monkeypatch.setattr(choose, "in_floats", missing)
    encoder = SentenceEncoder.from_pretrained(sentence_folder, device="cpu")
    assert len(encoder.encode(TEXTS)) == len(TEXTS)
    for _ in range(2):
        with pytest.raises(OptionError, match="this build of torch has not what packed needs"):
            encoder.encode(TEXTS, backend="packed")


def test_a_token_beyond_the_table(contextual: dict[str, ContextualEncoder]) -> None:
    runner = contextual["bert"]._runners.get(Backend.PACKED)
    assert runner is not None
    with pytest.raises(ModelError, match="the tokenizer gives token 99999, but the model's table has"):
        runner([[2, 99999, 3]])


def test_floats() -> None:
    rng = np.random.default_rng(0)
    weight, bias, rows, to = (rng.standard_normal(shape).astype(np.float32) for shape in ((24, 16), (24,), (37, 16), (37, 24)))
    linear = FloatLinear(Affine(torch.from_numpy(weight), torch.from_numpy(bias)))
    np.testing.assert_allclose(linear(torch.from_numpy(rows)) + torch.from_numpy(to), rows @ weight.T + bias + to, atol=1e-5)
    gelu = FloatLinear(Affine(torch.from_numpy(weight), torch.from_numpy(bias)), gelu=True)(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(gelu, torch.nn.functional.gelu(torch.from_numpy(rows @ weight.T + bias)), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_model_in_bfloat16(contextual: dict[str, ContextualEncoder], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed, or by autocast; a processor without the units computes the same slowly."""
    encoder = contextual[kind]
    monkeypatch.setattr(encoder, "_runners", choose.Runners(encoder.transformer))
    monkeypatch.setattr(choose, "has_bfloat16", lambda device: device == "cpu")
    options = {"level": "token", "layers": [0, -1], "layer_mix": "concat"}
    own, theirs = (encoder.encode(TEXTS, backend=name, **options) for name in ("bf16", "torch"))  # type: ignore[arg-type]
    known = theirs.vectors.any(axis=1)
    pairs = torch.from_numpy(own.vectors[known]), torch.from_numpy(theirs.vectors[known])
    assert torch.nn.functional.cosine_similarity(*pairs).min() > 0.999
    assert not np.array_equal(own.vectors, theirs.vectors)
    assert own.fingerprint.settings["backend"] == "bf16"
    monkeypatch.setattr(encoder, "_runners", choose.Runners(encoder.transformer))
    monkeypatch.setattr(choose, "has_bfloat16", lambda device: False)
    with pytest.raises(OptionError, match="cpu has no products of bfloat16 here"):
        encoder.encode(TEXTS, backend="bf16")


@vnni
def test_a_model_in_bytes(sentence: SentenceEncoder) -> None:
    own, theirs = (sentence.encode(TEXTS, backend=name) for name in ("int8", "torch"))
    known = theirs.vectors.any(axis=1)
    assert (own.vectors[known] * theirs.vectors[known]).sum(axis=1).mean() > 0.995
    assert own.fingerprint.settings["backend"] == "int8"
    assert own.fingerprint != theirs.fingerprint
    own.fingerprint.require_comparable(theirs.fingerprint)


@vnni
def test_bytes_that_are_too_far_are_refused(sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(choose.FLOORS, Backend.INT8, 1.1)
    monkeypatch.setattr(sentence, "_runners", choose.Runners(sentence.transformer))
    with pytest.raises(ModelError, match=r"in int8 the vectors have a cosine of 0\.\d+ with float32, under 1.1"):
        sentence.encode(TEXTS, backend="int8")


def test_what_is_refused(
    sentence: SentenceEncoder, word: WordEncoder, static: StaticEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="deterministic goes with backend 'torch'"):
        sentence.encode(TEXTS, backend="packed", deterministic=True)
    for encoder in (word, static):
        with pytest.raises(OptionError, match="of no use to"):
            encoder.encode(TEXTS, backend="packed")
    with pytest.raises(OptionError, match="backend"):
        sentence.encode(TEXTS, backend="fast")
    monkeypatch.setattr(choose, "has_byte_products", lambda: False)
    monkeypatch.setattr(sentence, "_runners", choose.Runners(sentence.transformer))
    with pytest.raises(OptionError, match="this processor has no products of bytes"):
        sentence.encode(TEXTS, backend="int8")


def test_from_the_shell(tmp_path: Path, sentence_folder: Path, glove_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BACKENDS", bench.BACKENDS[:4])  # converting a model takes seconds
    (tmp_path / "t.txt").write_text("the bank\nof the river\n")
    for name in ("torch", "packed"):
        done = run("encode", tmp_path / "t.txt", "-m", sentence_folder, "--backend", name, "-o", tmp_path / f"{name}.npy")
        assert done.exit_code == 0, done.output
    np.testing.assert_allclose(np.load(tmp_path / "torch.npy"), np.load(tmp_path / "packed.npy"), atol=1e-5)
    found = json.loads(run("models", "bench", sentence_folder, "--json").stdout)
    rates = {(row["kind"], row["backend"]): row for row in found["rows"]}
    assert {kind for kind, _ in rates} == {"queries", "sentences", "passages"}
    assert all(rates[kind, "packed"]["cosine"] == pytest.approx(1, abs=1e-5) for kind in ("queries", "sentences", "passages"))
    assert all(row["texts_per_second"] > 0 for row in rates.values())
    assert "× torch" in run("models", "bench", sentence_folder).stdout
    refused(run("models", "bench", glove_file), "has no transformer, and so no backends")
    assert "minilm" in run("models").stdout
