"""Static vectors against gensim's own, and the ladder of what is not in the vocabulary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.encoders.catalog import load_encoder
from semvec.encoders.word import WordEncoder
from semvec.errors import ModelError, OptionError, PickleRefused
from semvec.types import Oov
from tests.sample import TEXTS

SENTENCES = [text.lower().split() for text in TEXTS] * 5


@pytest.fixture(scope="module")
def trained() -> Any:
    from gensim.models import Word2Vec

    return Word2Vec(SENTENCES, vector_size=12, min_count=1, seed=1, workers=1, epochs=3)


def test_words_are_gensims_in_every_format(tmp_path: Path, trained: Any) -> None:
    keyed = trained.wv
    keyed.save_word2vec_format(str(tmp_path / "text.vec"))
    keyed.save_word2vec_format(str(tmp_path / "binary.whatever"), binary=True)
    keyed.save_word2vec_format(str(tmp_path / "glove.txt"), write_header=False)
    keyed.save(str(tmp_path / "native"))
    trained.save(str(tmp_path / "model"))
    words = list(keyed.key_to_index)
    expected = np.stack([keyed[word] for word in words])
    for name in ("text.vec", "binary.whatever", "glove.txt", "native", "model"):
        encoder = WordEncoder.from_pretrained(tmp_path / name, trust_pickle=True)
        found = encoder.encode([words], level="word")
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
        assert not found.oov.any()
    for name in ("native", "model"):
        with pytest.raises(PickleRefused, match="trust_pickle"):
            load_encoder(tmp_path / name)


def test_a_model_that_gensim_extended_is_read_in_the_order_of_its_counts(tmp_path: Path) -> None:
    from gensim.models import Word2Vec

    model = Word2Vec(SENTENCES, vector_size=6, min_count=1, seed=1, workers=1, epochs=1)
    model.build_vocab([["lighthouse"] * 1000], update=True)
    model.save(str(tmp_path / "model"))
    model.wv.save_word2vec_format(str(tmp_path / "text.vec"))  # gensim sorts here
    encoder = WordEncoder.from_pretrained(tmp_path / "model", trust_pickle=True)
    assert model.wv.index_to_key[-1] == "lighthouse"
    assert list(encoder.table.words) == list(WordEncoder.from_pretrained(tmp_path / "text.vec").table.words)
    assert encoder.table.words[0] == "lighthouse"
    assert encoder.table.counts is not None
    for row, word in enumerate(encoder.table.words):
        np.testing.assert_array_equal(encoder.table.vectors[row], model.wv[word])
        assert encoder.table.counts[row] == model.wv.get_vecattr(word, "count")


def test_fasttext_makes_vectors_of_subwords(tmp_path: Path) -> None:
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    model = FastText(SENTENCES, vector_size=8, min_count=1, seed=1, workers=1, epochs=2, bucket=500)
    save_facebook_model(model, str(tmp_path / "ft.bin"))
    encoder = load_encoder(tmp_path / "ft.bin")
    found = encoder.encode(["everyone everyones"], level="word")
    np.testing.assert_allclose(found.vectors, [model.wv["everyone"], model.wv["everyones"]], atol=1e-6)
    assert found.oov.tolist() == [Oov.EXACT, Oov.SUBWORD]


def test_the_ladder(word: WordEncoder) -> None:
    found = word.encode(["the THE paris don't zyxxy 中é"], level="word")
    assert found.surface.tolist() == ["the", "THE", "paris", "don't", "zyxxy", "中", "é"]
    assert found.oov.tolist() == [Oov.EXACT, Oov.CASE, Oov.CASE, Oov.EXACT, Oov.ZERO, Oov.EXACT, Oov.EXACT]
    np.testing.assert_allclose(found.vectors[1], [0.1, 0.2, -0.3, 0.5])
    np.testing.assert_allclose(found.vectors[2], [1, 0, 0.5, -0.5])
    assert not found.vectors[4].any()


def test_texts_are_the_mean_of_the_words_known(word: WordEncoder) -> None:
    texts = ["The bank, zyxxy of the river.", "", "zyxxy", "bank"]
    found = word.encode(texts)
    table = {
        "the": [0.1, 0.2, -0.3, 0.5],
        "bank": [0.9, -0.1, 0.3, 0.25],
        "of": [0.05, 0.15, 0.1, -0.2],
        "river": [0.4, 0.4, -0.6, 0.1],
    }
    expected = np.mean([table[w] for w in ("the", "bank", "of", "the", "river")], axis=0)
    np.testing.assert_allclose(found.vectors[0], expected, atol=1e-6)
    assert found.oov.tolist() == [Oov.EXACT, Oov.ZERO, Oov.ZERO, Oov.EXACT]
    assert found.n_tokens.tolist() == [6, 0, 1, 1]
    assert not found.n_truncated.any()
    assert found.surface.tolist() == texts
    largest = word.encode(texts[:1], pooling="max").vectors[0]
    np.testing.assert_allclose(largest, np.max(list(table.values()), axis=0))
    span = word.encode(["the [bank of] zyxxy"], level="span")
    np.testing.assert_allclose(span.vectors[0], np.mean([table["bank"], table["of"]], axis=0), atol=1e-6)


def test_chunks_are_the_mean_of_their_words(word: WordEncoder) -> None:
    text = "the bank of the river. The bank! The river of the bank?"
    found = word.encode([text], level="chunk", chunk_by="sentences", chunk_tokens=6)
    assert found.surface.tolist() == ["the bank of the river.", "The bank!", "The river of the bank?"]
    expected = word.encode(found.surface.tolist())
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)


def test_doc2vec_infers_the_same_vector_in_every_process(tmp_path: Path) -> None:
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    model = Doc2Vec(
        [TaggedDocument(s, [i]) for i, s in enumerate(SENTENCES)], vector_size=8, min_count=1, seed=1, workers=1, epochs=2
    )
    model.save(str(tmp_path / "d2v"))
    script = (
        "import sys, semvec; e = semvec.load_encoder(sys.argv[1], trust_pickle=True);"
        "print(e.encode(['the bank of the river', 'all human beings']).vectors.tobytes().hex(), e.encode(['bank'], level='word').oov)"
    )
    runs = {
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "d2v")], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
    encoder = load_encoder(tmp_path / "d2v", trust_pickle=True)
    one, two = encoder.encode(["all human beings", "all human beings "]).vectors
    np.testing.assert_array_equal(one, two)
    assert encoder.encode([""]).oov.tolist() == [Oov.ZERO]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "holds no word vectors"), (b"\x00\x01\x02\x03", "holds no word vectors"), (b"just some prose\nmore\n", "holds no word vectors"),
     (b"3 4\nthe 0.1 0.2 0.3 0.4\n", "promises 3 words, but 1 follow"), (b"3 4\nthe \x00\x00", "promises 3 words, 0 are there"),
     (b"1 2\nthe \x00\x00\x00\x00\x00\x00\x00\x00cat", "goes on after the 1 words"),
     (b"2 4\nthe 0.1 0.2 0.3\na 0.1 0.2 0.3\n", "line 2: 3 numbers where the other lines have 4"),
     (b"the 0.1 0.2 0.3\nbank 0.1 0.2\n", "line 2: 2 numbers where the other lines have 3"),
     (b"the 0.1 0.2 0.3\nbank 0.1 0.2 0.3 0.4\n", "line 2: 4 numbers where the other lines have 3"),
     (b"the 0.1 0.2 0.3\nbank 0.1 0.2 0.3.4\n", "line 2: '0.3.4' is not a number"),
     (b"PK\x03\x04....", "a zip archive: unpack it first"),
        (b"the 0.1 0.2 0.3\nbank nan 0.1 0.2\n", "the vector of 'bank' holds a number that is not finite")],
)  # fmt: skip
def test_files_that_are_no_word_vectors(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match=complaint):
        load_encoder(tmp_path / "file")


def test_options_for_transformers_are_refused(word: WordEncoder) -> None:
    with pytest.raises(OptionError, match="layers: of no use to word vectors"):
        word.encode(["a"], layers="all")


def test_a_splitter_of_the_users_choice(word: WordEncoder) -> None:
    assert word.encode(["the bank, the"], level="word", splitter=str.split).surface.tolist() == ["the", "bank,", "the"]
    assert word.encode(["中é"], level="word", splitter=lambda text: [(0, 2)]).surface.tolist() == ["中é"]


@pytest.mark.slow
def test_the_packaged_glove_is_gensims(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    encoder = load_encoder("glove-50d")
    assert isinstance(encoder, WordEncoder)
    keyed = KeyedVectors(50)
    keyed.add_vectors(list(encoder.table.words), np.asarray(encoder.table.vectors))
    words = ["king", "queen", "the", "café", "3.14", "don"]
    np.testing.assert_array_equal(encoder.encode([words], level="word").vectors, np.stack([keyed[w] for w in words]))
