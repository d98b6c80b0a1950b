"""The shares of words add up to the score, and each is what numpy finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.static import StaticEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError
from semvec.search.explain import Method, explain
from semvec.search.explain_page import explain_page
from semvec.types import Metric
from tests.cli.test_encode import refused, run

ONE, OTHER = "The bank of the river, again.", "Money in the bank?"


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_transformer_with_mean_pooling(sentence: SentenceEncoder, contextual: dict[str, ContextualEncoder]) -> None:
    for encoder in (sentence, contextual["bert"], contextual["gpt2"]):
        found = explain(encoder, ONE, OTHER)
        assert found.method == Method.EXACT
        assert found.pairs is not None
        whole = encoder.encode([ONE, OTHER]).vectors
        assert found.score == pytest.approx(cosine(*whole), abs=1e-6)
        for parts in (found.one, found.other):
            assert sum(part.share for part in parts) == pytest.approx(found.score, abs=1e-5)
        assert found.pairs.sum() == pytest.approx(found.score, abs=1e-5)
        tokens = encoder.encode([ONE, OTHER], level="token", special=True)
        one, other = (tokens[at].vectors.astype(np.float64) for at in range(2))
        scale = len(one) * len(other) * np.linalg.norm(one.mean(0)) * np.linalg.norm(other.mean(0))
        river = next(part for part in found.one if part.text == "river")
        inside = (tokens[0].start >= river.start) & (tokens[0].end <= river.end) & ~tokens[0].special
        assert inside.any()
        assert river.share == pytest.approx(float((one[inside] @ other.T).sum() / scale), abs=1e-6)
        assert all(ONE[part.start : part.end] == part.text for part in found.one if part.text)
        best, to, share = found.strongest(1)[0]
        assert share == pytest.approx(found.pairs[found.one.index(best), found.other.index(to)])
        assert share == max(
            found.pairs[at, by] for at, a in enumerate(found.one) for by, b in enumerate(found.other) if a.text and b.text
        )


def test_word_vectors(word: WordEncoder, static: StaticEncoder) -> None:
    for encoder in (word, static):
        found = explain(encoder, "the bank", "the river")
        assert found.method == Method.EXACT
        assert sum(part.share for part in found.one) == pytest.approx(found.score, abs=1e-5)
    words = explain(word, "the bank", "the river")
    bank, river, the = (word.encode([its]).vectors[0] for its in ("bank", "river", "the"))
    assert words.score == pytest.approx(cosine(the + bank, the + river), abs=1e-6)
    expected = bank @ (the + river) / np.linalg.norm(the + bank) / np.linalg.norm(the + river)
    assert next(part.share for part in words.one if part.text == "bank") == pytest.approx(float(expected), abs=1e-6)


def test_other_pooling_is_explained_by_leaving_words_out(contextual: dict[str, ContextualEncoder]) -> None:
    encoder = contextual["bert"].with_options(pooling="cls")
    found = explain(encoder, ONE, OTHER)
    assert found.method == Method.OCCLUSION
    assert found.pairs is None
    assert found.strongest(3) == []
    assert [part.text for part in found.other] == ["Money", "in", "the", "bank"]
    without = encoder.encode(["Money in the ?", ONE]).vectors
    assert found.other[3].share == pytest.approx(found.score - cosine(*without), abs=1e-5)


def test_what_cannot_be_explained(sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="'  ': nothing in it has a vector"):
        explain(sentence, "the bank", "  ")
    monkeypatch.setattr(sentence, "_metric", Metric.EUCLIDEAN)
    with pytest.raises(OptionError, match="similarities are explained, and .* has euclidean distances"):
        explain(sentence.with_options(normalize=True), "the bank", "the river")


def test_a_page_is_whole_and_escaped(sentence: SentenceEncoder) -> None:
    one, other = "<b>bank</b> & river", "the bank"
    page = explain_page(explain(sentence, one, other), one, other)
    assert page.startswith("<!doctype html>")
    assert "&lt;" in page
    assert "<b>" not in page
    assert "http" not in page
    assert "What two words bring together" in page


def test_from_the_shell(tmp_path: Path, sentence_folder: Path) -> None:
    done = run("explain", sentence_folder, ONE, OTHER, "--html", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    assert "exact: the shares of either text add up to the score" in done.stdout
    assert "\x1b" not in done.stdout
    assert "river" in (tmp_path / "page.html").read_text()
    found = json.loads(run("explain", sentence_folder, ONE, OTHER, "--json").stdout)
    assert sum(part["share"] for part in found["one"]) == pytest.approx(found["score"], abs=1e-5)
    assert np.sum(found["pairs"]) == pytest.approx(found["score"], abs=1e-5)
    refused(run("explain", sentence_folder, "", OTHER), "nothing in it has a vector")
    refused(run("explain", sentence_folder, ONE, OTHER, "--html", tmp_path / "no" / "page.html"), "page.html")
