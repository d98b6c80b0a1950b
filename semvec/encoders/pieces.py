"""A tokenizer without some of its pieces of words: taken apart, and put together again, by skeletoken."""

from __future__ import annotations

import logging
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.model_folder import first_line
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import MissingExtra, ModelError


def with_pieces(encoder: TransformerEncoder, module: Path, wanted: NDArray[np.bool_]) -> tuple[int, Any, NDArray[np.int64]]:
    """Return how many pieces the tokenizer of ``encoder`` has, it with those ``wanted``, and the old id of each piece left.

    ``wanted`` (ids,) are kept, special ones, characters, and what any of them is merged from. ``module`` is the folder it
    stands in. Raises `ModelError` for a tokenizer that cannot be taken apart, `MissingExtra` without skeletoken.
    """
    try:
        from skeletoken import TokenizerModel
    except ImportError as error:
        raise MissingExtra(f"trimming needs the library skeletoken ({error}): pip install 'semvec[trim]'") from error
    notes = logging.getLogger("skeletoken")
    level = notes.level
    notes.setLevel(logging.ERROR)
    try:
        whole = TokenizerModel.from_string(_specification(encoder, module))
        keep = _kept(whole, wanted, encoder)
        made = whole.remove_tokens_from_vocabulary([piece for piece in whole.vocabulary if piece not in keep])
    except Exception as error:  # whatever skeletoken says of a tokenizer that it cannot take apart
        raise ModelError(f"{encoder.model}: its tokenizer cannot be taken apart ({first_line(error)})") from error
    finally:
        notes.setLevel(level)
    old, new = whole.vocabulary, made.vocabulary
    ids = np.array([old[piece] for piece in sorted(new, key=new.__getitem__)], dtype=np.int64)
    return len(old), made, ids


def _specification(encoder: TransformerEncoder, module: Path) -> str:
    """Return the tokenizer as its library writes it today: older files leave out what skeletoken wants."""
    from tokenizers import Tokenizer

    file = module / "tokenizer.json"
    its = Tokenizer.from_file(str(file)) if file.is_file() else encoder.transformer.tokenizer.inner.backend_tokenizer
    return str(its.to_str())


def _kept(whole: Any, wanted: NDArray[np.bool_], encoder: TransformerEncoder) -> set[str]:
    """Return the pieces that stay."""
    special = set(encoder.transformer.tokenizer.inner.all_special_ids)
    keep = {its.content for its in whole.added_tokens.root}
    marks = (whole.continuing_subword_prefix or "", "▁", getattr(whole.model, "end_of_word_suffix", None) or "")
    for piece, number in whole.vocabulary.items():
        bare = piece
        for mark in filter(None, marks):
            bare = bare.replace(mark, "", 1)
        is_byte = piece.startswith("<0x") and piece.endswith(">")
        if number in special or len(bare) <= 1 or is_byte or (number < len(wanted) and wanted[number]):
            keep.add(piece)
    if whole.unk_token is not None:
        keep.add(whole.unk_token)
    kind = str(whole.model.type.value)
    if kind == "Unigram":  # what an unknown character costs is reckoned from the least likely piece
        keep.add(min(whole.model.vocab.root, key=lambda pair: pair[1])[0])
    return keep if kind != "BPE" else _with_parts(keep, whole.model)


def _with_parts(keep: set[str], bpe: Any) -> set[str]:
    """Return ``keep`` with all that its pieces are merged from, one step after the other."""
    prefix = bpe.continuing_subword_prefix or ""
    parts: dict[str, list[tuple[str, str]]] = {}
    for left, right in bpe.merges.root:
        parts.setdefault(left + right.removeprefix(prefix), []).append((left, right))
    found, rest = set(keep), list(keep)
    while rest:
        for part in chain.from_iterable(parts.get(rest.pop(), ())):
            if part not in found:
                found.add(part)
                rest.append(part)
    return found
