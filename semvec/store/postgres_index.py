"""The HNSW index of pgvector: when it is made, how, and how much of it a search looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import errors

from semvec.errors import OptionError
from semvec.index.kinds import AUTO
from semvec.store.postgres_vectors import Form
from semvec.types import did_you_mean

KINDS = (AUTO, "flat", "hnsw")
EXACT_UP_TO = 5_000
"""Items that are searched exactly unless asked otherwise: it takes milliseconds, and nothing is ever missed."""

EFFORTS = (40, 80, 160, 320, 640, 1000)
"""How many candidates a search keeps (``hnsw.ef_search``); 1,000 is the most there may be."""

LINKS, BUILDING = 16, 100
"""Links of an item in a layer, and candidates kept for them while the index is built."""

MEMORY = 1 << 20
"""The most memory a build asks the server for, in kB, unless the server's own setting is more."""


def choose_kind(name: str, rows: int, form: Form) -> str:
    """Return "flat" or "hnsw"; for "auto" the exact one up to `EXACT_UP_TO` rows, or where HNSW cannot take the vectors.

    Raises `OptionError` for a kind there is not, and for HNSW over longer vectors than it takes.
    """
    if name not in KINDS:
        raise OptionError(
            f"index kind {name!r} is unknown: in PostgreSQL choose from {', '.join(KINDS)}{did_you_mean(name, list(KINDS))}"
        )
    fits = form.dim <= form.indexed
    if name == "hnsw" and not fits:
        raise OptionError(
            f"the HNSW index of pgvector takes vectors of at most 2,000 numbers in float32 and 4,000 in float16, not {form.dim:,}"
            f" of {form.type}: searches stay exact; truncate the vectors, or keep up to 4,000 numbers as float16"
        )
    if name == AUTO:
        return "hnsw" if fits and rows > EXACT_UP_TO else "flat"
    return name


def build(connection: Any, table: str, form: Form, rows: int) -> None:
    """Make the index anew over the ``rows`` of ``table`` (inside `Server.writing`): writers wait, readers go on."""
    former = _there(connection, table)
    need = int(rows * (form.dim * form.number.itemsize + 24 * LINKS + 200) * 1.25 / 1024)
    connection.execute(
        "SELECT set_config('maintenance_work_mem',"
        " greatest(pg_size_bytes(current_setting('maintenance_work_mem')) / 1024, %s)::text, true)",
        [min(need, MEMORY)],
    )
    make = f"CREATE INDEX ON {table} USING hnsw (vector {form.operators}) WITH (m = {LINKS}, ef_construction = {BUILDING})"
    connection.execute("SAVEPOINT building")
    try:
        connection.execute(make)
    except errors.DiskFull:  # in a container /dev/shm, where parallel workers share the graph, is often only 64 MB
        connection.execute("ROLLBACK TO SAVEPOINT building")
        connection.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        connection.execute(make)
    _drop(connection, former)


def drop(connection: Any, table: str) -> None:
    """Drop the index, if there is one (inside `Server.writing`): searches are exact then."""
    _drop(connection, _there(connection, table))


@dataclass(frozen=True)
class Through:
    """How the index of a collection of about ``rows`` items is searched: with ``effort`` candidates at first.

    Where too few of them pass a filter it goes on, up to a fiftieth of the items: then an exact search is due, and
    what was spent is a small part of what that takes.
    """

    effort: int
    rows: int

    def settings(self, k: int) -> dict[str, str]:
        """Return the settings of pgvector for a search for ``k``."""
        return {
            "hnsw.iterative_scan": "strict_order",
            "hnsw.ef_search": str(min(max(self.effort, 2 * k), EFFORTS[-1])),
            "hnsw.max_scan_tuples": str(min(max(2_000, 10 * k, self.rows // 50), 2**31 - 1)),
        }


def set_up(connection: Any, through: Through | None, k: int) -> None:
    """Have the searches for ``k`` in this transaction go ``through`` the index, or (None) be exact."""
    settings = {"enable_indexscan": "off"} if through is None else through.settings(k)
    connection.execute(
        f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(settings))}", [part for pair in settings.items() for part in pair]
    )


def _there(connection: Any, table: str) -> list[str]:
    found = connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " JOIN pg_am ON pg_am.oid = relam WHERE indrelid = %s::regclass AND amname = 'hnsw'",
        [table],
    )
    return [name for (name,) in found.fetchall()]


def _drop(connection: Any, names: list[str]) -> None:
    for name in names:  # as regclass writes it: quoted where it has to be
        connection.execute(f"DROP INDEX {name}")
