"""The training examples nearest to a prediction: they explain it, and have a say in it as far as validation shows them to help.

p = w · p_kNN + (1 - w) · p_head, where p_kNN gives each of the k nearest training examples (words, for a tagger) a share by
softmax(cosine / temperature) of what the head reads (kNN-LM, arXiv:1911.00172; kNN-NER, arXiv:2203.17103).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

from semvec.embeddings.similarity import nearest
from semvec.embeddings.transforms import normalize
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.task import Logits
from semvec.finetune.windows import Window
from semvec.measures.intervals import Outcome
from semvec.types import JSON

TENSORS, ABOUT = "neighbours.safetensors", "neighbours.json"
COUNTS = (4, 8, 16, 32, 64)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2)
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_BYTES = 4 << 30
LEAST = 1e-7
"""The smallest probability, whose logarithm is taken."""


def spread_of(rows: Logits) -> tuple[Logits, Logits]:
    """Return the mean and the deviation (dim,) of ``rows`` (n, dim)."""
    return rows.mean(axis=0, dtype=np.float64).astype(np.float32), rows.std(axis=0, dtype=np.float64).astype(np.float32)


def check_room(windows: Sequence[Window], dim: int) -> None:
    """Raise `OptionError` where what the head reads of labelled ``windows`` is more than 4 GB."""
    rows = sum(len(its.inputs["places"]) if "places" in its.inputs else 1 for its in windows)
    if rows * dim * 4 > MOST_BYTES:
        raise OptionError(f"knn: {rows:,} vectors of {dim:,} numbers are more than {MOST_BYTES >> 30} GB: name fewer layers")


Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Places and cosines (rows, k) of the nearest."""


