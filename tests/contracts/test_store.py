"""The contract of every store, against the exact oracle."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.errors import CollectionNotFound, FilterError, FingerprintMismatch, InputError, OptionError
from semvec.store.collection import Collection, Settings
from semvec.store.filters import field
from semvec.types import Dtype, Metric
from tests.contracts.stores import DIM, FILTERS, Plain, Store, made_up, running

__all__ = ["running"]


@pytest.fixture
def store(running: tuple[Store, Any]) -> Store:
    return running[0]


@pytest.fixture
def place(running: tuple[Store, Any], tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Gives the address of a collection that is not there yet."""
    store, server = running

    def new() -> str:
        folder = tmp_path / f"c{uuid.uuid4().hex[:12]}"
        folder.mkdir()
        return store.at(server, folder)

    return new


def agree(collection: Collection, plain: Plain, rng: np.random.Generator, refused: tuple[str, ...] = ()) -> None:
    """The collection gives what the oracle gives: hits, counts and items."""
    queries = rng.standard_normal((5, DIM)).astype(np.float32)
    for where in [None, *FILTERS]:
        if where in refused:
            with pytest.raises(FilterError, match="cannot"):
                collection.search(queries, 7, where=where)
            continue
        found = collection.search(queries, 7, where=where)
        for hits, (ids, scores) in zip(found, plain.search(queries, 7, where), strict=True):
            assert hits.ids == ids, where
            np.testing.assert_allclose([hit.score for hit in hits], scores, atol=2e-5)
            for hit in hits:
                assert (hit.text, hit.metadata) == plain.items[hit.id][2:]
        assert collection.count(where) == len(plain.matching(where)), where
    assert collection.count() == len(plain.items)
    assert {item.id for item in collection.scan()} == set(plain.items)
    for where in rng.choice([one for one in FILTERS if one not in refused], 6, replace=False).tolist():
        scanned = list(collection.scan(where))
        assert [item.id for item in scanned] == plain.matching(where), where
        for item in scanned:
            _, vector, text, metadata = plain.items[item.id]
            np.testing.assert_allclose(item.vector, vector, rtol=1e-5)  # some keep cosines and lengths apart
            assert (item.text, item.metadata) == (text, metadata)


@pytest.mark.parametrize("metric", [str(metric) for metric in Metric])
def test_whatever_is_done_it_is_what_the_oracle_says(store: Store, place: Callable[[], str], metric: str) -> None:
    rng, chance = np.random.default_rng(0), random.Random(0)
    plain, where = Plain(metric), place()
    collection = Collection.open(where, Settings(DIM, Metric(metric)))
    names = [f"id {i} ü中/'\"%😀" for i in range(200)]
    for kind in [
        "upsert",
        "upsert",
        "delete",
        "reopen",
        "upsert",
        "optimise",
        "delete where",
        "delete",
        "upsert",
        "delete where",
        "reopen",
    ]:
        if kind == "upsert":
            ids = chance.sample(names, 60)
            made = made_up(rng, ids)
            before = len(plain.items)
            plain.upsert(ids, *made)
            written = collection.upsert(ids, *made)
            assert (written.new, written.replaced) == (len(plain.items) - before, len(ids) - len(plain.items) + before)
        elif kind == "delete":
            ids = chance.sample(names, 20)
            assert collection.delete([*ids, ids[0], "never there"]) == sum(name in plain.items for name in ids)
            plain.delete(ids)
        elif kind == "delete where":
            for _ in range(3):
                wanted = " and ".join(chance.sample([one for one in FILTERS if one not in store.refused], 2))
                gone = plain.matching(wanted)
                assert collection.delete(where=wanted) == len(gone), wanted
                plain.delete(gone)
                assert collection.count() == len(plain.items)
        elif kind == "optimise":
            assert collection.optimise()
        else:
            collection.close()
            collection = Collection.open(where)
            assert collection.settings == Settings(DIM, Metric(metric))
        agree(collection, plain, rng, store.refused)
    for item in collection.scan():
        _, vector, text, metadata = plain.items[item.id]
        np.testing.assert_allclose(item.vector, vector, rtol=1e-5)
        assert (item.text, item.metadata) == (text, metadata)
    there, missing = collection.get([next(iter(plain.items)), "never there"])
    assert missing is None
    assert there is not None
    assert there.text == plain.items[there.id][2]
    assert collection.info()["items"] == len(plain.items)
    collection.close()


