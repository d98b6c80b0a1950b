"""An opinion monitor: say what each message of a stream is about, and give the alarm where that drifts.

python examples/monitor.py examples/requests/train.tsv examples/requests/test.tsv
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scipy.stats import chisquare

from semvec.finetune.few_shot import few_shot
from semvec.finetune.loading import load_model
from semvec.text.examples import LabelledTexts, read_labelled

WINDOW, ALARM = 12, 0.01
"""Messages that are looked at together, and how unlikely a drift must be by chance alone to be told."""


def drifts(said: Iterable[str], usual: Counter[str]) -> Iterator[tuple[int, str, float]]:
    """Give the number of the message, the label and p where the last messages are not as the ``usual`` ones (chi-squared)."""
    window: deque[str] = deque(maxlen=WINDOW)
    total = sum(usual.values())
    for at, label in enumerate(said):
        window.append(label)
        if len(window) == WINDOW:
            counts = Counter(window)
            expected = [WINDOW * usual[one] / total for one in usual]
            p = float(chisquare([counts[one] for one in usual], expected).pvalue)
            if p < ALARM:
                risen = max(usual, key=lambda one: counts[one] - WINDOW * usual[one] / total)
                yield at, risen, p
                window.clear()


def labels_of(model: str | Path, texts: Sequence[str]) -> list[str]:
    """Return what ``model`` says of each of ``texts``."""
    return [str(answer["label"]) for answer in load_model(model).predict(LabelledTexts(list(texts), [""] * len(texts)))]


def main() -> None:
    """Learn from the first table, then watch the second one: as it comes, and then with one kind of message only."""
    train, stream = (Path(name) for name in sys.argv[1:3])
    usual, messages = Counter(read_labelled(train).labels), read_labelled(stream)
    with TemporaryDirectory() as folder:
        model = Path(folder) / "labels"
        few_shot("minilm", train, model, pairs=40)
        said = labels_of(model, messages.texts)
    for text, label in zip(messages.texts[:3], said, strict=False):
        print(f"{label}: {text}")
    crowd = [label for label in said if label == said[0]] * 4
    for name, some in (("as it comes", said), (f"then many about {said[0]}", said + crowd)):
        found = [f"message {at}: more about {label} than usual (p = {p:.1g})" for at, label, p in drifts(some, usual)]
        print(f"{name}: {'; '.join(found) or 'no drift'}")


if __name__ == "__main__":
    main()
