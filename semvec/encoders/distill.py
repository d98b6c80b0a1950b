"""A sentence or contextual encoder → a static model, which needs no transformer (the library model2vec)."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import check_replaceable, folder_written_whole, plain_errors
from semvec.embeddings.transforms import normalize
from semvec.encoders.fit_tokens import fit_tokens
from semvec.encoders.model_folder import first_line
from semvec.encoders.protocol import Encoder
from semvec.encoders.static_table import is_static
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import InputError, MissingExtra, ModelError, OptionError, TextsCut
from semvec.types import JSON, Dtype, LayerMix, Level, Oov, Pooling, Progress, Step

DIMS = 256
SIF = 1e-4
"""Commoner tokens count for less: a / (a + p), p after Zipf's law from a token's place in the vocabulary
(Arora, Liang and Ma 2017). The best of 1e-2 … 1e-5 on the training part of STS-B."""

POOLINGS = {Pooling.MEAN: "mean", Pooling.CLS: "first", Pooling.LAST_TOKEN: "last"}
"""The ways of pooling that model2vec has; a model that pools otherwise is read with its nearest, the mean."""

TEXTS_AT_ONCE = 2048

Vectors: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Distilled:
    """What `distill` made: where, of how many tokens and dimensions, learnt from how many texts, in what time."""

    path: Path
    tokens: int
    dim: int
    texts: int
    texts_cut: int
    seconds: float


def distill(
    teacher: Encoder,
    output: str | os.PathLike[str],
    *,
    dims: int | None = None,
    corpus: Iterable[str] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Distilled:
    """Write a static model of ``teacher`` into the folder ``output``, and return what it is.

    Every token of the teacher's vocabulary is read by itself, pooled as the teacher pools; principal
    components leave ``dims`` of its dimensions (256, or as many as it has), and common tokens count for
    less. With a ``corpus`` the token vectors are then fitted until the mean over a text points where the
    teacher's vector of it does, which needs no labels and lifts quality a good deal. Its vectors are held
    in memory (texts × the teacher's dimensions, float32). The same input and ``seed`` give the same bytes.

    The folder is one of model2vec's: `load_encoder`, ``StaticModel.from_pretrained`` and
    ``SentenceTransformer`` read it alike. It is written whole or not at all.

    Raises `MissingExtra` without model2vec, `OptionError` for an encoder without a transformer and for more
    ``dims`` than there are, `InputError` for a corpus without a text, `OutputExists` and `OutputError`.
    """
    started, target = perf_counter(), check_output(output, overwrite=overwrite)
    if isinstance(corpus, str):
        raise InputError("corpus must be a list of texts, not one string")
    plain = _plain(teacher)
    corpus = None if corpus is None else _begun(corpus)
    dim = _dims(plain, dims)
    say = progress or (lambda *_: None)
    tokenizer, vectors = _read_tokens(plain, say)
    unknown = _unknown(tokenizer)
    learnt = None
    if corpus is None:
        vectors = _projected(vectors, _components([vectors], dim)) * _rarity(len(vectors))
    else:
        learnt = _read_corpus(plain, corpus, tokenizer, unknown, say)
        vectors = _fitted(normalize(vectors), learnt, dim=dim, seed=seed, say=say)
    if unknown is not None:
        vectors[unknown] = 0  # sentence-transformers counts unknown tokens; zeros change no direction
    texts, cut = (learnt.texts, learnt.cut) if learnt else (0, 0)
    origin = {"teacher": _name(plain), "weights": plain.weights, "texts": texts, "seed": seed if learnt else None}
    _save(target, vectors, tokenizer, origin, overwrite)
    return Distilled(target, len(vectors), dim, texts, cut, perf_counter() - started)


def check_output(output: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return ``output`` if a model can be written to that folder; raise `OutputError` or `OutputExists` if not.

    Only a static model is ever replaced: a folder of anything else may be somebody's documents.
    """
    target = Path(output)
    with plain_errors(target):
        _check_replaceable(target, overwrite)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent):
            return target  # a folder can be made there, which is worth knowing before an hour's work