def test_many_at_once(place: Callable[[], str]) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((10_000, DIM)).astype(np.float32)
    ids = [f"{i}" for i in range(10_000)]
    where = place()
    with Collection.open(where, Settings(DIM, Metric.DOT)) as collection:
        assert collection.upsert(ids, vectors, None, [{"part": i % 1000} for i in range(10_000)]).new == 10_000
        assert collection.upsert(ids[:5000], vectors[:5000], None, [{"part": i % 1000} for i in range(5000)]).replaced == 5000
    with Collection.open(where) as collection:
        assert collection.count() == 10_000
        scores = vectors[:20] @ vectors.T
        for query, hits in enumerate(collection.search(vectors[:20], 10)):
            assert len(set(hits.ids) & {str(at) for at in np.argsort(-scores[query])[:10]}) >= 9
        for query, hits in enumerate(collection.search(vectors[:20], 5, where="part = 7")):
            only = np.arange(7, 10_000, 1000)
            assert hits.ids == [str(at) for at in only[np.argsort(-scores[query][only])][:5]]
        assert collection.delete(ids[:9000]) == 9000
        assert collection.count() == 1000
        assert len(collection.search(vectors[:1], 1000)[0]) == 1000


def test_what_is_refused(place: Callable[[], str], word: Any, sentence: Any) -> None:
    with pytest.raises(CollectionNotFound):
        Collection.open(place())
    found = word.encode(["the bank", "of the river"]).with_ids(["a", "b"])
    where = place()
    collection = Collection.open(where, Settings(4, fingerprint=found.fingerprint))
    collection.add(found)
    with pytest.raises(FingerprintMismatch):
        collection.add(sentence.encode(["x"]).with_ids(["x"]))
    with pytest.raises(FingerprintMismatch):
        Collection.open(where, fingerprint=sentence.fingerprint)
    with pytest.raises(OptionError, match="made with metric cosine, not dot"):
        Collection.open(where, Settings(4, Metric.DOT))
    ok = np.ones((1, 4), np.float32)
    for call, kind, complaint in (
        (lambda: collection.upsert(["x"], np.ones((1, 5))), InputError, r"shape \(1, 5\) where the collection wants \(rows, 4\)"),
        (lambda: collection.upsert(["x"], ok * np.nan), InputError, "the vector of id 'x' holds a number that is not finite"),
        (lambda: collection.upsert(["x"], ok * 0), InputError, "the vector of id 'x' is all zeros"),
        (lambda: collection.upsert(["x", "x"], np.ones((2, 4))), InputError, "'x' comes more than once"),
        (lambda: collection.upsert([""], ok), InputError, "an id must be a string"),
        (lambda: collection.upsert(["\ud800"], ok), InputError, "lone surrogate"),
        (lambda: collection.upsert(["x\0"], ok), InputError, "NUL"),
        (lambda: collection.upsert("x", ok), InputError, "not one string"),
        (lambda: collection.upsert(["x"], ok, ["a", "b"]), InputError, "2 texts for 1 ids"),
        (lambda: collection.upsert(["x"], ok, ["a\udc80"]), InputError, "the text of id 'x': not UTF-8"),
        (lambda: collection.upsert(["x"], ok, None, ["y"]), InputError, "the metadata of id 'x' must be a dict"),
        (lambda: collection.upsert(["x"], ok, None, [{"a": float("nan")}]), InputError, "the metadata of id 'x' are not JSON"),
        (
            lambda: collection.upsert(["x"], ok, None, [{"a": ["b", {"c": "\0"}]}]),
            InputError,
            "not JSON: NUL character .field 'a'.",
        ),
        (lambda: collection.upsert(["x"], ok, None, [{"a": {1, 2}}]), InputError, "the metadata of id 'x' are not JSON"),
        (
            lambda: collection.upsert(["x"], ok, None, [{"a": 2**70}]),
            InputError,
            "id 'x' hold a whole number that does not fit 64 bits with a sign; a string would do .field 'a'.",
        ),
        (lambda: collection.search(ok, 0), OptionError, "k must be a whole number"),
        (lambda: collection.search(ok[0], 1), InputError, "shape"),
        (lambda: collection.search(ok * 0, 1), InputError, "the vector 0 is all zeros"),
        (lambda: collection.search(ok, 1, where="year = 1"), FilterError, "no item has a field 'year'"),
        (lambda: collection.count("year = 1"), FilterError, "no item has a field 'year'"),
        (lambda: collection.search(ok, 1, where="year = "), FilterError, "character 8"),
        (lambda: collection.delete("a"), InputError, "not one string"),
        (lambda: collection.delete(), OptionError, "ids or a filter, one of the two"),
        (lambda: collection.delete(["a"], where="x = 1"), OptionError, "ids or a filter, one of the two"),
        (lambda: collection.delete([], where="x = 1"), OptionError, "ids or a filter, one of the two"),
        (lambda: collection.delete(where="year = 1"), FilterError, "no item has a field 'year'"),
        (lambda: collection.delete(where="year = "), FilterError, "character 8"),
        (lambda: collection.delete(where=""), FilterError, "filter"),
        (lambda: list(collection.scan("year = 1")), FilterError, "no item has a field 'year'"),
        (lambda: list(collection.scan(where={"year": 1})), FilterError, "a filter is text"),
    ):
        with pytest.raises(kind, match=complaint):
            call()
    assert collection.count() == 2
    assert collection.upsert(["c"], ok, None, [{"a": "\\u0000"}]).new == 1
    assert collection.delete(["c"]) == 1
    assert collection.upsert([], np.zeros((0, 4))).new == 0
    assert collection.delete([]) == 0
    assert [hits.ids for hits in collection.search(np.zeros((0, 4)), 3)] == []
    assert len(collection.search(ok, 99)[0]) == 2
    collection.close()


