"""How near written texts are to those that people wrote: BLEU and chrF, as sacrebleu has them, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semvec.errors import MissingExtra
from semvec.measures.intervals import Numbers, Outcome

HAN = range(0x4E00, 0x9FFF)
RANGE = (0.0, 100.0)


def bleu(said: Sequence[str], right: Sequence[Sequence[str]]) -> Outcome:
    """Return corpus BLEU (Papineni and others, 2002; 0 to 100) of ``said`` against the ``right`` texts of each.

    Words are as sacrebleu's ``13a`` cuts them (Post, arXiv:1804.08771), characters where most texts are Chinese.
    """
    han = sum(any(ord(letter) in HAN for letter in texts[0]) for texts in right if texts)
    return _outcome("BLEU", _sacrebleu().BLEU(tokenize="zh" if 2 * han > len(right) else "13a"), said, right)


def chrf(said: Sequence[str], right: Sequence[Sequence[str]]) -> Outcome:
    """Return corpus chrF (Popović, 2015; 0 to 100) of ``said`` against the ``right`` texts of each."""
    return _outcome("chrF", _sacrebleu().CHRF(), said, right)


def _outcome(name: str, metric: Any, said: Sequence[str], right: Sequence[Sequence[str]]) -> Outcome:
    most = max(map(len, right))
    streams = [[texts[at] if at < len(texts) else None for texts in right] for at in range(most)]
    counts = np.array(metric._extract_corpus_statistics(list(said), streams))  # of every text: they add up to the corpus's

    def of(rows: Numbers) -> float:
        return float(metric._compute_score_from_stats(rows.sum(axis=0).tolist()).score)

    return Outcome.over_all(name, of, counts, range=RANGE)


def _sacrebleu() -> Any:
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise MissingExtra(f"BLEU and chrF need the library sacrebleu ({error}): pip install 'semvec[finetune]'") from error
    return metrics
