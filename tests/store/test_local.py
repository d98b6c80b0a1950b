"""A local collection against a plain dict and the exact oracle."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.embeddings.similarity import similarity
from semvec.errors import (
    CollectionDamaged,
    CollectionNotFound,
    FilterError,
    FingerprintMismatch,
    InputError,
    OptionError,
    StoreError,
)
from semvec.index.kinds import KINDS
from semvec.store.collection import Collection, Settings
from semvec.store.filter_text import parse_filter
from semvec.store.local import LocalCollection
from semvec.types import Metric

DIM = 16
FILTERS = ["lang = 'de'", "year >= 2010 and lang in ('en', 'fr')", "tags contains 'new'", "note is null", "not lang = 'de'", "name startswith 'ä'",
           "lang = 'xx'", "score < 0.05", "year != 2000 or good = true"]  # fmt: skip


class Plain:
    """The oracle: a dict, and a sort over all of it."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.items: dict[str, tuple[int, np.ndarray, str, dict[str, Any]]] = {}
        self.last = 0

    def upsert(self, ids: list[str], vectors: np.ndarray, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        for row in zip(ids, vectors, texts, metadata, strict=True):
            self.last += 1
            self.items.pop(row[0], None)
            self.items[row[0]] = (self.last, *row[1:])

    def search(self, queries: np.ndarray, k: int, where: str | None) -> list[tuple[list[str], list[float]]]:
        wanted = None if where is None else parse_filter(where)
        kept = [(name, item) for name, item in self.items.items() if wanted is None or wanted.matches(item[3])]
        if not kept:
            return [([], []) for _ in queries]
        scores = similarity(queries, np.stack([item[1] for _, item in kept]), self.metric)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [([kept[at][0] for at in row], [float(its[at]) for at in row]) for row, its in zip(best, scores, strict=True)]


def made_up(rng: np.random.Generator, names: list[str]) -> tuple[np.ndarray, list[str], list[dict[str, Any]]]:
    vectors = rng.standard_normal((len(names), DIM)).astype(np.float32)
    metadata = []
    for _ in names:
        one: dict[str, Any] = {
            "lang": str(rng.choice(["de", "en", "fr"])),
            "year": int(rng.integers(1990, 2030)),
            "score": float(rng.random()),
        }
        one |= {"tags": ["new", 7] if rng.random() < 0.3 else ["old"], "name": str(rng.choice(["ärger", "ä", "zebra"]))}
        one |= {"note": None} if rng.random() < 0.5 else {}
        one |= {"good": bool(rng.random() < 0.5), "deep": {"x": 1}}
        metadata.append(one)
    return vectors, [f"text {name} 😀" for name in names], metadata


def agree(collection: Collection, plain: Plain, rng: np.random.Generator) -> None:
    queries = rng.standard_normal((5, DIM)).astype(np.float32)
    for where in [None, *FILTERS]:
        found = collection.search(queries, 7, where=where)
        for hits, (ids, scores) in zip(found, plain.search(queries, 7, where), strict=True):
            assert hits.ids == ids, where
            np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-5)
            for hit in hits:
                assert (hit.text, hit.metadata) == plain.items[hit.id][2:]
        wanted = None if where is None else parse_filter(where)
        assert collection.count(where) == sum(wanted is None or wanted.matches(item[3]) for item in plain.items.values())
    assert [item.id for item in collection.scan()] == [
        name for name, _ in sorted(plain.items.items(), key=lambda pair: pair[1][0])
    ]


@pytest.mark.parametrize("metric", [str(metric) for metric in Metric])
def test_whatever_is_done_it_is_what_the_oracle_says(tmp_path: Path, metric: str) -> None:
    rng, chance = np.random.default_rng(0), random.Random(0)
    plain = Plain(metric)
    collection = Collection.open(tmp_path / "c", Settings(DIM, Metric(metric)))
    reader = Collection.open(tmp_path / "c")
    names = [f"id {i} ü中" for i in range(300)]
    for _ in range(25):
        kind = chance.choice(["upsert", "upsert", "delete", "optimise", "reopen"])
        if kind == "upsert":
            ids = chance.sample(names, chance.randrange(1, 60))
            made = made_up(rng, ids)
            before = len(plain.items)
            plain.upsert(ids, *made)
            written = collection.upsert(ids, *made)
            assert (written.new, written.replaced) == (len(plain.items) - before, len(ids) - len(plain.items) + before)
        elif kind == "delete":
            ids = chance.sample(names, 20)
            assert collection.delete([*ids, ids[0], "never there"]) == sum(name in plain.items for name in ids)
            for name in ids:
                plain.items.pop(name, None)
        elif kind == "optimise" and plain.items:
            assert isinstance(collection, LocalCollection)
            collection.optimise()
        elif kind == "reopen":
            collection.close()
            collection = Collection.open(tmp_path / "c")
        if plain.last:
            agree(chance.choice([collection, reader]), plain, rng)
    assert isinstance(collection, LocalCollection)
    assert not collection.check()
    found = collection.get([names[0], "never there"])
    assert found[1] is None
    if names[0] in plain.items:
        assert found[0] is not None
        np.testing.assert_array_equal(found[0].vector, plain.items[names[0]][1])


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_index(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((40, DIM))
    vectors = (centres[rng.integers(0, 40, 3000)] + 0.5 * rng.standard_normal((3000, DIM))).astype(np.float32)
    ids = [str(i) for i in range(3000)]
    metadata = [{"part": i % 100} for i in range(3000)]
    collection = Collection.open(tmp_path / "c", Settings(DIM))
    assert isinstance(collection, LocalCollection)
    collection.upsert(ids, vectors, None, metadata)
    queries = (centres[:30] + 0.5 * rng.standard_normal((30, DIM))).astype(np.float32)
    exact = [hits.ids for hits in collection.search(queries, 10)]
    few = [hits.ids for hits in collection.search(queries, 10, where="part < 3")]
    half = [hits.ids for hits in collection.search(queries, 10, where="part >= 50")]
    assert collection.optimise(kind)["recall"] >= 0.95
    for where, true in ((None, exact), ("part < 3", few), ("part >= 50", half)):
        found = [hits.ids for hits in collection.search(queries, 10, where=where)]
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) >= 0.95
    gone = exact[0][:5]
    collection.delete(gone)
    collection.upsert([exact[0][5], "new"], queries[:2])
    hits = collection.search(queries[:1], 10)[0]
    assert not set(gone) & set(hits.ids)
    assert hits.ids[0] == exact[0][5]
    assert hits[0].score == pytest.approx(1)
    assert len(collection.search(queries, 2996)[0]) == 2996


