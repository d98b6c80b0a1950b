"""Texts → a folder of word vectors: word2vec, fastText and Doc2Vec, trained by gensim."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from semvec.encoders.catalog import KNOWN
from semvec.encoders.protocol import Text
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_corpus import Corpus, with_phrases, words_of
from semvec.encoders.word_folder import check_word_output, is_word_folder, open_word_folder, write_word_folder
from semvec.encoders.word_phrases import DELIMITER
from semvec.encoders.word_table import WordTable
from semvec.encoders.word_train_options import Kind, Settings, TrainOptions, settle
from semvec.errors import InputError, ModelError, OptionError
from semvec.text.words import Splitter, find_words
from semvec.types import JSON, Progress, Step

STATE = {kind: ("syn1neg", "sample_int", *(("vectors_vocab",) if kind == Kind.FASTTEXT else ())) for kind in Kind}
"""The arrays, besides the vectors, that a model goes on from."""

TOLD_EVERY = 0.1
"""Seconds between two calls of a progress function."""


def train_words(
    kind: Kind | str,
    texts: Iterable[Text],
    output: str | os.PathLike[str],
    options: TrainOptions | None = None,
    *,
    continued: str | os.PathLike[str] | None = None,
    splitter: Splitter | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> WordEncoder:
    """Train word vectors on ``texts``, keep them as a folder at ``output``, and return the encoder of them.

    ``kind`` is word2vec, fasttext or doc2vec. ``texts``, strings or texts split into words, are gone through
    once and may be any number: their words are kept in a nameless file beside ``output``, and memory holds
    the vocabulary and the model. Nothing of a text is cut, however long it is. ``continued`` is a folder
    that was trained before: its words go on from their vectors, new ones are added. ``splitter`` finds the words of strings
    (``jieba.cut``); the model keeps its name, and warns where texts are encoded without it. The words stand in the
    order of their counts, the most frequent first. With a ``seed`` two runs over the same texts write the
    same bytes. ``encoder.table.training`` tells what was done: the settings, what was read, and for word2vec
    the loss a word of each epoch.

    Raises `InputError` for texts with nothing to learn from, `OptionError` for options that do not fit,
    `ModelError` for a model that cannot go on and where training diverged, `OutputExists`, `OutputError`.
    """
    kind, target = Kind(kind), Path(output)
    check_word_output(target, overwrite=overwrite)
    before = None if continued is None else _trained(Path(continued), kind)
    settings = settle(kind, options or TrainOptions(), None if before is None else _settings(before))
    with Corpus(target) as corpus:
        _read(corpus, texts if splitter is None else _split(texts, splitter), settings, progress)
        _check_corpus(corpus, kind)
        with _with_phrases(corpus, settings, before, progress) as (ready, phrases):
            model, record = _train(kind, settings, ready, before, progress)
        read = {"texts": corpus.texts, "without_words": corpus.empty, "words": corpus.words, "sha256": corpus.sha256}
    origin = {"format": "trained", "gensim": version("gensim")}
    training = {"kind": kind, "settings": settings.to_json(), "corpus": read, "phrases": phrases, **record}
    if splitter is not None:
        training["splitter"] = (
            getattr(splitter, "name", None) or f"{splitter.__module__}:{getattr(splitter, '__qualname__', splitter)}"
        )
    _write(target, model, settings, origin, training, overwrite=overwrite)
    return WordEncoder.from_pretrained(target)


def _trained(path: Path, kind: Kind) -> WordTable:
    """Return the table of a model that can go on; raise `ModelError` saying why one cannot."""
    if not path.exists() and str(path) not in KNOWN:
        raise ModelError(f"{path}: no such model to go on with")
    if not is_word_folder(path):
        raise ModelError(
            f"{path}: cannot go on, it comes without the weights that training goes on from; "
            "only a folder that 'semvec train' made keeps them"
        )
    table = open_word_folder(path)
    if table.training is None:
        form = table.origin.get("format", "a file")
        raise ModelError(f"{path}: cannot go on, its vectors came from {form} without the weights that training goes on from")
    if table.training["kind"] != kind:
        raise ModelError(f"{path}: is a {table.training['kind']} model, which {kind} cannot go on with")
    if missing := [name for name in STATE[kind] if name not in table.state]:
        raise ModelError(f"{path}: cannot go on, {', '.join(missing)} is missing from what it keeps")
    return table


def _settings(table: WordTable) -> Settings:
    assert table.training is not None
    return Settings.from_json(table.training["settings"])


def _read(corpus: Corpus, texts: Iterable[Text], settings: Settings, progress: Progress | None) -> None:
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InputError(f"texts must be an iterable of texts, not {type(texts).__name__}")
    for number, text in enumerate(_told(progress, "reading", None, texts)):
        try:
            words = words_of(text, lower=settings.lower)
        except InputError as error:
            raise InputError(f"text {number}: {error}") from None
        corpus.add(words)


def _split(texts: Iterable[Text], splitter: Splitter) -> Iterator[Text]:
    """Give the words that ``splitter`` finds in each of ``texts`` that is no list of words already."""
    for text in texts:
        yield [text[start:end] for start, end in find_words(text, splitter)] if isinstance(text, str) else text


def _check_corpus(corpus: Corpus, kind: Kind) -> None:
    if not corpus.texts:
        there = f"none of the {corpus.empty:,} texts has a word" if corpus.empty else "there are no texts"
        raise InputError(f"{there}: nothing to train on")
    if corpus.longest < 2 and kind != Kind.DOC2VEC:
        raise InputError("every text has a single word: a word has no neighbours to learn from")


@contextmanager
def _with_phrases(
    corpus: Corpus, settings: Settings, before: WordTable | None, progress: Progress | None
) -> Iterator[tuple[Corpus, int]]:
    """Give the corpus with its phrases joined, and how many different ones there are."""
    if not settings.phrases:
        yield corpus, 0
        return
    old = {word for word in before.words if DELIMITER in word} if before else set()
    watch = partial(_told, progress, "finding phrases", corpus.texts)
    joined, phrases = with_phrases(corpus, settings.min_count, settings.phrase_threshold, watch, old)
    with joined:
        yield joined, phrases


def _train(
    kind: Kind, settings: Settings, corpus: Corpus, before: WordTable | None, progress: Progress | None
) -> tuple[Any, dict[str, JSON]]:
    """Return gensim's trained model, and what the header tells of the run."""
    _check_vocabulary(corpus, settings, before)
    from semvec.encoders import word_gensim

    try:
        if before is None:
            model = word_gensim.new_model(kind, settings, corpus.counts, corpus.texts)
        else:
            model = word_gensim.revive(kind, settings, before, trains=True)
            word_gensim.extend(model, corpus.counts, corpus.texts)
    except (MemoryError, ValueError, OverflowError) as error:  # numpy refuses what is too large for an array as well
        raise OptionError(f"{len(corpus.counts):,} words with dim {settings.dim:,} do not fit into memory") from error
    known = model.wv.key_to_index
    left_out = [n for word, n in corpus.counts.items() if word not in known]
    done = word_gensim.train(model, corpus, corpus.pieces, _epochs(progress, settings.epochs, corpus.words))
    if not np.isfinite(model.wv.vectors).all():
        raise ModelError(f"training diverged, the vectors are no longer finite: lower alpha ({settings.alpha:g})")
    word_gensim.sort_by_count(model)
    return model, {
        "left_out": {"words": len(left_out), "occurrences": sum(left_out)},
        "trained_words": done.words,
        "losses": done.losses or None,
        "before": before and {"weights": before.weights, "training": before.training},
    }


