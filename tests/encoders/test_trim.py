"""Models with fewer pieces of words: the same tokens and vectors of the texts they were trimmed for, whatever the tokenizer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

from semvec.encoders.agreement import agreement
from semvec.encoders.catalog import load_encoder
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.encoders.trim import trim
from semvec.errors import InputError, MissingExtra, ModelError, OptionError, OutputExists
from tests import tiny

TEXTS = ["everyone has the right to freedom", "the right of all", "no one shall be held", "", "naïve 中文 🙂"]
OTHERS = ["human dignity and reason", "marriage is entered into"]


def loaded(folder: Path) -> TransformerEncoder:
    encoder = load_encoder(folder, device="cpu")
    assert isinstance(encoder, TransformerEncoder)
    return encoder


@pytest.mark.parametrize("kind", list(tiny.KINDS))
def test_the_texts_are_read_as_before(kind: str, tmp_path: Path) -> None:
    whole = tiny.make_model(kind, tmp_path / "whole")
    made = trim(whole, TEXTS, tmp_path / "trimmed", device="cpu")
    assert made.alike == made.texts == len(TEXTS)
    before, after = made.pieces
    assert before > after == len(AutoTokenizer.from_pretrained(tmp_path / "trimmed"))
    assert made.bytes[1] < made.bytes[0]
    one, other = loaded(whole), loaded(tmp_path / "trimmed")
    for level in ("text", "token"):
        wanted, found = one.encode(TEXTS, level=level), other.encode(TEXTS, level=level)
        assert list(wanted.surface) == list(found.surface)
        np.testing.assert_allclose(found.vectors, wanted.vectors, atol=1e-5)
    assert other.encode(OTHERS).vectors.shape == (2, one.dim)
    assert str(other.fingerprint.weights) != str(one.fingerprint.weights)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_transformers_reads_it_alike(kind: str, tmp_path: Path) -> None:
    whole = tiny.make_model(kind, tmp_path / "whole")
    trim(whole, TEXTS, tmp_path / "trimmed", device="cpu")
    vectors = []
    for folder in (whole, tmp_path / "trimmed"):
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
        batch = tokenizer(TEXTS[:3], padding=True, return_tensors="pt")
        rows = model(**batch).last_hidden_state.detach().numpy()
        vectors.append(rows[batch["attention_mask"].numpy() == 1])
        pad = tokenizer.pad_token_id
        assert model.config.pad_token_id == pad
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-5)


def test_the_rows_are_those_of_the_pieces(tmp_path: Path) -> None:
    whole = tiny.make_model("bert", tmp_path / "whole")
    trim(whole, TEXTS, tmp_path / "trimmed", device="cpu")
    old, new = (json.loads((its / "tokenizer.json").read_text())["model"]["vocab"] for its in (whole, tmp_path / "trimmed"))
    before, after = (
        load_file(its / "model.safetensors")["embeddings.word_embeddings.weight"] for its in (whole, tmp_path / "trimmed")
    )
    assert set(new) < set(old)
    for piece, row in new.items():
        np.testing.assert_array_equal(after[row], before[old[piece]])
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "right", "q"} <= set(new)
    assert "human" in old
    assert "human" not in new
    assert not (tmp_path / "trimmed" / "vocab.txt").exists()


def test_rare_pieces_go_and_what_that_changes_is_said(tmp_path: Path) -> None:
    whole = tiny.make_model("bert", tmp_path / "whole")
    all_of_them = trim(whole, TEXTS, tmp_path / "one", device="cpu")
    fewer = trim(whole, TEXTS, tmp_path / "two", min_count=2, device="cpu")
    assert fewer.pieces[1] < all_of_them.pieces[1]
    assert 0 < fewer.alike < len(TEXTS)
    its = agreement(loaded(whole), loaded(tmp_path / "two"), TEXTS)
    assert its.alike == fewer.alike
    assert its.lowest < 0.99 < 1.0 >= its.mean > its.lowest


def test_prompts_are_read_too(tmp_path: Path) -> None:
    whole = tiny.make_sentence_model(tmp_path / "whole", prompts={"query": "human reason: "})
    trim(whole, TEXTS, tmp_path / "trimmed", device="cpu")
    one, other = loaded(whole), loaded(tmp_path / "trimmed")
    np.testing.assert_allclose(other.encode_query(TEXTS[:3]).vectors, one.encode_query(TEXTS[:3]).vectors, atol=1e-5)


def test_a_fine_tuned_model_stays_one(tmp_path: Path) -> None:
    from semvec.finetune.loading import load_model
    from semvec.finetune.train import finetune
    from tests.finetune import small

    data = small.write("classify", tmp_path)
    finetune("classify", tiny.make_sentence_model(tmp_path / "base"), data, tmp_path / "m", options=small.quick(), before=False)
    texts = [text for _, text in small.texts(48)]
    trim(tmp_path / "m", texts, tmp_path / "trimmed", device="cpu")
    whole, trimmed = load_model(tmp_path / "m"), load_model(tmp_path / "trimmed")
    examples = whole.task.read(data, whole.options)
    for one, other in zip(whole.predict(examples), trimmed.predict(examples), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def test_a_text_counts_once_whatever_prompts_there_are(tmp_path: Path) -> None:
    plain = tiny.make_sentence_model(tmp_path / "plain")
    prompted = tiny.make_sentence_model(tmp_path / "prompted", prompts={"query": "the ", "passage": "of "})
    left = [
        trim(its, TEXTS, tmp_path / f"t{at}", min_count=2, device="cpu").pieces[1] for at, its in enumerate((plain, prompted))
    ]
    assert 0 <= left[1] - left[0] <= 2  # what the prompts bring


def test_a_model_with_a_dense_layer(tmp_path: Path) -> None:
    whole = tiny.make_sentence_model(tmp_path / "whole", dense=True)
    trim(whole, TEXTS, tmp_path / "t", device="cpu")
    np.testing.assert_allclose(loaded(tmp_path / "t").encode(TEXTS).vectors, loaded(whole).encode(TEXTS).vectors, atol=1e-5)


def test_a_corpus_that_is_gone_when_read_again(tmp_path: Path) -> None:
    class Once:
        rest = iter(TEXTS)

        def __iter__(self) -> Iterator[str]:
            return iter(list(self.rest))

    with pytest.raises(InputError, match="had 5 texts at first, and 0 when read again"):
        trim(tiny.make_model("bert", tmp_path / "whole"), Once(), tmp_path / "t", device="cpu")
    assert not (tmp_path / "t").exists()


def test_models_that_write_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    tiny.make_model("t5", tmp_path / "m")
    (tmp_path / "m" / "semvec.json").write_text('{"task": "seq2seq"}')
    with pytest.raises(OptionError, match="writes texts"):
        trim(tmp_path / "m", TEXTS, tmp_path / "t", device="cpu")


def test_where_nothing_is_written(tmp_path: Path) -> None:
    whole = tiny.make_model("bert", tmp_path / "a" / "whole")
    for place in (whole, whole / "t", tmp_path / "a"):
        with pytest.raises((OptionError, OutputExists)):
            trim(whole, TEXTS, place, overwrite=True, device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(whole)
    tokenizer.add_tokens(["[E1]", "[E2]"])
    tokenizer.save_pretrained(whole)
    with pytest.raises(ModelError, match="one is of another"):
        trim(whole, TEXTS, tmp_path / "t", device="cpu")


def test_what_cannot_be_trimmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny.make_model("bert", tmp_path / "whole")
    with pytest.raises(InputError, match="read twice"):
        trim(whole, iter(TEXTS), tmp_path / "t")
    with pytest.raises(InputError, match="no text with a token"):
        trim(whole, ["", " "], tmp_path / "t")
    with pytest.raises(OptionError, match="min_count must be at least 1"):
        trim(whole, TEXTS, tmp_path / "t", min_count=0)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes").write_text("mine")
    with pytest.raises(OutputExists):
        trim(whole, TEXTS, tmp_path / "there", overwrite=True)
    with pytest.raises(OptionError, match="is a static model"):
        trim(tiny.make_static_model(tmp_path / "static"), TEXTS, tmp_path / "t")
    monkeypatch.setattr("semvec.encoders.pieces._with_parts", lambda keep, bpe: keep)
    gpt2 = tiny.make_model("gpt2", tmp_path / "gpt2")
    with pytest.raises(ModelError, match=r"otherwise, so nothing was written|cannot be taken apart"):
        trim(gpt2, TEXTS, tmp_path / "t")
    assert not (tmp_path / "t").exists()
    monkeypatch.setitem(sys.modules, "skeletoken", None)
    with pytest.raises(MissingExtra, match=r"pip install 'semvec\[trim\]'"):
        trim(whole, TEXTS, tmp_path / "t")


def test_it_replaces_what_it_made(tmp_path: Path) -> None:
    whole = tiny.make_model("bert", tmp_path / "whole")
    trim(whole, TEXTS, tmp_path / "t", device="cpu")
    with pytest.raises(OutputExists):
        trim(whole, TEXTS, tmp_path / "t", device="cpu")
    trim(whole, TEXTS[:1], tmp_path / "t", device="cpu", overwrite=True)
    assert json.loads((tmp_path / "t" / "trimmed.json").read_text())["texts"] == 1
