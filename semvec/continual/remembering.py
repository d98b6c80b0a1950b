"""Labels of the nearest vectors by an encoder that stays as it is: class means, or examples. Nothing is trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from semvec.continual.method import Method, Part, Shares, softmax_among, tensors_of
from semvec.continual.options import ContinualStrategy
from semvec.embeddings.similarity import nearest
from semvec.embeddings.transforms import normalize
from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, ModelError
from semvec.types import JSON, Progress, Step

SHARP = 0.05
"""What cosines are divided by before they become shares."""

AT_ONCE = 512
VECTORS = "vectors.safetensors"

Rows = NDArray[np.float32]


class Remembering(Method):
    """What nearest-class-mean and nearest-neighbour classifiers have in common: the ``encoder``, and how texts become vectors."""

    can_add = True

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded when it is first asked."""
        its = self.loading
        return load_encoder(self.model, device=its.device, trust_pickle=its.trust_pickle, trust_remote_code=its.trust_remote_code)

    @property
    def weights(self) -> str:
        return self.encoder.fingerprint.weights

    @property
    def device(self) -> str:
        return self.encoder.device

    def vectors(self, texts: Sequence[str], progress: Progress | None = None) -> Rows:
        """Return the vectors of ``texts`` (texts, dim), each of length 1, or 0 where there is nothing to read."""
        found = []
        for start in range(0, len(texts), AT_ONCE):
            some = list(texts[start : start + AT_ONCE])
            found.append(
                normalize(np.asarray(self.encoder.encode(some, level="text", overflow="windows").vectors, dtype=np.float32))
            )
            if progress:
                progress(Step("reading", start + len(some), len(texts), "texts"))
        return np.concatenate(found) if found else np.zeros((0, self.encoder.dim), dtype=np.float32)

    def numbers(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Return the numbers of ``labels``."""
        place = {label: at for at, label in enumerate(self.labels)}
        return np.array([place[label] for label in labels], dtype=np.int64)

    def check(self, labels: Sequence[str]) -> None:
        self.encoder.dim  # noqa: B018 (it is loaded)

    def learn(self, part: Part) -> JSON:
        vectors = self.vectors(part.examples.texts, part.progress)
        self.know(part.new, part.number)
        self.take(vectors, self.numbers(part.examples.labels))
        return {"learning": 0}

    @abstractmethod
    def take(self, vectors: Rows, numbers: NDArray[np.int64]) -> None:
        """Take in ``vectors`` (rows, dim) of labels ``numbers`` (rows,)."""

    def read(self, folder: Path, dim: int, *names: str) -> list[NDArray[np.float32]]:
        """Return the arrays ``names`` that lie in ``folder``, the first with ``dim`` numbers a row; else `ModelError`."""
        file = folder / VECTORS
        arrays = tensors_of(file, "cpu")
        try:
            found = [arrays[name].numpy() for name in names]
            if found[0].ndim != 2 or found[0].shape[1] != dim:
                raise ValueError("other vectors than this encoder's")
        except (ValueError, KeyError) as error:
            raise ModelError(f"{file}: is missing or damaged ({error!s:.80})") from error
        return found


class ClassMeans(Remembering):
    """The label whose mean is nearest by cosine (nearest class mean; Mensink and others, 2013).

    The sums of the vectors and the counts are kept, so that examples may come at any time, in any order: the means are those
    of all of them, whichever way they came.
    """

    sums: NDArray[np.float64] | None = None
    counts: NDArray[np.int64] | None = None

    def take(self, vectors: Rows, numbers: NDArray[np.int64]) -> None:
        sums = np.zeros((len(self.labels), vectors.shape[1]))
        counts = np.bincount(numbers, minlength=len(self.labels))
        np.add.at(sums, numbers, vectors.astype(np.float64))
        if self.sums is not None and self.counts is not None:
            sums[: len(self.sums)] += self.sums
            counts[: len(self.counts)] += self.counts
        self.sums, self.counts = sums, counts

    def cosines(self, vectors: Rows) -> NDArray[np.float64]:
        """Return the cosine of each vector with each mean (rows, labels)."""
        if self.sums is None:
            raise InputError("nothing was learnt yet")
        lengths = np.linalg.norm(self.sums, axis=1, keepdims=True)
        return np.asarray(vectors.astype(np.float64) @ (self.sums / np.maximum(lengths, 1e-12)).T)

    def shares(self, texts: Sequence[str], task: int | None, among: Sequence[int], progress: Progress | None = None) -> Shares:
        return softmax_among(self.cosines(self.vectors(texts, progress)) / SHARP, among)

    def save(self, folder: Path) -> None:
        save_file({"sums": self.sums, "counts": self.counts}, folder / VECTORS)

    def restore(self, folder: Path, parts: Sequence[str]) -> None:
        sums, counts = self.read(folder, self.encoder.dim, "sums", "counts")
        if not len(sums) == len(counts) == len(self.labels):
            raise ModelError(f"{folder / VECTORS}: has means of {len(sums)} labels where there are {len(self.labels)}")
        self.sums, self.counts = sums.astype(np.float64), counts.astype(np.int64)

    @property
    def bytes(self) -> int:
        return 0 if self.sums is None or self.counts is None else self.sums.nbytes + self.counts.nbytes


class NearestExamples(Remembering):
    """The label that most of the k nearest examples have, each weighed by how near it is (cosine)."""

    kept: Rows | None = None
    owners: NDArray[np.int64]

    def take(self, vectors: Rows, numbers: NDArray[np.int64]) -> None:
        if self.kept is None:
            self.kept, self.owners = vectors, numbers
        else:
            self.kept, self.owners = np.concatenate([self.kept, vectors]), np.concatenate([self.owners, numbers])

    def shares(self, texts: Sequence[str], task: int | None, among: Sequence[int], progress: Progress | None = None) -> Shares:
        if self.kept is None:
            raise InputError("nothing was learnt yet")
        able = np.flatnonzero(np.isin(self.owners, list(among)))
        found = np.zeros((len(texts), len(self.labels)))
        if len(texts):
            asked = self.vectors(texts, progress)
            places, cosines = nearest(asked, self.kept[able], min(self.options.k, len(able)), "dot")
            weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / SHARP)
            np.add.at(found, (np.arange(len(texts))[:, None], self.owners[able][places]), weights)
            found[~asked.any(axis=1)] = np.isin(np.arange(len(self.labels)), list(among))  # of nothing nothing can be said
        return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12), dtype=np.float32)

    def save(self, folder: Path) -> None:
        save_file({"vectors": self.kept, "owners": self.owners}, folder / VECTORS)

    def restore(self, folder: Path, parts: Sequence[str]) -> None:
        kept, owners = self.read(folder, self.encoder.dim, "vectors", "owners")
        if len(kept) != len(owners) or not np.isin(owners, np.arange(len(self.labels))).all():
            raise ModelError(f"{folder / VECTORS}: is damaged: its vectors have labels that there are not")
        self.kept, self.owners = kept.astype(np.float32), owners.astype(np.int64)

    @property
    def bytes(self) -> int:
        return 0 if self.kept is None else self.kept.nbytes + self.owners.nbytes


REMEMBERING: dict[ContinualStrategy, type[Remembering]] = {
    ContinualStrategy.NCM: ClassMeans,
    ContinualStrategy.KNN: NearestExamples,
}
