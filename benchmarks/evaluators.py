"""Does semvec evaluate as sentence-transformers' own evaluators do, on the same files? MiniLM, and GloVe beside gensim.

python benchmarks/evaluators.py --data ../shared/data          (MTEB's own: benchmarks/mteb_check.py)
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from harness import keep
from sentence_transformers import SentenceTransformer
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator, InformationRetrievalEvaluator

from semvec.encoders.catalog import find_model
from semvec.evaluate.run import evaluate
from semvec.evaluate.task import EvaluateOptions
from semvec.text.columns import split_file
from semvec.text.examples import read_scored_pairs
from semvec.text.retrieval import read_retrieval

ALLOWED = 0.002
QUICK = EvaluateOptions(resamples=100, baselines=False, measures=("nDCG@10", "RR@10", "R@100"))


def sts(model: Any, folder: Path) -> dict[str, float]:
    pairs = read_scored_pairs(split_file(folder, "dev"))
    found = EmbeddingSimilarityEvaluator(pairs.first, pairs.second, pairs.scores, main_similarity="cosine", write_csv=False)(
        model
    )
    return {"spearman": found["spearman_cosine"], "pearson": found["pearson_cosine"]}


def retrieval(model: Any, folder: Path) -> dict[str, float]:
    data = read_retrieval(folder)
    relevant = {query: {name for name, grade in judged.items() if grade > 0} for query, judged in data.qrels.items()}
    found = InformationRetrievalEvaluator(
        data.queries, data.documents, relevant, ndcg_at_k=[10], mrr_at_k=[10], precision_recall_at_k=[100], write_csv=False
    )(model)
    return {"nDCG@10": found["cosine_ndcg@10"], "RR@10": found["cosine_mrr@10"], "R@100": found["cosine_recall@100"]}


def words(path: Path) -> dict[str, float]:
    from gensim.models import KeyedVectors

    from semvec.encoders.catalog import load_encoder

    table = load_encoder("glove-50d").table  # type: ignore[attr-defined]
    keyed = KeyedVectors(table.dim)
    keyed.add_vectors(list(table.words), table.vectors[:])
    return {"spearman": float(keyed.evaluate_word_pairs(str(path))[1].statistic)}


PEERS = {"sts": sts, "retrieval": retrieval}
SETS = (("sts", "stsb"), ("sts", "sick"), ("retrieval", "scifact"), ("retrieval", "med"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    model = SentenceTransformer(str(find_model("minilm").path), device="cpu")
    rows = []
    for task, folder in SETS:
        mine = evaluate(task, ["minilm"], data / folder, QUICK).lines[0].measures
        for name, value in PEERS[task](model, data / folder).items():
            rows.append(
                {"data": folder, "measure": name, "semvec": mine[name].value, "peer": value, "of": "sentence-transformers"}
            )
    path = data / "wordsim_en" / "wordsim353.tsv"
    mine = evaluate("words", ["glove-50d"], path, QUICK).lines[0].measures
    rows.append(
        {
            "data": "WordSim-353",
            "measure": "spearman",
            "semvec": mine["spearman"].value,
            "peer": words(path)["spearman"],
            "of": "gensim",
        }
    )
    for row in rows:
        row["difference"] = row["semvec"] - row["peer"]
    keep("evaluators", {"rows": rows, "largest_difference": max(abs(row["difference"]) for row in rows)})
    assert all(abs(row["difference"]) <= ALLOWED for row in rows), "further apart than two tenths of a point"


if __name__ == "__main__":
    main()
