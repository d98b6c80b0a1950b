"""What may be a neighbour: never a text itself, its like, or a part of its document; and what neighbours' labels come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semvec.augment.memory import Memory, Retrieval, new_memory, open_memory, same_words, shares_of
from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import FingerprintMismatch, InputError, OptionError
from semvec.results import Hit, Hits
from semvec.search.searcher import Searcher, settings_for
from semvec.store.collection import Collection
from semvec.types import Metric
from tests import tiny
from tests.finetune import small

ROWS = small.texts(30)
TEXTS, LABELS = [text for _, text in ROWS], [label for label, _ in ROWS]
HOWS = [Retrieval(4), Retrieval(4, hybrid=True), Retrieval(4, level="token")]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder(base: Path) -> Encoder:
    return load_encoder(base, device="cpu")


def filled(memory: Memory, copies: int = 0) -> Memory:
    """The texts, some of them again and again, in other letters and with other marks between the words."""
    memory.add([f"t{at}" for at in range(len(TEXTS))], TEXTS, LABELS, document=[f"d{at // 3}" for at in range(len(TEXTS))])
    for copy in range(copies):
        again = [f"{text.upper()} {'!' * (copy + 1)}" for text in TEXTS[:6]]
        memory.add([f"copy{copy}-{at}" for at in range(6)], again, ["wrong"] * 6)
    return memory


@pytest.mark.parametrize("how", HOWS, ids=["text", "hybrid", "token"])
def test_no_text_finds_itself_or_its_copies(how: Retrieval, encoder: Encoder, tmp_path: Path) -> None:
    with new_memory(tmp_path / "m", encoder, how) as memory:
        filled(memory, copies=20)  # more of them than are looked at first
        documents = [f"d{at // 3}" for at in range(6)]
        found = memory.neighbours(TEXTS[:6], apart=True, documents=documents)
        for at, hits in enumerate(found):
            assert len(hits) == 4
            same = {f"t{row}" for row, text in enumerate(TEXTS) if text.split() == TEXTS[at].split() or row // 3 == at // 3}
            copies = {f"copy{copy}-{row}" for copy in range(20) for row in range(6) if TEXTS[row].split() == TEXTS[at].split()}
            assert not set(hits.ids) & (same | copies)
            assert all(hit.score <= 1 + 1e-6 for hit in hits)
        plain = memory.neighbours(TEXTS[:6])
        assert all(same_words(text, hits[0].text or "") for text, hits in zip(TEXTS, plain, strict=False))


def test_neighbours_are_the_nearest_of_what_is_left(encoder: Encoder, tmp_path: Path) -> None:
    with new_memory(tmp_path / "m", encoder, Retrieval(3)) as memory:
        filled(memory)
        vectors = encoder.encode_document(TEXTS).vectors
        cosines = encoder.encode_query(TEXTS[:4]).vectors @ vectors.T
        for at, hits in enumerate(memory.neighbours(TEXTS[:4], apart=True)):
            able = [
                row for row in np.argsort(-cosines[at]) if not same_words(TEXTS[at], TEXTS[row]) and cosines[at, row] <= 0.995
            ]
            assert hits.ids == [f"t{row}" for row in able[:3]]
            assert [hit.score for hit in hits] == pytest.approx(cosines[at, able[:3]], abs=1e-5)


def test_fewer_than_wanted_blanks_and_none(encoder: Encoder, tmp_path: Path) -> None:
    with new_memory(tmp_path / "m", encoder, Retrieval(50)) as memory:
        with pytest.raises(InputError, match="the memory is empty"):
            memory.neighbours(["law"])
        filled(memory)
        first, blank = memory.neighbours([TEXTS[0], "  "])
        assert len(first) == len(TEXTS)
        assert len(blank) == 0
        assert memory.remove(["t0", "nowhere"]) == 1
        assert "t0" not in memory.neighbours([TEXTS[0]])[0].ids
        first, odd = memory.neighbours([TEXTS[1], "\u200b"])
        assert len(first) == len(TEXTS) - 1
        assert not len(odd)  # nothing in it that the encoder knows
        with pytest.raises(InputError, match="1 label for 2 texts"):
            memory.add(["a", "b"], ["a", "b"], ["x"])


def test_a_memory_of_another_encoder(encoder: Encoder, tmp_path: Path) -> None:
    with new_memory(tmp_path / "m", encoder, Retrieval()) as memory:
        filled(memory)
    other = tiny.make_model("roberta", tmp_path / "other")
    with pytest.raises(FingerprintMismatch), open_memory(tmp_path / "m", Retrieval(), str(other), device="cpu"):
        pass


def test_a_collection_that_compares_otherwise_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    settings = replace(settings_for(encoder), metric=Metric.DOT)
    with Collection.open(tmp_path / "m", settings) as collection, pytest.raises(OptionError, match="weighed by cosines"):
        Memory(Searcher(encoder, collection), Retrieval())


def test_labels_are_weighed_by_hand() -> None:
    hits = Hits(tuple(Hit(str(at), score, "x", {"label": label}) for at, (score, label) in enumerate([(0.9, "a"), (0.8, "b"), (0.7, "a"), (0.6, "c")])))  # fmt: skip
    none = Hits((Hit("x", 0.5, "x"), Hit("y", 0.4, "x", {"label": ""})))
    found = shares_of([hits, none, Hits(())], {"a": 0, "b": 1}, 2, 0.1)
    weights = np.exp(np.array([0.0, -1.0]))
    np.testing.assert_allclose(found[0], weights / weights.sum())
    assert not found[1:].any()  # no label that is known
    three = shares_of([hits], {"a": 0, "b": 1, "c": 2}, 3, 0.1)[0]
    weights = np.exp(np.array([0.0, -1.0, -2.0]))
    np.testing.assert_allclose(three, np.array([weights[0] + weights[2], weights[1], 0]) / weights.sum())


def test_options_that_do_not_go() -> None:
    for wrong in ({"k": 0}, {"level": "word"}, {"hybrid": True, "level": "token"}):
        with pytest.raises(OptionError):
            Retrieval(**wrong)  # type: ignore[arg-type]
