"""Cases in which an encoder could give wrong vectors without a word, found by readers of the code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import semvec
from semvec.embeddings.quantise import Calibration
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.errors import FingerprintMismatch, InputError, ModelError, OptionError
from semvec.text.readers import ReadOptions
from semvec.types import Oov
from tests import tiny
from tests.sample import TEXTS


def changed(folder: Path, copy: Path, name: str, **changes: Any) -> Path:
    shutil.copytree(folder, copy)
    config = json.loads((copy / name).read_text())
    (copy / name).write_text(json.dumps({**config, **changes}))
    return copy


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path, folders: dict[str, Path], sentence_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"the weights of encoder\.layer.*are missing"):
        ContextualEncoder.from_pretrained(
            changed(folders["bert"], tmp_path / "c", "config.json", num_hidden_layers=5), device="cpu"
        )
    with pytest.raises(ModelError, match="are missing"):
        SentenceEncoder.from_pretrained(
            changed(sentence_folder, tmp_path / "s", "config.json", num_hidden_layers=5), device="cpu"
        )


def test_configuration_counts_in_the_fingerprint(
    tmp_path: Path, folders: dict[str, Path], contextual: dict[str, ContextualEncoder]
) -> None:
    other = ContextualEncoder.from_pretrained(
        changed(folders["bert"], tmp_path / "a", "config.json", hidden_act="relu"), device="cpu"
    )
    assert other.fingerprint != contextual["bert"].fingerprint
    moved = changed(folders["bert"], tmp_path / "b", "config.json", transformers_version="9", _name_or_path="elsewhere")
    assert ContextualEncoder.from_pretrained(moved, device="cpu").fingerprint == contextual["bert"].fingerprint


def test_splitters_are_told_apart(word: Any) -> None:
    commas, spaces = (
        word.with_options(level="word", splitter=split) for split in (lambda t: t.split(","), lambda t: t.split(" "))
    )
    assert commas.fingerprint != spaces.fingerprint
    with pytest.raises(OptionError, match="splitter must be a function"):
        word.encode(["a"], splitter="x")
    with pytest.raises(InputError, match="gave no words"):
        word.encode(["a"], level="word", splitter=lambda text: 5)


def test_int8_is_fitted_on_rows_that_hold_something(sentence: SentenceEncoder) -> None:
    parts = list(sentence.stream([["", " "], TEXTS, TEXTS[:3]], dtype="int8"))
    assert parts[0].calibration is None
    assert len(np.unique(parts[1].vectors)) > 50
    assert parts[1].calibration == parts[2].calibration
    noise = np.random.default_rng(0).normal(size=(200, 100)).astype(np.float32)
    noise[3, 3] = 1000
    assert Calibration.fit(noise).scale < 0.1  # an outlier does not take the room of all others


def test_bits_of_nothing_are_zeros(sentence: SentenceEncoder) -> None:
    floats = sentence.encode(["", "a bank"], dtype="binary").floats()
    assert not floats[0].any()
    assert set(floats[1]) == {-1, 1}


def test_words_given_split_always_get_a_row(sentence: SentenceEncoder) -> None:
    words = ["word"] * 200
    found = sentence.encode([words], level="word")
    assert found.rows == 200
    assert found.oov[0] == Oov.EXACT
    assert found.oov[-1] == Oov.ZERO
    with pytest.raises(InputError, match="brackets are not read in words given split"):
        sentence.encode([["the", "[bank]"]], level="span")


class Blind(torch.nn.Module):
    """A model that looks at padding, as FNet does."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config

    def get_input_embeddings(self) -> Any:
        return self.inner.get_input_embeddings()

    def forward(self, input_ids: Any, attention_mask: Any, **rest: Any) -> Any:
        return self.inner(input_ids=input_ids, attention_mask=torch.ones_like(attention_mask), **rest)


def test_a_model_that_does_not_mask_padding_gets_none(contextual: dict[str, ContextualEncoder]) -> None:
    from semvec.encoders.transformer import Transformer

    bert = contextual["bert"].transformer
    assert bert.may_pad
    blind = Transformer.of(bert.tokenizer.inner, Blind(bert.model), "cpu")
    assert not blind.may_pad
    encoder = ContextualEncoder(blind, model="blind", weights="x")
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, contextual["bert"].encode(TEXTS).vectors, atol=1e-4)


def test_a_pad_token_beyond_the_table_is_not_looked_up(folders: dict[str, Path]) -> None:
    from transformers import AutoModel, AutoTokenizer

    from semvec.encoders.transformer import Transformer

    tokenizer = AutoTokenizer.from_pretrained(folders["gpt2"])
    tokenizer.add_special_tokens({"pad_token": "<new>"})
    model = AutoModel.from_pretrained(folders["gpt2"], dtype=torch.float32)
    encoder = ContextualEncoder(Transformer.of(tokenizer, model, "cpu"), model="x", weights="x")
    expected = ContextualEncoder.from_pretrained(folders["gpt2"], device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, expected.vectors, atol=1e-4)


def test_cls_pooling_of_a_piece_is_the_mean(tmp_path: Path) -> None:
    encoder = SentenceEncoder.from_pretrained(tiny.make_sentence_model(tmp_path, pooling="cls", normalize=False), device="cpu")
    span = encoder.encode(["the bank of the river"], spans=[[(4, 21)]], level="span")
    tokens = encoder.encode(["the bank of the river"], level="token")
    np.testing.assert_allclose(span.vectors[0], tokens.vectors[tokens.start >= 4].mean(0), atol=1e-5)
    assert span.fingerprint.settings["pooling"] == "mean"


