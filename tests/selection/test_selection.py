"""Which tokens are kept: counted by hand, by scikit-learn, and on vectors made for it."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest

from semvec.embeddings.transforms import normalize
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import FingerprintMismatch, FormatError, InputError, OptionError
from semvec.search.token_searcher import TokenSearcher, token_encoder, token_settings
from semvec.selection.hard import Known, Strategy, hard_scores
from semvec.selection.keep import Selection
from semvec.selection.soft import LearnedScorer, met_by
from semvec.selection.terms import Corpus, chi_squared, terms_of_tokens
from semvec.store.collection import Collection
from semvec.store.token_collection import TokenCollection
from semvec.text.document import Document
from tests.cli.test_encode import refused, run

TEXTS = ["the bank of the river, the bank", "Paris", "the the Paris!"]


def corpus() -> Corpus:
    made = Corpus()
    made.see(TEXTS)
    return made


def test_idf_is_counted() -> None:
    assert corpus().texts == 3
    assert corpus().having["the"] == 2
    assert corpus().idf("bank") == pytest.approx(log(1 + 2.5 / 1.5))
    assert corpus().idf("the") == pytest.approx(log(1 + 1.5 / 2.5))
    assert corpus().idf("") == 0


def test_tokens_know_their_words(sentence: SentenceEncoder) -> None:
    texts = ["Embankments, don't!", "été  x"]
    tokens = sentence.encode(texts, level="token")
    for term, at, start in zip(terms_of_tokens(tokens, texts), tokens.text_index, tokens.start, strict=True):
        assert term in ({"embankments", "don't", ""} if at == 0 else {"été", "x"})
        assert (term == "") == (texts[at][start] in ",!")


def test_scores_by_counts(word: WordEncoder) -> None:
    tokens, known = word.encode(TEXTS, level="word"), Known(corpus(), chi2={"bank": 3.0}, seed=5)
    words = [str(its).lower() for its in tokens.surface]
    tf = [
        TEXTS[at].lower().replace(",", "").replace("!", "").split().count(its)
        for its, at in zip(words, tokens.text_index, strict=True)
    ]
    idf = [known.corpus.idf(its) for its in words]
    found = {way: hard_scores(way, tokens, TEXTS, known).tolist() for way in Strategy if way != Strategy.CLASS}
    assert found[Strategy.FREQUENCY] == tf
    assert found[Strategy.IDF] == idf
    assert found[Strategy.TF_IDF] == pytest.approx(np.array(tf) * idf)
    assert found[Strategy.CHI2] == [3.0 * (its == "bank") for its in words]
    assert found[Strategy.LEAD] == (-tokens.start).tolist()
    alone = hard_scores(Strategy.RANDOM, word.encode(TEXTS[2:], level="word"), TEXTS[2:], known).tolist()
    assert found[Strategy.RANDOM][-3:] == alone  # other texts do not matter
    assert found[Strategy.RANDOM] != hard_scores(Strategy.RANDOM, tokens, TEXTS, replace(known, seed=6)).tolist()


def test_scores_by_vectors(word: WordEncoder) -> None:
    tokens = word.encode(TEXTS, level="word")
    unit = normalize(tokens.vectors)
    mean = unit[tokens.text_index == 0].mean(axis=0)
    found = hard_scores(Strategy.CENTROID, tokens, TEXTS, Known())
    assert found[0] == pytest.approx(unit[0] @ mean / np.linalg.norm(mean), abs=1e-6)
    classes = np.eye(3, 4, dtype=np.float32)
    found = hard_scores(Strategy.CLASS, tokens, TEXTS, Known(classes=classes))
    best = np.sort(unit[:, :3], axis=1)
    assert found == pytest.approx(best[:, 2] - best[:, 1], abs=1e-6)
    with pytest.raises(OptionError, match="two classes"):
        hard_scores(Strategy.CLASS, tokens, TEXTS, Known())


def test_chi_squared_is_scikit_learns() -> None:
    from sklearn.feature_selection import chi2

    rng = np.random.default_rng(0)
    words = list("abcdef")
    texts = [" ".join(rng.choice(words, 3)) for _ in range(60)]
    labels = ["x" if "a" in text else str(rng.choice(["y", "x"])) for text in texts]
    found = chi_squared(texts, labels)
    there = np.array([[word in text.split() for word in words] for text in texts])
    both = np.concatenate([there, ~there], axis=1)  # scikit-learn counts presence alone: χ² of a table is that of both halves
    wanted = chi2(both, labels)[0]
    assert [found[word] for word in words] == pytest.approx(wanted[:6] + wanted[6:])
    assert max(found, key=lambda word: found[word]) == "a"


def test_the_best_are_kept_in_their_order(word: WordEncoder) -> None:
    tokens = word.encode(TEXTS, level="word")
    kept = Selection(Strategy.TF_IDF, share=0.5, known=Known(corpus())).kept(tokens, TEXTS)
    assert [str(its) for its in kept.surface] == ["the", "bank", "the", "bank", "Paris", "the", "the"]  # 3 × 0.47 for the
    assert len(kept) == 3
    one = Selection(Strategy.LEAD, k=1).kept(tokens, TEXTS)
    assert [str(its) for its in one.surface] == ["the", "Paris", "the"]
    assert Selection(Strategy.LEAD, share=1).kept(tokens, TEXTS) == tokens
    for way in (Strategy.IDF, Strategy.TF_IDF, Strategy.CHI2):
        with pytest.raises(OptionError, match="wants to know"):
            Selection(way, k=1)
    for wrong in ({}, {"share": 0.5, "k": 1}, {"share": 0}, {"share": 1.5}, {"k": 0}):
        with pytest.raises(OptionError):
            Selection(Strategy.LEAD, **wrong)  # type: ignore[arg-type]


def test_special_tokens_stay(sentence: SentenceEncoder) -> None:
    tokens = sentence.encode(TEXTS, level="token", special=True)
    kept = Selection(Strategy.LEAD, k=2).kept(tokens, TEXTS)
    assert kept.special.sum() == tokens.special.sum()
    assert np.bincount(kept.text_index[~kept.special]).max() == 2


def test_what_is_learned_is_kept(tmp_path: Path, word: WordEncoder) -> None:
    rng = np.random.default_rng(0)
    vectors = normalize(rng.standard_normal((500, 4)))
    telling = vectors[:, 2] > 0.2
    made = word.encode(["the"], level="word").fingerprint
    scorer = LearnedScorer.fit(vectors, telling, fingerprint=made)
    assert (((vectors @ scorer.weights + scorer.bias) > 0) == telling).mean() > 0.95
    scorer.save(tmp_path / "s.safetensors")
    again = LearnedScorer.load(tmp_path / "s.safetensors")
    tokens = word.encode(TEXTS, level="word")
    assert again.scores(tokens) == pytest.approx(scorer.scores(tokens))
    assert Selection(again, k=1).kept(tokens, TEXTS).rows == 3
    with pytest.raises(FingerprintMismatch, match="two encoders"):
        replace(again, fingerprint=replace(made, weights="x")).scores(tokens)
    with pytest.raises(InputError, match="some must be"):
        LearnedScorer.fit(vectors, np.ones(500, bool))
    (tmp_path / "no.safetensors").write_bytes(b"no")
    with pytest.raises(FormatError, match="cannot be read"):
        LearnedScorer.load(tmp_path / "no.safetensors")


def test_what_queries_meet(word: WordEncoder) -> None:
    document, query = word.encode(["the bank of the river"], level="word"), word.encode(["river zzz bank"], level="word")
    assert met_by([query], document).tolist() == [False, True, False, False, True]


def test_an_index_of_half_the_tokens(tmp_path: Path, word: WordEncoder, glove_file: Path) -> None:
    chosen = Selection(Strategy.TF_IDF, share=0.5, known=Known(corpus()))
    with Collection.open(tmp_path / "c", token_settings(word, 16)) as collection:
        list(TokenSearcher(word, collection, chosen).add([Document(str(at), text) for at, text in enumerate(TEXTS)]))
        assert collection.info()["tokens"]["tokens"] == 7
        item = collection.get(["0"])[0]
        assert item is not None
        true = word.encode(TEXTS[:1]).vectors[0]  # the vector of the text is of all its tokens
        assert item.vector @ true / np.linalg.norm(item.vector) / np.linalg.norm(true) == pytest.approx(1)
    (tmp_path / "t.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    options = ("-m", glove_file, "--level", "token", "--keep-tokens", "0.5")
    assert run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "d", *options).exit_code == 0
    assert "tokens: 7 vectors" in (shown := run("index", "info", tmp_path / "d").stdout)
    assert "50% of each text's, by tf_idf" in shown
    for nan in ("nan", "0", "1.5"):
        refused(
            run(
                "index",
                "build",
                tmp_path / "t.txt",
                "-o",
                tmp_path / "e",
                "-m",
                glove_file,
                "--level",
                "token",
                "--keep-tokens",
                nan,
            ),
            "",
        )
    assert not (tmp_path / "e").exists()
    refused(run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "e", *options, "--keep-by", "chi2"), "needs labels")
    refused(
        run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "e", *options, "--keep-by", "idff"),
        "neither a scorer's file nor one of",
    )
    refused(run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "e", "--keep-tokens", "0.5"), "--level token")
    refused(run("index", "build", "-", "-o", tmp_path / "e", *options, stdin=b"the bank\n"), "read only once")
    assert not (tmp_path / "e").exists()


def test_what_is_added_later_is_chosen_alike(tmp_path: Path, word: WordEncoder, glove_file: Path) -> None:
    lines = [{"id": str(at), "text": text} for at, text in enumerate(TEXTS)]
    for name, some in (("all", lines), ("first", lines[:1]), ("rest", lines[1:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)), encoding="utf-8")
    options = ("-m", glove_file, "--level", "token", "--keep-tokens", "0.5")
    assert run("index", "build", tmp_path / "all.jsonl", "-o", tmp_path / "whole", *options).exit_code == 0
    assert run("index", "build", tmp_path / "first.jsonl", "-o", tmp_path / "parts", *options).exit_code == 0
    done = run("index", "add", tmp_path / "parts", tmp_path / "all.jsonl")  # as after a build that was broken off
    assert "1 replaced" in done.stdout
    kept = []
    for name in ("whole", "parts"):
        with Collection.open(tmp_path / name) as collection:
            assert isinstance(collection, TokenCollection)
            found = collection.nearest_tokens(word.encode(["bank"]).floats()[0], 100)
            kept.append(sorted((item.id, span) for item, span, _ in found))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 7

    tokens = token_encoder(word).encode_document(TEXTS)
    scorer = LearnedScorer.fit(tokens.floats(), tokens.start == 0, fingerprint=tokens.fingerprint)
    scorer.save(tmp_path / "s.safetensors")
    by = ("--keep-by", tmp_path / "s.safetensors")
    assert run("index", "build", tmp_path / "first.jsonl", "-o", tmp_path / "learned", *options, *by).exit_code == 0
    refused(run("index", "add", tmp_path / "learned", tmp_path / "rest.jsonl"), "--keep-by FILE names the scorer")
    assert run("index", "add", tmp_path / "learned", tmp_path / "rest.jsonl", *by).exit_code == 0
    assert "tokens: 7 vectors" in run("index", "info", tmp_path / "learned").stdout
