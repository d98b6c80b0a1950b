"""Answers of several passages: weighed as by hand, with the passages they stand in; and what happens when passages are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.special import softmax

from semvec.augment.reader import RetrievalReader, passage_shares
from semvec.errors import InputError, OptionError, StoreError
from semvec.finetune.model import FineTuned
from semvec.results import Hit, Hits
from semvec.search.searcher import Searcher
from semvec.text.questions import Questions
from tests.augment.conftest import PASSAGES

QUESTION = "what is the right of everyone?"


def read_alone(reader: FineTuned, question: str, text: str) -> dict[str, float]:
    """How likely each piece of ``text`` answers, by its first and last token, of all pieces."""
    [window] = reader.windows(Questions(["1"], [question], [text], [[]], [""]), labelled=False)
    [logits] = reader.logits([window])
    begin, starts, ends = (window.known[name] for name in ("begin", "start", "end"))
    first, last = softmax(logits[[0, *range(begin, begin + len(starts))]], axis=0).T
    return {
        text[starts[i] : ends[j]]: float(first[i + 1] * last[j + 1]) for i in range(len(starts)) for j in range(i, len(starts))
    }


def test_answers_are_weighed(reader: FineTuned, searcher: Searcher) -> None:
    its = RetrievalReader(searcher, reader, k=3, temperature=0.5)
    [hits] = searcher.search([QUESTION], 3)
    [asked] = its.ask([QUESTION], most=4)
    assert asked.read == 3
    scores = np.array([hit.score for hit in hits])
    prior = softmax((scores - scores.max()) / (scores.max() - scores.min()) / 0.5)
    pieces = [read_alone(reader, QUESTION, str(hit.text)) for hit in hits]
    assert len(asked.answers) == 4
    for answer in asked.answers:
        for support in answer.support:
            at = hits.ids.index(support.id)
            assert support.retrieved == pytest.approx(prior[at], rel=1e-5)
            assert (
                support.read >= pieces[at][support.text[support.start : support.end]] * 0.999
            )  # and where else it says the same
        products = [one.retrieved * one.read for one in answer.support]
        assert answer.score == pytest.approx(sum(products), rel=1e-6)
        assert [one.share for one in answer.support] == pytest.approx([one / sum(products) for one in products])
    assert [one.score for one in asked.answers] == sorted((one.score for one in asked.answers), reverse=True)


def test_the_same_answer_adds_up(reader: FineTuned) -> None:
    class Found:
        collection: ClassVar[list[str]] = ["one"]

        def search(self, queries: Sequence[str], k: int = 10, **options: Any) -> list[Hits]:
            return [Hits((Hit("a", 0.9, PASSAGES[0]), Hit("b", 0.5, PASSAGES[0])), query) for query in queries]

    [asked] = RetrievalReader(Found(), reader).read(Found().search([QUESTION]))
    [answer] = asked.answers
    assert [support.id for support in answer.support] == ["a", "b"]
    assert answer.score == pytest.approx(answer.support[0].read, rel=1e-6)  # priors add up to 1
    assert sum(support.share for support in answer.support) == pytest.approx(1.0)


def test_shares_of_passages() -> None:
    np.testing.assert_allclose(passage_shares([3.0, 1.0, 2.0], 0.5), softmax([0, -2.0, -1.0]))
    np.testing.assert_allclose(passage_shares([300.0, 100.0, 200.0], 0.5), softmax([0, -2.0, -1.0]))
    np.testing.assert_allclose(passage_shares([2.0, 2.0], 0.5), [0.5, 0.5])
    assert not len(passage_shares([], 0.5))


def test_more_is_wanted_than_there_is(reader: FineTuned, searcher: Searcher) -> None:
    [asked] = RetrievalReader(searcher, reader, k=50).ask([QUESTION])
    assert asked.read == len(PASSAGES)


def test_what_is_deleted_meanwhile_is_read_as_it_was_found(reader: FineTuned, searcher: Searcher) -> None:
    its = RetrievalReader(searcher, reader, k=2)
    found = searcher.search([QUESTION], 2)
    before = its.read(found)
    searcher.collection.delete(found[0].ids)
    assert its.read(found) == before
    assert not {support.id for answer in its.ask([QUESTION])[0].answers for support in answer.support} & set(found[0].ids)


def test_what_cannot_be_read(reader: FineTuned, searcher: Searcher) -> None:
    its = RetrievalReader(searcher, reader, k=2)
    found = searcher.search([QUESTION], 2)
    bare = [Hits(tuple(replace(hit, text=None) for hit in hits), hits.query) for hits in found]
    with pytest.raises(StoreError, match="none of the passages found has a text"):
        its.read(bare)
    half = [Hits((replace(found[0][0], text=None), found[0][1]), QUESTION)]
    assert its.read(half)[0].read == 1
    assert its.read([Hits((), QUESTION)])[0].answers == ()
    searcher.collection.delete(searcher.collection.search(np.ones((1, 32), np.float32), 10)[0].ids)
    with pytest.raises(InputError, match="the collection is empty"):
        its.ask([QUESTION])
    with pytest.raises(InputError, match="list of texts"):
        its.ask(QUESTION)
    with pytest.raises(OptionError, match="k must be at least 1"):
        RetrievalReader(searcher, reader, k=0)


def test_a_reader_is_wanted(searcher: Searcher, base: Path, tmp_path: Path) -> None:
    from semvec.finetune.train import finetune
    from tests.finetune import small

    finetune("classify", base, small.write("classify", tmp_path), tmp_path / "m", options=small.quick(), before=False)
    with pytest.raises(OptionError, match="a reader wants a model that 'semvec finetune qa' made, and this one is for classify"):
        RetrievalReader(searcher, tmp_path / "m")


def test_a_long_passage_counts_once(reader: FineTuned) -> None:
    text = " ".join(["the right of everyone is freedom"] * 12)  # more than a window reads
    assert len(reader.windows(Questions(["1"], [QUESTION], [text], [[]], [""]), labelled=False)) > 2
    its = RetrievalReader(_Found([text]), reader)
    [asked] = its.read(_Found([text]).search([QUESTION]), most=50)
    total = sum(answer.score for answer in asked.answers)
    assert 0 < total <= 1 + 1e-6


class _Found:
    def __init__(self, texts: list[str]) -> None:
        self.collection = texts

    def search(self, queries: Sequence[str], k: int = 10, **options: Any) -> list[Hits]:
        hits = tuple(Hit(str(at), 1.0 - at / 10, text) for at, text in enumerate(self.collection))
        return [Hits(hits, query) for query in queries]
