"""BM25 against the library bm25s, and terms by hand."""

from __future__ import annotations

from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from semvec.index.bm25 import K1, B, Part, Postings, bm25
from semvec.index.terms import terms_of
from tests.sample import TEXTS

QUERIES = [
    "everyone has the right to life",
    "the bank the bank of the river",
    "人人生而自由",
    "nothing of it zzz",
    "Würde",
    "wurde résumé",
]


def reference(texts: list[str], query: str) -> np.ndarray:
    """What bm25s, in Lucene's variant, gives for the same terms."""
    other = bm25s.BM25(method="lucene", k1=K1, b=B)
    other.index([terms_of(text) for text in texts], show_progress=False)
    known = [term for term in terms_of(query) if term in other.vocab_dict]
    return other.get_scores(known) if known else np.zeros(len(texts), dtype=np.float32)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("cut", [0, 5, len(TEXTS)])
def test_scores_are_those_of_bm25s_however_the_texts_are_parted(query: str, cut: int, tmp_path: Path) -> None:
    whole = reference(TEXTS, query)
    first, second = Postings.of(TEXTS[:cut]), Postings.of(TEXTS[cut:])
    first.save(tmp_path)
    scores = bm25(query, [Part(Postings.open(tmp_path)), Part(second)])
    np.testing.assert_allclose(np.concatenate(scores), whole, rtol=1e-5, atol=1e-6)


def test_texts_that_are_gone_count_no_more() -> None:
    alive = np.arange(len(TEXTS)) % 3 != 0
    left = reference([text for text, yes in zip(TEXTS, alive, strict=True) if yes], QUERIES[1])
    (scores,) = bm25(QUERIES[1], [Part(Postings.of(TEXTS), alive)])
    np.testing.assert_allclose(scores[alive], left, rtol=1e-5, atol=1e-6)
    assert not scores[~alive].any()


@given(
    some.lists(some.text(alphabet="ab c中文é", max_size=12), min_size=1, max_size=8), some.text(alphabet="ab c中文é", max_size=6)
)
def test_random_texts(texts: list[str], query: str) -> None:
    if not any(terms_of(text) for text in texts):
        return
    np.testing.assert_allclose(bm25(query, [Part(Postings.of(texts))])[0], reference(texts, query), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Don't STOP, x-ray 3.14", ["don't", "stop", "x-ray", "3.14"]),
        ("Ünïcode ﬁ Straße", ["unicode", "fi", "straße"]),
        ("人生而自由", ["人生", "生而", "而自", "自由"]),
        ("中", ["中"]),
        ("GPT4是好的ok", ["gpt4", "是好", "好的", "ok"]),
        ("カタカナ ひ", ["カタ", "タカ", "カナ", "ひ"]),
        ("がか", ["がか"]),
        ("हिन्दी", ["हिन्दी"]),
        ("", []),
        ("!?", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms
