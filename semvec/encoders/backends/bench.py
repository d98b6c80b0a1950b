"""How fast each backend runs a model on this machine, and how near its vectors are to those of transformers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from semvec.encoders.backends.choose import REFUSALS
from semvec.encoders.backends.sample import SAMPLE
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import TextsCut
from semvec.types import Backend, Dtype, Level, Progress, Step

RUNS = 3
SECONDS = 0.3
"""How long a run is meant to take at least."""

BACKENDS: tuple[Backend, ...] = tuple(one for one in Backend if one != Backend.AUTO)
WORDS = 8


@dataclass(frozen=True)
class BackendSpeed:
    """One backend on one kind of texts: texts a second, and the mean cosine of its vectors with those of torch."""

    backend: Backend
    kind: str
    texts_per_second: float
    cosine: float


@dataclass(frozen=True)
class BackendTable:
    """What was measured, and why a backend cannot be had."""

    rows: tuple[BackendSpeed, ...]
    missing: dict[Backend, str]


def kinds() -> dict[str, list[str]]:
    """Return texts of three kinds: queries of eight words, sentences, and passages of ten of these."""
    every = [f"{text} {at}" for at in range(8) for text in SAMPLE]  # all different, since equal texts are encoded once
    passages = [" ".join(every[at : at + 10]) for at in range(0, len(every), 4)]
    return {
        "queries": [" ".join([*text.split()[:WORDS], str(at)]) for at, text in enumerate(every)],
        "sentences": every,
        "passages": passages,
    }


def measure_backends(encoder: TransformerEncoder, *, progress: Progress = lambda step: None) -> BackendTable:
    """Return how ``encoder`` does by every backend there is here, one after the other in each round, medians of three."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextsCut)  # how long the model reads is not what is asked here
        return _measured(encoder, progress)


def _measured(encoder: TransformerEncoder, progress: Progress) -> BackendTable:
    plain = encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32, calibration=None, normalize=True, deterministic=False)
    able: dict[Backend, TransformerEncoder] = {}
    missing: dict[Backend, str] = {}
    for backend in BACKENDS:
        try:
            one = plain.with_options(backend=backend)
            one.encode(SAMPLE[:1])
            able[backend] = one
        except REFUSALS as error:
            missing[backend] = str(error)
    rows = []
    for kind, texts in kinds().items():
        part = _enough(able[Backend.TORCH], texts)
        goal = able[Backend.TORCH].encode(part).vectors
        near = {name: float(np.mean((one.encode(part).vectors * goal).sum(axis=1))) for name, one in able.items()}
        took: dict[Backend, list[float]] = {name: [] for name in able}
        for at in range(RUNS):
            progress(Step(kind, at, RUNS, "rounds"))
            for name, one in able.items():
                began = perf_counter()
                one.encode(part)
                took[name].append(perf_counter() - began)
        rows += [BackendSpeed(name, kind, len(part) / median(its), near[name]) for name, its in took.items()]
    return BackendTable(tuple(rows), missing)


def _enough(encoder: TransformerEncoder, texts: Sequence[str]) -> list[str]:
    """Return so many of ``texts`` that a run takes about `SECONDS`."""
    first = list(texts[: len(SAMPLE)])
    encoder.encode(first)
    began = perf_counter()
    encoder.encode(first)
    return list(texts[: max(8, int(len(first) * SECONDS / (perf_counter() - began)))])
