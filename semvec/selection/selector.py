"""Selection as an estimator: `fit` learns what a rule has to know, `transform` keeps the tokens that matter."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.errors import FormatError, InputError, OptionError
from semvec.selection.hard import Known, Strategy
from semvec.selection.keep import Scorer, Selection
from semvec.selection.terms import Corpus, chi_squared
from semvec.types import Oov

FORMAT = "semvec-token-selector"
WANT_LABELS = (Strategy.CHI2, Strategy.CLASS)


class TokenSelector:
    """Keeps a ``share`` of each text's tokens, or ``k`` of them: the most telling ``by`` a rule, or by a scorer that was learned.

    ``by`` is a `Strategy` or has ``scores(tokens)`` (`LearnedScorer`, a model's router: `semvec.finetune.routed.router_of`).
    What is selected can be read before (`shortened` texts), behind (`transform`, `pooled`) an encoder.
    """

    def __init__(
        self, by: Strategy | str | Scorer = Strategy.TF_IDF, *, share: float | None = None, k: int | None = None, seed: int = 0
    ) -> None:
        self.by = Strategy(by) if isinstance(by, str) else by
        self.share, self.k, self.seed = (0.5 if share is None and k is None else share), k, seed
        Selection(Strategy.LEAD, self.share, self.k)  # says what is wrong with them
        self._known: Known | None = None

    def fit(self, tokens: Embeddings, texts: Sequence[str], labels: Sequence[str] | None = None) -> Self:
        """Learn from ``texts`` and their ``tokens`` what the rule goes by: how rare words are, or what hangs on ``labels``.

        Raises `InputError` where labels are wanted (chi2, class) and are not there, or not one a text.
        """
        if labels is None and self.by in WANT_LABELS:
            raise InputError(f"{self.by} wants labels: fit(tokens, texts, labels)")
        if len(tokens) != len(texts) or (labels is not None and len(labels) != len(texts)):
            raise InputError(f"{len(texts)} texts, tokens of {len(tokens)}, labels {len(labels) if labels is not None else None}")
        corpus = Corpus()
        if self.by in (Strategy.IDF, Strategy.TF_IDF):
            corpus.see(texts)
        chi2 = chi_squared(texts, labels) if labels is not None and self.by == Strategy.CHI2 else {}
        classes = _class_means(tokens, labels) if labels is not None and self.by == Strategy.CLASS else None
        self._known = Known(corpus, chi2, classes, self.seed)
        return self

    def transform(self, tokens: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Return ``tokens``, those of ``texts``, without those that are not kept (`Selection.kept`)."""
        return self._selection().kept(tokens, texts)

    def scores(self, tokens: Embeddings, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return how telling each row of ``tokens`` is, the greater the more."""
        return self._selection().scores(tokens, texts)

    def pooled(self, tokens: Embeddings, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the mean of the tokens that are kept, (texts, dim); zeros where a text has none."""
        return mean_by_text(self.transform(tokens, texts))

    def shortened(self, tokens: Embeddings, texts: Sequence[str]) -> list[str]:
        """Return what is left of ``texts``: the pieces that are kept, in their order, with a space where something is gone."""
        found = []
        for its, text in zip(self.transform(tokens, texts), texts, strict=True):
            parts, last = list[str](), None
            for start, end, special in zip(its.start.tolist(), its.end.tolist(), its.special.tolist(), strict=True):
                if not special and start < end:
                    parts.append(text[start:end] if last in (None, start) else f" {text[start:end]}")
                    last = end
            found.append("".join(parts))
        return found

    def _selection(self) -> Selection:
        known = self._known
        if known is None:
            if self.by not in (Strategy.LEAD, Strategy.RANDOM, Strategy.FREQUENCY, Strategy.CENTROID) and isinstance(
                self.by, Strategy
            ):
                raise OptionError(f"this selector by {self.by} has learnt nothing yet: fit(tokens, texts) first")
            known = Known(seed=self.seed)
        return Selection(self.by, self.share, self.k, known)

    def save(self, path: Path) -> None:
        """Write the selector to ``path``, a .json file; `OptionError` for one by a scorer, which has a file of its own."""
        if not isinstance(self.by, Strategy):
            raise OptionError("a selector by a learned scorer is that scorer and a share: save the scorer")
        its: dict[str, Any] = {
            "format": FORMAT,
            "version": 1,
            "by": str(self.by),
            "share": self.share,
            "k": self.k,
            "seed": self.seed,
        }
        if (known := self._known) is not None:
            classes = None if known.classes is None else known.classes.tolist()
            its |= {"texts": known.corpus.texts, "having": known.corpus.having, "chi2": dict(known.chi2), "classes": classes}
        with written_whole(path) as (stream,):
            stream.write(json.dumps(its, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the selector in ``path``; raise `FormatError` where there is none."""
        try:
            its = json.loads(path.read_bytes())
            if its["format"] != FORMAT or its["version"] != 1:
                raise FormatError(f"{path}: holds no selector of tokens that this version of semvec reads")
            made = cls(its["by"], share=its["share"], k=its["k"], seed=int(its["seed"]))
            if "texts" in its:
                classes = None if its["classes"] is None else np.array(its["classes"], dtype=np.float32)
                made._known = Known(Corpus(int(its["texts"]), Counter(its["having"])), dict(its["chi2"]), classes, made.seed)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path}: cannot be read as a selector of tokens ({error})") from error
        return made


def mean_by_text(tokens: Embeddings) -> NDArray[np.float32]:
    """Return the mean of each text's rows (texts, dim), special tokens and those without a vector left out; zeros of none."""
    there = ~tokens.special & (tokens.oov != Oov.ZERO)
    sums, owners = np.zeros((len(tokens), tokens.dim), dtype=np.float64), tokens.text_index[there]
    np.add.at(sums, owners, tokens.floats()[there])
    counts = np.bincount(owners, minlength=len(tokens))
    return np.asarray(sums / np.maximum(counts, 1)[:, None], dtype=np.float32)


def _class_means(tokens: Embeddings, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return the mean vector of the tokens of each label, (labels, dim)."""
    of_row = np.asarray(labels)[tokens.text_index]
    there, vectors = ~tokens.special & (tokens.oov != Oov.ZERO), tokens.floats()
    means = [vectors[there & (of_row == label)].mean(axis=0) for label in np.unique(of_row[there])]
    return np.asarray(means, dtype=np.float32)
