"""Are the vectors those of the libraries they come from? Sentence-transformers, AutoModel and gensim as oracles.

python benchmarks/parity.py --data ../shared/data
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import harness
import numpy as np

import semvec
from semvec.encoders.catalog import find_model


def against_sentence_transformers(texts: list[str]) -> dict[str, Any]:
    """Compare text vectors of MiniLM, ours in large mixed batches, theirs as their ``encode`` makes them."""
    from sentence_transformers import SentenceTransformer

    mine = semvec.load_encoder("minilm", device="cpu").encode(texts)
    theirs = SentenceTransformer(str(find_model("minilm").path), device="cpu").encode(texts)
    cosine = (mine.vectors * theirs).sum(1) / np.linalg.norm(mine.vectors, axis=1) / np.linalg.norm(theirs, axis=1)
    return {
        "texts": len(texts),
        "tokens_median": int(np.median(mine.n_tokens)),
        "tokens_most": int(mine.n_tokens.max()),
        "texts_cut": int((mine.n_truncated > 0).sum()),
        "cosine_least": float(cosine.min()),
        "max_abs_difference": float(np.abs(mine.vectors - theirs).max()),
    }


def against_automodel(texts: list[str], side: str) -> dict[str, Any]:
    """Compare token vectors of MiniLM in padded batches with ``AutoModel`` on each text alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from semvec.encoders.contextual import ContextualEncoder

    folder = find_model("minilm").path
    encoder = ContextualEncoder.from_pretrained(folder, device="cpu", max_tokens=256)
    encoder.transformer.left = side == "left"
    found = encoder.encode(texts, level="token")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    largest, rows = 0.0, 0
    for i, text in enumerate(texts):
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            alone = model(**inputs).last_hidden_state[0, 1:-1].numpy()
        assert found[i].vectors.shape == alone.shape
        largest = max(largest, float(np.abs(found[i].vectors - alone).max(initial=0)))
        rows += len(alone)
    return {"texts": len(texts), "tokens": rows, "padded": side, "max_abs_difference": largest}


def against_gensim(texts: list[str]) -> dict[str, Any]:
    """Compare word vectors of GloVe with gensim's ``KeyedVectors`` on every word of ``texts``."""
    from gensim.models import KeyedVectors

    encoder = semvec.load_encoder("glove-50d")
    table = encoder.table  # type: ignore[attr-defined]
    keyed = KeyedVectors(50)
    keyed.add_vectors(list(table.words), np.asarray(table.vectors))
    found = encoder.encode([text.lower() for text in texts], level="word")
    exact = found.oov == 0
    expected = np.stack([keyed[word] for word in found.surface[exact]])
    return {
        "words": int(found.rows),
        "in_vocabulary": int(exact.sum()),
        "max_abs_difference": float(np.abs(found.vectors[exact] - expected).max()),
        "out_of_vocabulary_all_zero": bool((found.vectors[found.oov == 5] == 0).all()),
    }


def neighbours(texts: list[str]) -> dict[str, Any]:
    """Show how much a text's vector varies with what else is in its batch, as it comes and under ``deterministic``."""
    result: dict[str, Any] = {"texts": len(texts)}
    for name, options in (("default", {}), ("deterministic", {"deterministic": True})):
        encoder = semvec.load_encoder("minilm", device="cpu", **options)  # type: ignore[arg-type]
        together, shuffled = encoder.encode(texts).vectors, encoder.encode(texts[::-1], batch_tokens=1500).vectors[::-1]
        alone = np.concatenate([encoder.encode([text]).vectors for text in texts])
        again = encoder.encode(texts[::-1]).vectors[::-1]
        result[name] = {
            "max_abs_difference_to_alone": float(np.abs(together - alone).max()),
            "max_abs_difference_to_other_batches": float(np.abs(together - (again if options else shuffled)).max()),
            "bits_equal": bool((together == alone).all() and (together == again).all()),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    texts = harness.mixed(data, 2000)
    some = harness.mixed(data, 300, seed=1)
    harness.keep(
        "parity",
        {
            "sentence_vectors": against_sentence_transformers(texts),
            "token_vectors": [against_automodel(some, side) for side in ("left", "right")],
            "word_vectors": against_gensim(texts),
            "neighbours": neighbours(some),
        },
    )


if __name__ == "__main__":
    main()
