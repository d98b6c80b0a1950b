"""Texts → vectors as a function of batches, as engines that hold the data want it: Ray Data, Spark, Dask, datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.types import Level


class BatchEncoder:
    """Adds the vectors of the texts in ``column`` of a batch to it, as ``into``, float32.

    A batch is a mapping of arrays or lists (Ray Data's numpy format, datasets), a `pyarrow.Table`, or a pandas DataFrame; what
    comes back is of the same kind. ``cut`` names a column for how many tokens of each text were cut, None for none. The model
    is loaded where it is first asked, and is not pickled: it goes to a worker as a name.

    Ray: ``dataset.map_batches(BatchEncoder, fn_constructor_args=("minilm",), compute=ActorPoolStrategy(size=2))`` · Dask:
    ``frame.map_partitions(BatchEncoder("minilm"), meta=…)`` · Spark: ``frame.mapInPandas(BatchEncoder("minilm").each, schema)`` ·
    datasets: ``dataset.map(BatchEncoder("minilm"), batched=True)``.
    """

    def __init__(
        self,
        model: str = "minilm",
        *,
        column: str = "text",
        into: str = "vector",
        cut: str | None = None,
        overflow: str = "truncate",
        normalize: bool = False,
        truncate_dim: int | None = None,
        device: str | None = None,
    ) -> None:
        self.model, self.column, self.into, self.cut, self.device = model, column, into, cut, device
        self.options = {"overflow": overflow, "normalize": normalize, "truncate_dim": truncate_dim}

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded once a process."""
        return load_encoder(self.model, device=self.device).with_options(level=Level.TEXT, **self.options)  # type: ignore[arg-type]

    def __call__(self, batch: Any) -> Any:
        """Return ``batch`` with the vectors.

        Raises `InputError` where the column is missing, or holds what is no text: a null or a number.
        """
        if not isinstance(batch, pa.Table | Mapping) and not type(batch).__module__.startswith("pandas"):
            kinds = "a mapping of columns, a pyarrow.Table or a pandas DataFrame (each() takes record batches)"
            raise InputError(f"a batch is {kinds}, not {type(batch).__name__}")
        names = list(batch.column_names) if isinstance(batch, pa.Table) else list(batch.keys())
        if self.column not in names:
            raise InputError(f"the batch has no column {self.column!r}: there are {', '.join(map(str, names))}")
        vectors, cut = self._encoded(_texts(batch[self.column], self.column))
        if isinstance(batch, pa.Table):
            kept = batch.drop_columns([name for name in (self.into, self.cut) if name in names])
            flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            kept = kept.append_column(self.into, flat)
            return kept if self.cut is None else kept.append_column(self.cut, pa.array(cut))
        if type(batch).__module__.startswith("pandas"):
            more = {self.into: list(vectors), **({} if self.cut is None else {self.cut: cut})}
            return batch.assign(**more)
        return {**batch, self.into: vectors, **({} if self.cut is None else {self.cut: cut})}

    def each(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Give each of ``batches`` with its vectors, one after the other (Spark's mapInPandas and mapInArrow).

        In Arrow's record batches vectors are lists of no fixed size, since Spark knows no others.
        """
        for batch in batches:
            if isinstance(batch, pa.RecordBatch):
                found = self(pa.Table.from_batches([batch]))
                lists = found[self.into].cast(pa.list_(pa.float32()))
                yield from found.set_column(found.column_names.index(self.into), self.into, lists).to_batches()
            else:
                yield self(batch)

    def _encoded(self, texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        if not texts:
            return np.zeros((0, self.encoder.dim), dtype=np.float32), np.zeros(0, dtype=np.int32)
        found = self.encoder.encode(texts)
        return np.ascontiguousarray(found.floats(), dtype=np.float32), np.asarray(found.n_truncated, dtype=np.int32)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the encoder."""
        return {name: value for name, value in vars(self).items() if name != "encoder"}


def _texts(column: Any, name: str) -> list[str]:
    rows = column.to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)
    for at, one in enumerate(rows):
        if not isinstance(one, str):
            raise InputError(f"column {name!r}, row {at} of the batch: {one!r:.40} is no text")
    return [str(one) for one in rows]
