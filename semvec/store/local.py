"""A collection in a folder: SQLite holds the truth, a snapshot with a FAISS index makes it fast."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from semvec.embeddings.files import plain_errors, sync_folder
from semvec.embeddings.transforms import normalize
from semvec.errors import CollectionDamaged, CollectionLocked, CollectionNotFound, StoreError
from semvec.index.faiss import exact
from semvec.index.kinds import AUTO, GOOD, choose_kind
from semvec.results import Hit, Hits
from semvec.store.codec import Codec
from semvec.store.collection import (
    Collection,
    Settings,
    Stored,
    Vectors,
    Written,
    as_filter,
    check_ids,
    check_items,
    check_k,
    check_recall,
    check_vectors,
)
from semvec.store.database import FILE, Database, absence
from semvec.store.filters import Filter
from semvec.store.keywords import Keywords
from semvec.store.snapshot import PREFIX, About, Chosen, Snapshot, clear_others, read_about, write_snapshot
from semvec.store.where import Where
from semvec.types import JSON, Metric

logger = logging.getLogger(__name__)

LOCK = "writer.lock"
WITH_TOKENS = "semvec.store.token_collection:TokenCollection"
"""What opens a collection that keeps the vectors of tokens too."""

BLOCK = 1 << 14
PATIENCE = 5
"""Looks for a snapshot that a writer may be about to replace."""

REMEMBERED = 32
"""Filters whose rows are remembered until something is written."""


class Replaced(Exception):
    """A snapshot that was looked for is not there any more, or not whole."""


@dataclass
class State:
    """What is searched at one moment: a snapshot, which of its rows are still there, and the rows written since.

    ``alive`` is None where all are. ``tail`` (rows, dim) are vectors of the rows ``tail_rows``, of length 1 for cosine;
    ``last_row`` is the greatest row number ever given; ``chosen`` are filters that were answered, by their text;
    ``keywords`` are there once they were asked for.
    """

    snapshot: Snapshot | None
    name: str | None
    alive: Chosen | None
    tail_rows: NDArray[np.int64]
    tail: NDArray[np.float32]
    last_row: int
    chosen: dict[str, Allowed] = field(default_factory=dict)
    keywords: Keywords | None = None


@dataclass(frozen=True)
class Allowed:
    """The rows a filter is true of: by row number (``mask``), in the snapshot, and which of the tail."""

    mask: NDArray[np.bool_]
    count: int
    snapshot: Chosen | None
    tail: NDArray[np.int64]


class LocalCollection(Collection):
    """A collection in a folder. Many processes may read it, one may write; readers see what was committed.

    Threads may share one object, and take turns; for searches side by side open it once a thread.
    """

    def __init__(self, folder: Path, database: Database, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self._codec = Codec(settings.dtype, settings.dim)
        self._database = database
        self._lock = FileLock(folder / LOCK, thread_local=False)
        self._turn = threading.RLock()
        self._closed = False
        self._writes = 0
        self._seen: tuple[int, int] | None = None
        self._state: State | None = None
        self._former_keywords: Keywords | None = None

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> LocalCollection:
        folder = Path(place)
        if not (folder / FILE).is_file():
            if settings is None:
                raise CollectionNotFound(f"{folder}: {absence(folder)}")
            if folder.exists() and not folder.is_dir():
                raise StoreError(f"{folder}: is a file; a collection is a folder")
            if folder.exists() and any(path.name != LOCK and not path.name.startswith(".") for path in folder.iterdir()):
                raise StoreError(f"{folder}: holds other things, so no collection is made there; name another folder")
            with plain_errors(folder):
                folder.mkdir(exist_ok=True)
                sync_folder(folder.parent)
                with FileLock(folder / LOCK, timeout=30):
                    if not (folder / FILE).is_file():
                        Database.create(folder, {"settings": settings.to_json(), "snapshot": None}).close()
        database = Database.open(folder)
        try:
            made = Settings.from_json(database.about()["settings"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            database.close()
            raise CollectionDamaged(f"{folder}: damaged, it does not say what it is for ({error})") from error
        if made.tokens is None:
            return LocalCollection(folder, database, made)
        module, name = WITH_TOKENS.split(":")
        return cast("LocalCollection", getattr(import_module(module), name)(folder, database, made))

    def close(self) -> None:
        self._closed = True
        self._state = self._former_keywords = None
        self._database.close()
        self._lock.release(force=True)

    def drop(self) -> None:
        with self._writing(), plain_errors(self.folder):
            clear_others(self.folder, None)  # without its index a collection is still whole, without its truth it is none
            self._database.remove()
            with suppress(OSError):  # Windows removes it itself when it is given back
                (self.folder / LOCK).unlink()
            self.close()
            with suppress(OSError):  # something else is there, or the folder is a link
                self.folder.rmdir()

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        rows, texts, metadata = check_items(ids, vectors, texts, metadata, self.settings)
        stored = self._codec.encode(rows)
        with self._writing(), self._database.writing():
            self._writes += 1
            new, replaced = self._database.put(zip(ids, stored, texts, metadata, strict=True))
        return Written(new, replaced)

    def _delete(self, ids: list[str]) -> int:
        with self._writing(), self._database.writing():
            self._writes += 1
            return self._database.drop("id", ids)

    def _delete_where(self, wanted: Filter) -> int:
        with self._writing(), self._database.writing():
            self._writes += 1
            return self._database.drop("row", Where(self._database).rows(wanted).tolist())

    def get(self, ids: Sequence[str]) -> list[Stored | None]:
        found = self._database.items_with(list(dict.fromkeys(check_ids(ids))))
        return [
            Stored(name, self._decoded([found[name].vector])[0], found[name].text, found[name].metadata)
            if name in found
            else None
            for name in ids
        ]

    def count(self, where: Filter | str | None = None) -> int:
        wanted = as_filter(where)
        if wanted is None:
            return self._database.count()
        with self._moment() as state:
            return self._allowed(state, wanted).count

    def scan(self, where: Filter | str | None = None) -> Iterator[Stored]:
        wanted = as_filter(where)
        with self._database.moment() as moment:
            for item in moment.items() if wanted is None else moment.items_at(Where(moment).rows(wanted).tolist()):
                yield Stored(item.id, self._decoded([item.vector])[0], item.text, item.metadata)

    def search(self, vectors: Vectors, k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        queries, wanted, k = self._comparable(check_vectors(vectors, self.settings)), as_filter(where), check_k(k)
        with self._moment() as state:
            allowed = None if wanted is None else self._allowed(state, wanted)
            return self._hits(*self._best(state, queries, k, allowed))

    def search_words(self, queries: Sequence[str], k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        wanted, k = as_filter(where), check_k(k)
        with self._moment() as state:
            if state.keywords is None:
                alive = None if state.alive is None else state.alive.mask
                former = self._former_keywords
                state.keywords = Keywords.of(self._database, state.snapshot, alive, state.tail_rows, former)
                self._former_keywords = state.keywords
            mask = None if wanted is None else self._allowed(state, wanted).mask
            found = [state.keywords.best(query, k, mask) for query in queries]
            return self._hits([rows for rows, _ in found], [scores for _, scores in found])

    def _hits(self, best: list[list[int]], scores: list[list[float]]) -> list[Hits]:
        items = self._database.contents_of(sorted({row for its in best for row in its}))
        return [
            Hits(tuple(Hit(name, score, text, fields) for (name, text, fields), score in zip(its, its_scores, strict=True)))
            for its, its_scores in zip(([items[row] for row in rows] for rows in best), scores, strict=True)
        ]

    def optimise(self, kind: str = AUTO, *, recall: float = GOOD, seed: int = 0) -> dict[str, JSON]:
        """Make a new snapshot of all there is, and return what it is.

        ``kind`` is one of `KINDS`, or "auto" (see `choose_kind`). The effort of an index is the least
        that reaches ``recall`` on a sample, which the snapshot keeps. Readers go on meanwhile.
        """
        check_recall(recall)
        with self._writing(), plain_errors(self.folder):
            count, up_to = self._database.count(), self._database.last_row()
            if not count:
                raise StoreError(f"{self.folder}: is empty, there is nothing to make an index of")
            number = self._database.about()["snapshots_made"] + 1
            name = f"{PREFIX}{number:06d}"  # never used again: readers know a snapshot by its name
            about = write_snapshot(
                self.folder / name,
                self._blocks(),
                self._database.texts_after(0) if self._database.texts() else None,
                choose_kind(kind, count, self.settings.dim),
                self._codec,
                rows=count,
                up_to=up_to,
                metric=self.settings.metric,
                target=recall,
                seed=seed,
            )
            try:
                with self._database.writing():
                    self._writes += 1
                    self._database.set_about(snapshot=name, snapshots_made=number)
                    self._database.forget_gone(up_to)
            except BaseException:
                shutil.rmtree(self.folder / name, ignore_errors=True)
                raise
            clear_others(self.folder, name)
            try:
                self._database.shrink()
            except StoreError as error:
                logger.info("%s; the space of deleted items is given back another time", error)
        return _told(about)

    def info(self) -> dict[str, JSON]:
        with self._database.reading():
            count, fields, name = self._database.count(), sorted(self._database.fields()), self._database.about()["snapshot"]
            about = None if name is None else read_about(self.folder / name)
            beside = count if about is None else self._database.newer(about.up_to)
        disk = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        return {
            "place": str(self.folder),
            "items": count,
            **self.settings.to_json(),
            "fields": fields,
            "snapshot": about and _told(about),
            "rows_beside_it": beside,
            "bytes": disk,
        }

    def check(self) -> list[str]:
        """Return what is wrong, nothing if all is sound: the file of the truth, and against it what filters and searches ask."""
        with self._database.reading():
            wrong = self._database.check(self._codec.size)
            return [*wrong, *([] if wrong else self._database.check_attributes()), *self._check_snapshot()]

    def _check_snapshot(self) -> list[str]:
        if (name := self._database.about()["snapshot"]) is None:
            return []
        try:
            snapshot = Snapshot.open(self.folder / name, self.settings.metric)
            return snapshot.damage(self.folder / name) or self._compared(snapshot)
        except CollectionDamaged as error:
            return [str(error)]

    def repair(self) -> list[str]:
        """Make damaged attributes anew, put a damaged snapshot away, and return what was done; nothing is lost by either.

        Raises `CollectionDamaged` where the truth itself is: then a copy of what can be read (`scan`) or a backup helps.
        """
        done = []
        with self._writing():
            if wrong := self._database.check(self._codec.size):
                raise CollectionDamaged(
                    f"{self.folder}: {'; '.join(wrong)}: this is no matter of the index; "
                    "'semvec index export' saves what can be read, or go back to a backup"
                )
            if self._database.check_attributes():
                with self._database.writing():
                    self._writes += 1
                    self._database.make_attributes()
                done.append("what filters ask was made anew from the metadata")
            if self._check_snapshot():
                with self._database.writing():
                    self._writes += 1
                    self._database.set_about(snapshot=None)
                clear_others(self.folder, None)
                done.append("the damaged index was put away; 'semvec index optimise' makes it again")
        return done

    def _compared(self, snapshot: Snapshot) -> list[str]:
        """Return where a sample of the snapshot differs from the truth."""
        gone = set(self._database.gone(snapshot.about.up_to).tolist())
        places = [
            at
            for at in np.linspace(0, snapshot.about.rows - 1, 200).astype(int).tolist()
            if int(snapshot.row_numbers[at]) not in gone
        ]
        try:
            true = self._comparable(self._decoded(self._database.vectors_of([int(snapshot.row_numbers[at]) for at in places])))
            kept = snapshot.vectors.take(np.array(places, dtype=np.int64))
        except KeyError as error:
            return [f"the snapshot holds row {error}, which is not in the database"]
        if not np.allclose(self._codec.rounded(true), kept, atol=1e-6):
            return ["the vectors of the snapshot are not those of the database"]
        return []

    def _decoded(self, vectors: Sequence[bytes]) -> NDArray[np.float32]:
        try:
            return self._codec.decode(vectors)
        except CollectionDamaged as error:
            raise CollectionDamaged(f"{self.folder}: damaged, {error}") from error

    def _comparable(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalize(vectors) if self.settings.metric == Metric.COSINE else vectors

    def _blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for rows, vectors in self._database.vectors_after(0, BLOCK):
            yield rows, self._comparable(self._decoded(vectors))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time: of the threads of this object, and of all processes until it is closed."""
        with self._turn:
            if self._closed:
                raise StoreError(f"{self.folder}: the collection was closed")
            if not self._lock.is_locked:
                try:
                    self._lock.acquire(timeout=0)
                except Timeout:
                    raise CollectionLocked(
                        f"{self.folder}: another process writes to it; one may write at a time, any may read"
                    ) from None
            if not self._database.in_place:
                raise StoreError(f"{self.folder}: was deleted or replaced while it was open; open it again")
            yield

    @contextmanager
    def _moment(self) -> Iterator[State]:
        """Give what there is at one moment; what is read of the database inside is of the same."""
        for last in (*[False] * PATIENCE, True):
            with self._database.reading():
                try:
                    state = self._refreshed(last)
                except Replaced:
                    continue
                yield state
                return

    def _refreshed(self, last: bool) -> State:
        """Return the state of this moment (inside `Database.reading`)."""
        seen = self._database.version, self._writes
        if self._state is not None and seen == self._seen:
            return self._state
        former = self._state
        name = self._database.about()["snapshot"]
        if former is not None and former.name == name:
            snapshot = former.snapshot
        else:
            former, snapshot = None, self._opened(name, last)
        up_to = snapshot.about.up_to if snapshot else 0
        last_row = self._database.last_row()
        gone = self._database.gone(last_row)
        alive = None
        if snapshot is not None and (gone <= up_to).any():
            there = np.ones(last_row + 1, dtype=np.bool_)
            there[gone] = False
            alive = Chosen(there[snapshot.row_numbers])
        rows, vectors = [], []
        if former is not None:
            left = ~np.isin(former.tail_rows, gone)
            rows, vectors = [former.tail_rows[left]], [former.tail[left]]
            up_to = max(up_to, int(former.tail_rows.max(initial=0)))
        for its_rows, its_vectors in self._database.vectors_after(up_to, BLOCK):
            rows.append(its_rows)
            vectors.append(self._codec.rounded(self._comparable(self._decoded(its_vectors))))  # as a snapshot has them
        tail_rows = np.concatenate([np.zeros(0, np.int64), *rows])
        tail = np.concatenate([np.zeros((0, self.settings.dim), np.float32), *vectors])
        self._state, self._seen = State(snapshot, name, alive, tail_rows, tail, last_row), seen
        return self._state

    def _opened(self, name: str | None, last: bool) -> Snapshot | None:
        """Return the snapshot called ``name``, None for none or a damaged one.

        Raises `Replaced` unless this is the ``last`` look: the writer may have put a newer one in its place.
        """
        if name is None:
            return None
        try:
            return Snapshot.open(self.folder / name, self.settings.metric)
        except CollectionDamaged as error:
            if not last:
                raise Replaced from error
            logger.warning("%s; searching without it, 'semvec index optimise' makes it again", error)
            return None

    def _allowed(self, state: State, wanted: Filter) -> Allowed:
        """Return the rows that ``wanted`` is true of (inside `Database.reading`)."""
        key = repr(wanted)
        if (found := state.chosen.get(key)) is None:
            rows = Where(self._database).rows(wanted)
            mask = np.zeros(state.last_row + 1, dtype=np.bool_)
            mask[rows] = True
            chosen = None if state.snapshot is None else Chosen(mask[state.snapshot.row_numbers])
            found = Allowed(mask, len(rows), chosen, np.flatnonzero(mask[state.tail_rows]))
            if len(state.chosen) >= REMEMBERED:
                state.chosen.pop(next(iter(state.chosen)))
            state.chosen[key] = found
        return found

    def _best(
        self, state: State, queries: NDArray[np.float32], k: int, allowed: Allowed | None
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Return the rows of the ``k`` best items that are ``allowed`` (None: all) for each query, and their scores."""
        found: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        if state.snapshot is not None:
            positions, scores = state.snapshot.search(queries, k, state.alive if allowed is None else allowed.snapshot)
            found.append((state.snapshot.row_numbers[positions], scores))
        tail_rows, tail = state.tail_rows, state.tail
        if allowed is not None and len(allowed.tail) < len(tail_rows):
            tail_rows, tail = tail_rows[allowed.tail], tail[allowed.tail]
        if len(tail_rows) or not found:
            positions, scores = exact(queries, tail, k, self.settings.metric)
            found.append((tail_rows[positions] if len(tail_rows) else positions, scores))
        rows, scores = (np.concatenate(its, axis=1) if len(its) > 1 else its[0] for its in zip(*found, strict=True))
        best = np.lexsort((rows, -scores), axis=1)[:, :k]
        each = np.arange(len(best))[:, None]
        return rows[each, best].tolist(), scores[each, best].tolist()


def _told(about: About) -> dict[str, JSON]:
    """Return what users are told of a snapshot."""
    return {name: value for name, value in asdict(about).items() if name != "files"}