def test_positions_of_roberta_start_behind_the_padding(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    from semvec.encoders.transformer import Transformer

    folder = tiny.make_model("roberta", tmp_path / "r")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = 1 << 30
    transformer = Transformer.of(tokenizer, AutoModel.from_pretrained(folder, dtype=torch.float32), "cpu")
    assert transformer.max_tokens == transformer.limit == tiny.POSITIONS
    long = ContextualEncoder(transformer, model="r", weights="x").encode([" ".join(TEXTS)], level="token")
    assert long.rows == tiny.POSITIONS - 2


def test_more_tokens_than_meant_but_not_than_there_are_positions(sentence: SentenceEncoder, tmp_path: Path) -> None:
    folder = changed(tiny.make_sentence_model(tmp_path), tmp_path / "short", "sentence_bert_config.json", max_seq_length=16)
    encoder = SentenceEncoder.from_pretrained(folder, device="cpu")
    assert encoder.max_tokens == 16
    assert encoder.encode([" ".join(TEXTS)], level="token", max_tokens=64).rows == 62
    with pytest.raises(OptionError, match="more than the 64"):
        encoder.encode(["a"], max_tokens=65)


def test_similarity_reads_what_is_stored(sentence: SentenceEncoder, word: Any) -> None:
    floats = sentence.encode(TEXTS)
    unit = floats.vectors / np.maximum(np.linalg.norm(floats.vectors, axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(semvec.similarity(floats, floats), unit @ unit.T, atol=1e-5)
    for dtype in ("int8", "float16"):
        small = sentence.encode(TEXTS, dtype=dtype)
        np.testing.assert_allclose(
            semvec.similarity(small, small, "euclidean"), semvec.similarity(floats, floats, "euclidean"), atol=0.05
        )
    bits = sentence.encode(TEXTS, dtype="binary")
    np.testing.assert_allclose(semvec.similarity(bits, bits), bits.floats() @ bits.floats().T / 32, atol=1e-6)
    for wrong in (
        lambda: semvec.similarity(bits.vectors, bits.vectors),
        lambda: semvec.similarity(floats.vectors[0], floats.vectors),
    ):
        with pytest.raises(OptionError):
            wrong()
    with pytest.raises(OptionError, match="did you mean 'cosine'"):
        semvec.similarity(floats, floats, "cosin")
    with pytest.raises(OptionError, match="k must be a whole number of at least 1"):
        semvec.nearest(floats, floats, 0)
    with pytest.raises(FingerprintMismatch, match="two encoders cannot be compared"):
        semvec.similarity(floats, word.encode(["a"]))
    assert semvec.similarity(sentence.encode_query(["a"]), sentence.encode(TEXTS, level="chunk", dtype="float16")).shape[0] == 1


def test_progress_is_told_and_ends_at_the_end(sentence: SentenceEncoder, word: Any) -> None:
    for encoder in (sentence, word):
        seen: list[tuple[int, int]] = []
        encoder.encode(
            TEXTS,
            progress=lambda done, total, seen=seen: seen.append((done, total)),
            **({"batch_tokens": 64} if encoder is sentence else {}),
        )
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (len(TEXTS), len(TEXTS))
        assert len(seen) > (5 if encoder is sentence else 0)


def test_encoders_can_be_sent_to_other_processes(sentence: SentenceEncoder) -> None:
    import pickle

    again = pickle.loads(pickle.dumps(sentence))
    np.testing.assert_array_equal(again.encode(TEXTS).vectors, sentence.encode(TEXTS).vectors)


def test_ids_are_checked(word: Any) -> None:
    found = word.encode(["a", "b"])
    for ids, complaint in (
        (["x"], "1 ids for 2 texts"),
        (["x", "x"], "'x' comes more than once"),
        (["x", 3], "not a string but int"),
    ):
        with pytest.raises(InputError, match=complaint):
            found.with_ids(ids)
    assert found[0:1] == found[0]


def test_odd_arguments_get_a_line_of_semvecs_own(word: Any) -> None:
    assert word.encode(["a b"], truncate_dim=np.int64(2)).vectors.shape[1] == 2
    assert word.encode(["a b"], level="span", spans=np.array([[[0, 1]]])).rows == 1
    for changes, kind, complaint in (
        ({"truncate_dim": np.array([1, 2])}, OptionError, "truncate_dim must be a whole number"),
        ({"level": np.array([1, 2])}, OptionError, "level .* is unknown: choose from"),
        ({"level": "span", "spans": ([(0, 1)] for _ in "a")}, InputError, "one list for each text"),
        ({"level": "span", "spans": [3]}, InputError, "text 0: its spans must be a list"),
    ):
        with pytest.raises(kind, match=complaint):
            word.encode(["a b"], **changes)
    for name in (b"minilm", 3, None):
        with pytest.raises(OptionError, match="a model is a path or a name"):
            semvec.load_encoder(name)  # type: ignore[arg-type]
    for number in (None, "3", 0, True):
        with pytest.raises(OptionError, match="max_chars must be a whole number"):
            ReadOptions(max_chars=number)  # type: ignore[arg-type]