def _begun(corpus: Iterable[str]) -> Iterator[str]:
    """Return ``corpus`` with its first text read, so that an empty one is told before the work."""
    texts = iter(corpus)
    for first in texts:
        return chain([first], texts)
    raise InputError("the corpus has no text that could be learnt from")


def _check_replaceable(target: Path, overwrite: bool) -> None:
    check_replaceable(target, "static model", lambda: target.is_dir() and is_static(target), overwrite=overwrite)


def _plain(teacher: Encoder) -> TransformerEncoder:
    """Return ``teacher`` as its text vectors come by default; raise `OptionError` where it has no transformer."""
    if not isinstance(teacher, TransformerEncoder):
        made = teacher.fingerprint
        raise OptionError(f"{made.model} is a {made.family} model: only sentence and contextual ones can be distilled")
    return teacher.with_options(
        level=Level.TEXT,
        layers=-1,
        layer_mix=LayerMix.MEAN,
        pooling=None,
        normalize=False,
        truncate_dim=None,
        dtype=Dtype.FLOAT32,
        calibration=None,
    )


def _dims(teacher: TransformerEncoder, dims: int | None) -> int:
    if dims is None:
        return min(DIMS, teacher.dim)
    if isinstance(dims, bool) or not isinstance(dims, int) or not 1 <= dims <= teacher.dim:
        raise OptionError(f"dims must be a whole number from 1 to {teacher.dim}, the dimensions of {teacher.model}, not {dims!r}")
    return dims


def _name(teacher: TransformerEncoder) -> str:
    return os.path.basename(os.path.normpath(teacher.model))


def _read_tokens(teacher: TransformerEncoder, say: Progress) -> tuple[Any, Vectors]:
    """Return model2vec's tokenizer for ``teacher`` and a vector of the teacher's (tokens, dim) for each of its tokens."""
    try:
        from model2vec.distill import distill_from_model, inference
    except ImportError as error:
        raise MissingExtra(f"distilling needs the library model2vec ({error}): pip install 'semvec[distill]'") from error
    with _hushed(inference, say):
        try:
            static = distill_from_model(
                teacher.transformer.model,
                teacher.transformer.tokenizer.inner,
                device="cpu" if teacher.device.startswith("mps") else teacher.device,  # model2vec refuses mps
                pca_dims=None,
                sif_coefficient=None,
                quantize_to="float32",
                pooling=POOLINGS.get(teacher.own_pooling[0], "mean"),
            )
        except Exception as error:  # whatever model2vec says of a model or tokenizer it cannot take apart
            raise ModelError(f"{teacher.model}: model2vec cannot distil it ({first_line(error)})") from error
    static.tokenizer.no_padding()
    static.tokenizer.no_truncation()
    side_by_side = np.tile(static.embedding, len(teacher.own_pooling))
    return static.tokenizer, teacher.after_pooling(np.asarray(side_by_side, dtype=np.float32))


@contextmanager
def _hushed(inference: Any, say: Progress) -> Iterator[None]:
    """Let ``say`` hear of model2vec's progress, which it would draw on the terminal, and nobody of its notes."""

    class Bar:
        def __init__(self, *, total: int, **_: object) -> None:
            self.done, self.total = 0, total

        def update(self, count: int) -> None:
            self.done += count
            say(Step("", self.done, self.total, "tokens"))

    notes = logging.getLogger("skeletoken")
    own, level = inference.tqdm, notes.level
    inference.tqdm = Bar
    notes.setLevel(logging.ERROR)
    try:
        yield
    finally:
        inference.tqdm = own
        notes.setLevel(level)


def _unknown(tokenizer: Any) -> int | None:
    """Return the id of the token that stands for what ``tokenizer`` does not know, if it has one."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_token") is not None:
        return int(tokenizer.token_to_id(model["unk_token"]))
    return None if model.get("unk_id") is None else int(model["unk_id"])


@dataclass(frozen=True)
class _Corpus:
    """Texts as the student reads them, ``lengths`` (texts,) ``ids`` each, and the teacher's vectors (texts, dim) of them."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    goals: Vectors
    cut: int

    @property
    def texts(self) -> int:
        return len(self.lengths)


