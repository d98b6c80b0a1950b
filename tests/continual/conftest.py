"""A tiny model, and a stream of tasks in which a word of each text says its label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semvec.continual.task import ContinualTask
from semvec.text.examples import LabelledTexts
from tests import tiny

WORDS = ["the", "of", "right", "everyone", "has", "to", "and", "in", "or", "a", "is", "no", "one", "shall", "be"]
SIGNS = dict(zip("abcdef", ("freedom", "law", "human", "rights", "all", "person"), strict=True))


def texts(labels: str, count: int, seed: int) -> LabelledTexts:
    """Texts with a word that says which of ``labels`` they have."""
    rng = np.random.default_rng(seed)
    made: list[str] = []
    said = [labels[at % len(labels)] for at in range(count)]
    for label in said:
        words = rng.choice(WORDS, size=5).tolist()
        words.insert(int(rng.integers(0, 6)), SIGNS[label])
        made.append(" ".join(words))
    return LabelledTexts(made, said)


def stream(*labels: str, count: int = 48) -> list[ContinualTask]:
    """A task for each of ``labels``."""
    return [ContinualTask(f"task {its}", texts(its, count, at), texts(its, 20, 50 + at)) for at, its in enumerate(labels)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_sentence_model(tmp_path_factory.mktemp("base"))