def test_a_snapshot_that_is_damaged_costs_speed_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((500, DIM)).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection:
        assert isinstance(collection, LocalCollection)
        collection.upsert([str(i) for i in range(500)], vectors)
        true = collection.search(vectors[:3], 5)
        collection.optimise("ivf-sq8")
    (index,) = (tmp_path / "c").glob("index-*/index.faiss")
    index.write_bytes(index.read_bytes()[:100])
    with Collection.open(tmp_path / "c") as collection:
        assert isinstance(collection, LocalCollection)
        assert collection.search(vectors[:3], 5) == true
        assert "damaged" in collection.check()[0]
        collection.repair()
        assert not collection.check()
        collection.optimise()
        assert [hits.ids for hits in collection.search(vectors[:3], 5)] == [hits.ids for hits in true]


def test_one_writer(tmp_path: Path) -> None:
    vectors = np.eye(2, DIM, dtype=np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection:
        collection.upsert(["a", "b"], vectors)
        script = (
            "import sys, numpy as np; from semvec.store.collection import Collection; from semvec.errors import CollectionLocked\n"
            "c = Collection.open(sys.argv[1]); print(c.count(), c.search(np.eye(1, 16), 1)[0].ids)\n"
            "try: c.delete(['a'])\nexcept CollectionLocked as error: print(error)"
        )
        said = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "c")], capture_output=True, text=True, check=True
        ).stdout
        assert said.startswith("2 ['a']\n")
        assert "another process writes to it" in said
    with Collection.open(tmp_path / "c") as collection:
        assert collection.delete(["a"]) == 1


def test_what_is_refused(tmp_path: Path, word: Any, sentence: Any) -> None:
    with pytest.raises(CollectionNotFound):
        Collection.open(tmp_path / "none")
    with pytest.raises(OptionError, match="no store is called 'nosuch'"):
        Collection.open("nosuch://x")
    found = word.encode(["the bank", "of the river"]).with_ids(["a", "b"])
    collection = Collection.open(tmp_path / "c", Settings(4, fingerprint=found.fingerprint))
    collection.add(found)
    with pytest.raises(FingerprintMismatch):
        collection.add(sentence.encode(["x"]).with_ids(["x"]))
    with pytest.raises(FingerprintMismatch):
        Collection.open(tmp_path / "c", fingerprint=sentence.fingerprint)
    with pytest.raises(OptionError, match="made with metric cosine, not dot"):
        Collection.open(tmp_path / "c", Settings(4, Metric.DOT))
    ok = np.ones((1, 4), np.float32)
    for call, kind, complaint in (
        (lambda: collection.upsert(["x"], np.ones((1, 5))), InputError, r"shape \(1, 5\) where the collection wants \(rows, 4\)"),
        (lambda: collection.upsert(["x"], ok * np.nan), InputError, "the vector of id 'x' holds a number that is not finite"),
        (lambda: collection.upsert(["x"], ok * 0), InputError, "the vector of id 'x' is all zeros"),
        (lambda: collection.upsert(["x", "x"], np.ones((2, 4))), InputError, "'x' comes more than once"),
        (lambda: collection.upsert([""], ok), InputError, "an id must be a string"),
        (lambda: collection.upsert(["x"], ok, ["a", "b"]), InputError, "2 texts for 1 ids"),
        (lambda: collection.upsert(["x"], ok, None, ["y"]), InputError, "the metadata of id 'x' must be a dict"),
        (lambda: collection.search(ok, 0), OptionError, "k must be a whole number"),
        (lambda: collection.search(ok * 0, 1), InputError, "the vector 0 is all zeros"),
        (lambda: collection.search(ok, 1, where="year = 1"), FilterError, "no item has a field 'year'"),
        (lambda: collection.search(ok, 1, where="year = "), FilterError, "character 8"),
        (lambda: collection.delete("a"), InputError, "not one string"),
    ):
        with pytest.raises(kind, match=complaint):
            call()
    assert collection.count() == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letters").write_text("dear")
    with pytest.raises(StoreError, match="holds other things"):
        Collection.open(tmp_path / "other", Settings(4))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "collection.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(CollectionDamaged):
        Collection.open(tmp_path / "damaged")