def _check_vocabulary(corpus: Corpus, settings: Settings, before: WordTable | None) -> None:
    word, most = corpus.counts.most_common(1)[0]
    if most >= settings.min_count or (before and any(before.words.get(word) is not None for word in corpus.counts)):
        return
    raise InputError(
        f"no word comes {settings.min_count:,} times, the most frequent, {word!r:.60}, {most:,} times: "
        "lower min_count (--min-count), or give more texts"
    )


def _write(
    target: Path, model: Any, settings: Settings, origin: dict[str, JSON], training: dict[str, JSON], *, overwrite: bool
) -> None:
    from semvec.encoders import word_gensim

    write_word_folder(
        target,
        word_gensim.batches_of(model),
        origin=origin,
        counts=np.asarray(model.wv.expandos["count"], dtype=np.int64),
        ngrams=word_gensim.ngrams_of(model),
        phrases=DELIMITER if settings.phrases else "",
        lower=settings.lower,
        training=training,
        state=word_gensim.keep(model),
        overwrite=overwrite,
    )


def _told(progress: Progress | None, stage: str, total: int | None, items: Iterable[Any]) -> Iterator[Any]:
    """Give ``items``, telling ``progress`` how many there were."""
    tell = _now_and_then(progress)
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        tell(Step(stage, done, total, "texts"))
    if progress:
        progress(Step(stage, done, total, "texts"))


def _epochs(progress: Progress | None, epochs: int, words: int) -> Callable[[int, int, float | None], None]:
    """Return what tells ``progress`` the words done in all ``epochs``."""
    tell = _now_and_then(progress)

    def told(epoch: int, done: int, loss: float | None) -> None:
        tell(Step(f"epoch {epoch + 1} of {epochs}", epoch * words + done, epochs * words, "words", loss))

    return told


def _now_and_then(progress: Progress | None) -> Progress:
    """Return ``progress``, called ten times a second at most."""
    next_time = 0.0

    def tell(step: Step) -> None:
        nonlocal next_time
        if progress and (now := monotonic()) >= next_time:
            next_time = now + TOLD_EVERY
            progress(step)

    return tell
