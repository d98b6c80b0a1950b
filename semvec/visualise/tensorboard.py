"""Vectors for TensorBoard's embedding projector: ``vectors.tsv``, ``metadata.tsv`` and ``projector_config.pbtxt``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import folder_written_whole
from semvec.errors import OutputExists
from semvec.types import JSON

CONFIG = """embeddings {
  tensor_name: "semvec"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""


NAMES = ("vectors.tsv", "metadata.tsv", "projector_config.pbtxt")


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise `OutputExists` where something is at ``folder`` that may not be replaced: what was not written by this never is."""
    if not folder.exists():
        return
    if not folder.is_dir() or (other := next((path.name for path in sorted(folder.iterdir()) if path.name not in NAMES), None)):
        held = "" if not folder.is_dir() else f", it holds what is no projector's ({other})"
        raise OutputExists(f"{folder}: is in the way{held}; name another folder")
    mark = folder / NAMES[2]
    if any(folder.iterdir()) and not (mark.is_file() and mark.read_text(encoding="utf-8", errors="replace") == CONFIG):
        raise OutputExists(f"{folder}: is in the way, it holds what semvec did not write; name another folder")
    if not overwrite:
        raise OutputExists(f"{folder}: exists already; --overwrite replaces it")


def write_tensorboard(
    folder: Path,
    vectors: NDArray[np.float32],
    ids: Sequence[str],
    texts: Sequence[str],
    columns: Mapping[str, Sequence[JSON]],
    *,
    overwrite: bool = False,
) -> None:
    """Write ``vectors`` (n, dim) and what they stand for to a ``folder`` for ``tensorboard --logdir``, whole or not at all.

    Raises `OutputExists` where something is there already, unless it is to be replaced.
    """

    def check() -> None:
        check_folder(folder, overwrite=overwrite)

    check()
    names = ["id", "text", *(name for name in columns if name not in ("id", "text"))]
    cells: list[Callable[[int], JSON]] = [
        lambda row: ids[row],
        lambda row: texts[row],
        *(lambda row, its=columns[name]: its[row] for name in names[2:]),
    ]
    with folder_written_whole(folder, check) as place:
        np.savetxt(place / "vectors.tsv", vectors, fmt="%.7g", delimiter="\t")
        with (place / "metadata.tsv").open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write("\t".join(map(_cell, names)) + "\n")
            stream.writelines("\t".join(_cell(cell(row)) for cell in cells) + "\n" for row in range(len(ids)))
        (place / "projector_config.pbtxt").write_text(CONFIG, encoding="utf-8")


def _cell(value: JSON) -> str:
    return "" if value is None else " ".join(str(value).split())
