"""`Projection`: a map that was made, to be kept, and to put other points on without moving its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from semvec.embeddings.files import written_whole
from semvec.embeddings.fingerprint import Fingerprint
from semvec.errors import FormatError, InputError, MissingExtra
from semvec.types import Metric, Progress
from semvec.visualise.near import Near, Vectors, comparable, near
from semvec.visualise.options import MapOptions, Method
from semvec.visualise.pca import axes
from semvec.visualise.way import Way

FORMAT, VERSION = "semvec-projection", "1"
SAME = 1e-3
"""How far apart two vectors of one id are, at most, that are the same."""

EQUAL, EQUALS = 1e-5, 8
"""How far apart two vectors are, at most, that are one by themselves, and how many of the map are looked at for that."""

LEAST = 4
"""Points that a map is made of."""

EXTRAS = {Method.TSNE: "openTSNE", Method.PACMAP: "pacmap"}
"""Libraries that come with an extra of the method's name."""

WAYS: Mapping[Method, str] = MappingProxyType({method: f"semvec.visualise.{method}" for method in Method})


@dataclass(frozen=True, eq=False)
class Projection:
    """The ``points`` (n, 2) of a map, and the ``vectors`` (n, dim) they stand for, of length 1 unless ``metric`` is euclidean.

    ``mean`` (dim,) and ``axes`` (2, dim) are those of PCA. ``options`` are those that were used, with few points
    fewer neighbours; ``ids`` are those of the points, if they have any.
    """

    points: Vectors
    vectors: Vectors
    options: MapOptions
    metric: Metric
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    fingerprint: Fingerprint | None = None
    ids: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        vectors: Vectors,
        options: MapOptions | None = None,
        *,
        metric: Metric = Metric.COSINE,
        fingerprint: Fingerprint | None = None,
        ids: Sequence[str] = (),
        known: Near | None = None,
        start: Vectors | None = None,
        progress: Progress | None = None,
    ) -> Projection:
        """Return a map of ``vectors`` (n, dim): the same for the same seed, whatever else the machine does.

        ``known`` are the neighbours (at least ``options.wants``), if they were looked for before; ``start`` (n, 2) is where the
        search for places begins, if not at PCA. Raises `InputError` for fewer than four vectors, for equal ones only and for
        numbers that are not finite.
        """
        if len(vectors) < LEAST:
            raise InputError(f"{len(vectors)} points are too few for a map: {LEAST} are the least")
        unit = comparable(vectors, metric)
        if not np.ptp(unit, axis=0).any():
            raise InputError(f"all {len(unit):,} vectors are the same: there is nothing to map")
        options = fitting(options or MapOptions(), len(unit))
        mean, two = axes(unit)
        if known is None and options.wants:
            known = near(unit, options.wants, progress)
        begun = np.asarray((unit - mean) @ two.T, dtype=np.float32) if start is None else start
        points = _way(options.method).fit(unit, (known or _none(len(unit))).first(options.wants), options, begun, progress)
        return cls(points, unit, options, metric, mean, two, fingerprint, tuple(ids))

    def transform(
        self,
        vectors: Vectors,
        *,
        ids: Sequence[str] = (),
        fingerprint: Fingerprint | None = None,
        progress: Progress | None = None,
    ) -> Vectors:
        """Return the places (m, 2) of other ``vectors`` (m, dim) on the map; its own points stay where they are.

        What is of the map keeps its place: by its id and its vector, or where ids are others, by its vector. Raises
        `FingerprintMismatch` for those of another encoder.
        """
        if fingerprint is not None and self.fingerprint is not None:
            self.fingerprint.require_comparable(fingerprint)
        if vectors.shape[1:] != self.mean.shape:
            raise InputError(f"vectors of {vectors.shape[-1]} dimensions on a map of vectors of {len(self.mean)}")
        if not len(vectors):
            return np.zeros((0, 2), dtype=np.float32)
        unit = comparable(vectors, self.metric)
        place = {name: at for at, name in enumerate(self.ids)}
        there = np.array([place.get(name, -1) for name in ids] or [-1] * len(unit))
        there[np.linalg.norm(self.vectors[there] - unit, axis=1) > SAME] = -1
        fresh = np.flatnonzero(there < 0)
        if len(fresh):
            close = near(self.vectors, max(EQUALS, self.options.wants), progress, new=unit[fresh])
            there[fresh] = _equals(close.first(EQUALS), set(there.tolist()))
        points: Vectors = self.points[there]
        new = there[fresh] < 0
        if new.any():
            known = Near(close.rows[new], close.distances[new]).first(self.options.wants)
            points[fresh[new]] = _way(self.options.method).place(unit[fresh[new]], known, self, progress)
        return points

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map, and the vectors it was made of, to ``path``, a .safetensors file, whole or not at all."""
        made = None if self.fingerprint is None else self.fingerprint.to_json()
        about = {"options": asdict(self.options), "metric": self.metric, "fingerprint": made}
        arrays = {"points": self.points, "vectors": self.vectors, "mean": self.mean, "axes": self.axes}
        whole: dict[str, Any] = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}
        whole["ids"] = np.frombuffer(json.dumps(self.ids, ensure_ascii=False).encode("utf-8", "surrogatepass"), dtype=np.uint8)
        with written_whole(Path(path)) as (stream,):
            stream.write(save(whole, metadata={"format": FORMAT, "version": VERSION, "about": json.dumps(about)}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Projection:
        """Return the map in ``path``; raise `FormatError` where there is none. Nothing is unpickled."""
        try:
            with safe_open(path, framework="numpy") as stored:
                told = stored.metadata() or {}
                if (told.get("format"), told.get("version")) != (FORMAT, VERSION):
                    raise FormatError(f"{path}: holds no map that this version of semvec can read")
                about, arrays = json.loads(told["about"]), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            names = json.loads(arrays.pop("ids").tobytes().decode("utf-8", "surrogatepass"))
            ids = tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
            made = about["fingerprint"] and Fingerprint.from_json(about["fingerprint"])
            options = MapOptions(**{**about["options"], "method": Method(about["options"]["method"])})
            if not all(isinstance(number, int) for number in (options.seed, options.neighbours)):
                raise FormatError(f"{path}: damaged, its options are none of a map")
            found = cls(**arrays, options=options, metric=Metric(about["metric"]), fingerprint=made, ids=ids or ())
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise (
                error if isinstance(error, FormatError) else FormatError(f"{path}: cannot be read as a map ({error})")
            ) from error
        n, dim = found.vectors.shape if found.vectors.ndim == 2 else (0, 0)
        sound = all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values())
        if not sound or n < LEAST or ids is None or len(set(ids)) < len(ids):
            raise FormatError(f"{path}: damaged, it holds what no map does")
        if (found.points.shape, found.mean.shape, found.axes.shape) != ((n, 2), (dim,), (2, dim)) or len(ids) not in (0, n):
            raise FormatError(f"{path}: damaged, its arrays do not fit each other")
        return found


def check_method(method: Method) -> None:
    """Raise `MissingExtra` where the library of a method is not installed."""
    name = EXTRAS.get(method)
    if name is not None and find_spec(name) is None:
        raise MissingExtra(f"method {method} is {name}'s: pip install 'semvec[{method}]'")


def fitting(options: MapOptions, points: int) -> MapOptions:
    """Return ``options`` with no more neighbours than so many ``points`` have."""
    most = points - 1
    return replace(options, neighbours=min(options.neighbours, most), perplexity=min(options.perplexity, max(most / 3, 1.0)))


def _equals(close: Near, taken: set[int]) -> NDArray[np.int64]:
    """Return which of the nearest rows each point is the very vector of, -1 for none; equal ones are not ``taken`` twice."""
    found = np.full(len(close.rows), -1, dtype=np.int64)
    for at in np.flatnonzero(close.distances[:, 0] <= EQUAL).tolist():
        rows = close.rows[at][close.distances[at] <= EQUAL].tolist()
        found[at] = next((row for row in rows if row not in taken), rows[0])
        taken.add(int(found[at]))
    return found


def _way(method: Method) -> Way:
    check_method(method)
    return cast(Way, import_module(WAYS[method]))


def _none(points: int) -> Near:
    return Near(np.zeros((points, 0), dtype=np.int64), np.zeros((points, 0), dtype=np.float32))
