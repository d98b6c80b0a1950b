"""Labels of texts without an example of any: by what the labels are called, and nothing learnt."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

from semvec.embeddings.transforms import normalize
from semvec.encoders.catalog import find_model, load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, NotCalibrated, OptionError
from semvec.finetune.classify import label_answer, label_findings
from semvec.finetune.cloze import PATTERN, Cloze, fills_gaps
from semvec.finetune.task import Answer, Findings
from semvec.text.examples import LabelledTexts
from semvec.types import Level, Progress, Step, ZeroShot

Logs = NDArray[np.float64]
TEMPLATES = ("{}", "This text is about {}.")
TEMPERATURE = 0.05
"""Of cosines, so that shares come of them. Without calibration the likeliest label does not hang on it."""

AT_ONCE = 1024
ROUNDS, EVEN = 1000, 1e-4
"""Rounds at most, and how far from equal the labels' shares may be left, where they are made equally likely."""

FEWEST = 10
"""Texts a label of which the labels' shares are taken for what they are on the whole."""


class ZeroShotClassifier(ABC):
    """Says ``labels`` of texts; with ``calibrate`` each is made as likely as the others over all texts that are asked about.

    A label whose name suits any text has no advantage then: each label's share is multiplied by a number, so that on the mean all
    have as much (prior matching, Liusie and others, 2023). That goes by labels that are about equally frequent, and is left
    out, which is warned of (`NotCalibrated`), where there are fewer than `FEWEST` texts a label.
    """

    def __init__(self, labels: Sequence[str], *, calibrate: bool = True) -> None:
        self.labels, self.calibrate = tuple(labels), calibrate

    @abstractmethod
    def logs(self, texts: Sequence[str]) -> Logs:
        """Return the logarithms (texts, labels) of how likely each label is, as they come."""

    def shares(self, texts: Sequence[str], progress: Progress | None = None) -> Logs:
        """Return how likely each label is (texts, labels)."""
        parts = []
        for start in range(0, len(texts), AT_ONCE):
            parts.append(self.logs(texts[start : start + AT_ONCE]))
            if progress:
                progress(Step("reading", min(start + AT_ONCE, len(texts)), len(texts), "texts"))
        its = log_softmax(np.concatenate(parts), axis=1) if parts else np.zeros((0, len(self.labels)))
        if self.calibrate and len(its) < FEWEST * len(self.labels):
            warnings.warn(NotCalibrated(len(its), FEWEST * len(self.labels)), stacklevel=2)
        elif self.calibrate:
            its = balanced(its)
        return np.asarray(softmax(its, axis=1))

    def predict(self, texts: Sequence[str], progress: Progress | None = None) -> list[Answer]:
        """Return the likeliest label of each of ``texts``, and how likely all are."""
        return list(self.answers(texts, progress)) if len(texts) else []

    def answers(self, texts: Sequence[str], progress: Progress | None = None) -> Iterator[Answer]:
        """Give the answer to each of ``texts``, one after the other; all are read before the first."""
        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one string: predict([text])")
        return (label_answer(row.astype(np.float32), self.labels) for row in self.shares(texts, progress))

    def measured(self, examples: LabelledTexts) -> Findings:
        """Return what the answers to labelled ``examples`` are worth; `InputError` for a label that cannot be said."""
        if unknown := sorted(set(examples.labels) - set(self.labels)):
            raise InputError(f"the label {unknown[0]!r:.60} is none of those named: {', '.join(map(repr, self.labels[:8]))}")
        return label_findings(examples.labels, self.predict(examples.texts), self.labels)


def balanced(logs: Logs) -> Logs:
    """Return ``logs`` (texts, labels) with a number added to each label, so that on the mean all labels are equally likely."""
    n, labels = logs.shape
    added = np.zeros(labels)
    for _ in range(ROUNDS):
        means = logsumexp(log_softmax(logs + added, axis=1), axis=0) - np.log(n) + np.log(labels)
        added -= means
        if np.abs(means).max() < EVEN:
            break
    return np.asarray(logs + added)


