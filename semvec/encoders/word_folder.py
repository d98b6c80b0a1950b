"""A folder of word vectors that opens at once: the numbers stay on the disk and are shared by all who read them.

``header.json``, ``vectors.npy`` (words, dim), ``words.parquet`` (word, and its count where known), ``index.npy``
(hashes of the words, sorted, and their rows), ``ngrams.npy`` (fastText), ``sif.npy``, and the arrays that training
goes on from (``state.*.npy``). No pickle among them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import flush, folder_written_whole
from semvec.encoders.model_folder import first_line
from semvec.encoders.sif import Sif
from semvec.encoders.vocabulary import ListedWords, MappedWords, word_index
from semvec.encoders.word_documents import Documents
from semvec.encoders.word_ngrams import Ngrams
from semvec.encoders.word_table import BATCH, ContentHash, WordTable, distinct
from semvec.encoders.word_text import Flaws, WordBatch
from semvec.errors import FormatError, ModelError, OutputError, OutputExists
from semvec.types import JSON

FORMAT = "semvec-words"
VERSION = 1
HEADER_FILE = "header.json"
STATE = "state."
OURS = re.compile(r"header\.json|words\.parquet|(vectors|index|ngrams|sif|state\..+)\.npy")
SAMPLE = 64
"""Rows that are compared with the header on opening: what shows that the numbers are those of the words."""


def is_word_folder(path: Path) -> bool:
    """Whether ``path`` is a folder that `write_word_folder` made, if only by the names in it where its header is damaged."""
    try:
        return bool(json.loads((path / HEADER_FILE).read_bytes())["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return (path / "vectors.npy").is_file() and (path / "words.parquet").is_file()


def check_word_output(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` or `OutputExists` where a folder of word vectors cannot be written at ``path``."""
    if not path.name:
        raise OutputError(f"{path}: name the folder to write")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    if is_word_folder(path.parent):
        raise OutputError(f"{path}: lies inside a folder of word vectors; name another place")
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: exists already; --overwrite replaces it")
    if path.exists() and not is_word_folder(path):
        raise OutputError(f"{path}: exists and is no folder of word vectors, so it is not replaced")
    if foreign := [file.name for file in (path.iterdir() if path.exists() else ()) if not OURS.fullmatch(file.name)]:
        raise OutputError(f"{path}: holds {foreign[0]!r} besides word vectors, so it is not replaced; move that away first")