def test_a_filter_that_is_true_of_many_or_of_all(place: Callable[[], str]) -> None:
    """More than any store reads or deletes in one call."""
    with Collection.open(place(), Settings(2, Metric.DOT)) as collection:
        ids = [f"{at}" for at in range(6000)]
        collection.upsert(ids, np.ones((6000, 2)), None, [{"at": at, "source": f"{at % 3}.pdf"} for at in range(6000)])
        assert [item.id for item in collection.scan("source = '1.pdf'")] == ids[1::3]
        assert [item.id for item in collection.scan("source startswith '1' and at < 9")] == ["1", "4", "7"]
        assert collection.delete(where="source = '1.pdf'") == 2000
        assert collection.delete(where="source = '1.pdf'") == 0
        assert collection.count() == 4000
        assert [item.id for item in collection.scan("at < 6")] == ["0", "2", "3", "5"]
        assert collection.delete(where=~field("at").is_null()) == 4000
        assert list(collection.scan()) == []
        assert collection.upsert(["1"], np.ones((1, 2)), None, [{"source": "1.pdf"}]).new == 1
        assert [hits.ids for hits in collection.search(np.ones((1, 2)), 3, where="source = '1.pdf'")] == [["1"]]


def test_an_empty_collection(place: Callable[[], str]) -> None:
    with Collection.open(place(), Settings(3)) as collection:
        assert collection.count() == 0
        assert collection.search(np.ones((2, 3)), 5)[1].ids == []
        assert list(collection.scan()) == []
        assert collection.get(["a"]) == [None]


def test_a_collection_that_is_dropped_is_gone_with_all_it_held(place: Callable[[], str]) -> None:
    one, two = place(), place()
    for _ in range(2):
        with Collection.open(one, Settings(3)) as collection:
            assert (collection.count(), collection.info()["fields"]) == (0, [])
            collection.upsert([f"{at}" for at in range(3000)], np.ones((3000, 3)), None, [{"at": 1}] * 3000)
            collection.optimise()
            collection.drop()
            collection.close()
        with pytest.raises(CollectionNotFound):
            Collection.open(one)
        with Collection.open(two, Settings(5)) as other:
            other.upsert(["x"], np.ones((1, 5)))
    with Collection.open(two) as other, Collection.open(one, Settings(4, Metric.DOT)) as collection:
        assert (collection.count(), other.count(), collection.upsert(["a"], np.ones((1, 4))).new) == (0, 1, 1)


def test_fewer_bytes_a_number(store: Store, place: Callable[[], str]) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((50, DIM)).astype(np.float32) * 10
    for dtype, error in ((Dtype.FLOAT16, 1e-3), (Dtype.INT8, 1e-2)):
        where = place()
        settings = replace(Settings(DIM, Metric.EUCLIDEAN), dtype=dtype)
        try:
            collection = Collection.open(where, settings)
        except OptionError as refusal:
            assert str(dtype) in str(refusal)  # noqa: PT017 (a store may say that it keeps no such numbers)
            assert store.name != "local"
            continue
        with collection:
            collection.upsert([str(i) for i in range(50)], vectors)
            kept = np.stack([item.vector for item in collection.get([str(i) for i in range(50)]) if item])
            assert np.abs(kept - vectors).max() <= error * np.abs(vectors).max()
            distances = np.linalg.norm(kept[:1] - kept, axis=1)
            hits = collection.search(kept[:1], 5)[0]
            assert hits.ids == [str(at) for at in np.argsort(distances, kind="stable")[:5]]
            np.testing.assert_allclose([hit.score for hit in hits], -np.sort(distances)[:5], atol=1e-3)
