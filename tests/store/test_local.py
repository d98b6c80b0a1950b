"""A local collection against a plain dict and the exact oracle."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.embeddings.similarity import similarity
from semvec.errors import (
    CollectionDamaged,
    CollectionLocked,
    FilterError,
    InputError,
    OptionError,
    StoreError,
)
from semvec.index.kinds import KINDS
from semvec.store import snapshot
from semvec.store.collection import Collection, Settings
from semvec.store.filters import All, field
from semvec.store.filters import Any as Any_
from semvec.store.local import LocalCollection
from semvec.types import Dtype, Metric
from tests.contracts.stores import DIM, FILTERS, Plain, made_up
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
        kind = chance.choice(["upsert", "upsert", "delete", "delete where", "optimise", "reopen"])
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
            plain.delete(ids)
        elif kind == "delete where" and plain.last:
            wanted = " and ".join(chance.sample(FILTERS, 2))
            gone = plain.matching(wanted)
            assert collection.delete(where=wanted) == len(gone), wanted
            plain.delete(gone)
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


@pytest.fixture(params=["small", "as if large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few vectors are searched exactly under a filter; as if there were many, the index is asked."""
    if request.param != "small":
        monkeypatch.setattr(snapshot, "SUBSET", 0)
        monkeypatch.setattr(snapshot, "EXACT_BLOCK", 100)
        monkeypatch.setattr(snapshot, "CANDIDATES", 10_000)


@pytest.mark.usefixtures("size")
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
        (tmp_path / "c" / "index-000001" / "header.json").write_text("{}")
        assert writer.repair() == ["the damaged index was put away; 'semvec index optimise' makes it again"]
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


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_filter_that_leaves_out_what_is_near_costs_no_recall(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SUBSET", 0)
    rng = np.random.default_rng(6)
    centres = rng.standard_normal((40, DIM))
    label = rng.integers(0, 40, 6000)
    vectors = (centres[label] + 0.3 * rng.standard_normal((6000, DIM))).astype(np.float32)
    queries = (centres[:4].repeat(5, axis=0) + 0.3 * rng.standard_normal((20, DIM))).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection:
        assert isinstance(collection, LocalCollection)
        collection.upsert([str(i) for i in range(6000)], vectors, None, [{"label": int(one)} for one in label])
        true = [hits.ids for hits in collection.search(queries, 10, where="label >= 4")]
        collection.optimise(kind)
        found = [hits.ids for hits in collection.search(queries, 10, where="label >= 4")]
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) >= 0.95
        first = [hits.ids for hits in collection.search(queries, 1)]
        exact = np.argmax(similarity(queries, vectors), axis=1)
        assert np.mean([int(a[0]) == b for a, b in zip(first, exact, strict=True)]) >= 0.95


def test_writes_of_another_thread_while_the_index_is_made(tmp_path: Path) -> None:
    vectors = np.random.default_rng(7).standard_normal((4000, DIM)).astype(np.float32)
    ids = [str(i) for i in range(4000)]
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection, ThreadPoolExecutor(2) as pool:
        assert isinstance(collection, LocalCollection)
        collection.upsert(ids, vectors)
        done = [pool.submit(collection.optimise, kind) for kind in ("hnsw", "ivf-sq8")]
        for at in range(20):
            collection.delete([ids[at]])
            collection.upsert([ids[-at - 1]], vectors[at : at + 1])
            assert collection.search(vectors[at : at + 1], 1)[0].ids == [ids[-at - 1]]
        assert [one.result()["rows"] for one in done][0] in range(3980, 4001)
        hits = collection.search(vectors[:1], 4000)[0]
        assert len(hits) == len(set(hits.ids)) == collection.count() == 3980
    with Collection.open(tmp_path / "c") as collection:
        assert isinstance(collection, LocalCollection)
        assert not collection.check()
        assert len(collection.search(vectors[:1], 4000)[0]) == 3980


