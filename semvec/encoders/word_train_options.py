"""How word vectors are trained: what can be asked for, the defaults of each kind of model, and what was settled."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from semvec.errors import OptionError
from semvec.types import JSON, Choice

MOST_THREADS = 16
SEEDS = 2**32


class Kind(Choice):
    """The models that can be trained."""

    WORD2VEC = "word2vec"
    FASTTEXT = "fasttext"
    DOC2VEC = "doc2vec"


class Algorithm(Choice):
    """What a model learns to predict: a word of its neighbours or the other way round, without or with its text."""

    CBOW = "cbow"
    SKIP_GRAM = "skip-gram"
    PV_DM = "pv-dm"
    PV_DBOW = "pv-dbow"


ALGORITHMS = {
    Kind.WORD2VEC: (Algorithm.CBOW, Algorithm.SKIP_GRAM),
    Kind.FASTTEXT: (Algorithm.CBOW, Algorithm.SKIP_GRAM),
    Kind.DOC2VEC: (Algorithm.PV_DM, Algorithm.PV_DBOW),
}
"""The algorithms of each kind, the default first."""

SHARED: dict[str, JSON] = {
    "dim": 100,
    "window": 5,
    "min_count": 5,
    "epochs": 5,
    "negative": 5,
    "sample": 1e-3,
    "alpha": 0.025,
    "min_n": None,
    "max_n": None,
    "buckets": None,
    "lower": True,
    "phrases": False,
    "phrase_threshold": 10.0,
}
OWN: dict[Kind, dict[str, JSON]] = {
    Kind.WORD2VEC: {},
    Kind.FASTTEXT: {"min_n": 3, "max_n": 6, "buckets": 200_000},
    Kind.DOC2VEC: {"epochs": 20},
}
DEFAULTS = {kind: {"algorithm": ALGORITHMS[kind][0], **SHARED, **OWN[kind]} for kind in Kind}

FASTTEXT_ONLY = ("min_n", "max_n", "buckets")
FIXED = ("algorithm", "dim", *FASTTEXT_ONLY, "lower", "phrases")
"""What a model that goes on cannot change: the shape of its arrays, and what a word is to it."""

COUNTS = ("dim", "window", "min_count", "epochs", "negative", *FASTTEXT_ONLY, "workers")
"""Whole numbers of at least 1."""

MOST = {"seed": SEEDS - 1, "workers": 1024}
SHARES = {"sample": 1.0, "alpha": 1.0, "phrase_threshold": 1e9}
"""Numbers above 0 (``sample`` may be 0), and the most they may be."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How word vectors are trained; None is the default of the kind, or what the model that goes on was trained with.

    ==================== ============================================================================================
    ``algorithm``        cbow or skip-gram (word2vec, fasttext), pv-dm or pv-dbow (doc2vec); the first is the default
    ``dim``              how many numbers a vector has (100)
    ``window``           how many words to each side count as neighbours, at most (5)
    ``min_count``        rarer words are left out (5)
    ``epochs``           how often the corpus is gone through (5; doc2vec 20)
    ``negative``         noise words drawn for each true one (5)
    ``sample``           words that make up more than this share of the text are skipped at times (0.001; 0 is never)
    ``alpha``            learning rate at the start (0.025); it falls evenly
    ``min_n, max_n``     characters of the n-grams (fasttext: 3 and 6)
    ``buckets``          vectors that the n-grams share by hash (fasttext: 200,000; Facebook's own: 2,000,000)
    ``lower``            words are put in small letters, in training and ever after (True)
    ``phrases``          join words that belong together, such as ``new_york`` (False)
    ``phrase_threshold`` how much more often than by chance they must stand together (10)
    ``seed``             repeats the run, in one thread; None draws one
    ``workers``          threads; None is one with a ``seed``, and else as many as there are cores (16 at most)
    ==================== ============================================================================================
    """

    algorithm: Algorithm | str | None = None
    dim: int | None = None
    window: int | None = None
    min_count: int | None = None
    epochs: int | None = None
    negative: int | None = None
    sample: float | None = None
    alpha: float | None = None
    min_n: int | None = None
    max_n: int | None = None
    buckets: int | None = None
    lower: bool | None = None
    phrases: bool | None = None
    phrase_threshold: float | None = None
    seed: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in (*COUNTS, "seed"):
            value, least, most = getattr(self, name), int(name in COUNTS), MOST.get(name, 2**31 - 1)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (whole and least <= value <= most):
                raise OptionError(f"{name} must be a whole number from {least} to {most:,}, not {value!r}")
        for name, bound in SHARES.items():
            value = getattr(self, name)
            good = isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= bound
            if value is not None and not (good and (value > 0 or name == "sample")):
                raise OptionError(
                    f"{name} must be a number {'from' if name == 'sample' else 'above'} 0 to {bound:g}, not {value!r}"
                )
        for name in ("lower", "phrases"):
            if not isinstance(getattr(self, name), bool | None):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.seed is not None and self.workers not in (None, 1):
            raise OptionError(f"a seed repeats the run only in one thread: leave out workers ({self.workers}), or the seed")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was settled to, as the model keeps it; the fields are those of `TrainOptions`."""

    algorithm: Algorithm
    dim: int
    window: int
    min_count: int
    epochs: int
    negative: int
    sample: float
    alpha: float
    min_n: int | None
    max_n: int | None
    buckets: int | None
    lower: bool
    phrases: bool
    phrase_threshold: float
    seed: int
    workers: int

    def to_json(self) -> dict[str, JSON]:
        """Return the settings as a dict that JSON takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> Settings:
        """Return what `to_json` wrote."""
        values = {field.name: record[field.name] for field in fields(cls)}
        return cls(**values | {"algorithm": Algorithm(record["algorithm"])})


def settle(kind: Kind, asked: TrainOptions, before: Settings | None = None) -> Settings:
    """Return ``asked`` with everything settled, by ``before`` where a model goes on, and by the kind's defaults.

    Raises `OptionError` for what the kind does not know, what a model that goes on cannot change, and
    options that do not fit each other.
    """
    given = {field.name: getattr(asked, field.name) for field in fields(asked) if getattr(asked, field.name) is not None}
    if "algorithm" in given:
        given["algorithm"] = Algorithm(given["algorithm"])
        if given["algorithm"] not in ALGORITHMS[kind]:
            able = " or ".join(ALGORITHMS[kind])
            raise OptionError(f"{kind} has no algorithm {str(given['algorithm'])!r}: choose {able}")
    if kind != Kind.FASTTEXT and (idle := [name for name in FASTTEXT_ONLY if name in given]):
        raise OptionError(f"{', '.join(idle)}: of no use to {kind}, which has no n-grams of characters")
    known: dict[str, Any] = dict(DEFAULTS[kind])
    if before is not None:
        known = {name: getattr(before, name) for name in known}
        for name in FIXED:
            if name in given and given[name] != known[name]:
                raise OptionError(f"{name} is {known[name]} in the model that goes on and cannot become {given[name]}")
    values = known | given
    if "phrase_threshold" in given and not values["phrases"]:
        raise OptionError("phrase_threshold does nothing without phrases")
    if kind == Kind.FASTTEXT and values["max_n"] < values["min_n"]:
        raise OptionError(f"max_n ({values['max_n']}) must be at least min_n ({values['min_n']})")
    values.setdefault("workers", 1 if asked.seed is not None else threads())
    values.setdefault("seed", secrets.randbelow(SEEDS))
    return Settings(**values)


def threads() -> int:
    """Return how many threads train where nobody says: as many as there are cores for this process, 16 at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_THREADS)
