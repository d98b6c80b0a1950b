"""Search by texts: each part against brute force or the library it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.embeddings.maxsim import maxsim
from semvec.embeddings.similarity import similarity
from semvec.encoders.cross_encoder import CrossEncoder
from semvec.errors import FilterError, InputError, ModelError, OptionError, StoreError
from semvec.index.bm25 import Part, Postings, bm25
from semvec.results import Hit, Hits
from semvec.search.diversity import best_of_groups, diverse
from semvec.search.fusion import Fusion
from semvec.search.rerank import MaxSim
from semvec.search.searcher import Searcher, settings_for
from semvec.search.similar import similar
from semvec.store.collection import Collection, Settings
from semvec.store.local import LocalCollection
from semvec.store.transfer import copy_collection
from semvec.text.document import Document
from tests.sample import TEXTS
from tests.tiny import make_cross_encoder


def documents(texts: list[str]) -> list[Document]:
    return [
        Document(f"d{at}", text, "", "", at, {"part": at % 3} | ({"odd": True} if at % 2 else {}))
        for at, text in enumerate(texts)
    ]


@pytest.fixture
def searcher(tmp_path: Path, sentence: Any) -> Searcher:
    collection = Collection.open(tmp_path / "c", settings_for(sentence))
    made = Searcher(sentence, collection)
    assert sum(one.new for one in made.add(documents(TEXTS))) == len(TEXTS)
    return made


def found(**hits: float) -> Hits:
    return Hits(tuple(Hit(name, score) for name, score in hits.items()), "q")


def test_a_copy_that_was_broken_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semvec.store.transfer.BLOCK", 10)
    rng = np.random.default_rng(0)
    vectors, ids = rng.standard_normal((45, 4)).astype(np.float32), [f"i{at}" for at in range(45)]
    with Collection.open(tmp_path / "c", Settings(4)) as one:
        one.upsert(ids, vectors, [f"text {at}" for at in range(45)], [{"n": at} for at in range(45)])
    for at, _ in enumerate(copy_collection(tmp_path / "c", tmp_path / "d")):
        if at == 1:
            break
    with Collection.open(tmp_path / "d") as other:
        assert len(other) == 20
    with Collection.open(tmp_path / "c") as one:
        one.upsert(["i3"], vectors[:1], ["another text"], [{"n": 3}])  # one that was copied is another by now
    blocks = list(copy_collection(tmp_path / "c", tmp_path / "d", resume=True))
    assert (sum(its.written for its in blocks), sum(its.there for its in blocks)) == (26, 19)
    with Collection.open(tmp_path / "c") as one, Collection.open(tmp_path / "d") as other:
        theirs = {item.id: item for item in other.scan()}
        assert len(theirs) == 45
        for item in one.scan():
            assert (theirs[item.id].text, theirs[item.id].metadata) == (item.text, item.metadata)
            np.testing.assert_array_equal(theirs[item.id].vector, item.vector)
    assert [its.written for its in copy_collection(tmp_path / "c", tmp_path / "d", resume=True)] == [0] * 5


def test_fusion_by_hand() -> None:
    dense, words = found(a=0.9, b=0.5, c=0.1), found(c=7.0, d=3.0)
    fused = Fusion().joined(dense, words)
    assert fused.ids == ["c", "a", "b", "d"]
    assert fused[0].score == pytest.approx(1 / 63 + 1 / 61)
    assert fused[0].parts == {"dense": 0.1, "dense_rank": 3, "bm25": 7.0, "bm25_rank": 1}
    assert fused[3].parts == {"bm25": 3.0, "bm25_rank": 2}
    weighed = Fusion(0.25).joined(dense, words, -1.0)  # shares: 1.9/1.9, 1.5/1.9, 1.1/1.9 and 7/7, 3/7
    assert weighed.ids == ["a", "c", "b", "d"]
    assert [hit.score for hit in weighed] == pytest.approx([0.75, 0.75 * 1.1 / 1.9 + 0.25, 0.75 * 1.5 / 1.9, 0.25 * 3 / 7])
    assert [hit.score for hit in Fusion(0.0).joined(dense, words)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert Fusion(1.0).joined(dense, words).ids[0] == "c"
    with pytest.raises(OptionError, match="words_weight"):
        Fusion(2)


def test_diversity_against_brute_force() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((12, 4)).astype(np.float32)
    hits = found(**{f"h{at}": float(score) for at, score in enumerate(sorted(rng.random(12), reverse=True))})
    like = similarity(vectors, vectors)
    scores = np.array([hit.score for hit in hits])
    score = (scores - scores.min()) / (scores.max() - scores.min())
    chosen = [0]
    while len(chosen) < 6:
        left = [at for at in range(12) if at not in chosen]
        chosen.append(max(left, key=lambda at: 0.4 * score[at] - 0.6 * max(like[at, other] for other in chosen)))
    assert diverse(hits, vectors, 6, 0.6).ids == [f"h{at}" for at in chosen]
    assert diverse(hits, vectors, 6, 0.0).ids == hits.ids[:6]


def test_groups() -> None:
    values: list[Any] = [1, True, 1, None, "1", None, [1], 1.5, [1]]
    hits = Hits(
        tuple(Hit(str(at), 1 - at / 10, metadata={} if value is None else {"f": value}) for at, value in enumerate(values))
    )
    assert best_of_groups(hits, "f").ids == ["0", "1", "3", "4", "5", "6", "7"]


def test_groups_look_further_where_few_are_left(tmp_path: Path, sentence: Any) -> None:
    texts = [f"the bank number {at}" for at in range(400)] + ["something else"]
    collection = Collection.open(tmp_path / "c", settings_for(sentence))
    its = Searcher(sentence, collection)
    list(its.add(Document(str(at), text, "", "", at, {"g": text[:8]}) for at, text in enumerate(texts)))
    hits = its.search(["the bank number 5"], 2, group_by="g")[0]
    assert [hit.metadata["g"] for hit in hits] == ["the bank", "somethin"]


def test_hybrid_is_both_lists_joined(searcher: Searcher) -> None:
    query = "the right to life of the bank"
    hits = searcher.search([query], 5, hybrid=True)[0]
    vectors = similarity(searcher.encoder.encode_query([query]).floats(), searcher.encoder.encode_document(TEXTS).floats())[0]
    words = bm25(query, [Part(Postings.of(TEXTS))])[0]
    by_vector = np.argsort(-vectors, kind="stable").tolist()
    by_words = [at for at in np.argsort(-words, kind="stable").tolist() if words[at] > 0]
    score = {at: 1 / (61 + by_vector.index(at)) + (1 / (61 + by_words.index(at)) if at in by_words else 0) for at in by_vector}
    best = sorted(score, key=lambda at: -score[at])[:5]
    assert hits.ids == [f"d{at}" for at in best]
    assert [hit.score for hit in hits] == pytest.approx([score[at] for at in best])
    assert hits[0].parts["dense"] == pytest.approx(vectors[best[0]], abs=1e-5)
    assert hits[0].parts["bm25"] == pytest.approx(words[best[0]], rel=1e-4)
    few = searcher.search([query], 5, hybrid=True, where="part = 1")[0]
    assert len(few) == 5
    assert {hit.metadata["part"] for hit in few} == {1}


def test_words_are_found_before_and_after_optimise_and_delete(searcher: Searcher) -> None:
    collection = searcher.collection
    assert isinstance(collection, LocalCollection)
    left = dict(enumerate(TEXTS))
    for change in ("", "optimise", "delete", "add", "add", "reader"):
        if change == "optimise":
            collection.optimise()
        elif change == "delete":
            collection.delete(["d0", "d2"])
            left.pop(0), left.pop(2)
        elif change == "add":
            new = max(left) + 1
            left[new] = f"the bank {new} everyone"
            collection.upsert([f"d{new}"], np.ones((1, collection.settings.dim)), [left[new]])
        other = Collection.open(collection.folder) if change == "reader" else collection
        texts = list(left.values())
        for query in ("everyone at the bank", "人人生而"):
            scores = bm25(query, [Part(Postings.of(texts))])[0]
            order = [at for at in np.argsort(-scores, kind="stable").tolist() if scores[at] > 0]
            hits = other.search_words([query], 50)[0]
            assert hits.ids == [f"d{list(left)[at]}" for at in order]
            np.testing.assert_allclose([hit.score for hit in hits], scores[order], rtol=1e-5)


def test_rerank_by_a_cross_encoder(searcher: Searcher, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Theirs

    folder = make_cross_encoder(tmp_path / "cross")
    by = CrossEncoder.from_pretrained(folder, device="cpu")
    query = "who has rights?"
    hits = searcher.search([query], 4, rerank=by)[0]
    scores = Theirs(str(folder), device="cpu").predict([(query, text) for text in TEXTS])
    order = np.argsort(-scores, kind="stable")[:4]
    np.testing.assert_allclose([hit.score for hit in hits], scores[order], rtol=1e-4)
    assert hits.ids == [f"d{at}" for at in order]
    assert set(hits[0].parts) == {"dense", "dense_rank", "rerank"}
    with pytest.raises(ModelError, match="2 scores"):
        CrossEncoder.from_pretrained(make_cross_encoder(tmp_path / "two", labels=2))
    searcher.collection.upsert(["no text"], np.ones((1, searcher.collection.settings.dim)))
    with pytest.raises(StoreError, match="item 'no text' has no text"):
        searcher.search([query], 20, rerank=by)


def test_rerank_by_maxsim(searcher: Searcher, word: Any) -> None:
    query = "Everyone at the bank"
    hits = searcher.search([query], 3, rerank=MaxSim(searcher.encoder))[0]
    tokens = searcher.encoder.with_options(level="token")
    asked = tokens.encode_query([query]).floats()
    scores = [float(similarity(asked, tokens.encode_document([text]).floats()).max(axis=1).sum()) for text in TEXTS]
    order = np.argsort(-np.array(scores), kind="stable")[:3]
    assert hits.ids == [f"d{at}" for at in order]
    np.testing.assert_allclose([hit.score for hit in hits], np.array(scores)[order], rtol=1e-4)
    assert MaxSim(word).scores("the bank", ["the bank", ""]).tolist() == pytest.approx([2.0, 0.0], abs=1e-6)
    assert maxsim(np.eye(2, dtype=np.float32), np.zeros((0, 2), np.float32)) == 0


def test_cut_and_radius(searcher: Searcher) -> None:
    query = "the bank"
    every = searcher.search([query], 100)[0]
    cut = (every[3].score + every[4].score) / 2
    assert searcher.search([query], 100, min_score=cut)[0].ids == every.ids[:4]
    vector = searcher.encoder.encode_query([query]).floats()
    assert searcher.collection.within(vector, cut)[0].ids == every.ids[:4]
    assert searcher.collection.within(vector, -2, where="odd = true")[0].ids == [hit.id for hit in every if "odd" in hit.metadata]


def test_what_is_refused(searcher: Searcher) -> None:
    for call, kind, complaint in (
        (lambda: searcher.search("a query"), InputError, "not one string"),
        (lambda: searcher.search([""]), InputError, "holds nothing"),
        (lambda: searcher.search(["x"], 0), OptionError, "k must be"),
        (lambda: searcher.search(["x"], diversity=2), OptionError, "diversity must be between 0 and 1"),
    ):
        with pytest.raises(kind, match=complaint):
            call()


def test_copy_keeps_everything(searcher: Searcher, tmp_path: Path) -> None:
    assert sum(one.written for one in copy_collection(tmp_path / "c", tmp_path / "d")) == len(TEXTS)
    with Collection.open(tmp_path / "d") as other:
        assert other.settings == searcher.collection.settings
        for one, two in zip(searcher.collection.scan(), other.scan(), strict=True):
            assert (one.id, one.text, one.metadata) == (two.id, two.text, two.metadata)
            np.testing.assert_array_equal(one.vector, two.vector)
    with pytest.raises(OSError, match="--add"):
        list(copy_collection(tmp_path / "c", tmp_path / "d"))
    assert sum(one.written for one in copy_collection(tmp_path / "c", tmp_path / "d", add=True)) == len(TEXTS)
    Collection.open(tmp_path / "e", Settings(3)).close()
    with pytest.raises(OptionError, match="made with dim"):
        list(copy_collection(tmp_path / "c", tmp_path / "e"))


def test_similar_files(tmp_path: Path, glove_file: Path, word: Any) -> None:
    (tmp_path / "a.txt").write_text("the bank\nParis\n")
    (tmp_path / "b.txt").write_text("Paris\nof the river\nthe\n")
    pairs = list(similar(tmp_path / "a.txt", tmp_path / "b.txt", 2, model=str(glove_file)))
    scores = similarity(word.encode(["the bank", "Paris"]), word.encode(["Paris", "of the river", "the"]))
    for (_, hits), its in zip(pairs, scores, strict=True):
        order = np.argsort(-its, kind="stable")[:2]
        assert hits.ids == [str(at + 1) for at in order]
        np.testing.assert_allclose([hit.score for hit in hits], its[order], rtol=1e-5)
    assert [name for name, _ in pairs] == ["1", "2"]
    assert [
        len(hits) for _, hits in similar(tmp_path / "a.txt", tmp_path / "b.txt", 3, model=str(glove_file), min_score=0.999)
    ] == [0, 1]


def test_words_are_found_where_the_model_knows_none(tmp_path: Path, word: Any) -> None:
    with Collection.open(tmp_path / "w", settings_for(word)) as collection:
        its = Searcher(word, collection)
        written = list(its.add(documents(["the bank zzx81", "zzz", "Paris"])))
        assert [(one.new, one.left_out) for one in written] == [(2, 1)]
        assert its.search(["zzx81"], hybrid=True)[0].ids == ["d0"]
        with pytest.raises(InputError, match="holds nothing"):
            its.search(["zzx81"])
        list(its.add([Document("d2", "zzz", "", "", 0)]))
        assert collection.get(["d2"]) == [None]


def test_nothing_is_reranked_twice(searcher: Searcher) -> None:
    seen: list[str] = []

    class Counting:
        def scores(self, query: str, texts: Any) -> np.ndarray:
            seen.extend(texts)
            return np.arange(len(texts), dtype=np.float32)

    searcher.search(["the bank"], 10, rerank=Counting(), group_by="part")
    assert len(seen) == len(set(seen)) == len(TEXTS)
    with pytest.raises(FilterError, match="no item has a field 'nope'"):
        searcher.search(["the bank"], group_by="nope")
