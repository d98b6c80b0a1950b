"""A local collection against a plain dict and the exact oracle."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.errors import (
    CollectionDamaged,
    OptionError,
    StoreError,
)
from semvec.index.kinds import KINDS
from semvec.store.collection import Collection, Settings
from semvec.store.local import LocalCollection
from semvec.types import Metric
from tests.contracts.stores import DIM, Plain, made_up
from tests.contracts.test_store import agree as everything_agrees


def agree(collection: Collection, plain: Plain, rng: np.random.Generator) -> None:
    everything_agrees(collection, plain, rng)
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


def test_places_that_are_no_collection(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no store is called 'nosuch'"):
        Collection.open("nosuch://x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letters").write_text("dear")
    with pytest.raises(StoreError, match="holds other things"):
        Collection.open(tmp_path / "other", Settings(4))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "collection.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(CollectionDamaged):
        Collection.open(tmp_path / "damaged")


def test_a_snapshot_after_a_repair_is_no_former_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    old, new = rng.standard_normal((2, 50, DIM)).astype(np.float32)
    ids = [str(i) for i in range(50)]
    with Collection.open(tmp_path / "c", Settings(DIM)) as writer, Collection.open(tmp_path / "c") as reader:
        assert isinstance(writer, LocalCollection)
        writer.upsert(ids, old)
        writer.optimise()
        assert reader.search(old[:1], 1)[0].ids == ["0"]
        writer.repair()
        writer.upsert(ids[::-1], new)
        writer.optimise()
        assert reader.search(new[:1], 1)[0].ids == ["49"]


def test_threads_share_a_collection(tmp_path: Path) -> None:
    vectors = np.random.default_rng(4).standard_normal((200, DIM)).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection, ThreadPoolExecutor(8) as pool:
        written = pool.map(lambda at: collection.upsert([str(at)], vectors[at : at + 1], None, [{"at": at}]), range(200))
        assert sum(one.new for one in written) == 200
        found = pool.map(lambda at: collection.search(vectors[at : at + 1], 1, where="at >= 0")[0].ids, range(200))
        assert list(found) == [[str(at)] for at in range(200)]
        assert collection.count() == 200


def test_a_reader_that_comes_while_a_snapshot_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(5).standard_normal((50, DIM)).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM)) as writer, Collection.open(tmp_path / "c") as reader:
        assert isinstance(writer, LocalCollection)
        assert isinstance(reader, LocalCollection)
        writer.upsert([str(i) for i in range(50)], vectors)
        writer.optimise()
        opened = reader._opened

        def slowly(name: str | None, last: bool) -> Any:
            """The writer is done with another one between the look at the name and the look at the folder."""
            monkeypatch.setattr(reader, "_opened", opened)
            writer.optimise()
            return opened(name, last)

        monkeypatch.setattr(reader, "_opened", slowly)
        assert reader.search(vectors[7:8], 1)[0].ids == ["7"]
        assert reader._state is not None
        assert reader._state.name == "index-000002"
        assert reader._state.snapshot is not None
