"""Similarity: every loss on the data it is for, and measures against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

from semvec.encoders.catalog import load_encoder
from semvec.errors import OptionError
from semvec.finetune.loading import load_model
from semvec.finetune.train import finetune
from semvec.text.similar import read_similar
from tests.finetune import small
from tests.finetune.small import quick

HEADERS = {
    "pairs": "sentence1\tsentence2",
    "triplets": "anchor\tpositive\tnegative",
    "labelled": "label\tsentence1\tsentence2",
    "texts": "text",
}


def table(kind: str, folder: Path) -> Path:
    texts = [text for _, text in small.texts(48, 9)]
    others = texts[1:] + texts[:1]
    rows = {
        "pairs": zip(texts, others, strict=True),
        "triplets": zip(texts, others, reversed(texts), strict=True),
        "labelled": zip("01" * 24, texts, others, strict=True),
        "texts": zip(texts, strict=True),
    }[kind]
    return small._table(folder / f"{kind}.tsv", HEADERS[kind], ("\t".join(row) for row in rows))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("scored", {}),
        ("scored", {"matryoshka": (8,)}),
        ("scored", {"strategy": "lora"}),
        ("scored", {"strategy": "adapter"}),
        ("pairs", {}),
        ("pairs", {"hard_negatives": 2}),
        ("triplets", {}),
        ("triplets", {"loss": "triplet"}),
        ("labelled", {}),
        ("texts", {}),
        ("texts", {"loss": "tsdae"}),
    ],
)
def test_every_loss_moves_the_encoder(kind: str, changes: dict[str, object], base: Path, tmp_path: Path) -> None:
    scored = small.write("similarity", tmp_path)
    data = scored if kind == "scored" else table(kind, tmp_path)
    assert read_similar(data).kind == kind
    options = quick(learning_rate=1e-2, **changes)
    validation = scored if kind == "texts" else None
    made = finetune("similarity", base, data, tmp_path / "m", validation=validation, options=options)
    assert made.record["before"] is not None
    text = ["everyone has the right to freedom"]
    own, before = (load_encoder(folder).encode(text).vectors for folder in (tmp_path / "m", base))
    assert np.abs(own - before).max() > 1e-3
    if options.strategy == "full":
        np.testing.assert_allclose(own, SentenceTransformer(str(tmp_path / "m")).encode(text), atol=1e-5)
    again = load_model(tmp_path / "m")
    examples = read_similar(scored)
    said = [answer["score"] for answer in again.predict(examples)]
    encoder = load_encoder(tmp_path / "m")
    one, other = (encoder.encode(texts, normalize=True).vectors for texts in (examples.first, examples.second))
    np.testing.assert_allclose(said, (one * other).sum(1), atol=1e-4)
    assert again.measured(examples).outcomes[0].value == pytest.approx(spearmanr(examples.scores, said).statistic, abs=1e-6)


def test_a_loss_that_does_not_fit_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="loss 'triplet' wants triplets, and the data are pairs"):
        finetune("similarity", base, table("pairs", tmp_path), tmp_path / "m", options=quick(loss="triplet"))
    with pytest.raises(OptionError, match="similarity has none"):
        finetune("similarity", base, table("pairs", tmp_path), tmp_path / "m", options=quick(strategy="head"))


def test_a_model_stored_in_16_bits_learns_in_32(base: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    SentenceTransformer(str(base), device="cpu").half().save_pretrained(str(half))
    made = finetune("similarity", half, table("pairs", tmp_path), tmp_path / "model", options=quick(), before=False)
    assert {weight.dtype for weight in made.model.module.parameters()} == {torch.float32}
    assert load_encoder(tmp_path / "model").encode(["a"]).vectors.dtype == np.float32
