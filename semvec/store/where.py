"""Which rows of a local collection a filter is true of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semvec.errors import FilterError
from semvec.store.database import Database
from semvec.store.filters import All, Any, Compare, Filter, In, IsNull, Not, StartsWith, check_fields, kind_of

Rows = NDArray[np.int64]
LAST = "\U0010ffff"


class Where:
    """Answers filters from the attributes in the database at one moment; each part by one look into an index, joined as sets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fields = database.fields()

    def rows(self, wanted: Filter) -> Rows:
        """Return the rows, ascending, that ``wanted`` is true of; raise `FilterError` for a field no item ever had."""
        check_fields(wanted, self._fields)
        return self._of(wanted)

    def _of(self, wanted: Filter) -> Rows:
        match wanted:
            case All(parts):
                found = [self._of(part) for part in parts]
                rows = found[0] if found else self._database.rows()
                for other in found[1:]:
                    rows = np.intersect1d(rows, other, assume_unique=True)
                return rows
            case Any(parts):
                return np.unique(np.concatenate([np.zeros(0, np.int64), *(self._of(part) for part in parts)]))
            case Not(part):
                return np.setdiff1d(self._database.rows(), self._of(part), assume_unique=True)
            case IsNull(name):
                return np.setdiff1d(
                    self._database.rows(), np.unique(self._database.rows_having(self._fields[name])), assume_unique=True
                )
            case In(name, values):
                return np.unique(np.concatenate([np.zeros(0, np.int64), *(self._compared(name, "=", value) for value in values)]))
            case StartsWith(name, prefix):
                return self._starting(name, prefix)
            case Compare(name, operator, value):
                return np.unique(self._compared(name, operator, value))
        raise FilterError(f"a local collection cannot answer {type(wanted).__name__}")

    def _compared(self, name: str, operator: str, value: object) -> Rows:
        return self._database.rows_where(self._fields[name], kind_of(value), operator, value)

    def _starting(self, name: str, prefix: str) -> Rows:
        """Strings that begin with a prefix stand between it and it followed by the last character there is."""
        if not prefix:
            return np.unique(self._compared(name, ">=", ""))
        return np.unique(self._database.rows_between(self._fields[name], kind_of(prefix), prefix, prefix + LAST))
