"""What late_interaction.py measures of words: explanations, word in context, keyphrases."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from semvec.encoders.protocol import Encoder
from semvec.evaluate.run import evaluate
from semvec.evaluate.task import EvaluateOptions
from semvec.search.explain import _left_out, explain
from semvec.search.keyphrases import keyphrases
from semvec.text.columns import split_file
from semvec.text.examples import read_scored_pairs

PAIRS, LONG, WORDS = 300, 5, 200
DOCUMENTS = 500
PUBLISHED = {"BERT-large, threshold (Pilehvar and Camacho-Collados, 2019), test set": 0.655}


def explanations(encoder: Encoder, data: Path) -> dict[str, float]:
    """How far shares are from adding up to the score, and how long 200 words take beside leaving each out."""
    pairs = read_scored_pairs(split_file(data / "stsb", "dev"))
    worst = 0.0
    for one, other in list(zip(pairs.first, pairs.second, strict=True))[:PAIRS]:
        found = explain(encoder, one, other)
        assert found.pairs is not None
        score = float(encoder.encode([one]).vectors[0].astype(np.float64) @ encoder.encode([other]).vectors[0])
        sums = (sum(part.share for part in found.one), sum(part.share for part in found.other), float(found.pairs.sum()))
        worst = max(worst, *(abs(its - score) for its in sums))
    with gzip.open(data / "scifact" / "corpus.jsonl.gz", "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"].split() for line in stream]
    long = [" ".join(words[:WORDS]) for words in texts if len(words) >= WORDS][: 2 * LONG]
    quick: list[float] = []
    slow: list[float] = []
    for one, other in zip(long[::2], long[1::2], strict=True):
        begun = time.perf_counter()
        explain(encoder, one, other)
        middle = time.perf_counter()
        _left_out(encoder, (one, other), 0.0, cosine=True)
        quick, slow = [*quick, middle - begun], [*slow, time.perf_counter() - middle]
    return {"pairs": PAIRS, "largest_difference": worst, "words": WORDS, "ms": float(np.median(quick) * 1e3),
            "ms_leaving_each_out": float(np.median(slow) * 1e3), "times": float(np.median(slow) / np.median(quick))}  # fmt: skip


def word_in_context(data: Path) -> dict[str, Any]:
    """Accuracy on WiC's dev pairs with a threshold from its training pairs; the commoner label beside it."""
    found: dict[str, Any] = {"published": PUBLISHED}
    for line in evaluate("wic", ["minilm", "glove-50d"], data / "wic", EvaluateOptions()).lines:
        value = line.measures["accuracy"]
        found[line.model] = {"accuracy": value.value, "low": value.low, "high": value.high}
    return found


def keyphrase_scores(encoder: Encoder, data: Path) -> dict[str, Any]:
    """F1@10 on Inspec of what semvec and KeyBERT find with the same encoder and the same settings."""
    from gensim.parsing.porter import PorterStemmer
    from keybert import KeyBERT
    from sentence_transformers import SentenceTransformer

    from semvec.encoders.catalog import find_model

    stem = PorterStemmer().stem_sentence
    with gzip.open(data / "kp_inspec" / "docs.jsonl.gz", "rt", encoding="utf-8") as stream:
        documents = [json.loads(line) for line in stream][:DOCUMENTS]
    texts = [its["text"] for its in documents]
    gold = [{plain(phrase, stem) for phrase in its["keyphrases"]} for its in documents]
    present = np.mean([phrase in plain(text, stem) for text, its in zip(texts, gold, strict=True) for phrase in its])
    peer = KeyBERT(SentenceTransformer(str(find_model("minilm").path), device="cpu"))
    rows: dict[str, Any] = {}
    for diversity in (0.0, 0.3):
        begun = time.perf_counter()
        mine = [[its.text for its in one] for one in keyphrases(texts, encoder, 10, ngrams=(1, 3), diversity=diversity)]
        middle = time.perf_counter()
        options = {"keyphrase_ngram_range": (1, 3), "stop_words": "english", "top_n": 10}
        theirs = [
            [name for name, _ in peer.extract_keywords(text, use_mmr=diversity > 0, diversity=diversity, **options)]
            for text in texts
        ]
        end = time.perf_counter()
        for name, its, seconds in (("semvec", mine, middle - begun), ("KeyBERT", theirs, end - middle)):
            rows[f"{name}, diversity {diversity}"] = {**scored(its, gold, stem), "seconds": round(seconds, 1)}
    mean = np.mean(rows["semvec, diversity 0.3"].pop("each")) - np.mean(each := rows["KeyBERT, diversity 0.3"].pop("each"))
    for row in rows.values():
        row.pop("each", None)
    return {"documents": len(texts), "gold_in_text": float(present), "rows": rows, "more": float(mean), "of": len(each)}


def plain(phrase: str, stem: Any) -> str:
    return " ".join(stem(" ".join(word for word in "".join(c if c.isalnum() else " " for c in phrase.lower()).split())).split())


def scored(found: list[list[str]], gold: list[set[str]], stem: Any) -> dict[str, Any]:
    """F1 of the first ten, stems compared; a phrase counts once."""
    each = []
    for phrases, its in zip(found, gold, strict=True):
        said = list(dict.fromkeys(plain(phrase, stem) for phrase in phrases))
        right = len(set(said) & its)
        each.append(2 * right / (len(said) + len(its)) if said else 0.0)
    draws = np.random.default_rng(0).integers(len(each), size=(2000, len(each)))
    low, high = np.percentile(np.array(each)[draws].mean(axis=1), [2.5, 97.5])
    return {"F1@10": round(float(np.mean(each)), 4), "low": round(float(low), 4), "high": round(float(high), 4), "each": each}