def _read_corpus(teacher: TransformerEncoder, corpus: Iterable[str], read: Any, unknown: int | None, say: Progress) -> _Corpus:
    """Return those texts of ``corpus``, each once, in which the tokenizer ``read`` finds a token that is known."""
    rest, seen = iter(corpus), set[str]()
    lists: list[list[int]] = []
    goals: list[Vectors] = []
    cut = 0
    while batch := list(islice(rest, TEXTS_AT_ONCE)):
        texts = [text for text in dict.fromkeys(batch) if text not in seen]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TextsCut)  # counted, and told with the result
            found = teacher.encode(texts, progress=_from(len(seen), say))
        every = read.encode_batch_fast(texts, add_special_tokens=False)
        known = [[one for one in its.ids if one != unknown] for its in every]
        solid = np.array([bool(ids) for ids in known], dtype=bool) & (found.oov != Oov.ZERO)
        lists += [ids for ids, yes in zip(known, solid.tolist(), strict=True) if yes]
        goals.append(normalize(found.vectors[solid]))
        cut += int((found.n_truncated > 0).sum())
        seen.update(texts)
    if not lists:
        raise InputError("the corpus has no text that could be learnt from")
    lengths = np.array([len(ids) for ids in lists], dtype=np.int64)
    return _Corpus(np.concatenate(lists).astype(np.int64), lengths, np.concatenate(goals), cut)


def _from(before: int, say: Progress) -> Callable[[int, int], None]:
    return lambda done, _: say(Step("", before + done, None, "texts"))


def _fitted(vectors: Vectors, corpus: _Corpus, *, dim: int, seed: int, say: Progress) -> Vectors:
    """Return token vectors (tokens, dim) whose means point where the teacher's vectors of the corpus do."""
    basis = _components([vectors, corpus.goals], dim)
    start = _projected(vectors, basis) * _rarity(len(vectors))
    start /= np.linalg.norm(start, axis=1).mean() or 1.0  # so that a step means the same whatever the teacher
    goals = normalize(_projected(corpus.goals, basis))
    told = lambda done, total: say(Step("", done, total, "steps"))  # noqa: E731
    return fit_tokens(start, corpus.ids, corpus.lengths, goals, seed=seed, progress=told)


def _components(parts: list[Vectors], dim: int) -> Vectors:
    """Return the ``dim`` directions (their dim, dim) in which the rows of ``parts``, each weighing the same, vary most."""
    spread = sum(np.cov(part.T, bias=True, dtype=np.float64) for part in parts)
    directions = np.linalg.eigh(np.atleast_2d(spread))[1][:, ::-1][:, :dim]
    largest = np.abs(directions).argmax(axis=0)
    signs = np.sign(directions[largest, np.arange(dim)])  # a direction and its opposite are the same to eigh
    return np.asarray(directions * signs, dtype=np.float32)


def _projected(vectors: Vectors, basis: Vectors) -> Vectors:
    return np.asarray((vectors - vectors.mean(axis=0)) @ basis, dtype=np.float32)


def _rarity(tokens: int) -> Vectors:
    """Return what each token counts for (tokens, 1), a vocabulary being ordered from common to rare."""
    share = 1 / np.arange(2, tokens + 2)
    share /= share.sum()
    return np.asarray(SIF / (SIF + share), dtype=np.float32)[:, None]


def _save(target: Path, vectors: Vectors, tokenizer: Any, origin: JSON, overwrite: bool) -> None:
    from model2vec.persistence import save_pretrained

    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": origin["teacher"],
        "hidden_dim": vectors.shape[1],
        "seq_length": 1_000_000,
        "normalize": True,
        "semvec": origin,
    }
    replaceable = partial(_check_replaceable, target, overwrite)
    with folder_written_whole(target, replaceable) as spare:  # without model2vec's card, which claims a licence
        save_pretrained(spare, np.ascontiguousarray(vectors), tokenizer, config, create_model_card=False)
