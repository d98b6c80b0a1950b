"""What the contract does not ask of Milvus: odd metadata, long texts, a graph, other writers, foreign collections, a server that goes away."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from semvec.errors import CollectionDamaged, CollectionNotFound, MissingExtra, OptionError, StoreError
from semvec.store.collection import Collection, Settings
from semvec.store.filters import Not, field
from semvec.types import Dtype, Metric
from tests.contracts.milvus_server import milvus_server
from tests.contracts.stores import DIM, Plain, check_pages
from tests.store.test_marks import FILTERS as ANY_FILTER
from tests.store.test_others import ODD

UGLY = ['a"b', "it's", "a\\", "\\\\\"", "\\n", "\n", "\r\n\t", "é中😀", "\u2028", "\x01\x7f", '") or (key != "', "{x}", "%_", "\\u0041", "' or 1 == 1 or '"]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    for name in ("pymilvus", "milvus"):
        pytest.importorskip(name, reason=f"the store milvus needs {name}")
    with milvus_server() as at:
        yield at


@pytest.fixture
def place(server: str) -> str:
    return f"milvus://{server}#c{uuid.uuid4().hex[:12]}"


def client_of(server: str) -> Any:
    return pytest.importorskip("pymilvus").MilvusClient(uri=f"http://{server}")


def test_odd_metadata_come_back_and_are_filtered_as_they_should(place: str) -> None:
    with Collection.open(place, Settings(2, Metric.DOT)) as collection:
        ids = [f"{at}" for at in range(len(ODD))]
        vectors = np.arange(1, 2 * len(ODD) + 1, dtype=np.float32).reshape(-1, 2)
        collection.upsert(ids, vectors, None, ODD)
        assert [item.metadata for item in collection.get(ids) if item] == ODD

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(ANY_FILTER)
        def agree(wanted: Any) -> None:
            if "" in set(wanted.fields()):
                return
            expected = {name for name, one in zip(ids, ODD, strict=True) if wanted.matches(one)}
            assert set(collection.search(np.ones((1, 2)), 99, where=wanted)[0].ids) == expected
            assert collection.count(wanted) == len(expected)

        agree()


def test_no_value_is_more_than_a_value(place: str) -> None:
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(UGLY, np.ones((len(UGLY), 2)), UGLY, [{"tag": one, one: 1} for one in UGLY])
        for one in UGLY:
            for wanted in (field("tag") == one, field("tag").is_in(one, "none"), field(one) > 0):
                assert collection.search(np.ones((1, 2)), 99, where=wanted)[0].ids == [one]
                assert collection.count(Not(wanted)) == len(UGLY) - 1
        assert [item.text for item in collection.get(UGLY) if item] == UGLY
        assert collection.delete(UGLY[:3]) == 3
        assert {item.id for item in collection.scan()} == set(UGLY[3:])


def test_texts_and_metadata_may_be_longer_than_a_string_of_milvus(place: str) -> None:
    texts = ["", None, "😀" * 50_000, "x" * 16_383, "x" * 16_384]
    metadata = [{"long": "é" * 70_000}, {}, {}, {"many": list(range(2000))}, {}]
    with Collection.open(place, Settings(2)) as collection:
        ids = ["a", "b", "c" * 2000, "d", "e"]
        collection.upsert(ids, np.ones((5, 2)), texts, metadata)
        assert [(item.text, item.metadata) for item in collection.get(ids) if item] == list(zip(texts, metadata, strict=True))
        members = ", ".join(f"{at}" for at in range(1500, 4000))
        assert [collection.count(f"many {what} ({members})") for what in ("in", "not in")] == [1, 4]


def test_writing_again_leaves_nothing_and_comes_last(place: str) -> None:
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(["a", "b"], np.ones((2, 2)), ["text", None], [{"year": 1, "tags": ["x"]}, {}])
        assert collection.upsert(["a"], np.array([[0.0, 3.0]]), None, [{"lang": "de"}]).replaced == 1
        last = list(collection.scan())[-1]
        assert (last.id, last.text, last.metadata, last.vector.tolist()) == ("a", None, {"lang": "de"}, [0, 3])
        assert [collection.count(where) for where in ("year >= 0", "tags = 'x'", "year is null", "lang = 'de'")] == [0, 0, 2, 1]


def test_more_is_read_than_fits_one_page(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collection.open(place, Settings(DIM)) as collection:
        check_pages(collection, 120, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [str(metric) for metric in Metric])
def test_a_graph(place: str, metric: str) -> None:
    """Rare and frequent filters, what was written after the graph was made, and back to comparing all."""
    rng, rows = np.random.default_rng(1), 4000
    vectors = rng.standard_normal((rows + 500, DIM)).astype(np.float32)
    ids, metadata = [f"{at}" for at in range(rows + 500)], [{"part": at % 1000} for at in range(rows + 500)]
    plain = Plain(metric)
    with Collection.open(place, Settings(DIM, Metric(metric))) as collection:
        collection.upsert(ids[:rows], vectors[:rows], None, metadata[:rows])
        assert collection.optimise()["kind"] == "flat"
        made = collection.optimise("hnsw")
        assert (made["kind"], made["rows"], made["indexed"]) == ("hnsw", rows, rows)
        collection.upsert(ids[rows:], vectors[rows:], None, metadata[rows:])
        assert collection.delete(ids[:50]) == 50
        plain.upsert(ids[50:], vectors[50:], [""] * (rows + 450), metadata[50:])
        for kind, least in (("hnsw", 0.95), ("flat", 1)):
            assert collection.info()["kind"] == kind
            for where, exact in ((None, False), ("part < 500", False), ("part < 10", True), ("part = 7", True)):
                found, expected = collection.search(vectors[:20], 5, where=where), plain.search(vectors[:20], 5, where)
                same = [len(set(hits.ids) & set(names)) / len(names) for hits, (names, _) in zip(found, expected, strict=True)]
                assert np.mean(same) >= (1 if exact else least), (kind, where)
            assert collection.optimise()["kind"] == kind
            kept = collection.get(ids[50:60])
            np.testing.assert_allclose([item.vector for item in kept if item], vectors[50:60], rtol=1e-6)
            assert collection.optimise("flat")["kind"] == "flat"
        with pytest.raises(OptionError, match="can be told the kinds auto, flat, hnsw, not 'rabitq'"):
            collection.optimise("rabitq")


def test_two_who_write_see_what_was_there_before_they_opened_it(place: str) -> None:
    with Collection.open(place, Settings(2)) as one:
        one.upsert(["a"], np.ones((1, 2)), None, [{"year": 1}])
        with Collection.open(place) as two:
            assert two.count() == 1
            two.upsert(["a", "b"], np.ones((2, 2)), None, [{"lang": "de"}, {}])
            assert two.count("lang = 'de'") == 1
        assert one.delete(["a", "b"]) in (1, 2)
        assert one.count() == 0
        assert set(one.info()["fields"]) == {"year", "lang"}


def test_who_made_it_but_half_is_followed_by_who_opens_it(server: str, place: str) -> None:
    Collection.open(place, Settings(2)).close()
    client, name = client_of(server), place.partition("#")[2]
    client.release_collection(name)
    client.drop_index(name, "vector")
    with Collection.open(place) as collection:
        assert collection.upsert(["a"], np.ones((1, 2))).new == 1
        assert collection.search(np.ones((1, 2)), 1)[0].ids == ["a"]


def test_a_collection_that_semvec_did_not_make_is_refused(server: str, place: str) -> None:
    client_of(server).create_collection(place.partition("#")[2], dimension=2)
    for wanted in (None, Settings(2)):
        with pytest.raises(CollectionDamaged, match="was not made by semvec"):
            Collection.open(place, wanted)


def test_what_was_closed_says_so_and_only_float32(place: str) -> None:
    with pytest.raises(OptionError, match="keeps float32, not int8"):
        Collection.open(place, Settings(2, dtype=Dtype.INT8))
    collection = Collection.open(place, Settings(2))
    collection.close()
    collection.close()
    with pytest.raises(StoreError, match="was closed"):
        collection.count()


def test_no_server_and_no_folder(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pymilvus")
    monkeypatch.setenv("MILVUS_TOKEN", "me:secret")
    with pytest.raises(OptionError, match="asked on a server, milvus://host:port#name"):
        Collection.open("milvus:folder#films", Settings(2))
    for place in ("milvus://127.0.0.1:1#films", "milvus://127.0.0.1:1?tls#films", "milvus://[::1]:1#films"):
        with pytest.raises(StoreError, match="Milvus says") as caught:
            Collection.open(place, Settings(2))
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_server_that_goes_away_is_one_line(server: str, capfd: pytest.CaptureFixture[str]) -> None:
    with milvus_server() as at:
        with pytest.raises(CollectionNotFound, match="there is no collection films"):
            Collection.open(f"milvus://{at}#films")
        collection = Collection.open(f"milvus://{at}#films", Settings(2))
        collection.upsert(["a"], np.ones((1, 2)))
    for call in (collection.count, lambda: collection.upsert(["b"], np.ones((1, 2))), lambda: collection.search(np.ones((1, 2)))):
        with pytest.raises(StoreError, match="Milvus says") as caught:
            call()
        assert "\n" not in str(caught.value)
    collection.close()
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    importlib.import_module("semvec.store.milvus")
    with pytest.raises(MissingExtra, match=r"pip install \"semvec\[milvus\]\""):
        Collection.open("milvus://127.0.0.1:1#films", Settings(2))
