"""What the contract does not ask of stores in other libraries: odd metadata, locks, servers that go away, missing libraries."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from semvec.errors import CollectionDamaged, CollectionLocked, CollectionNotFound, MissingExtra, OptionError, StoreError
from semvec.store import adapted
from semvec.store.address import Address
from semvec.store.collection import STORES, Collection, Settings
from semvec.types import Dtype, Metric
from tests.contracts.stores import DIM, check_pages, chroma_server
from tests.store.test_marks import FIELDS
from tests.store.test_marks import FILTERS as ANY_FILTER

LIBRARIES = {"chroma": "chromadb", "qdrant-edge": "qdrant_edge", "lancedb": "lancedb", "qdrant": "qdrant_client"}
ODD = [
    {name: value for name in FIELDS if name} | {"last": value}
    for value in (None, [], [None, 1], [1, 1.0, "1", True], [[1]], {"k": 1}, -0.0, 2**53 + 1, -(2**63), 1e300, 1e-7, "", "x" * 300, "it's \"%_\\", False)
]  # fmt: skip


@pytest.fixture(params=LIBRARIES)
def scheme(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(LIBRARIES[request.param], reason=f"the store {request.param} needs its library")
    return str(request.param)


@pytest.fixture
def place(scheme: str, tmp_path: Path) -> str:
    return f"{scheme}:{tmp_path / 'films'}#reviews"


def test_odd_metadata_come_back_and_are_filtered_as_they_should(place: str) -> None:
    """One collection for many made-up filters; what they mean is said by `Filter.matches`."""
    with Collection.open(place, Settings(2, Metric.DOT)) as collection:
        ids = [f"{at}" for at in range(len(ODD))]
        vectors = np.arange(1, 2 * len(ODD) + 1, dtype=np.float32).reshape(-1, 2)
        collection.upsert(ids, vectors, None, ODD)
        assert [item.metadata for item in collection.get(ids) if item] == ODD

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(ANY_FILTER)
        def agree(wanted: object) -> None:
            if "" in set(wanted.fields()):  # type: ignore[attr-defined]
                return
            expected = {name for name, one in zip(ids, ODD, strict=True) if wanted.matches(one)}  # type: ignore[attr-defined]
            assert set(collection.search(np.ones((1, 2)), 99, where=wanted)[0].ids) == expected  # type: ignore[arg-type]
            assert collection.count(wanted) == len(expected)  # type: ignore[arg-type]

        agree()


def test_writing_again_leaves_nothing_of_what_was_there(place: str) -> None:
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(["a"], np.ones((1, 2)), ["text"], [{"year": 1, "tags": ["x"]}])
        collection.upsert(["a"], np.array([[0.0, 3.0]]), None, [{"lang": "de"}])
        (item,) = list(collection.scan())
        assert (item.text, item.metadata, item.vector.tolist()) == (None, {"lang": "de"}, [0, 3])
        assert [collection.count(where) for where in ("year >= 0", "tags = 'x'", "year is null", "lang = 'de'")] == [0, 0, 1, 1]


def test_items_come_in_the_order_of_writing_and_so_do_equal_scores(place: str) -> None:
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(["b", "a"], np.ones((2, 2)))
        collection.upsert(["c"], np.ones((1, 2)))
        collection.upsert(["b"], np.ones((1, 2)))
        assert [item.id for item in collection.scan()] == ["a", "c", "b"]
        assert collection.search(np.ones((1, 2)), 3)[0].ids == ["a", "c", "b"]


def test_two_collections_in_one_folder(scheme: str, tmp_path: Path) -> None:
    folder = f"{scheme}:{tmp_path / 'x'}"
    with Collection.open(f"{folder}#one", Settings(2)) as one:
        one.upsert(["a"], np.ones((1, 2)))
        with pytest.raises(CollectionNotFound, match="there is no collection two"):
            Collection.open(f"{folder}#two")
    with Collection.open(f"{folder}#two", Settings(3)) as two, Collection.open(f"{folder}#one") as one:
        assert (len(one), len(two), one.settings.dim, two.settings.dim) == (1, 0, 2, 3)


def test_one_of_two_collections_in_a_folder_is_dropped(scheme: str, tmp_path: Path) -> None:
    folder = f"{scheme}:{tmp_path / 'x'}"
    Collection.open(f"{folder}#left", Settings(2)).close()
    before = there(tmp_path)
    with Collection.open(f"{folder}#gone", Settings(16)) as gone:
        gone.upsert([f"{at}" for at in range(1500)], np.random.default_rng(0).random((1500, 16)))
        gone.drop()
        with pytest.raises(StoreError, match="was closed"):
            gone.count()
    assert there(tmp_path) == before
    with Collection.open(f"{folder}#left") as left:
        assert left.upsert(["a"], np.ones((1, 2))).new == 1


def there(folder: Path) -> list[Path]:
    """What stands in a folder and those in it, but not how a library keeps what is left."""
    return sorted(path for path in folder.rglob("*") if len(path.relative_to(folder).parts) <= 2)


def test_a_collection_that_is_open_twice_in_qdrant_edge_is_not_dropped(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    with (
        Collection.open(f"qdrant-edge:{tmp_path}#films", Settings(2)) as one,
        Collection.open(f"qdrant-edge:{tmp_path}#films") as two,
    ):
        one.upsert(["a"], np.ones((1, 2)))
        with pytest.raises(CollectionLocked, match="a second time"):
            one.drop()
        assert two.count() == one.count() == 1
        two.close()
        one.drop()
    assert not list(tmp_path.iterdir())


def test_what_was_closed_says_so(place: str) -> None:
    collection = Collection.open(place, Settings(2))
    collection.close()
    collection.close()
    with pytest.raises(StoreError, match="was closed"):
        collection.count()


def test_a_second_process_that_writes_is_told(place: str) -> None:
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(["a"], np.ones((1, 2)))
        program = (
            "import sys, numpy as np\nfrom semvec.store.collection import Collection\n"
            "for act in ('upsert([\"b\"], np.ones((1, 2)))', 'delete(where=\"x = 1\")', 'drop()'):\n"
            "    try:\n        eval(f'Collection.open(sys.argv[1]).{act}')\n"
            "    except Exception as error:\n        print(type(error).__name__, error)"
        )
        done = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True, check=True)
        assert collection.count() == 1
    lines = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [CollectionLocked.__name__] * 3, done.stdout + done.stderr


def test_what_can_be_made_fast(scheme: str, place: str) -> None:
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert([f"{at}" for at in range(300)], np.random.default_rng(0).random((300, 2)))
        made = [collection.optimise(kind) for kind in ("auto", *type(collection).kinds)]  # type: ignore[attr-defined]
        assert all(one["rows"] == 300 and one["kind"] for one in made)
        if scheme == "lancedb":
            assert [one["kind"] for one in made] == ["flat", "flat", "ivf"]
            assert collection.optimise("flat")["kind"] == "flat"
        with pytest.raises(OptionError, match="can be told the kinds auto.*, not 'rabitq'"):
            collection.optimise("rabitq")


def test_only_float32(place: str) -> None:
    with pytest.raises(OptionError, match="keeps float32, not int8"):
        Collection.open(place, Settings(2, dtype=Dtype.INT8))


def test_a_missing_library_is_named_with_the_command(scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[scheme], None)
    importlib.import_module(STORES[scheme].split(":")[0])
    with pytest.raises(MissingExtra, match=rf"pip install \"semvec\[{scheme.removesuffix('-edge')}\]\""):
        Collection.open(f"{scheme}:{tmp_path}#films", Settings(2))


def test_more_is_read_than_fits_one_page(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collection.open(place, Settings(DIM)) as collection:
        check_pages(collection, 50, monkeypatch)


def test_a_server_that_is_not_there_or_goes_away_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("chromadb")
    with pytest.raises(StoreError, match="Chroma says") as caught:
        Collection.open("chroma://127.0.0.1:1#films", Settings(2))
    assert "\n" not in str(caught.value)
    with chroma_server() as server:
        collection = Collection.open(f"chroma://{server}#films", Settings(2))
        collection.upsert(["a"], np.ones((1, 2)))
    for call in (collection.count, lambda: collection.upsert(["b"], np.ones((1, 2))), lambda: collection.search(np.ones((1, 2)))):
        with pytest.raises(StoreError, match="Chroma says") as caught:
            call()
        assert "\n" not in str(caught.value)
    collection.close()


def test_a_qdrant_server_that_is_not_there_is_one_line() -> None:
    pytest.importorskip("qdrant_client")
    for settings_ in (None, Settings(2)):
        with pytest.raises(StoreError, match="Qdrant says") as caught:
            Collection.open("qdrant://127.0.0.1:1#films", settings_)
        assert "\n" not in str(caught.value)


def test_a_collection_that_semvec_did_not_make_is_refused(tmp_path: Path) -> None:
    chromadb = pytest.importorskip("chromadb")
    client = chromadb.PersistentClient(str(tmp_path), settings=chromadb.config.Settings(anonymized_telemetry=False))
    client.create_collection("films", embedding_function=None)
    client.close()
    with pytest.raises(CollectionDamaged, match="was not made by semvec"):
        Collection.open(f"chroma:{tmp_path}#films")


def test_few_items_in_a_call_where_vectors_are_long() -> None:
    assert adapted.in_one_call(1000, 384) == 1000
    assert adapted.in_one_call(1000, 4096) == 122
    assert adapted.in_one_call(1000, 10**7) == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("chroma:films#reviews", (None, None, False, "films", "reviews")),
        ("chroma:/a/b c#reviews", (None, None, False, "/a/b c", "reviews")),
        ("chroma://localhost#reviews", ("localhost", None, False, "//localhost", "reviews")),
        ("qdrant://[::1]:6333#reviews", ("::1", 6333, False, "//[::1]:6333", "reviews")),
        ("qdrant://x.example:443?tls", ("x.example", 443, True, "//x.example:443?tls", "semvec")),
        ("qdrant::memory:#reviews", (None, None, False, ":memory:", "reviews")),
    ],
)
def test_addresses(text: str, parts: tuple[object, ...]) -> None:
    found = Address.of(text)
    assert (found.host, found.port, found.secure, found.place, found.name) == parts


@pytest.mark.parametrize("text", ["chroma:///folder#films", "qdrant://h:x#films", "qdrant://h:99999#films", "chroma://:80#films", "chroma:#films", "qdrant://me:secret@h:1#films", "qdrant://h?tls=yes#films"])  # fmt: skip
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        assert Address.of(text).host
    assert "secret" not in str(caught.value)
