"""Two files of texts or vectors → for every row of the first the nearest ones of the second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.similarity import nearest
from semvec.embeddings.storage import holds_vectors, read_embeddings
from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.results import Hit, Hits
from semvec.search.index_files import check_no_collection
from semvec.search.searcher import check_min_score, cut
from semvec.text.documents import sound_documents
from semvec.text.readers import ReadOptions
from semvec.types import Level

BLOCK = 512


def similar(
    one: str | Path,
    other: str | Path,
    k: int = 1,
    *,
    model: str = "minilm",
    read: ReadOptions | None = None,
    device: str | None = None,
    min_score: float | None = None,
) -> Iterator[tuple[str, Hits]]:
    """Give the id of every row of ``one`` with the ``k`` nearest rows of ``other``, best first, in the order of ``one``.

    Each is a file of texts, encoded by ``model``, or a vectors file that ``semvec encode`` wrote; two vectors files, or
    a vectors file and the model, must be of the same encoder, else `FingerprintMismatch`. Exact; the vectors of both
    are in memory. ``min_score`` leaves out what scores less. Raises `InputError` at the first bad row.
    """
    check_min_score(min_score)
    for name in (one, other):
        check_no_collection(name)
    encoder = None if holds_vectors(one) and holds_vectors(other) else load_encoder(model, device=device)
    rows, columns = (_vectors(path, encoder, read) for path in (one, other))
    names, found = _ids(rows), _ids(columns)
    texts = columns.surface.tolist()
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        best, scores = nearest(part, columns, k, rows.fingerprint.metric)
        for row, (places, its) in enumerate(zip(best.tolist(), scores.tolist(), strict=True)):
            hits = (Hit(found[place], score, texts[place]) for place, score in zip(places, its, strict=True))
            yield names[at + row], cut(Hits(tuple(hits), str(rows.surface[at + row])), min_score)


def _vectors(path: str | Path, encoder: Encoder | None, read: ReadOptions | None) -> Embeddings:
    if holds_vectors(path):
        found = read_embeddings(path)
        if found.level != Level.TEXT:
            raise InputError(f"{path}: holds vectors of a {found.level} each; --level text makes those of whole texts")
        return found
    assert encoder is not None
    documents = list(sound_documents(path, read))
    if not documents:
        raise InputError(f"{path}: holds no texts")
    return encoder.encode([item.text for item in documents], level=Level.TEXT).with_ids([item.id for item in documents])


def _ids(rows: Embeddings) -> Sequence[str]:
    return [str(at) for at in range(1, len(rows) + 1)] if rows.ids is None else rows.ids.tolist()
