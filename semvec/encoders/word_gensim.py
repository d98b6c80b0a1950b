"""gensim's models: made, brought back from what a folder keeps of them, trained, and taken apart again.

Importing this imports gensim, which takes seconds: import it where it is needed.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gensim.models import Doc2Vec, FastText, Word2Vec
from gensim.models.doc2vec import TaggedDocument
from numpy.typing import NDArray

from semvec.encoders.word_documents import cut
from semvec.encoders.word_ngrams import Ngrams
from semvec.encoders.word_table import BATCH, WordTable
from semvec.encoders.word_text import WordBatch
from semvec.encoders.word_train_options import Algorithm, Kind, Settings

CLASSES = {Kind.WORD2VEC: Word2Vec, Kind.FASTTEXT: FastText, Kind.DOC2VEC: Doc2Vec}
ALGORITHMS: dict[Algorithm, dict[str, int]] = {
    Algorithm.CBOW: {"sg": 0},
    Algorithm.SKIP_GRAM: {"sg": 1},
    Algorithm.PV_DM: {"dm": 1},
    Algorithm.PV_DBOW: {"dm": 0, "dbow_words": 1},  # without, the vectors of words would stay random
}
END_ALPHA = 1e-4
TAG_SEED = 7919
"""What gensim adds to the seed for the vectors of texts."""


def parameters(kind: Kind, settings: Settings) -> dict[str, Any]:
    """Return ``settings`` as gensim names them."""
    found: dict[str, Any] = {
        "vector_size": settings.dim,
        "min_alpha": min(END_ALPHA, settings.alpha),
        **{name: getattr(settings, name) for name in ("window", "min_count", "epochs", "negative", "sample", "alpha")},
        **{name: getattr(settings, name) for name in ("seed", "workers")},
        **ALGORITHMS[settings.algorithm],
    }
    if kind == Kind.FASTTEXT:
        found |= {"min_n": settings.min_n, "max_n": settings.max_n, "bucket": settings.buckets}
    return found


def new_model(kind: Kind, settings: Settings, counts: Mapping[str, int], texts: int) -> Any:
    """Return an untrained model of the words that reach ``min_count``."""
    model = CLASSES[kind](**parameters(kind, settings))
    _tag(model, texts)
    model.build_vocab_from_freq(dict(counts), corpus_count=texts)
    return model


def revive(kind: Kind, settings: Settings, table: WordTable, *, trains: bool) -> Any:
    """Return the model whose arrays ``table`` keeps; copied where it ``trains``, else as they lie on the disk."""
    own = np.array if trains else np.asarray
    model = CLASSES[kind](**parameters(kind, settings))
    words = list(table.words)
    model.wv.index_to_key = words
    model.wv.key_to_index = {word: row for row, word in enumerate(words)}
    model.wv.expandos = {"count": own(table.counts), "sample_int": own(table.state["sample_int"])}
    model.wv.vectors = own(table.vectors)
    model.syn1neg = own(table.state["syn1neg"])
    if table.ngrams is not None:
        model.wv.vectors_vocab = own(table.state["vectors_vocab"])
        model.wv.vectors_ngrams = own(table.ngrams.vectors)
        model.wv.recalc_char_ngram_buckets()
    model.make_cum_table()
    return model


def extend(model: Any, counts: Mapping[str, int], texts: int) -> None:
    """Add the words of ``counts`` that are new and reach ``min_count`` after the old ones, which keep their vectors."""
    _tag(model, texts)
    model.build_vocab_from_freq(dict(counts), corpus_count=texts, update=True)
    if hasattr(model, "dv"):
        model.dv.resize_vectors(seed=model.seed + TAG_SEED)


def sort_by_count(model: Any) -> None:
    """Put the words of a trained model, and all that is kept of them, into the order of their counts.

    That is gensim's own order of a new model, which `extend` breaks, since new words come last. Only for a model that
    is to be kept: training goes on with the order that its vocabulary was made in. Equal counts stay as they were.
    """
    keyed = model.wv
    counts = np.asarray(keyed.expandos["count"])
    order = np.argsort(-counts, kind="stable")
    if (order == np.arange(len(order))).all():
        return
    keyed.index_to_key = [keyed.index_to_key[row] for row in order.tolist()]
    keyed.key_to_index = {word: row for row, word in enumerate(keyed.index_to_key)}
    keyed.expandos = {name: np.asarray(values)[order] for name, values in keyed.expandos.items()}
    keyed.vectors = keyed.vectors[order]
    model.syn1neg = model.syn1neg[order]
    if isinstance(model, FastText):
        keyed.vectors_vocab = keyed.vectors_vocab[order]


def _tag(model: Any, texts: int) -> None:
    if hasattr(model, "dv"):
        model.dv.index_to_key = list(range(texts))


def keep(model: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays, besides the words' and n-grams' vectors, that going on (and inference) needs."""
    state = {"syn1neg": model.syn1neg, "sample_int": model.wv.expandos["sample_int"]}
    if isinstance(model, FastText):
        state["vectors_vocab"] = model.wv.vectors_vocab
    return state


