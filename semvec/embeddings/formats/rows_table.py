"""Embeddings as a table: one line a row, the text's own columns repeated beside it.

A text without rows (an empty one at ``level="token"``) keeps a line of its own with nulls in the row's
columns, as an outer join would give, so that nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semvec.embeddings.embeddings import strings
from semvec.embeddings.formats.layout import Array, Header, Part, split_strings
from semvec.errors import FormatError

if TYPE_CHECKING:
    import pyarrow as pa

ROW_COLUMNS = {"start": "int32", "end": "int32", "surface": "large_string", "special": "bool_", "oov": "uint8"}


def schema(header: Header, *, vectors: bool) -> pa.Schema:
    """Return the table's columns; ``vectors`` says whether the last is the vector."""
    import pyarrow as pa

    fields = [pa.field("id", pa.large_string())] if header.has_ids else []
    fields += [pa.field("text_index", pa.int64()), pa.field("n_tokens", pa.int32()), pa.field("n_truncated", pa.int32())]
    fields += [pa.field(name, getattr(pa, kind)()) for name, kind in ROW_COLUMNS.items()]
    if vectors:
        item = pa.from_numpy_dtype(header.stored_type("vectors"))
        fields.append(pa.field("vector", pa.list_(item, header.vector_shape[1])))
    return pa.schema(fields)


def to_table(header: Header, part: Part, first_text: int, *, vectors: bool) -> pa.Table:
    """Return one part as a table; ``first_text`` is the number of its first text in the whole."""
    import pyarrow as pa

    texts = part.texts
    index = part.array("text_index")
    missing = np.flatnonzero(np.bincount(index, minlength=texts)[:texts] == 0)
    owner = np.concatenate([index, missing])
    source = np.concatenate([np.arange(len(index)), np.full(len(missing), -1)])
    order = np.argsort(owner, kind="stable")
    owner, source = owner[order], source[order]
    absent = source < 0
    row = np.where(absent, 0, source)

    def of_row(values: Array, kind: Any) -> Any:
        picked = values[row] if len(values) else np.zeros(len(row), dtype=values.dtype)
        return pa.array(picked, type=kind, mask=absent)

    columns: list[Any] = []
    for field in schema(header, vectors=vectors):
        if field.name == "id":
            ids = split_strings(part.array("id_bytes"), part.array("id_lengths"))
            columns.append(pa.array(ids[owner], type=field.type))
        elif field.name == "text_index":
            columns.append(pa.array(owner + first_text, type=field.type))
        elif field.name in ("n_tokens", "n_truncated"):
            columns.append(pa.array(part.array(field.name)[owner], type=field.type))
        elif field.name == "vector":
            stored = part.array("vectors")
            width = header.vector_shape[1]
            picked = stored if not absent.any() else np.where(absent[:, None], 0, stored[row] if len(stored) else 0)
            flat = np.ascontiguousarray(np.broadcast_to(picked, (len(row), width)), dtype=stored.dtype).reshape(-1)
            mask = pa.array(absent) if absent.any() else None
            columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), width, mask=mask))
        elif field.name == "surface":
            columns.append(of_row(split_strings(part.array("surface_bytes"), part.array("surface_lengths")), field.type))
        elif field.name == "special":
            columns.append(of_row(part.array("special").astype(bool), field.type))
        else:
            columns.append(of_row(part.array(field.name), field.type))
    return pa.Table.from_arrays(columns, schema=schema(header, vectors=vectors))


def from_table(where: object, header: Header, table: pa.Table) -> dict[str, Any]:
    """Return the arrays of an `Embeddings` (``vectors`` only if the table has them)."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    wanted = {field.name for field in schema(header, vectors=False)}
    if missing := wanted - set(columns):
        raise FormatError(f"{where}: the columns {sorted(missing)} are missing")
    owner = columns["text_index"].to_numpy()
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    if len(first) != header.texts:
        raise FormatError(f"{where}: {len(first)} texts where the header says {header.texts}")
    there = columns["start"].is_valid()
    keep = there.to_numpy(zero_copy_only=False)
    values: dict[str, Any] = {
        "text_index": owner[keep],
        "n_tokens": columns["n_tokens"].to_numpy()[first],
        "n_truncated": columns["n_truncated"].to_numpy()[first],
        "surface": strings(columns["surface"].filter(there).to_pylist()),
        "special": columns["special"].filter(there).to_numpy(zero_copy_only=False).astype(bool),
        "ids": strings(columns["id"].take(_indices(first)).to_pylist()) if header.has_ids else None,
    }
    for name in ("start", "end", "oov"):
        values[name] = columns[name].filter(there).to_numpy()
    if "vector" in columns:
        flat = columns["vector"].filter(there).flatten().to_numpy()
        values["vectors"] = flat.reshape(-1, header.vector_shape[1])
    return values


def _indices(values: Array) -> Any:
    import pyarrow as pa

    return pa.array(values, type=pa.int64())
