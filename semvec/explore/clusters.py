"""Groups of points, what they are about, and the points that stand for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import regex
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.errors import OptionError
from semvec.explore.points import Points
from semvec.index.faiss_clusters import k_means
from semvec.search.keyphrases import candidates, english_stop_words
from semvec.text.words import SCRIPTS_WITHOUT_SPACES, Splitter
from semvec.types import Choice, Metric, Progress
from semvec.visualise import umap
from semvec.visualise.near import Near, comparable, near
from semvec.visualise.options import MapOptions
from semvec.visualise.pca import axes

TYPICAL = 200
"""Points of a group, those nearest to its middle, whose texts name it."""

PHRASE = 3
"""Words of a name, at most."""

PLAIN = str.maketrans("", "", "[]")
"""Brackets say which word is a point of its own; a phrase goes through them."""

UNSPACED = regex.compile(f"[{SCRIPTS_WITHOUT_SPACES}]")
LETTER = re.compile(r"\b[a-z]\b")
"""What is left of a possessive or of an abbreviation is no word."""

CANDIDATES = 25
DIMS, NEIGHBOURS = 5, 15
"""Dimensions that HDBSCAN looks for groups in, and neighbours that UMAP keeps on the way there."""

MOST_GROUPS, PER_GROUP = 40, 8


class Grouping(Choice):
    """How points are put into groups."""

    KMEANS = "kmeans"
    HDBSCAN = "hdbscan"


@dataclass(frozen=True)
class Cluster:
    """A group by its number, 0 for the largest: its name, how many points it has, and the rows that stand for it, best first."""

    number: int
    name: str
    size: int
    typical: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Clusters:
    """The number of the group of each point (n,), -1 for none, its cosine (or minus its distance) to the middle, the groups."""

    numbers: NDArray[np.int64]
    scores: NDArray[np.float32]
    clusters: tuple[Cluster, ...]

    def names(self) -> list[str | None]:
        """Return the name of the group of each point, None for those in none."""
        return [None if number < 0 else self.clusters[number].name for number in self.numbers.tolist()]


def clusters(
    points: Points,
    how: Grouping | str = Grouping.KMEANS,
    *,
    count: int | None = None,
    least: int | None = None,
    seed: int = 0,
    known: Near | None = None,
    splitter: Splitter | None = None,
    progress: Progress | None = None,
) -> Clusters:
    """Return groups of ``points``, the largest first: the same for the same seed.

    ``kmeans`` (FAISS) puts every point into one of ``count`` groups (if not told: the root of an eighth of the points, at most
    40); ``hdbscan`` (scikit-learn's, in 5 dimensions that UMAP makes) finds as many as there are with ``least`` points or more,
    and leaves the others out. ``known`` are at least 15 neighbours of each point, if they were looked for before. Names are
    phrases that stand in many texts of a group and in few of the others; ``splitter`` finds their words (``jieba.cut``).
    """
    how = Grouping(how)
    n = len(points)
    if count is not None and not 1 <= count <= n:
        raise OptionError(f"the number of groups must be between 1 and {n:,}, the number of points, not {count!r}")
    if least is not None and not 2 <= least <= n:
        raise OptionError(f"the least size of a group must be between 2 and {n:,}, not {least!r}")
    unit = comparable(points.vectors, points.metric)
    if how == Grouping.KMEANS:
        found = k_means(unit, count or max(1, min(MOST_GROUPS, round((n / PER_GROUP) ** 0.5 + 0.5))), seed=seed)[0]
    else:
        found = _by_density(unit, least or max(5, n // 200), seed, known, progress)
    order = np.argsort(-np.bincount(found[found >= 0], minlength=1), kind="stable")
    new = np.empty(len(order) + 1, dtype=np.int64)
    new[order], new[-1] = np.arange(len(order)), -1
    numbers = new[found]
    groups = int(numbers.max()) + 1
    middles = [unit[numbers == at].mean(axis=0) for at in range(groups)]
    if points.metric != Metric.EUCLIDEAN and groups:
        middles = list(normalize(np.stack(middles)))
    scores = np.zeros(n, dtype=np.float32)
    typical: list[list[int]] = []
    for at, middle in enumerate(middles):
        rows = np.flatnonzero(numbers == at)
        apart = unit[rows] @ middle if points.metric != Metric.EUCLIDEAN else -np.linalg.norm(unit[rows] - middle, axis=1)
        scores[rows] = apart
        typical.append(rows[np.argsort(-apart, kind="stable")[:TYPICAL]].tolist())
    names = named([[points.texts[row].translate(PLAIN) for row in rows] for rows in typical], splitter)
    sizes = np.bincount(numbers[numbers >= 0], minlength=groups).tolist()
    each = (Cluster(at, names[at], sizes[at], tuple(typical[at])) for at in range(groups))
    return Clusters(numbers, scores, tuple(each))


def _by_density(
    unit: NDArray[np.float32], least: int, seed: int, known: Near | None, progress: Progress | None
) -> NDArray[np.int64]:
    from sklearn.cluster import HDBSCAN

    dims = min(DIMS, unit.shape[1])
    if len(unit) > NEIGHBOURS + 1 and unit.shape[1] > dims and np.ptp(unit, axis=0).any():
        options = MapOptions(neighbours=NEIGHBOURS, min_dist=0.0, seed=seed)
        mean, directions = axes(unit, dims)
        start = np.asarray((unit - mean) @ directions.T, dtype=np.float32)
        unit = umap.fit(unit, known or near(unit, NEIGHBOURS, progress), options, start, progress)
    return np.asarray(HDBSCAN(min_cluster_size=least, copy=True).fit_predict(unit), dtype=np.int64)


def named(groups: Sequence[Sequence[str]], splitter: Splitter | None = None) -> list[str]:
    """Return a name for each of some ``groups`` of texts, the most typical text first: all different.

    The two phrases of up to three words that stand in most of its texts for how few of the other groups have them (TF-IDF over
    groups; Grootendorst, "BERTopic", 2022), of equal ones that of the more typical text; where there is none, its first text.
    """
    stops = english_stop_words()
    met = [[list(dict.fromkeys(candidates(text, 1, PHRASE, stops, splitter))) for text in texts] for texts in groups]
    counts = [Counter(phrase for phrases in texts for phrase in phrases) for texts in met]
    everywhere: dict[str, float] = {}
    for texts, its in zip(groups, counts, strict=True):
        for phrase, number in its.items():
            everywhere[phrase] = everywhere.get(phrase, 0.0) + number / max(len(texts), 1)
    taken: set[str] = set()
    made = []
    for texts, its in zip(groups, counts, strict=True):

        def worth(phrase: str, its: Counter[str] = its, size: int = max(len(texts), 1)) -> float:
            share = its[phrase] / size
            rarer = log(len(groups) * share / everywhere[phrase]) if len(groups) > 1 else 1.0
            return share * rarer * (1.5 if " " in phrase else 1.0)

        best = sorted((phrase for phrase in its if len(phrase) > 1 and not LETTER.search(phrase)), key=worth, reverse=True)[
            :CANDIDATES
        ]
        name = " · ".join(_apart(best)[:2]) or " ".join((texts[0] if texts else "").split())[:40] or "?"
        number = 1
        while (own := name if number == 1 else f"{name} ({number})") in taken:
            number += 1
        taken.add(own)
        made.append(own)
    return made


def _apart(phrases: Sequence[str]) -> list[str]:
    """Return ``phrases`` without those that share a word, or the beginning of one, with one before them.

    In scripts without spaces they share a word where one stands in the other.
    """
    kept: list[str] = []
    for phrase in phrases:
        words = phrase.split()
        inside = any(one in phrase or phrase in one for one in kept if UNSPACED.search(phrase))
        if not inside and not any(_alike(one, other) for other in " ".join(kept).split() for one in words):
            kept.append(phrase)
    return kept


def _alike(one: str, other: str) -> bool:
    """Whether two words begin alike but for a letter or two at their ends: card, cards."""
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return shared >= max(min(len(one), len(other)) - 1, min(3, len(one), len(other)))