@dataclass(frozen=True)
class Neighbours:
    """What the head reads of every training example, or of every word of it, and what is right there.

    ``vectors`` (n, dim) have been standardised by ``mean`` and ``deviation`` (dim,) and have length 1. ``labels`` are numbers
    (n,), or of many labels 0 and 1 (n, labels). Row i is of example ``owner[i]``, its word ``word[i]`` (-1: all of it), and
    ``shown`` says what each example is. ``weight`` is w, 0 where the neighbours do not help.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[Any]
    owner: NDArray[np.int64]
    word: NDArray[np.int64]
    shown: Sequence[JSON]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    k: int = COUNTS[0]
    temperature: float = TEMPERATURES[0]
    weight: float = 0.0

    @classmethod
    def of(cls, windows: Sequence[Window], features: Sequence[Logits], shown: Sequence[JSON]) -> Neighbours:
        """Return the neighbours to come of labelled ``windows``, of which the head reads ``features``."""
        counts = [len(np.atleast_2d(its)) for its in features]
        rows = np.concatenate([np.atleast_2d(its) for its in features])
        many = any(its.inputs["labels"].dtype.kind == "f" for its in windows)
        labels = [np.atleast_2d(its.inputs["labels"]) if many else np.atleast_1d(its.inputs["labels"]) for its in windows]
        words = [its.known.get("words", np.full(count, -1)) for its, count in zip(windows, counts, strict=True)]
        mean, deviation = spread_of(rows)
        owners = np.repeat([window.owner for window in windows], counts)
        empty = cls(
            rows[:0],
            np.concatenate(labels),
            owners,
            np.concatenate(words),
            shown,
            mean,
            np.maximum(deviation, LEAST),
        )
        return replace(empty, vectors=empty.read(rows).astype(np.float16).astype(np.float32))  # as they are stored

    def read(self, rows: Logits) -> Logits:
        """Return what the head reads, ``rows`` (n, dim), as it is compared."""
        return normalize((rows - self.mean) / self.deviation)

    def find(self, features: Sequence[Logits], k: int) -> Found:
        """Return the ``k`` nearest of every row of ``features``."""
        if not len(features):
            return np.zeros((0, k), dtype=np.int64), np.zeros((0, k), dtype=np.float32)
        asked = self.read(np.concatenate([np.atleast_2d(its) for its in features]))
        places, cosines = nearest(asked, self.vectors, k, "dot")
        return np.asarray(places, dtype=np.int64), cosines

    def shares(self, found: Found, labels: int) -> Logits:
        """Return what the neighbours say of every row (rows, labels), by this ``k`` and ``temperature``."""
        places, cosines = found[0][:, : self.k], found[1][:, : self.k]
        weights = softmax(cosines / self.temperature, axis=1)
        if self.labels.ndim > 1:
            return np.einsum("rk,rkl->rl", weights, self.labels[places])  # type: ignore[no-any-return]
        cells = np.arange(len(places))[:, None] * labels + self.labels[places]
        flat = np.bincount(cells.ravel(), weights.ravel(), minlength=len(places) * labels)
        return flat.reshape(len(places), labels).astype(np.float32)

    def mixed(self, logits: Sequence[Logits], found: Found) -> list[Logits]:
        """Return ``logits`` with the neighbours' say in them, of the same shapes."""
        if not self.weight or not len(logits):
            return list(logits)
        flat = np.concatenate([np.atleast_2d(its) for its in logits])
        said, many = self.shares(found, flat.shape[1]), self.labels.ndim > 1
        own = expit(flat) if many else softmax(flat, axis=1)
        both = np.clip(self.weight * said + (1 - self.weight) * own, LEAST, 1 - LEAST)
        made = (logit(both) if many else np.log(both)).astype(np.float32)
        edges = np.cumsum([len(np.atleast_2d(its)) for its in logits])[:-1]
        return [its.reshape(one.shape) for its, one in zip(np.split(made, edges), logits, strict=True)]

    def chosen(
        self, logits: Sequence[Logits], found: Found, worth: Callable[[list[Logits]], Outcome], tell: Callable[[int, int], None]
    ) -> tuple[Neighbours, float, float]:
        """Return these with the k, temperature and weight that are worth most, and the worth without and with them.

        ``worth`` says what logits come to on the validation data. The best of many settings is better by luck alone: they
        have a say only if what is best on either half of the examples gains, on the other half, half as much as it seems to.
        """
        plain = replace(self, weight=0.0)
        settings = [(k, heat) for k in COUNTS if k <= len(self.vectors) for heat in TEMPERATURES]
        tried = [(plain, worth(list(logits)))]
        for done, (k, heat) in enumerate(settings, start=1):
            for weight in WEIGHTS:
                its = replace(self, k=k, temperature=heat, weight=weight)
                tried.append((its, worth(its.mixed(logits, found))))
            tell(done, len(settings))
        without = tried[0][1].value
        best, most = max(((its, outcome.value) for its, outcome in tried), key=lambda pair: pair[1])
        if not best.weight or 2 * held_out_gain([outcome for _, outcome in tried]) < most - without:
            return plain, without, without
        return best, without, most

    def explained(self, found: Found, labels: Sequence[str]) -> list[list[JSON]]:
        """Return what the nearest of every row are: their labels, how near they are, and the examples."""
        return [
            [self._shown(place, cosine, labels) for place, cosine in zip(places.tolist(), cosines.tolist(), strict=True)]
            for places, cosines in zip(*found, strict=True)
        ]

    def _shown(self, place: int, cosine: float, labels: Sequence[str]) -> JSON:
        said, its = self.labels[place], self.shown[self.owner[place]]
        if self.labels.ndim > 1:
            return {"labels": [labels[at] for at in np.flatnonzero(said).tolist()], "cosine": cosine, **its}
        if (word := int(self.word[place])) >= 0:
            return {"word": its["words"][word], "tag": labels[said], "cosine": cosine, "text": " ".join(its["words"])}
        return {"label": labels[said], "cosine": cosine, **its}

    def save(self, folder: Path) -> None:
        """Write the neighbours into ``folder``."""
        from safetensors.numpy import save_file

        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in ("labels", "owner", "word", "mean", "deviation")}
        save_file({**tensors, "vectors": self.vectors.astype(np.float16)}, folder / TENSORS)
        about = {"k": self.k, "temperature": self.temperature, "weight": self.weight, "shown": list(self.shown)}
        (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Neighbours | None:
        """Return the neighbours in ``folder``, None where there are none; `ModelError` where they are damaged."""
        from safetensors.numpy import load_file

        if not (folder / ABOUT).is_file():
            return None
        try:
            about, tensors = json.loads((folder / ABOUT).read_text(encoding="utf-8")), load_file(folder / TENSORS)
            vectors = tensors.pop("vectors").astype(np.float32)
            if not len(vectors) == len(tensors["labels"]) == len(tensors["owner"]) == len(tensors["word"]):
                raise ValueError("of different lengths")
            if len(about["shown"]) <= int(tensors["owner"].max()) or not all(isinstance(its, dict) for its in about["shown"]):
                raise ValueError("not every example is there")
            if not (int(about["k"]) >= 1 and float(about["temperature"]) > 0 and 0 <= float(about["weight"]) <= 1):
                raise ValueError("k, temperature and weight are none")
            return cls(vectors, **tensors, **about)
        except Exception as error:  # whatever safetensors says of a file that is none
            raise ModelError(f"{folder}: {TENSORS} is missing or damaged ({str(error).splitlines()[0]:.120})") from error


def held_out_gain(outcomes: Sequence[Outcome]) -> float:
    """Return by how much the best of ``outcomes`` on either half of the examples betters the first on the other half."""
    examples = outcomes[0].examples
    gains = []
    for own, other in ((examples[::2], examples[1::2]), (examples[1::2], examples[::2])):
        try:
            chosen = max(outcomes, key=lambda outcome: outcome.among(own).value)
            gains.append(chosen.among(other).value - outcomes[0].among(other).value)
        except InputError:  # half of the examples have nothing to measure
            return 0.0
    return float(np.mean(gains))
