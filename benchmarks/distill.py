"""What does a static model keep of its teacher, and how much faster is it? MiniLM distilled, on the pairs of STS-B dev.

python benchmarks/distill.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import harness

import semvec
from semvec.encoders.distill import distill
from semvec.encoders.protocol import Encoder
from semvec.encoders.static import StaticEncoder
from semvec.evaluate.sts import pair_quality
from semvec.text.examples import ScoredPairs, read_scored_pairs

ROUNDS, SLOWER = 5, 20
TAKE = {"captions": 8000, "reviews": 3000, "subjective": 2000, "questions": 2000, "sick": 3000, "news": 2000}
"""How many texts of each kind the student learns from; none is of STS-B, whose training part chose the settings."""


def column(path: Path, *names: str) -> list[str]:
    """Return the cells of some columns of a table with a header, the file gzipped or not."""
    lines = harness.zipped(path) if path.suffix == ".gz" else path.read_text(encoding="utf-8").split("\n")
    places = [lines[0].split("\t").index(name) for name in names]
    return [line.split("\t")[place] for line in lines[1:] if line for place in places]


def texts_to_learn_from(data: Path, unseen: ScoredPairs) -> list[str]:
    """Return texts of several kinds without those of ``unseen``, compared by their letters alone."""

    def bare(text: str) -> str:
        return re.sub(r"\W+", " ", text.lower()).strip()

    kinds = {
        "captions": column(data / "multi30k" / "train.tsv.gz", "en"),
        "reviews": column(data / "sst2" / "train.tsv", "text"),
        "subjective": column(data / "subj" / "train.tsv", "text"),
        "questions": column(data / "trec6" / "train.tsv", "text"),
        "sick": column(data / "sick" / "train.tsv", "sentence1", "sentence2"),
        "news": column(data / "agnews" / "train.tsv", "text"),
    }
    banned = {bare(text) for text in unseen.first + unseen.second}
    fresh = {
        kind: [text for text in dict.fromkeys(texts) if text.strip() and bare(text) not in banned]
        for kind, texts in kinds.items()
    }
    return [text for kind, texts in fresh.items() for text in texts[: TAKE[kind]]]


def model2vecs_own(folder: Path) -> Any:
    """Return what model2vec distils with its own settings, from the same transformer."""
    from model2vec.distill import distill as theirs

    return theirs(str(folder), device="cpu", pca_dims=256)


def own_quality(model: Any, pairs: ScoredPairs) -> dict[str, Any]:
    """Return the Spearman of a model of another library, anything with ``encode``."""
    import numpy as np

    from semvec.embeddings.transforms import normalize
    from semvec.measures.basic import spearman
    from semvec.measures.intervals import bootstrap

    left, right = (normalize(model.encode(side)) for side in (pairs.first, pairs.second))
    return asdict(bootstrap(spearman, np.einsum("ij,ij->i", left, right), np.array(pairs.scores)))


def unread(model: Any) -> Any:
    """Return ``model`` as it is before its first text, so that no word it met before is looked up."""
    return StaticEncoder(model.table, model=model.model, options=model.options) if isinstance(model, StaticEncoder) else model


def speeds(models: dict[str, Any], texts: list[str], teacher: str) -> dict[str, dict[str, float]]:
    """Return texts a second of each, and the median over rounds of its ratio to the teacher's in the same round.

    The teacher, which would take minutes, reads every 20th of the texts.
    """
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        rates = {}
        for name, model in models.items():
            seconds: list[float] = []
            while not seconds or sum(seconds) < 1:
                one, some = unread(model), texts[:: SLOWER if name == teacher else 1]
                started = perf_counter()
                one.encode(some)
                seconds.append(perf_counter() - started)
            rates[name] = len(some) / median(seconds)
        rounds.append(rates)
    return {
        name: {
            "texts_per_second": round(median(rates[name] for rates in rounds)),
            "times_the_teacher": round(median(rates[name] / rates[teacher] for rates in rounds)),
        }
        for name in models
    }


def main() -> None:
    from semvec.encoders.catalog import find_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    pairs = read_scored_pairs(data / "stsb" / "dev.tsv")
    teacher = semvec.load_encoder("minilm", device="cpu")
    corpus = texts_to_learn_from(data, pairs)
    with tempfile.TemporaryDirectory() as folder:
        plain = distill(teacher, Path(folder) / "plain", dims=teacher.dim)
        learnt = distill(teacher, Path(folder) / "learnt", corpus=corpus)
        full = semvec.load_encoder(plain.path)
        encoders: dict[str, Encoder] = {
            "minilm": teacher,
            "distilled, 384": full,
            "distilled, 256": full.with_options(truncate_dim=256),  # principal components: the same as dims=256
            f"distilled on {learnt.texts:,} texts, 256": semvec.load_encoder(learnt.path),
            "wordllama": semvec.load_encoder("wordllama"),
            "glove-50d": semvec.load_encoder("glove-50d"),
        }
        theirs = {"model2vec's own distill and encode, 256": model2vecs_own(find_model("minilm").path)}
        quality = {name: asdict(pair_quality(encoder, pairs).spearman) for name, encoder in encoders.items()}
        quality |= {name: own_quality(model, pairs) for name, model in theirs.items()}
        rates = speeds({**encoders, **theirs}, random.Random(0).sample(corpus, len(corpus)), "minilm")
        dims = {name: encoder.dim for name, encoder in encoders.items()}
    harness.keep(
        "distill",
        {
            "pairs": len(pairs),
            "texts_timed": len(corpus),
            "corpus": {"texts": learnt.texts, "texts_cut": learnt.texts_cut, "taken": TAKE},
            "seconds": {"distil": round(plain.seconds, 1), "distil and learn": round(learnt.seconds, 1)},
            "models": {name: {"dim": dims.get(name, 256), "spearman": found, **rates[name]} for name, found in quality.items()},
        },
    )


if __name__ == "__main__":
    main()
