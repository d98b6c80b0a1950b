"""Small labelled data that a tiny model can learn, seeded: what is said hangs on a word that is there or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from semvec.finetune.options import FinetuneOptions

WORDS = [
    "the",
    "of",
    "right",
    "everyone",
    "has",
    "to",
    "and",
    "in",
    "or",
    "a",
    "is",
    "no",
    "one",
    "shall",
    "be",
    "all",
    "law",
    "freedom",
]
SIGNS = {"pos": "freedom", "neg": "law"}


def texts(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Labels and texts: the label is which of two words stands in the text."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        label = str(rng.choice(["neg", "pos"]))
        words = rng.choice(WORDS[:15], size=int(rng.integers(3, 9))).tolist()
        words.insert(int(rng.integers(0, len(words) + 1)), SIGNS[label])
        rows.append((label, " ".join(words)))
    return rows


def write(task: str, folder: Path, count: int = 48) -> Path:
    """Write a file of ``count`` examples of ``task`` into ``folder``, and return its path."""
    return WRITERS[task](folder, count)


def _classify(folder: Path, count: int) -> Path:
    return _table(folder / "classify.tsv", "label\ttext", (f"{label}\t{text}" for label, text in texts(count)))


def _tag(folder: Path, count: int) -> Path:
    lines = []
    for _, text in texts(count, 1):
        words = text.split()
        tags = ["B-KIND" if word in SIGNS.values() else "O" for word in words]
        lines += [f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)] + [""]
    path = folder / "tag.conll"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _relation(folder: Path, count: int) -> Path:
    path, rows = folder / "relation.jsonl", []
    for label, text in texts(count, 2):
        words = text.split()
        a, b = 0, len(words) - 1
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        spans = {name: [int(starts[at]), int(starts[at]) + len(words[at])] for name, at in (("e1", a), ("e2", b))}
        rows.append({"text": text, **spans, "relation": f"Has-{label}(e1,e2)"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _pairs(folder: Path, count: int) -> Path:
    one, other = texts(count, 3), texts(count, 4)
    rows = (f"{'same' if a[0] == b[0] else 'other'}\t{a[1]}\t{b[1]}" for a, b in zip(one, other, strict=True))
    return _table(folder / "pairs.tsv", "label\tsentence1\tsentence2", rows)


def _qa(folder: Path, count: int) -> Path:
    paragraphs = []
    for at, (label, text) in enumerate(texts(count, 5)):
        answer = SIGNS[label]
        qa = {"id": str(at), "question": "which one", "answers": [{"text": answer, "answer_start": text.index(answer)}]}
        paragraphs.append({"title": f"article {at // 4}", "paragraphs": [{"context": text, "qas": [qa]}]})
    path = folder / "qa.json"
    path.write_text(json.dumps({"data": paragraphs}), encoding="utf-8")
    return path


def _similarity(folder: Path, count: int) -> Path:
    one, other = texts(count, 6), texts(count, 7)
    rng = np.random.default_rng(8)
    rows = (f"{(a[0] == b[0]) * 3 + rng.random():.3f}\t{a[1]}\t{b[1]}" for a, b in zip(one, other, strict=True))
    return _table(folder / "similarity.tsv", "score\tsentence1\tsentence2", rows)


def _seq2seq(folder: Path, count: int) -> Path:
    becomes = {"pos": "it sets us free", "neg": "it binds all of us"}
    rows = (f"{text}\t{becomes[label]}" for label, text in texts(count, 9))
    return _table(folder / "seq2seq.tsv", "source\ttarget", rows)


def _table(path: Path, header: str, rows: object) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")  # type: ignore[misc]
    return path


WRITERS = {
    "classify": _classify,
    "tag": _tag,
    "relation": _relation,
    "pairs": _pairs,
    "qa": _qa,
    "similarity": _similarity,
    "seq2seq": _seq2seq,
}


def quick(**changes: object) -> FinetuneOptions:
    """Options for a training of a few steps."""
    return FinetuneOptions().changed({"epochs": 1, "batch_size": 16, "rank": 2, "virtual_tokens": 3, **changes})
