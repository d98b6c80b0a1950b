"""Selection as an estimator: `fit` learns what a rule has to know, `transform` keeps the tokens that matter."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.means import mean_by_text
from semvec.errors import FormatError, InputError, OptionError
from semvec.selection.hard import Known, Strategy
from semvec.selection.keep import Scorer, Selection
from semvec.selection.terms import Corpus, chi_squared
from semvec.types import Oov

FORMAT = "semvec-token-selector"
WANT_LABELS = (Strategy.CHI2, Strategy.CLASS)


class TokenSelector:
    """Keeps a ``share`` of each text's tokens, or ``k`` of them: the most telling ``by`` a rule, or by a scorer that was learned.

    ``by`` is a `Strategy` or has ``scores(tokens)`` (`LearnedScorer`, a model's router: `semvec.finetune.router.router_of`).
    What is selected can be read before (`shortened` texts), behind (`transform`, `pooled`) an encoder.
    """

    def __init__(
        self, by: Strategy | str | Scorer = Strategy.TF_IDF, *, share: float | None = None, k: int | None = None, seed: int = 0
    ) -> None:
        self.by = Strategy(by) if isinstance(by, str) else by
        if not isinstance(self.by, Strategy) and not callable(getattr(by, "scores", None)):
            raise OptionError(f"a selector goes by one of {', '.join(Strategy)}, or by what has scores(tokens), not {by!r:.60}")
        for name, value, kinds in (("share", share, (int, float)), ("k", k, int), ("seed", seed, int)):
            if isinstance(value, bool) or not (value is None or isinstance(value, kinds)) or (name == "seed" and seed < 0):
                raise OptionError(f"{name} must be a {'number' if name == 'share' else 'whole number'}, not {value!r:.60}")
        self.share, self.k, self.seed = (0.5 if share is None and k is None else share), k, seed
        Selection(Strategy.LEAD, self.share, self.k)  # says what is wrong with them
        self._known: Known | None = None

    def fit(self, tokens: Embeddings, texts: Sequence[str], labels: Sequence[str] | None = None) -> Self:
        """Learn from ``texts`` and their ``tokens`` what a rule goes by: how rare words are, or what hangs on ``labels``.

        A scorer has learned before, and learns nothing here.

        Raises `InputError` where labels are wanted (chi2, class) and are not there, or not one a text.
        """
        if labels is None and self.by in WANT_LABELS:
            raise InputError(f"{self.by} wants labels: fit(tokens, texts, labels)")
        _check(tokens, texts)
        if labels is not None and (len(labels) != len(texts) or not all(isinstance(label, str) for label in labels)):
            raise InputError(f"{len(labels)} labels for {len(texts)} texts: a string each is wanted")
        corpus = Corpus()
        if self.by in (Strategy.IDF, Strategy.TF_IDF):
            corpus.see(texts)
        chi2 = chi_squared(texts, labels) if labels is not None and self.by == Strategy.CHI2 else {}
        classes = _class_means(tokens, labels) if labels is not None and self.by == Strategy.CLASS else None
        if (self.by == Strategy.CHI2 and not chi2) or (classes is not None and len(classes) < 2):
            raise InputError(f"{self.by}: nothing hangs on the labels: two of them are wanted, and texts with words")
        self._known = Known(corpus, chi2, classes, self.seed)
        return self

    def transform(self, tokens: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Return ``tokens``, those of ``texts``, without those that are not kept (`Selection.kept`)."""
        _check(tokens, texts)
        return self._selection().kept(tokens, texts)

    def scores(self, tokens: Embeddings, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return how telling each row of ``tokens`` is, the greater the more."""
        _check(tokens, texts)
        return self._selection().scores(tokens, texts)

    def pooled(self, tokens: Embeddings, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the mean of the tokens that are kept, (texts, dim); zeros where a text has none."""
        return mean_by_text(self.transform(tokens, texts))

    def shortened(self, tokens: Embeddings, texts: Sequence[str]) -> list[str]:
        """Return what is left of ``texts``: the pieces that are kept, in their order, with a space where something is gone."""
        found = []
        for its, text in zip(self.transform(tokens, texts), texts, strict=True):
            parts, last = list[str](), 0
            for start, end, special in zip(its.start.tolist(), its.end.tolist(), its.special.tolist(), strict=True):
                if not special and end > last:  # several tokens may stand for one character, or parts of it
                    parts += [" "] * (start > last and bool(parts)) + [text[max(start, last) : end]]
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

    def save(self, path: str | os.PathLike[str]) -> None:
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
        with written_whole(Path(path)) as (stream,):
            stream.write(json.dumps(its, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the selector in ``path``; raise `FormatError` where there is none."""
        try:
            its = json.loads(Path(path).read_bytes())
            if its["format"] != FORMAT or its["version"] != 1:
                raise FormatError(f"{path}: holds no selector of tokens that this version of semvec reads")
            made = cls(Strategy(its["by"]), share=its["share"], k=its["k"], seed=its["seed"])
            if "texts" in its:
                made._known = _read(its, made.seed)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise FormatError(f"{path}: cannot be read as a selector of tokens ({error})") from error
        return made


def _read(its: Any, seed: int) -> Known:
    """Return what a selector knows, of its JSON; `ValueError` and the like where that is not what `save` wrote."""
    texts, having = index(its["texts"]), {str(word): index(count) for word, count in its["having"].items()}
    chi2 = {str(word): float(value) for word, value in its["chi2"].items()}
    classes = None if its["classes"] is None else np.array(its["classes"], dtype=np.float32)
    if not all(0 < count <= texts for count in having.values()) or not all(np.isfinite(value) for value in chi2.values()):
        raise ValueError("counts of words are none")
    if classes is not None and (classes.ndim != 2 or not np.isfinite(classes).all()):
        raise ValueError("classes are no vectors")
    return Known(Corpus(texts, Counter(having)), chi2, classes, seed)


def _check(tokens: Embeddings, texts: Sequence[str]) -> None:
    """Raise `InputError` where ``tokens`` are not those of ``texts``."""
    if isinstance(texts, str) or len(tokens) != len(texts):
        raise InputError(
            f"tokens of {len(tokens)} texts, and {'one string' if isinstance(texts, str) else f'{len(texts)} texts'}"
        )


def _class_means(tokens: Embeddings, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return the mean vector of the tokens of each label, (labels, dim)."""
    of_row = np.asarray(labels)[tokens.text_index]
    there, vectors = ~tokens.special & (tokens.oov != Oov.ZERO), tokens.floats()
    means = [vectors[there & (of_row == label)].mean(axis=0) for label in np.unique(of_row[there])]
    return np.asarray(means, dtype=np.float32)
