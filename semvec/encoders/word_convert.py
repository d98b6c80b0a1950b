"""Any word vectors → a folder that opens at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from semvec.encoders.catalog import find_model, load_encoder
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_files import find_word_file
from semvec.encoders.word_folder import check_word_output, read_word_header, write_word_folder
from semvec.encoders.word_text import Flaws
from semvec.errors import InputError, ModelError


@dataclass(frozen=True)
class Converted:
    """What a conversion made: ``words`` vectors of ``dim`` numbers in ``output``, what was passed over, SIF's texts."""

    output: Path
    words: int
    dim: int
    flaws: str = ""
    sif_texts: int = 0


def convert(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    sif: Iterable[str] | None = None,
    trust_pickle: bool = False,
    overwrite: bool = False,
) -> Converted:
    """Write the word vectors ``model`` (a file, a folder, or a name of the catalog) as a folder, and say what was done.

    Text and word2vec's binary are passed through batch by batch, so they may be larger than memory. ``sif`` are
    texts that SIF is fitted on (`WordEncoder.fit_sif`), which the folder keeps. The folder has the same weights
    hash as the file: their vectors may be compared. Raises `ModelError`, `PickleRefused`, `ModelNotFound` for the
    input, `OutputExists` and `OutputError` for the output.
    """
    target = Path(output)
    if isinstance(sif, str):
        raise InputError("sif must be a list of texts, not one string")
    check_word_output(target, overwrite=overwrite)
    place = find_model(model, trust_pickle=trust_pickle).path
    if place.resolve() == target.resolve():
        raise ModelError(f"{target}: is the input itself; name another folder")
    flaws = Flaws()
    if sif is None and place.is_file() and (file := find_word_file(place)).streams:
        write_word_folder(target, file.batches(flaws), flaws=flaws, origin=file.origin, overwrite=overwrite)
        return _report(target, str(flaws))
    encoder = load_encoder(model, family="word", trust_pickle=trust_pickle)
    assert isinstance(encoder, WordEncoder)
    if sif is not None:
        encoder = encoder.fit_sif(sif)
    encoder.save(target, overwrite=overwrite)
    return _report(target, encoder.table.flaws)


def _report(target: Path, flaws: str) -> Converted:
    header = read_word_header(target)
    return Converted(target, header["words"], header["dim"], flaws, (header["sif"] or {"texts": 0})["texts"])
