"""Two models on texts of one's own, without labels: do they see the same neighbours, and which texts do they see differently?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.geometry import neighbours
from semvec.embeddings.similarity import similarity
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.evaluate.matrices import plain
from semvec.measures.basic import mean, spearman
from semvec.measures.intervals import Interval, bootstrap
from semvec.types import JSON, Progress, Step

WARM_UP = 16
SAMPLE = 2000
OTHERS = 1000
SHOWN = 3


@dataclass(frozen=True)
class Side:
    """What one model costs: ``dim``, bytes a vector, texts a second (after a warm-up, one run), and tokens it did not read."""

    model: str
    dim: int
    bytes_a_vector: int
    texts_per_second: float
    share_of_tokens_cut: float


@dataclass(frozen=True)
class Moved:
    """A text whose neighbours differ: the share of its nearest that both models name, and the nearest few by each."""

    text: str
    overlap: float
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """How alike two models see ``texts`` texts; of ``unknown`` others one of them knows nothing.

    ``overlap`` is the mean share of a text's ``k`` nearest that are so for both; by ``chance`` it would be so much.
    ``agreement`` is Spearman's rank correlation of how near other texts are to a text, its mean. ``moved`` are the texts that
    moved most.
    """

    texts: int
    unknown: int
    k: int
    overlap: Interval
    chance: float
    agreement: Interval
    sides: tuple[Side, Side]
    moved: tuple[Moved, ...]

    def to_json(self) -> dict[str, JSON]:
        """Return all of it as JSON has it."""
        return asdict(self)


def compare(
    models: Sequence[tuple[str, Encoder]],
    texts: Sequence[str],
    *,
    k: int = 10,
    sample: int = SAMPLE,
    most: int = 5,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> Comparison:
    """Return how two ``models`` (names and encoders) see ``texts``; equal texts count once.

    Neighbours are exact and among all texts; they are looked up for ``sample`` of them (drawn by ``seed``), and
    intervals are by resampling these. ``most`` texts that moved most are shown. ``progress`` is told what is done.
    Raises `InputError` for too few texts.
    """
    if len(models) != 2:
        raise OptionError(f"two models are compared, not {len(models)}")
    for name, value, least in (("k", k, 1), ("sample", sample, 2), ("most", most, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise OptionError(f"{name} must be a whole number of at least {least}, not {value!r}")
    known = list(dict.fromkeys(texts))
    if len(known) < k + 2:
        raise InputError(f"{len(known):,} different texts are too few to compare {k} neighbours of each")
    sides, vectors = zip(*(_side(name, encoder, known, progress) for name, encoder in models), strict=True)
    told = np.flatnonzero(vectors[0].any(axis=1) & vectors[1].any(axis=1))  # of the others one model knows nothing
    unknown = len(known) - len(told)
    if len(told) < k + 2:
        raise InputError(f"only {len(told):,} of {len(known):,} texts hold something that both models know")
    known, vectors = [known[at] for at in told.tolist()], tuple(its[told] for its in vectors)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(known), min(sample, len(known)), replace=False))
    others = np.sort(rng.choice(len(known), min(OTHERS, len(known)), replace=False))
    progress(Step("neighbours", 0, None, "texts"))
    near = [neighbours(its, k, encoder.metric, of=rows) for its, (_, encoder) in zip(vectors, models, strict=True)]
    shares = np.array([len(np.intersect1d(a, b)) / k for a, b in zip(*near, strict=True)])
    scores = [similarity(its[rows], its[others], one.metric) for its, (_, one) in zip(vectors, models, strict=True)]
    agreement = _agreement(scores, rows[:, None] != others)
    moved = tuple(
        Moved(known[rows[at]], float(shares[at]), *(tuple(known[place] for place in its[at][:SHOWN]) for its in near))
        for at in np.argsort(shares, kind="stable")[:most].tolist()
        if shares[at] < 1
    )
    overlap = bootstrap(mean, shares, seed=seed)
    return Comparison(
        len(known), unknown, k, overlap, k / (len(known) - 1), bootstrap(mean, agreement, seed=seed), (sides[0], sides[1]), moved
    )


def _side(name: str, encoder: Encoder, texts: Sequence[str], progress: Progress) -> tuple[Side, NDArray[np.float32]]:
    able = plain(encoder)
    able.encode(texts[:WARM_UP])
    able = able.with_options(progress=lambda done, total: progress(Step(name, done, total, "texts")))
    began = perf_counter()
    found = able.encode(texts)
    rate = len(texts) / (perf_counter() - began)
    cut = float(found.n_truncated.sum() / max(1, found.n_tokens.sum()))
    return Side(name, able.dim, able.dim * found.floats().itemsize, rate, cut), found.floats()


def _agreement(scores: Sequence[NDArray[np.float32]], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the rank correlation of how near the same texts (``others``, not itself) are to each text by two models (texts,)."""
    found = []
    for one, other, its in zip(*scores, others, strict=True):
        try:
            found.append(spearman(one[its], other[its]))
        except InputError:  # all are equally near
            continue
    if not found:
        raise InputError("one of the models sees no difference between any of these texts")
    return np.array(found)