def test_what_is_written_while_scanning_is_another_moment(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        collection.upsert([str(i) for i in range(3000)], np.ones((3000, 2)))
        seen = 0
        for item in collection.scan():
            collection.upsert([item.id], item.vector[None], None, [{"seen": seen}])
            seen += 1
        assert seen == 3000
        assert collection.count("seen >= 0") == 3000
        for item in collection.scan("seen >= 1000"):
            collection.upsert([item.id], item.vector[None], None, [{"seen": item.metadata["seen"], "again": True}])
            seen += 1
            if seen == 3500:
                assert collection.delete(where="seen >= 2000") == 1000
        assert seen == 5000
        assert collection.count("again = true") == 2000


def test_a_scan_by_a_filter_reads_no_other_vectors(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        collection.upsert([str(i) for i in range(2000)], np.ones((2000, 2)), None, [{"at": i} for i in range(2000)])
    with sqlite3.connect(tmp_path / "c" / "collection.sqlite") as connection:
        connection.execute("UPDATE items SET vector = x'00' WHERE row % 3 <> 0")
    with Collection.open(tmp_path / "c") as collection:
        with pytest.raises(CollectionDamaged):
            list(collection.scan())
        wanted = field("at").is_in(*range(2, 2000, 3))
        assert [item.id for item in collection.scan(wanted)] == [str(i) for i in range(2, 2000, 3)]


def test_a_delete_by_a_filter_is_whole_or_not_at_all(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        assert isinstance(collection, LocalCollection)
        collection.upsert([str(i) for i in range(2000)], np.ones((2000, 2)), ["x"] * 2000, [{"at": i} for i in range(2000)])
        with sqlite3.connect(tmp_path / "c" / "collection.sqlite") as connection:
            connection.execute(
                "CREATE TRIGGER stop BEFORE DELETE ON items WHEN OLD.id = '1500' BEGIN SELECT RAISE(ABORT, 'no more'); END"
            )
        with pytest.raises(StoreError, match="no more"):
            collection.delete(where="at >= 100")
        assert (collection.count(), collection.count("at >= 0"), len(list(collection.scan("at >= 100")))) == (2000, 2000, 1900)
        assert not collection.check()
        assert collection.delete(where="at < 1000") == 1000
        with sqlite3.connect(tmp_path / "c" / "collection.sqlite") as connection:
            connection.execute("DROP TRIGGER stop")
            assert connection.execute("SELECT count(*) FROM attributes").fetchone() == (2000,)
        assert collection.delete(where="at >= 0") == 1000
        assert not collection.check()


def test_a_tuple_is_a_list(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        collection.upsert(["a"], np.ones((1, 2)), None, [{"x": ("p", "q")}])
        assert collection.search(np.ones((1, 2)), 1, where="x contains 'p'")[0][0].metadata == {"x": ["p", "q"]}
        assert collection.count("x is null") == 0


def test_after_close_nothing_is_locked(tmp_path: Path) -> None:
    collection = Collection.open(tmp_path / "c", Settings(2))
    collection.close()
    with pytest.raises(StoreError, match="was closed"):
        collection.upsert(["a"], np.ones((1, 2)))
    with Collection.open(tmp_path / "c") as other:
        assert other.upsert(["a"], np.ones((1, 2))).new == 1


@pytest.mark.parametrize("dtype", [Dtype.FLOAT16, Dtype.INT8])
def test_a_score_is_the_same_before_and_after_the_index(tmp_path: Path, dtype: Dtype) -> None:
    vectors = np.random.default_rng(8).standard_normal((200, DIM)).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM, dtype=dtype)) as collection:
        collection.upsert([str(i) for i in range(200)], vectors)
        before = collection.search(vectors[:20], 5)
        collection.optimise()
        after = collection.search(vectors[:20], 5)
        assert [hits.ids for hits in before] == [hits.ids for hits in after]
        np.testing.assert_allclose(
            [[hit.score for hit in hits] for hits in before], [[hit.score for hit in hits] for hits in after], atol=2e-7
        )


def test_a_folder_that_is_deleted_while_open(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        collection.upsert(["a"], np.ones((1, 2)))
        shutil.rmtree(tmp_path / "c")
        with pytest.raises(StoreError, match="deleted or replaced while it was open"):
            collection.upsert(["b"], np.ones((1, 2)))


@pytest.mark.parametrize("file", ["index.faiss", "vectors.npy", "rows.npy", "words-places.npy", "header.json"])
def test_check_finds_what_was_changed_in_an_index(tmp_path: Path, file: str) -> None:
    vectors = np.random.default_rng(9).standard_normal((400, DIM)).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection:
        assert isinstance(collection, LocalCollection)
        collection.upsert([str(i) for i in range(400)], vectors, [f"word{i}" for i in range(400)])
        collection.optimise("ivf")
        true = [hits.ids for hits in collection.search(vectors[:5], 3)]
    (path,) = (tmp_path / "c").glob(f"index-*/{file}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    with Collection.open(tmp_path / "c") as collection:
        assert isinstance(collection, LocalCollection)
        assert collection.check()
        collection.repair()
        assert not collection.check()
        assert [hits.ids for hits in collection.search(vectors[:5], 3)] == true


DAMAGES = {
    "DELETE FROM attributes": "of 180 items looked at have other attributes than their metadata say",
    "DELETE FROM attributes WHERE row = 77": "1 of 180 items looked at",
    "DELETE FROM attributes WHERE kind = 4": "of 180 items looked at",
    "DELETE FROM fields WHERE name = 'lang'": "180 of 180 items looked at",
    "UPDATE attributes SET value = 'it' WHERE value = 'de'": "of 180 items looked at",
    "INSERT INTO attributes SELECT field, kind, 'more', row FROM attributes WHERE value = 'de'": "of 180 items looked at",
    "INSERT INTO attributes SELECT field, kind, value, row + 1000 FROM attributes": "attributes of 180 rows that are not there",
    "UPDATE items SET metadata = NULL WHERE row = 150": "1 of 180 items looked at",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_attributes_that_are_not_those_of_the_metadata_are_found_and_made_anew(tmp_path: Path, damage: str) -> None:
    rng, plain = np.random.default_rng(11), Plain("cosine")
    names = [f"id {at}" for at in range(200)]
    made = made_up(rng, names)
    plain.upsert(names, *made)
    plain.delete(names[:20])
    with Collection.open(tmp_path / "c", Settings(DIM)) as collection, Collection.open(tmp_path / "c") as reader:
        assert isinstance(collection, LocalCollection)
        collection.upsert(names, *made)
        collection.delete(names[:20])
        collection.optimise("hnsw")
        assert reader.count("lang = 'de'") == len(plain.matching("lang = 'de'"))
        assert not collection.check()
        with sqlite3.connect(tmp_path / "c" / "collection.sqlite") as connection:
            connection.execute(damage)
        if "metadata" in damage:
            plain.items["id 149"][3].clear()
        (wrong,) = collection.check()
        assert DAMAGES[damage] in wrong
        assert collection.repair() == ["what filters ask was made anew from the metadata"]
        assert collection.check() == collection.repair() == []
        agree(collection, plain, rng)
        agree(reader, plain, rng)


def test_attributes_of_many_items_are_looked_at_by_a_sample(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        assert isinstance(collection, LocalCollection)
        collection.upsert(
            [str(i) for i in range(3000)], np.ones((3000, 2)), None, [{"at": i, "half": i / 2} for i in range(3000)]
        )
        assert not collection.check()
        with sqlite3.connect(tmp_path / "c" / "collection.sqlite") as connection:
            connection.execute("DELETE FROM attributes WHERE row > 1500")
        assert "250 of 500 items looked at" in collection.check()[0]
        collection.repair()
        assert not collection.check()
        assert (collection.count("at >= 10"), collection.count("half < 10.5")) == (2990, 21)


def test_a_collection_that_is_dropped_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    vectors = np.random.default_rng(10).standard_normal((300, DIM)).astype(np.float32)
    place = tmp_path / "c"
    with Collection.open(place, Settings(DIM)) as collection, Collection.open(place) as reader:
        collection.upsert([str(i) for i in range(300)], vectors)
        for name in ("index-notes", ".index-cards"):
            (place / name).mkdir()
        (place / "collection.sqlite-backup").write_text("mine")
        collection.optimise("ivf")
        assert reader.count() == 300
        found = reader.search(vectors[:1], 3)
        collection.drop()
        assert reader.search(vectors[:1], 3) == found
        with pytest.raises(StoreError, match="was closed"):
            collection.upsert(["a"], vectors[:1])
        with pytest.raises(StoreError, match="deleted or replaced"):
            reader.upsert(["a"], vectors[:1])
    assert {path.name for path in place.iterdir()} == {"index-notes", ".index-cards", "collection.sqlite-backup", "writer.lock"}


def test_a_collection_that_another_process_writes_to_is_not_dropped(tmp_path: Path) -> None:
    script = (
        "import sys; from semvec.store.collection import Collection\n"
        "c = Collection.open(sys.argv[1]); c.delete(['nobody']); print('writes', flush=True); sys.stdin.read()"
    )
    with Collection.open(tmp_path / "c", Settings(2)) as collection:
        collection.upsert(["a"], np.ones((1, 2)))
        collection.optimise()
    before = sorted(path for path in (tmp_path / "c").rglob("*") if path.suffix not in (".sqlite-wal", ".sqlite-shm"))
    command = [sys.executable, "-c", script, str(tmp_path / "c")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"writes\n"
        with Collection.open(tmp_path / "c") as collection, pytest.raises(CollectionLocked, match="another process writes"):
            collection.drop()
        assert set(before) <= set((tmp_path / "c").rglob("*"))
    with Collection.open(tmp_path / "c") as collection:
        assert collection.count() == 1
        collection.drop()
    assert not (tmp_path / "c").exists()


def test_what_cannot_be_kept(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(2, dtype=Dtype.FLOAT16)) as collection:
        assert isinstance(collection, LocalCollection)
        for vectors, complaint in (([[1e20, 0]], "is longer than"), ([[1e-9, 0]], "too small"), ([[1e6, 0]], "too large")):
            with pytest.raises(InputError, match=complaint):
                collection.upsert(["a"], np.array(vectors))
        collection.upsert(["a"], np.ones((1, 2)))
        with pytest.raises(OptionError, match="ivf-pq learns from 256 vectors at least, and there are 1"):
            collection.optimise("ivf-pq")
        with pytest.raises(InputError, match="an id must be a string"):
            collection.delete([1])  # type: ignore[list-item]
        with pytest.raises(FilterError, match="a filter is text"):
            collection.count({"a": 1})  # type: ignore[arg-type]
        assert collection.count(Any_(())) == 0
        assert collection.count(All(())) == 1
