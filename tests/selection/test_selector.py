"""Selectors that fit and transform: what is kept against numpy and the rules themselves; stored and read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semvec.embeddings.means import mean_by_text
from semvec.embeddings.transforms import normalize
from semvec.encoders.catalog import load_encoder
from semvec.encoders.word import WordEncoder
from semvec.errors import FormatError, InputError, OptionError
from semvec.selection.hard import Known, Strategy
from semvec.selection.keep import Selection
from semvec.selection.selector import TokenSelector
from semvec.selection.soft import LearnedScorer
from semvec.selection.terms import Corpus, chi_squared
from tests import tiny

TEXTS = ["the bank of the river, the bank", "Paris of the river", "the the Paris!", "", "zzz"]
LABELS = ["money", "town", "town", "town", "money"]


@pytest.mark.parametrize("by", list(Strategy))
def test_it_keeps_what_the_rule_keeps(by: Strategy, word: WordEncoder) -> None:
    tokens = word.encode(TEXTS, level="word")
    corpus = Corpus()
    corpus.see(TEXTS)
    means = np.stack(
        [tokens.vectors[[LABELS[at] == its for at in tokens.text_index] & (tokens.oov != 5)].mean(0) for its in ("money", "town")]
    )
    known = Known(corpus, chi_squared(TEXTS, LABELS), means.astype(np.float32), 3)
    made = TokenSelector(by, share=0.4, seed=3).fit(tokens, TEXTS, LABELS)
    wanted = Selection(by, 0.4, known=known).kept(tokens, TEXTS)
    found = made.transform(tokens, TEXTS)
    assert list(found.surface) == list(wanted.surface)
    np.testing.assert_allclose(made.pooled(tokens, TEXTS), mean_by_text(wanted))


def test_the_mean_of_what_is_kept(word: WordEncoder) -> None:
    tokens = word.encode(TEXTS, level="word")
    found = TokenSelector("lead", k=2).pooled(tokens, TEXTS)
    np.testing.assert_allclose(found[1], tokens.vectors[tokens.text_index == 1][:2].mean(0), rtol=1e-5)
    assert not found[3:].any()


def test_texts_are_shortened(word: WordEncoder) -> None:
    tokens = word.encode(TEXTS, level="word")
    made = TokenSelector("idf", k=2).fit(tokens, TEXTS)
    assert made.shortened(tokens, TEXTS)[:2] == ["bank bank", "Paris of"]  # of and river are as rare: the earlier stays
    assert made.shortened(tokens, TEXTS)[3] == ""
    scores = made.scores(tokens, TEXTS)
    assert len(scores) == tokens.rows


def test_pieces_of_a_word_stay_together(sentence: object) -> None:
    text = "Embankments of freedom"
    tokens = sentence.encode([text], level="token")  # type: ignore[attr-defined]
    assert TokenSelector("lead", share=1.0).shortened(tokens, [text]) == [text]
    assert TokenSelector("lead", k=3).shortened(tokens, [text]) == [text[: int(np.sort(tokens.end)[2])]]


def test_nothing_comes_twice(tmp_path: Path) -> None:
    text = "naïve 中文 🙂  ok"
    tokens = load_encoder(tiny.make_model("roberta", tmp_path), device="cpu").encode([text], level="token")
    [found] = TokenSelector("lead", share=1.0).shortened(tokens, [text])
    assert found.split() == text.split()


def test_by_what_was_learned(word: WordEncoder) -> None:
    tokens = word.encode(TEXTS, level="word")
    weights = np.arange(tokens.dim, dtype=np.float32)
    made = TokenSelector(LearnedScorer(weights, 0.0), k=1)
    scores = normalize(tokens.vectors) @ weights
    first = np.flatnonzero(tokens.text_index == 1)
    assert list(made.transform(tokens, TEXTS)[1].surface) == [tokens.surface[first[scores[first].argmax()]]]
    with pytest.raises(OptionError, match="save the scorer"):
        made.save(Path("x.json"))


@pytest.mark.parametrize("by", ["tf_idf", "chi2", "class", "lead"])
def test_it_is_stored(by: str, word: WordEncoder, tmp_path: Path) -> None:
    tokens = word.encode(TEXTS, level="word")
    made = TokenSelector(by, share=0.3, seed=2).fit(tokens, TEXTS, LABELS)
    made.save(tmp_path / "s.json")
    again = TokenSelector.load(tmp_path / "s.json")
    np.testing.assert_allclose(again.scores(tokens, TEXTS), made.scores(tokens, TEXTS), rtol=1e-6)
    assert (again.share, again.k, again.seed) == (0.3, None, 2)


def test_what_is_wrong_is_said(word: WordEncoder, tmp_path: Path) -> None:
    tokens = word.encode(TEXTS, level="word")
    with pytest.raises(InputError, match="chi2 wants labels"):
        TokenSelector("chi2").fit(tokens, TEXTS)
    with pytest.raises(OptionError, match="has learnt nothing yet"):
        TokenSelector("tf_idf").transform(tokens, TEXTS)
    with pytest.raises(InputError, match="3 texts"):
        TokenSelector("lead").fit(tokens, TEXTS[:3])
    with pytest.raises(OptionError, match="one of the two"):
        TokenSelector("lead", share=0.5, k=2)
    with pytest.raises(ValueError, match="tf"):
        TokenSelector("tf")
    with pytest.raises(InputError, match="tokens of 5 texts, and 2 texts"):
        TokenSelector("lead").transform(tokens, TEXTS[:2])
    with pytest.raises(InputError, match="nothing hangs on the labels"):
        TokenSelector("class").fit(tokens, TEXTS, ["a"] * 5)
    for wrong in ({"k": 1.5}, {"k": "3"}, {"share": "x"}, {"share": True}, {"by": 5}, {"seed": -1}):
        with pytest.raises(OptionError):
            TokenSelector(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"by": 5}, {"texts": -5}, {"texts": float("inf")}, {"having": "abc"}, {"having": {"law": -3}}, {"having": {"law": None}},
     {"chi2": {"law": float("nan")}}, {"classes": 5}, {"classes": [[float("nan")]]}, {"seed": -1}, {"share": True}],
)  # fmt: skip
def test_damage_is_told(wrong: dict[str, object], word: WordEncoder, tmp_path: Path) -> None:
    TokenSelector("tf_idf", share=0.5).fit(word.encode(TEXTS, level="word"), TEXTS).save(tmp_path / "s.json")
    its = json.loads((tmp_path / "s.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps({**its, **wrong}))
    with pytest.raises((FormatError, OptionError)):
        TokenSelector.load(tmp_path / "s.json")
    for text in ("{}", "[" * 100_000, "x"):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(FormatError, match="cannot be read as a selector"):
            TokenSelector.load(tmp_path / "s.json")
