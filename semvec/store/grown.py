"""Files of rows that only grow: what was written and not committed is written over."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import flush
from semvec.errors import CollectionDamaged

WAY_OUT = "the texts are kept: 'semvec index export' writes them, 'semvec index build' makes a collection of them again"


@dataclass(frozen=True)
class Grown:
    """A file of rows of ``width`` numbers of type ``form``, with nothing before or behind them.

    How many of its rows count is kept elsewhere, and committed there after they are on the disk. So a reader sees whole rows,
    whenever the writer was killed.
    """

    path: Path
    form: np.dtype[Any]
    width: int

    def append(self, rows: NDArray[Any], at: int) -> None:
        """Write ``rows`` (rows, width) behind the first ``at`` rows; on the disk when this returns.

        Raises `CollectionDamaged` where there are fewer.
        """
        if at and (not self.path.exists() or self.path.stat().st_size < at * self._size):
            raise CollectionDamaged(f"{self.path}: damaged, it is shorter than it should be; {WAY_OUT}")
        with open(self.path, "r+b" if self.path.exists() else "w+b") as stream:
            stream.truncate(at * self._size)
            stream.seek(at * self._size)
            stream.write(np.ascontiguousarray(rows, dtype=self.form).tobytes())
            flush(stream)

    def read(self, count: int) -> NDArray[Any]:
        """Return the first ``count`` rows (count, width), memory-mapped; raise `CollectionDamaged` where there are fewer."""
        if not count:
            return np.zeros((0, self.width), dtype=self.form)
        with open(self.path, "rb") as stream:
            if self.path.stat().st_size < count * self._size:
                raise CollectionDamaged(f"{self.path}: damaged, it is shorter than it should be; {WAY_OUT}")
            held = mmap.mmap(stream.fileno(), count * self._size, access=mmap.ACCESS_READ)
        return np.frombuffer(held, dtype=self.form).reshape(count, self.width)

    @property
    def _size(self) -> int:
        return self.form.itemsize * self.width
