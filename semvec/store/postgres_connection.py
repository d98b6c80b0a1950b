"""A connection to a PostgreSQL server: opened by an address, opened anew when it was lost, its errors in one plain line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from semvec.errors import CollectionNotFound, MissingExtra, OptionError, StoreError
from semvec.store.address import Address

try:
    import psycopg
    from psycopg import errors
    from psycopg.conninfo import conninfo_to_dict
except ImportError as error:
    raise MissingExtra(f'collections in PostgreSQL need the library psycopg ({error}): pip install "semvec[pgvector]"') from error

SECONDS = 10
"""How long a server may take to answer at first, where neither the address nor PGCONNECT_TIMEOUT says."""

READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITING = "BEGIN"


class Collided(StoreError):
    """Two writers met on the same ids; done again it goes well."""


class Server:
    """A server as seen from one collection. One transaction at a time; threads wait for each other."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: Any = None
        self._committing = False
        self._lock = Lock()

    def close(self) -> None:
        """Close the connection; a call after it opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """All that is read inside, through the connection it gives, is of one moment."""
        with self._transaction(READING) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """All that is written inside is kept together when this returns, or not at all."""
        with self._transaction(WRITING) as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Any]:
        with self._lock:
            self._committing = False
            try:
                connection = self._begun(begin)
                try:
                    yield connection
                    self._committing = begin == WRITING
                    connection.execute("COMMIT")
                except BaseException:
                    self._give_up(connection)
                    raise
            except psycopg.Error as error:
                raise self._told(error) from error

    def _begun(self, begin: str) -> Any:
        """Return a connection with a transaction begun; one that was lost while idle is opened anew, for nothing hung on it."""
        if self._connection is not None and not self._connection.closed:
            try:
                self._connection.execute(begin)
                return self._connection
            except psycopg.OperationalError:
                self.close()
        self._connection = self._connected()
        self._connection.execute(begin)
        return self._connection

    def _connected(self) -> Any:
        try:
            given = conninfo_to_dict(self.address.url)
        except psycopg.Error as error:
            raise OptionError(f"{self.address.shown}: no address of a PostgreSQL server: {self._said(error)}") from None
        wait = {} if "connect_timeout" in given or "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": SECONDS}
        try:
            # No prepared statements: a plan has to be made for the filter and the k at hand.
            made = psycopg.connect(self.address.url, autocommit=True, prepare_threshold=None, client_encoding="utf8", **wait)
            made.execute("SET jit = off")  # compiling a plan takes longer than any of ours runs
        except psycopg.Error as error:
            raise StoreError(f"{self.address.shown}: cannot be reached: {self._said(error)}") from None
        return made

    def _give_up(self, connection: Any) -> None:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            return
        connection.close()

    def _told(self, error: Any) -> StoreError:
        """Return what went wrong as one of our errors."""
        place, said = self.address.shown, self._said(error)
        if isinstance(error, errors.UniqueViolation | errors.DeadlockDetected | errors.SerializationFailure):
            return Collided(f"{place}: others write the same items all the time ({said}); nothing was written, try again")
        if isinstance(error, errors.UndefinedTable):
            return CollectionNotFound(f"{place}: the collection is not there any more ({said})")
        if self._connection is None or self._connection.closed:
            if self._committing:
                return StoreError(
                    f"{place}: the connection was lost while the server was committing ({said}): all was written or nothing; "
                    "writing it again does no harm"
                )
            return StoreError(f"{place}: the connection was lost ({said}); nothing was written, the next call opens another")
        return StoreError(f"{place}: {said}")

    def _said(self, error: Any) -> str:
        """Return the first line of what the driver says, without a password."""
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        with suppress(psycopg.Error):
            for secret in (conninfo_to_dict(self.address.url).get("password"), os.environ.get("PGPASSWORD")):
                line = line.replace(str(secret), "***") if secret else line
        return line
