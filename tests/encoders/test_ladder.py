"""The out-of-vocabulary ladder, and SIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.catalog import load_encoder
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.ladder import Ladder
from semvec.encoders.vocabulary import ListedWords
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError
from semvec.types import Oov, Pooling

TABLE = ["the", "receive", "president", "'s", "n't", "do", "U.S.", "e.g.", "cafe", "naive", "well", "being", "covid", "##", "thunder",
         "candle", "receives", "Berlin", "NATO", "fi", "jean", "paul", "0000", "trees", "recieve-"]  # fmt: skip

CASES = [
    ("the", Oov.EXACT, ["the"]),
    ("THE", Oov.CASE, ["the"]),
    ("berlin", Oov.CASE, ["Berlin"]),
    ("nato", Oov.CASE, ["NATO"]),
    ("café", Oov.FOLD, ["cafe"]),
    ("NAÏVE", Oov.FOLD, ["naive"]),
    ("ﬁ", Oov.CASE, ["fi"]),
    ("ｔｈｅ", Oov.FOLD, ["the"]),
    ("U.S", Oov.FOLD, ["U.S."]),
    ("47", Oov.FOLD, ["##"]),
    ("1848", Oov.FOLD, ["0000"]),
    ("president's", Oov.SUBWORD, ["president", "'s"]),
    ("President’s", Oov.SUBWORD, ["president", "'s"]),
    ("don't", Oov.SUBWORD, ["do", "n't"]),
    ("well-being", Oov.SUBWORD, ["well", "being"]),
    ("well–Being", Oov.SUBWORD, ["well", "being"]),
    ("Jean-Paul", Oov.SUBWORD, ["jean", "paul"]),
    ("COVID47", Oov.SUBWORD, ["covid", "##"]),
    ("wellBeing", Oov.SUBWORD, ["well", "being"]),
    ("thundercandle", Oov.SUBWORD, ["thunder", "candle"]),
    ("recieve", Oov.SPELLING, ["receive"]),
    ("Recieves", Oov.SPELLING, ["receives"]),
    ("prezidant", Oov.SPELLING, ["president"]),
    ("tres", Oov.ZERO, []),  # too short to guess
    ("receive1", Oov.ZERO, []),  # digits are never guessed
    ("zyxxyq", Oov.ZERO, []),
    ("", Oov.ZERO, []),
    ("—", Oov.ZERO, []),
]


@pytest.mark.parametrize(("word", "rung", "rows"), CASES, ids=[case[0] or "empty" for case in CASES])
def test_each_rung(word: str, rung: Oov, rows: list[str]) -> None:
    found = Ladder(ListedWords(TABLE), ["case", "fold", "subword", "spelling"]).find(word)
    assert (found.rung, [TABLE[row] for row in found.rows]) == (rung, rows)


@pytest.mark.parametrize(
    ("rungs", "left"),
    [
        ("none", {Oov.EXACT}),
        ("case", {Oov.EXACT, Oov.CASE}),
        ("spelling", {Oov.EXACT, Oov.SPELLING}),
        ("fold,subword", {Oov.EXACT, Oov.FOLD, Oov.SUBWORD}),
    ],
)
def test_rungs_can_be_switched_off(tmp_path: Path, rungs: str, left: set[Oov]) -> None:
    (tmp_path / "t").write_text("".join(f"{word} {i + 1} 1\n" for i, word in enumerate(TABLE)))
    encoder = load_encoder(tmp_path / "t", oov=rungs)
    found = encoder.encode([[word for word, _, _ in CASES if word]], level="word")
    assert set(found.oov.tolist()) == {int(rung) for rung in left} | {int(Oov.ZERO)}
    assert encoder.fingerprint != load_encoder(tmp_path / "t").fingerprint


def test_rungs_that_are_none() -> None:
    for value, complaint in (("spell", "did you mean 'spelling'"), (3, "must name rungs"), ("case,all", "'all' is unknown")):
        with pytest.raises(OptionError, match=complaint):
            load_encoder("glove-50d", oov=value)  # type: ignore[arg-type]


def test_transformers_have_no_ladder(contextual: dict[str, ContextualEncoder]) -> None:
    for changes in ({"oov": "none"}, {"pooling": "sif"}):
        with pytest.raises(OptionError, match="word vectors only"):
            contextual["bert"].with_options(**changes)


def test_vectors_of_several_rows_are_their_mean_and_words_are_counted_by_rung(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((len(TABLE), 4)).astype(np.float32)
    (tmp_path / "t").write_text(
        "".join(f"{w} {' '.join(map(repr, map(float, v)))}\n" for w, v in zip(TABLE, vectors, strict=True))
    )
    encoder = load_encoder(tmp_path / "t")
    texts = ["THE president's café, recieve zyxxyq the", "the", "THE president's café, recieve zyxxyq the", ""]
    found = encoder.encode(texts, level="word")
    at = {word: vectors[i] for i, word in enumerate(TABLE)}
    expected = [at["the"], (at["president"] + at["'s"]) / 2, at["cafe"], at["receive"], np.zeros(4), at["the"]]
    np.testing.assert_allclose(found[0].vectors, expected, atol=1e-6)
    assert found.rungs is not None
    assert found.rungs.tolist() == [[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
    text = encoder.encode(texts)
    assert text.rungs is not None
    assert text.rungs.tolist() == found.rungs.tolist()
    assert text[2].rungs is not None
    assert text[2].rungs.tolist() == [[1, 1, 1, 1, 1, 1]]
    np.testing.assert_allclose(text.vectors[0], np.mean([*expected[:4], expected[5]], axis=0), atol=1e-6)


def test_sif_is_the_papers(tmp_path: Path, word: WordEncoder) -> None:
    texts = ["the bank of the river", "Paris of the bank", "river river the", "don't", "zyxxy the river"]
    fitted = word.fit_sif(texts, a=0.01)
    frequency = 1 / (np.arange(8) + 2.7)
    weights = 0.01 / (0.01 + frequency / frequency.sum())
    table = {name: (np.asarray(word.table.vectors[i], dtype=np.float64), weights[i]) for i, name in enumerate(word.table.words)}
    means = np.array([np.mean([table[w][0] * table[w][1] for w in text.split() if w in table], axis=0) for text in texts])
    axis = np.linalg.svd(means)[2][0]
    expected = means - np.outer(means @ axis, axis)
    np.testing.assert_allclose(fitted.encode(texts, pooling="sif").vectors, expected, atol=1e-6)
    assert fitted.fingerprint == word.fingerprint  # mean pooling is what it was
    assert not fitted.encode(["zyxxy"], pooling=Pooling.SIF).vectors.any()
    fitted.save(tmp_path / "folder")
    again = load_encoder(tmp_path / "folder", pooling="sif")
    np.testing.assert_allclose(again.encode(texts).vectors, expected, atol=1e-6)
    assert again.fingerprint.settings == fitted.with_options(pooling="sif").fingerprint.settings
    assert fitted.with_options(pooling="sif").fingerprint != word.fit_sif(texts[:2]).with_options(pooling="sif").fingerprint


def test_sif_weighs_each_part_of_a_word_by_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((len(TABLE), 4)).astype(np.float32)
    (tmp_path / "t").write_text(
        "".join(f"{w} {' '.join(map(repr, map(float, v)))}\n" for w, v in zip(TABLE, vectors, strict=True))
    )
    encoder = WordEncoder.from_pretrained(tmp_path / "t").fit_sif(["the president's candle", "well-being of trees"], a=0.01)
    frequency = 1 / (np.arange(len(TABLE)) + 2.7)
    weights = 0.01 / (0.01 + frequency / frequency.sum())
    rows = {word: vectors[i] * weights[i] for i, word in enumerate(TABLE)}
    mean = (rows["the"] + (rows["president"] + rows["'s"]) / 2 + rows["candle"]) / 3
    axis = encoder.table.sif.component
    np.testing.assert_allclose(
        encoder.encode(["the president's candle"], pooling="sif").vectors[0], mean - (mean @ axis) * axis, atol=1e-6
    )
    np.testing.assert_array_equal(
        encoder.encode(["the"], level="word", pooling="sif").vectors, encoder.encode(["the"], level="word").vectors
    )
    cut = encoder.with_options(truncate_dim=2).fit_sif(["the president's candle", "well-being of trees"], a=0.01)
    np.testing.assert_allclose(cut.table.sif.component, axis, atol=1e-6)
    with pytest.raises(InputError, match="not one string"):
        encoder.fit_sif("the president")


def test_long_strings_cost_nothing(word: WordEncoder) -> None:
    assert word.encode(["ab" * 500_000, "the"]).oov.tolist() == [Oov.ZERO, Oov.EXACT]


def test_bits_do_not_depend_on_neighbours(word: WordEncoder) -> None:
    texts = ["the bank of the river Paris bank of", "bank", "of the the the bank Paris river", "river of don't"]
    for pooling in ("mean", "max", "sif"):
        encoder = word.fit_sif(texts).with_options(pooling=pooling)
        together = encoder.encode(texts).vectors
        assert [encoder.encode([text]).vectors.tobytes() for text in texts] == [row.tobytes() for row in together]


def test_capitals_and_phrases_count_in_the_fingerprint(word: WordEncoder) -> None:
    from dataclasses import replace

    tables = [word.table, replace(word.table, lower=True), replace(word.table, phrases="_")]
    assert len({str(WordEncoder(table, model="x").fingerprint.settings) for table in tables}) == 3


def test_phrases_are_asked_for_with_spaces(tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "t").write_text("new 1 0\nyork 0 1\nnew_york 5 5\n")
    table = replace(WordEncoder.from_pretrained(tmp_path / "t").table, phrases="_")
    encoder = WordEncoder(table, model="x")
    assert encoder.encode(["in new york"], level="word").surface.tolist() == ["in", "new york"]
    assert encoder.standing("new york").words == ("new_york",)
    # what training never joined is not joined: other capitals are other words unless the table is of small letters
    assert encoder.encode(["New York"], level="word").surface.tolist() == ["New", "York"]
    assert WordEncoder(replace(table, lower=True), model="x").encode(["New York"], level="word").surface.tolist() == ["New York"]


def test_sif_weighs_by_the_counts_where_there_are_some(word: WordEncoder) -> None:
    from dataclasses import replace

    counts = np.array([50, 5, 3, 20, 2, 1, 1, 1], dtype=np.int64)
    np.testing.assert_allclose(replace(word.table, counts=counts).frequencies, counts / 83)


def test_sif_has_to_be_fitted(word: WordEncoder) -> None:
    with pytest.raises(OptionError, match="must be fitted first"):
        word.with_options(pooling="sif")
    with pytest.raises(InputError, match="nothing to fit SIF on"):
        word.fit_sif(["zyxxy", ""])