def ngrams_of(model: Any) -> Ngrams | None:
    """Return fastText's n-grams."""
    return Ngrams(model.wv.vectors_ngrams, model.wv.min_n, model.wv.max_n) if isinstance(model, FastText) else None


def batches_of(model: Any) -> Iterator[WordBatch]:
    """Give the words and their vectors, some thousands at a time."""
    for at in range(0, len(model.wv), BATCH):
        yield WordBatch(model.wv.index_to_key[at : at + BATCH], model.wv.vectors[at : at + BATCH])


@dataclass
class Trained:
    """What training did: ``words`` trained on in all epochs, and the ``losses`` a word, epoch by epoch (word2vec)."""

    words: int = 0
    losses: list[float] = field(default_factory=list)


def train(model: Any, texts: Iterable[list[str]], pieces: int, tell: Callable[[int, int, float | None], None]) -> Trained:
    """Train ``model`` on ``texts``, which can be gone through again and make ``pieces`` (`cut`), and return what was done.

    ``tell`` is called with the epoch, the words of it that were read, and the loss of the epoch before.
    """
    jobs = _Jobs(model)
    corpus = _Pieces(texts, tagged=hasattr(model, "dv"), tell=lambda words: tell(len(jobs.epochs), words, jobs.loss))
    model._do_train_job = jobs
    model.train(
        corpus_iterable=corpus,
        total_examples=pieces,
        epochs=model.epochs,
        compute_loss=jobs.has_loss,
        callbacks=[jobs],
    )
    del model._do_train_job
    if failure := corpus.failure or jobs.failure:
        raise failure
    return Trained(sum(words for words, _ in jobs.epochs), [loss for words, loss in jobs.epochs if loss is not None])


class _Pieces:
    """The corpus as gensim wants it. What goes wrong is kept: raised in gensim's thread it would hang the run."""

    def __init__(self, texts: Iterable[list[str]], *, tagged: bool, tell: Callable[[int], None]) -> None:
        self._texts, self._tagged, self._tell = texts, tagged, tell
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for number, words in enumerate(self._texts):
                for piece in cut(words):
                    yield TaggedDocument(piece, [number]) if self._tagged else piece
                read += len(words)
                self._tell(read)
        except Exception as error:
            self.failure = error


class _Jobs:
    """Stands in for gensim's training of one batch: counts words and losses, and keeps what goes wrong.

    gensim adds the loss up in one float32 that all threads share: with several of them most of it is lost, and
    from some ten million on it grows no more. Here every batch starts at zero, in a model of its own that
    shares all arrays.
    """

    def __init__(self, model: Any) -> None:
        self.has_loss = type(model) is Word2Vec
        self.epochs: list[tuple[int, float | None]] = []
        self.failure: BaseException | None = None
        self._train = type(model)._do_train_job
        self._model = model
        self._lock = threading.Lock()
        self._words, self._loss = 0, 0.0

    def __call__(self, batch: list[Any], alpha: float, memory: Any) -> tuple[int, int]:
        try:
            one = copy.copy(self._model)
            one.running_training_loss = 0.0
            trained, raw = self._train(one, batch, alpha, memory)
            if hasattr(one, "dv"):
                trained -= len(batch)  # gensim counts the tag of a text as a word
            with self._lock:
                self._words += trained
                self._loss += float(one.running_training_loss)
            return trained, raw
        except BaseException as error:
            self.failure = error
            return 0, 0

    @property
    def loss(self) -> float | None:
        """The loss a word in the last epoch that is done."""
        return self.epochs[-1][1] if self.epochs else None

    def on_epoch_end(self, model: Any) -> None:
        """Close an epoch."""
        self.epochs.append((self._words, self._loss / max(self._words, 1) if self.has_loss else None))
        self._words, self._loss = 0, 0.0

    def on_epoch_begin(self, model: Any) -> None: ...

    def on_train_begin(self, model: Any) -> None: ...

    def on_train_end(self, model: Any) -> None: ...