class BySimilarity(ZeroShotClassifier):
    """The label whose descriptions, put into each of ``templates``, are nearest to the text by the cosine.

    ``prompt`` is put before both, where the encoder wants one for texts that are compared with each other.
    """

    def __init__(
        self,
        encoder: Encoder,
        labels: Mapping[str, Sequence[str]],
        *,
        templates: Sequence[str] = TEMPLATES,
        prompt: str | None = None,
        calibrate: bool = True,
    ) -> None:
        super().__init__(list(labels), calibrate=calibrate)
        if isinstance(templates, str) or not templates:
            raise OptionError("templates are a list of at least one")
        if wrong := next((one for one in templates if one.count("{}") != 1), None):
            raise OptionError(f"template {wrong!r:.80} has not one {{}}, where the label's description goes")
        self.encoder = encoder.with_options(level=Level.TEXT, prompt=encoder.options.prompt if prompt is None else prompt)
        said = [template.replace("{}", words) for its in labels.values() for words in its for template in templates]
        said_bare = self.encoder.encode([words for its in labels.values() for words in its]).floats()
        bare = np.abs(said_bare).max(axis=1) > 0
        owners = np.repeat(np.array(list(labels), dtype=object), [len(its) for its in labels.values()])
        if blank := next((name for name in labels if not bare[owners == name].any()), None):
            raise InputError(f"the label {blank!r:.60} is described by nothing that the model knows")
        rows = np.repeat(np.arange(len(labels)), [len(its) * len(templates) for its in labels.values()])
        means = np.zeros((len(labels), self.encoder.dim), dtype=np.float64)
        np.add.at(means, rows, normalize(self.encoder.encode(said).floats()))
        self.vectors = normalize(means.astype(np.float32))

    def logs(self, texts: Sequence[str]) -> Logs:
        return np.asarray(
            normalize(self.encoder.encode(list(texts), overflow="windows").floats()) @ self.vectors.T / TEMPERATURE,
            dtype=np.float64,
        )


class ByCloze(ZeroShotClassifier):
    """The label whose words fit best into the gap of a pattern behind the text, a model of masked words says."""

    def __init__(self, cloze: Cloze, labels: Mapping[str, Sequence[str]], *, calibrate: bool = True) -> None:
        super().__init__(list(labels), calibrate=calibrate)
        self.cloze = cloze
        self.words = {label: [cloze.word(one) for one in words] for label, words in labels.items()}

    def logs(self, texts: Sequence[str]) -> Logs:
        return self.cloze.label_logs(texts, list(self.words.values()))


def zero_shot(
    model: str | os.PathLike[str],
    labels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    by: ZeroShot | str | None = None,
    templates: Sequence[str] = TEMPLATES,
    pattern: str = PATTERN,
    prompt: str | None = None,
    calibrate: bool = True,
    device: str | None = None,
    trust_pickle: bool = False,
) -> ZeroShotClassifier:
    """Return what says ``labels`` of texts, by ``model``.

    ``labels`` are names, or names with descriptions (`labels_named` reads both from a line). ``by`` similarity any encoder does:
    the label is the one whose descriptions in ``templates`` are nearest. ``by`` cloze a checkpoint with a masked-LM head does:
    descriptions are single words of its vocabulary, which are put into ``pattern`` in the place of ``[MASK]``. None: cloze
    where the checkpoint has such a head, else similarity. ``prompt`` is what the encoder wants before texts that are compared,
    of E5 "query: ".

    Raises `OptionError` for fewer than two labels, for a way that the model cannot go, and a label of several pieces (cloze).
    """
    if isinstance(labels, str):
        raise OptionError("labels are a list of names, or names with lists of descriptions, not one string")
    known = labels if isinstance(labels, Mapping) else labels_named(labels)
    if wrong := next((name for name, its in known.items() if isinstance(its, str) or not its), None):
        raise OptionError(f"the label {wrong!r:.60} wants a list of descriptions, and at least one")
    if len(known) < 2:
        raise OptionError("two labels are needed to tell texts apart")
    place = find_model(model, trust_pickle=trust_pickle).path
    way = ZeroShot(by) if by else ZeroShot.CLOZE if fills_gaps(place) else ZeroShot.SIMILARITY
    of_the_other = {
        ZeroShot.SIMILARITY: (("pattern", pattern != PATTERN),),
        ZeroShot.CLOZE: (("template", tuple(templates) != TEMPLATES), ("prompt", prompt is not None)),
    }
    if unused := next((name for name, named_there in of_the_other[way] if named_there), None):
        raise OptionError(f"a {unused} does nothing by {way}, which is how {model} says labels here")
    ways: dict[ZeroShot, Callable[[], ZeroShotClassifier]] = {
        ZeroShot.SIMILARITY: lambda: BySimilarity(
            load_encoder(model, device=device, trust_pickle=trust_pickle),
            known,
            templates=templates,
            prompt=prompt,
            calibrate=calibrate,
        ),
        ZeroShot.CLOZE: lambda: ByCloze(Cloze.load(place, pattern, device=device), known, calibrate=calibrate),
    }
    return ways[way]()


def labels_named(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return labels and how they are described: ``name``, ``name=description`` or ``name=one|another``.

    A name that is described by nothing is described by itself, with blanks for ``_`` and ``-``.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, described = (part.strip() for part in line.partition("="))
        if not name:
            raise OptionError(f"{line!r:.60} names no label: write name, or name=description")
        if name in found:
            raise OptionError(f"the label {name!r:.60} is named twice; several descriptions are name=one|another")
        words = [one.strip() for one in described.split("|") if one.strip()]
        found[name] = words or [" ".join(name.replace("_", " ").replace("-", " ").split()) or name]
    return found