def write_word_folder(
    path: Path,
    batches: Iterable[WordBatch],
    *,
    origin: Mapping[str, JSON],
    flaws: Flaws | None = None,
    counts: NDArray[np.int64] | None = None,
    ngrams: Ngrams | None = None,
    phrases: str = "",
    lower: bool = False,
    sif: Sif | None = None,
    training: Mapping[str, JSON] | None = None,
    state: Mapping[str, NDArray[Any]] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a folder that `open_word_folder` reads, whole or not at all, holding one batch at a time.

    Words that come again are left out, and counted in ``flaws``.
    ``lower`` says that the words were put in small letters, so that those looked up will be too. ``training``
    and ``state`` are what a trained model needs to go on: settings and arrays. Raises
    `OutputExists` and `OutputError`; an existing folder is replaced only with ``overwrite``, and only if it
    holds word vectors.
    """
    with folder_written_whole(path, lambda: check_word_output(path, overwrite=overwrite)) as spare:
        once = distinct(batches, flaws or Flaws())
        _write_parts(spare, once, dict(origin), counts, ngrams, phrases, lower, sif, training, state or {})


def write_table(path: Path, table: WordTable, *, overwrite: bool = False) -> None:
    """Write ``table`` as a folder; errors as `write_word_folder`."""
    write_word_folder(
        path,
        table.batches(),
        origin=table.origin,
        counts=table.counts,
        ngrams=table.ngrams,
        phrases=table.phrases,
        lower=table.lower,
        sif=table.sif,
        training=table.training,
        state=table.state,
        overwrite=overwrite,
    )


def _write_parts(
    folder: Path,
    batches: Iterable[WordBatch],
    origin: dict[str, JSON],
    counts: NDArray[np.int64] | None,
    ngrams: Ngrams | None,
    phrases: str,
    lower: bool,
    sif: Sif | None,
    training: Mapping[str, JSON] | None,
    state: Mapping[str, NDArray[Any]],
) -> None:
    digest = ContentHash()
    with open(folder / "vectors.npy", "wb") as stream:
        words, dim = _write_vectors(stream, digest.fed(batches))
    if not words:
        raise ModelError("there are no words in it")
    _write_words(folder / "words.parquet", words, counts)
    arrays: dict[str, NDArray[Any]] = {"index": word_index(words)}
    arrays |= {} if ngrams is None else {"ngrams": ngrams.vectors}
    arrays |= {} if sif is None else {"sif": sif.component}
    arrays |= {STATE + name: array for name, array in state.items()}
    for name, array in arrays.items():
        with open(folder / f"{name}.npy", "wb") as stream:
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            flush(stream)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "words": len(words),
        "dim": dim,
        "weights": digest.sum(ngrams, *(state[name] for name in sorted(state))),
        "origin": origin,
        "sample": _sample(read_array(folder, "vectors"), words),
        "phrases": phrases,
        "lower": lower,
        "subwords": ngrams and {"least": ngrams.least, "most": ngrams.most},
        "sif": sif and {"a": sif.a, "texts": sif.texts},
        "training": training and dict(training),
        "state": sorted(state),
    }
    with open(folder / HEADER_FILE, "wb") as stream:
        stream.write(json.dumps(header, ensure_ascii=False, indent=1).encode() + b"\n")
        flush(stream)


def _write_vectors(stream: IO[bytes], batches: Iterable[WordBatch]) -> tuple[list[str], int]:
    """Write one ``.npy`` batch by batch; its header, which tells the number of rows, comes last."""
    words: list[str] = []
    dim = 0
    for batch in batches:
        if not words:
            dim = batch.vectors.shape[1]
            _npy_header(stream, 0, dim)
        if len(batch.words) != len(batch.vectors):
            raise FormatError(f"{len(batch.words)} words for {len(batch.vectors)} vectors")
        words += batch.words
        stream.write(np.ascontiguousarray(batch.vectors, dtype="<f4").data)
    stream.seek(0)
    _npy_header(stream, len(words), dim)
    flush(stream)
    return words, dim


def _npy_header(stream: IO[bytes], rows: int, dim: int) -> None:
    """Write the header, which numpy pads so that the number of rows can change in place."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)})


def _write_words(path: Path, words: list[str], counts: NDArray[np.int64] | None) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = {"word": pyarrow.array(words, pyarrow.string())}
    if counts is not None:
        columns["count"] = pyarrow.array(counts, pyarrow.int64())
    with open(path, "wb") as stream:
        pyarrow.parquet.write_table(pyarrow.table(columns), stream, use_dictionary=False)
        flush(stream)


def read_word_header(path: Path) -> dict[str, JSON]:
    """Return what a folder of word vectors says of itself; raise `ModelError` where it is damaged or newer."""
    try:
        header = json.loads((path / HEADER_FILE).read_bytes())
        if header["format"] != FORMAT:
            raise ModelError(f"{path}: holds no word vectors of semvec")
        if not isinstance(header["version"], int) or header["version"] < 1:
            raise ModelError(f"{path}: {HEADER_FILE} is damaged (version {header['version']!r}); make the folder again")
        if header["version"] > VERSION:
            raise ModelError(f"{path}: format version {header['version']}; this semvec reads up to {VERSION}, update it")
        return dict(header)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: {HEADER_FILE} is damaged ({first_line(error)})") from error


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Return one array of the folder, memory-mapped."""
    return np.asanyarray(np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False))


def open_word_folder(path: Path) -> WordTable:
    """Return the table in a folder that `write_word_folder` made, its numbers memory-mapped.

    400,000 words of 300 numbers open in a fifth of a second and take what their words take. Raises
    `ModelError` for a folder that is damaged or does not fit together.
    """
    header = read_word_header(path)
    try:
        vectors, index = read_array(path, "vectors"), read_array(path, "index")
        names, counts = _read_words(path / "words.parquet")
        subwords, sif = header["subwords"], header["sif"]
        expected = (header["words"], header["dim"])
        if vectors.shape != expected or len(names) != len(vectors) or index.shape != (2, len(vectors)):
            raise FormatError(f"{len(names):,} words, {vectors.shape} vectors where the header says {expected}")
        if _sample(vectors, names) != header["sample"]:
            raise FormatError("the words or the vectors are not those the header tells of")
        table = WordTable(
            MappedWords(names, index),
            vectors,
            header["weights"],
            counts=counts,
            ngrams=subwords and Ngrams(read_array(path, "ngrams"), subwords["least"], subwords["most"]),
            phrases=header["phrases"],
            lower=header.get("lower", False),
            sif=sif and Sif(np.array(read_array(path, "sif")), sif["a"], sif["texts"]),
            training=header["training"],
            state={name: read_array(path, STATE + name) for name in header["state"]},
            origin=header["origin"],
        )
        if wrong := [name for name, array in table.state.items() if len(array) != len(vectors)]:
            raise FormatError(f"{', '.join(wrong)}: of another number of words")
        infers = table.training is not None and table.training["kind"] == "doc2vec"
        return replace(table, documents=Documents(lambda: _doc2vec(table))) if infers else table
    except Exception as error:  # whatever numpy and Arrow say of a damaged file
        raise ModelError(
            f"{path}: damaged, cannot be opened ({first_line(error)}); make it again from what it was made of"
        ) from error


def _sample(vectors: NDArray[Any], words: Any) -> str:
    """Return a hash over some rows of ``vectors`` and their words."""
    digest = hashlib.sha256()
    for row in np.unique(np.linspace(0, len(vectors) - 1, SAMPLE).astype(int)).tolist():
        word = words[row]
        digest.update(f"{word if isinstance(word, str) else word.as_py()}\n".encode("utf-8", "surrogatepass"))
        if isinstance(vectors, np.memmap):  # read, not mapped: a page touched brings megabytes of others into memory
            place = vectors.offset + row * vectors.strides[0]
            numbers = np.fromfile(str(vectors.filename), dtype="<f4", count=vectors.shape[1], offset=place)
        else:
            numbers = np.asarray(vectors[row], dtype="<f4")
        digest.update(numbers.data)
    return digest.hexdigest()[:32]


def _doc2vec(table: WordTable) -> Any:
    from semvec.encoders.word_gensim import revive
    from semvec.encoders.word_train_options import Kind, Settings

    assert table.training is not None
    return revive(Kind.DOC2VEC, Settings.from_json(table.training["settings"]), table, trains=False)


def _read_words(path: Path) -> tuple[Any, NDArray[np.int64] | None]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, use_threads=False, pre_buffer=False, memory_map=True)
    if table.schema.field("word").type not in (pyarrow.string(), pyarrow.large_string()) or table.column("word").null_count:
        raise FormatError("words.parquet does not hold words")
    counts = table.column("count").to_numpy() if "count" in table.column_names else None
    return table.column("word").combine_chunks(), counts


def read_npy_and_parquet(vectors: Path, words: Path, column: str) -> WordTable:
    """Return a table of a ``.npy`` array, memory-mapped, and a Parquet column with the words."""
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_table(words, columns=[column], use_threads=False).column(column).to_pylist()
        array = np.load(vectors, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever the two libraries say of a damaged file
        raise ModelError(f"{vectors.parent}: cannot be read ({first_line(error)})") from error
    if len(names) != len(array):
        raise ModelError(f"{vectors.parent}: {len(names)} words for {len(array)} vectors")
    batches = (WordBatch(names[at : at + BATCH], array[at : at + BATCH]) for at in range(0, len(names), BATCH))
    weights = ContentHash.of(batches).sum()
    return WordTable(ListedWords(names), array, weights, origin={"file": vectors.name, "format": "npy"})
