"""Questions to word vectors, with gensim's answers as the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semvec.encoders.transport import least_cost
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_table import WordTable
from semvec.encoders.word_text import Flaws, WordBatch
from semvec.errors import InputError, OptionError
from semvec.types import Oov

NAMES = [f"w{i}" for i in range(600)]


@pytest.fixture(scope="module")
def both() -> tuple[WordEncoder, Any]:
    from gensim.models import KeyedVectors

    vectors = np.random.default_rng(0).standard_normal((600, 12)).astype(np.float32)
    keyed = KeyedVectors(12)
    keyed.add_vectors(NAMES, vectors)
    return WordEncoder(WordTable.of([WordBatch(NAMES, vectors)], Flaws()), model="random"), keyed


def agree(mine: list[Any], theirs: list[tuple[str, float]]) -> None:
    assert [one.word for one in mine] == [word for word, _ in theirs]
    np.testing.assert_allclose([one.score for one in mine], [score for _, score in theirs], atol=1e-5)


def test_neighbours_are_gensims(both: tuple[WordEncoder, Any]) -> None:
    encoder, keyed = both
    for found, word in zip(encoder.nearest(NAMES[:40], 7), NAMES[:40], strict=True):
        agree(found, keyed.most_similar(word, topn=7))
    agree(encoder.nearest(["w3"], 5, among=100)[0], keyed.most_similar("w3", topn=5, restrict_vocab=100))
    assert len(encoder.nearest(["w3"], 10_000)[0]) == 599
    agree(encoder.nearest_to(np.asarray(keyed["w9"])[None], 4)[0], [("w9", 1.0), *keyed.most_similar("w9", topn=3)])


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogies_are_gensims(both: tuple[WordEncoder, Any], method: str) -> None:
    encoder, keyed = both
    ask = keyed.most_similar if method == "3cosadd" else keyed.most_similar_cosmul
    triples = [(NAMES[i], NAMES[i + 1], NAMES[i + 2]) for i in range(0, 60, 3)]
    for (a, b, c), found in zip(triples, encoder.analogy(triples, 5, method=method), strict=True):
        agree(found, ask(positive=[b, c], negative=[a], topn=5))


def test_the_odd_one_out_is_gensims(both: tuple[WordEncoder, Any]) -> None:
    encoder, keyed = both
    for at in range(0, 100, 5):
        words = NAMES[at : at + 5]
        assert encoder.odd_one_out(words)[0].word == keyed.doesnt_match(words)


def test_distances_are_gensims(both: tuple[WordEncoder, Any]) -> None:
    pytest.importorskip("ot")
    encoder, keyed = both
    rng = np.random.default_rng(1)
    for _ in range(10):
        one, other = (rng.choice(NAMES[:40], rng.integers(1, 12)).tolist() for _ in range(2))
        assert encoder.distance(" ".join(one), " ".join(other)) == pytest.approx(keyed.wmdistance(one, other), abs=1e-5)
    assert encoder.distance("w1 w2 zyxxy", "w2 w1") == 0
    long = " ".join(NAMES)
    assert 0 < encoder.distance(long, " ".join(NAMES[:300])) < 2


def test_transport_is_the_best_assignment() -> None:
    from scipy.optimize import linear_sum_assignment

    costs = np.random.default_rng(2).random((9, 9))
    rows, columns = linear_sum_assignment(costs)
    share = np.full(9, 1 / 9)
    assert least_cost(share, share, costs) == pytest.approx(costs[rows, columns].mean())
    assert least_cost(np.array([1.0]), np.array([0.25, 0.75]), np.array([[1.0, 3.0]])) == pytest.approx(2.5)


def test_words_go_down_the_ladder_first(word: WordEncoder) -> None:
    assert word.nearest(["PARIS"], 3) == word.nearest(["Paris"], 3)
    assert word.standing("PARIS") == (("Paris",), Oov.CASE)
    assert word.standing("zyxxy") == ((), Oov.ZERO)
    assert word.standings("the PARIS zyxxy") == {
        "the": (("the",), Oov.EXACT),
        "PARIS": (("Paris",), Oov.CASE),
        "zyxxy": ((), Oov.ZERO),
    }


def test_questions_that_cannot_be_answered(word: WordEncoder) -> None:
    for ask, kind, complaint in (
        (lambda: word.nearest(["the", "zyxxy"]), InputError, "'zyxxy' is not in the vocabulary of 8 words"),
        (
            lambda: word.nearest(["zyxxy", "the", "qqq", "zyxxy"]),
            InputError,
            "'zyxxy', 'qqq' are not in the vocabulary of 8 words, nor anything near them$",
        ),
        (lambda: word.analogy([("the", "zyxxy", "qqq")]), InputError, "'zyxxy', 'qqq' are not in"),
        (
            lambda: word.with_options(oov="none").nearest(["BANK"]),
            InputError,
            r"'BANK' is not in the vocabulary of 8 words \(rungs that are off: case, fold, subword, spelling\)$",
        ),
        (
            lambda: word.with_options(oov="case,fold").nearest(["rivver"]),
            InputError,
            r"nor anything near it \(rungs that are off: subword, spelling\)$",
        ),
        (lambda: word.nearest([f"zyxxy{n}" for n in range(500)]), InputError, "'zyxxy19' and 480 more are not in"),
        (lambda: word.nearest("the"), InputError, "must be a list of words"),
        (lambda: word.nearest(["the"], 0), OptionError, "k must be a whole number"),
        (lambda: word.nearest(["the"], among=0), OptionError, "among must be a whole number"),
        (lambda: word.nearest_to(np.full((1, 4), np.nan)), InputError, "a number that is not finite"),
        (lambda: word.nearest_to(np.ones(4)), OptionError, "where \\(rows, 4\\) is wanted"),
        (lambda: word.analogy([("the", "bank")]), InputError, "an analogy is three words"),  # type: ignore[list-item]
        (lambda: word.analogy([("the", "bank", "of")], method="3cos"), OptionError, "did you mean '3cos"),
        (lambda: word.odd_one_out(["the", "bank"]), InputError, "three words or more"),
        (lambda: word.distance("zyxxy", "the"), InputError, "no word of 'zyxxy' is in the vocabulary"),
    ):
        with pytest.raises(kind, match=complaint):
            ask()


def test_a_word_of_zeros_is_nobodys_neighbour_before_others() -> None:
    vectors = np.array([[0, 0], [1, 0], [1, 0.1], [-1, 0.2]], dtype=np.float32)
    encoder = WordEncoder(WordTable.of([WordBatch(["zero", "one", "near", "far"], vectors)], Flaws()), model="x")
    assert [one.word for one in encoder.nearest(["one"], 3)[0]] == ["near", "zero", "far"]
    with pytest.raises(InputError, match="the vector of 'zero' is all zeros"):
        encoder.nearest(["zero"])
    with pytest.raises(InputError, match="'zyxxy' is not in the vocabulary of 4 words, nor anything near it$"):
        encoder.nearest(["zero", "zyxxy"])
