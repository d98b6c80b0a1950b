"""How good is a classifier of so many examples a label? Drawn several times over: a linear head alone, and few-shot learning."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import OptionError
from semvec.finetune.classify import Classify
from semvec.finetune.cloze import PATTERN
from semvec.finetune.cloze_tuned import Words, check_words
from semvec.finetune.few_shot import PAIRS, check_options, fitted, shots_of
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import take
from semvec.finetune.tuned import Loading
from semvec.text.columns import split_file
from semvec.types import JSON, FewShot, Progress, Step

HEAD, FEW_SHOT = "linear head, frozen encoder", "few-shot"


@dataclass(frozen=True)
class Drawn:
    """Accuracies of every draw of ``shots`` examples a label (``fewer`` labels have fewer) on ``test`` examples, by method."""

    shots: int
    labels: int
    fewer: int
    test: int
    accuracies: Mapping[str, list[float]]

    def spread(self, method: str) -> tuple[float, float]:
        """Return the mean over the draws, and their standard deviation (0 of one draw)."""
        return _spread(np.array(self.accuracies[method]))

    @property
    def gain(self) -> tuple[float, float]:
        """By how much few-shot learning is better than the head alone on the same draws: mean, and standard deviation."""
        return _spread(np.array(self.accuracies[FEW_SHOT]) - np.array(self.accuracies[HEAD]))

    @property
    def gain_interval(self) -> tuple[float, float] | None:
        """Between what the mean gain lies with 95 % confidence (Student's t over the draws); None of one draw."""
        from scipy.stats import t

        gains = np.array(self.accuracies[FEW_SHOT]) - np.array(self.accuracies[HEAD])
        if (n := len(gains)) < 2:
            return None
        width = float(t.ppf(0.975, n - 1) * gains.std(ddof=1) / np.sqrt(n))
        return float(gains.mean()) - width, float(gains.mean()) + width

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return asdict(self)


def _spread(its: NDArray[np.float64]) -> tuple[float, float]:
    return float(its.mean()), float(its.std(ddof=1)) if len(its) > 1 else 0.0


def drawn_shots(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    shots: int = 8,
    repeats: int = 10,
    by: FewShot | str = FewShot.AUTO,
    pairs: int = PAIRS,
    words: Words | None = None,
    pattern: str = PATTERN,
    options: FinetuneOptions | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Drawn:
    """Return the accuracies of ``repeats`` draws of ``shots`` examples a label from train in the folder ``data``, on its test.

    With ``words`` few-shot learning is by cloze, as in `few_shot`. Every draw, and all chance in its training, is decided by the
    seed of ``options`` and its number.
    Raises `OptionError` for fewer than two shots or one draw, and for a file, and what `few_shot` raises.
    """
    if shots < 2 or repeats < 1:
        raise OptionError(f"shots must be at least 2 and repeats 1, not {shots!r} and {repeats!r}")
    options, task, loading = options or FinetuneOptions(), Classify(), Loading(device)
    check_options(options, pairs)
    if not Path(data).is_dir():
        raise OptionError(f"{data}: to draw and to examine a folder with train and test is wanted")
    examples: Any = task.read(split_file(data, "train", suffixes=task.suffixes), options)
    test: Any = task.read(split_file(data, "test", suffixes=task.suffixes), options)
    config = task.config(examples, options)
    task.check(test, config, "test data")
    if words is not None:
        check_words(words, examples)
    found: dict[str, list[float]] = {HEAD: [], FEW_SHOT: []}
    for draw in range(repeats):
        if progress:
            progress(Step("drawing", draw, repeats, "draws"))
        some = take(examples, shots_of(examples.labels, shots, (options.seed, draw)))
        own = replace(options, seed=int(np.random.default_rng((options.seed, draw)).integers(2**31)))
        ways: dict[str, Any] = {
            HEAD: {"by": FewShot.PAIRS, "pairs": 0},
            FEW_SHOT: {"by": by, "pairs": pairs, "words": words, "pattern": pattern},
        }
        for method, way in ways.items():
            with TemporaryDirectory() as work:
                tuned, _ = fitted(model, some, Path(work), **way, options=own, loading=loading)
                found[method].append(task.findings(test, tuned.predict(test), config).values["accuracy"])
    fewer = sum(count < shots for count in Counter(examples.labels).values())
    return Drawn(shots, len(config.labels), fewer, len(test), found)
