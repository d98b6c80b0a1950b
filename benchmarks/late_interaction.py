"""Late interaction over MiniLM's tokens: is it exact, is it good, how small, how fast, beside BM25, one vector a text and fast-plaid.

python benchmarks/late_interaction.py --data ../shared/data [--plaid PYTHON]

PYTHON is an interpreter with fast-plaid, which wants a torch of its own; its index of SciFact takes half an hour on two cores, so that set
is left out of the comparison unless --plaid-sets says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
from harness import RESULTS, keep
from late_words import explanations, keyphrase_scores, word_in_context
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.maxsim import maxsim
from semvec.embeddings.transforms import normalize
from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.index.multi_vector import MultiVectors
from semvec.index.residual import ResidualCodec
from semvec.search.token_searcher import token_encoder, token_settings
from semvec.selection.hard import Known, Strategy, hard_scores
from semvec.selection.soft import LearnedScorer, met_by
from semvec.selection.terms import Corpus
from semvec.store.collection import CANDIDATES, Collection
from semvec.store.token_collection import TokenCollection
from semvec.text.retrieval import RetrievalData, read_retrieval

SETS = ("scifact", "cranfield", "cisi", "med")
PRUNED = ("scifact", "cranfield")
SHARES = (0.75, 0.5, 0.25)
BITS = (2, 4, 16)
BLOCK = 512

Scores = NDArray[np.float32]


@dataclass
class Held:
    """A retrieval set with the vectors of its tokens and of its texts."""

    name: str
    data: RetrievalData
    documents: Embeddings
    queries: Embeddings
    texts: Scores
    asked: Scores

    @property
    def ids(self) -> list[str]:
        return list(self.data.documents)

    @property
    def judged(self) -> list[dict[str, int]]:
        return [self.data.qrels[name] for name in self.data.queries]

    def starts(self) -> NDArray[np.int64]:
        return np.searchsorted(self.documents.text_index, np.arange(len(self.ids)))


def held(encoder: Encoder, folder: Path, split: str = "test") -> Held:
    data = read_retrieval(folder, split)
    tokens = token_encoder(encoder)
    return Held(
        folder.name,
        data,
        tokens.encode_document(list(data.documents.values())),
        tokens.encode_query(list(data.queries.values())),
        encoder.encode_document(list(data.documents.values())).floats(),
        encoder.encode_query(list(data.queries.values())).floats(),
    )


def ndcg(ranked: list[str], judged: dict[str, int]) -> float:
    """nDCG@10 with gains as they are, by its definition (Järvelin and Kekäläinen, 2002)."""
    below = 1 / np.log2(np.arange(2, 12))
    gains = np.array([judged.get(name, 0) for name in ranked[:10]] + [0] * (10 - len(ranked[:10])))
    best = np.sort(np.array([*judged.values(), *[0] * 10]))[::-1][:10]
    return float(gains @ below / (best @ below))


def summed(values: list[float], base: list[float] | None = None) -> dict[str, float]:
    """Return the mean and its 95 % interval over queries drawn again and again; of the difference to ``base`` too."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(np.array(values)[draws].mean(axis=1), [2.5, 97.5])
    found = {"ndcg": float(np.mean(values)), "low": float(low), "high": float(high)}
    if base is not None:
        each = np.array(values) - np.array(base)
        found["more"], found["more_low"], found["more_high"] = (
            float(each.mean()),
            *np.percentile(each[draws].mean(axis=1), [2.5, 97.5]),
        )
    return {name: round(float(value), 4) for name, value in found.items()}


def exhaustive(its: Held) -> tuple[list[Scores], float]:
    """Return MaxSim of every query with every text by numpy in float32, and the median seconds of a query."""
    vectors, starts, seconds = normalize(its.documents.floats()), its.starts(), []
    scores = []
    for query in its.queries:
        begun = time.perf_counter()
        sims = vectors @ normalize(query.floats()).T
        scores.append(np.maximum.reduceat(sims, starts, axis=0).sum(axis=1))
        seconds.append(time.perf_counter() - begun)
    return scores, float(np.median(seconds))


def best(scores: Scores, ids: list[str]) -> list[str]:
    return [ids[at] for at in np.argsort(-scores, kind="stable")[:10]]


def timed(search: Callable[[int], Any], count: int) -> tuple[list[Any], float]:
    """Return what ``search`` finds for each of ``count`` queries, and the median seconds of one, after a warm-up."""
    for at in range(min(5, count)):
        search(at)
    found, seconds = [], []
    for at in range(count):
        begun = time.perf_counter()
        found.append(search(at))
        seconds.append(time.perf_counter() - begun)
    return found, float(np.median(seconds))


def built(its: Held, encoder: Encoder, bits: int, folder: Path) -> TokenCollection:
    collection = Collection.open(folder, token_settings(encoder, bits))
    assert isinstance(collection, TokenCollection)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.permutation(len(its.ids))[: max(1, len(its.ids) // 5)])
    collection.learn_tokens(Embeddings.concatenate([its.documents[int(at)] for at in drawn]), its.documents.rows)
    texts = list(its.data.documents.values())
    vectors = np.where(its.texts.any(axis=1, keepdims=True), its.texts, 1)  # an empty text has no direction of its own
    for at in range(0, len(its.ids), BLOCK):
        part = slice(at, at + BLOCK)
        collection.upsert_tokens(its.ids[part], vectors[part], its.documents[part], texts[part])
    return collection


def oracle(its: Held) -> dict[str, float]:
    """The largest difference of scores to numpy's and sentence-transformers' on what is kept, and of float16 to float32."""
    import torch
    from sentence_transformers.util import maxsim as peer

    starts, counts = its.starts(), np.diff([*its.starts(), its.documents.rows])
    worst: dict[str, float] = {}

    def compare(name: str, mine: Scores, other: Scores) -> None:
        worst[name] = max(worst.get(name, 0.0), float(np.abs(mine - other).max()))

    for bits in BITS:
        codec = ResidualCodec.learned(its.documents.floats(), bits, tokens=its.documents.rows)
        index = MultiVectors(codec, *codec.encode(its.documents.floats()), starts, counts)
        kept = codec.decode(index.marks, index.codes)
        documents = [torch.from_numpy(kept[start : start + count]) for start, count in zip(starts, counts, strict=True)]
        for query in its.queries:
            asked = normalize(query.floats())
            mine = index.exact(codec.asked(asked), np.arange(len(index)))
            compare(f"numpy, {bits} bits", mine, np.maximum.reduceat(kept @ asked.T, starts, axis=0).sum(axis=1))
            compare(f"sentence-transformers, {bits} bits", mine, peer([torch.from_numpy(asked)], documents)[0].numpy())
            if bits == 16:
                whole = [maxsim(asked, its.documents[at].floats()) for at in range(len(index))]
                compare("numpy, float32", mine, np.array(whole, dtype=np.float32))
    return worst


def retrieval(its: Held, encoder: Encoder, plaid: str | None) -> dict[str, Any]:
    """nDCG@10, time and size of each way to search one set."""
    ids, judged = its.ids, its.judged
    truth, seconds = exhaustive(its)
    ranked = [best(scores, ids) for scores in truth]
    base = [ndcg(one, qrels) for one, qrels in zip(ranked, judged, strict=True)]
    single = [ndcg(best(row, ids), qrels) for row, qrels in zip(its.asked @ its.texts.T, judged, strict=True)]
    rows: dict[str, Any] = {}
    found: dict[str, Any] = {"texts": len(ids), "tokens": its.documents.rows, "queries": len(judged), "rows": rows}

    def tell(name: str, hits: list[list[str]], **more: float) -> None:
        values = [ndcg(one, qrels) for one, qrels in zip(hits, judged, strict=True)]
        alike = float(np.mean([len(set(one[:10]) & set(two)) / 10 for one, two in zip(hits, ranked, strict=True)]))
        rows[name] = {**summed(values, single), "share_of_exhaustive": round(float(np.mean(values) / np.mean(base)), 4),
                      "recall_of_exhaustive": round(alike, 4), **{key: round(value, 3) for key, value in more.items()}}  # fmt: skip
        print(its.name, name, rows[name], flush=True)

    rows["one vector a text"] = summed(single)
    tell("MaxSim, float32, exhaustive (numpy)", ranked, ms=seconds * 1e3, bytes_a_token=4 * its.documents.dim)
    with tempfile.TemporaryDirectory() as place:
        for bits in BITS:
            begun = time.perf_counter()
            with built(its, encoder, bits, Path(place) / str(bits)) as collection:
                wall = time.perf_counter() - begun
                told = collection.info()["tokens"]
                size = told["bytes"] / told["tokens"]
                if bits == BITS[0]:
                    words = collection.search_words(list(its.data.queries.values()), 10)
                    tell("BM25", [hits.ids for hits in words])
                for name, candidates in (("exhaustive", None), (f"{CANDIDATES} candidates", CANDIDATES)):
                    if bits == BITS[-1] and candidates is None:
                        continue

                    def search(at: int, collection: TokenCollection = collection, among: int | None = candidates) -> list[str]:
                        return collection.search_tokens(its.queries[at], 10, candidates=among)[0].ids

                    hits, took = timed(search, len(judged))
                    tell(
                        f"semvec, {bits} bits, {name}",
                        hits,
                        ms=took * 1e3,
                        times=seconds / took,
                        bytes_a_token=size,
                        built_s=wall,
                    )
    if plaid:
        for row in beside_plaid(its, plaid):
            hits = [[ids[at] for at in one] for one in row.pop("found")]
            tell(row.pop("name"), hits, times=seconds * 1e3 / row["ms"], **row)
    return found


def beside_plaid(its: Held, python: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, side in (("documents", its.documents), ("queries", its.queries)):
            np.save(folder / f"{name}.npy", normalize(side.floats()))
            np.save(folder / f"{name}_counts.npy", np.bincount(side.text_index, minlength=len(side)))
        subprocess.run([python, str(Path(__file__).parent / "late_plaid.py"), place], check=True, stdout=sys.stderr)
        yield from json.loads((folder / "found.json").read_text())


def telling(encoder: Encoder, folder: Path) -> LearnedScorer:
    """A scorer that learned from training queries which tokens of the texts that answer them they meet."""
    data = read_retrieval(folder, "train")
    tokens = token_encoder(encoder)
    answered: dict[str, list[str]] = {}
    for query, judged in data.qrels.items():
        for name, grade in judged.items():
            if grade > 0:
                answered.setdefault(name, []).append(query)
    names = list(answered)
    documents = tokens.encode_document([data.documents[name] for name in names])
    queries = dict(zip(data.queries, tokens.encode_query(list(data.queries.values())), strict=True))
    met = [met_by([queries[query] for query in answered[name]], documents[at]) for at, name in enumerate(names)]
    return LearnedScorer.fit(documents.floats(), np.concatenate(met), fingerprint=documents.fingerprint)


def pruning(its: Held, scorer: LearnedScorer) -> dict[str, Any]:
    """nDCG@10 of the tokens that each strategy keeps, all in the codes of one index of 4 bits."""
    texts = list(its.data.documents.values())
    corpus = Corpus()
    corpus.see(texts)
    vectors = its.documents.floats()
    sample = np.sort(np.random.default_rng(0).choice(len(vectors), min(len(vectors), 1 << 17), replace=False))
    codec = ResidualCodec.learned(vectors[sample], 4, tokens=len(vectors))
    marks, codes = codec.encode(vectors)
    ways = {str(way): hard_scores(way, its.documents, texts, Known(corpus))
            for way in (Strategy.LEAD, Strategy.RANDOM, Strategy.FREQUENCY, Strategy.IDF, Strategy.TF_IDF, Strategy.CENTROID)}  # fmt: skip
    ways["learned"] = scorer.scores(its.documents)
    counts, starts = np.diff([*its.starts(), len(vectors)]), its.starts()

    def scored(keep: NDArray[np.int64], counts: NDArray[np.int64]) -> list[float]:
        index = MultiVectors(codec, marks[keep], codes[keep], np.cumsum(counts) - counts, counts)
        hits = [index.search(query.floats(), 10, candidates=512)[0] for query in its.queries]
        return [ndcg([its.ids[at] for at in one], qrels) for one, qrels in zip(hits, its.judged, strict=True)]

    whole = scored(np.arange(len(vectors)), counts)
    found: dict[str, Any] = {"all": summed(whole)}
    for share in SHARES:
        kept_counts = np.ceil(counts * share).astype(np.int64)
        values = {}
        for name, scores in ways.items():
            kept = [np.sort(start + np.argsort(-scores[start : start + count], kind="stable")[:k])
                    for start, count, k in zip(starts, counts, kept_counts, strict=True)]  # fmt: skip
            values[name] = scored(np.concatenate(kept), kept_counts)
        found[str(share)] = {name: summed(each, values["random"]) for name, each in values.items()}
        print(its.name, share, {name: one["ndcg"] for name, one in found[str(share)].items()}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plaid", help="a Python that has fast-plaid")
    parser.add_argument(
        "--sets", nargs="*", default=list(SETS), choices=SETS, help="measure these anew; what is kept of others stays"
    )
    parser.add_argument("--plaid-sets", nargs="*", default=list(SETS[1:]), choices=SETS)
    parts = ("retrieval", "words")
    parser.add_argument(
        "--parts", nargs="*", default=list(parts), choices=parts, help="words: explanations, word in context, keyphrases"
    )
    options = parser.parse_args()
    encoder = load_encoder("minilm", device="cpu")
    kept = RESULTS / "late_interaction.json"
    results: dict[str, Any] = json.loads(kept.read_text())["results"] if kept.exists() else {"retrieval": {}, "pruning": {}}
    if "retrieval" in options.parts:
        results["oracle"] = oracle(held(encoder, options.data / "adi"))
        scorer = telling(encoder, options.data / "scifact") if set(options.sets) & set(PRUNED) else None
        for name in options.sets:
            its = held(encoder, options.data / name)
            results["retrieval"][name] = retrieval(its, encoder, options.plaid if name in options.plaid_sets else None)
            if scorer is not None and name in PRUNED:
                results["pruning"][name] = pruning(its, scorer)
            keep("late_interaction", results)
    if "words" in options.parts:
        results["explain"] = explanations(encoder, options.data)
        results["wic"] = word_in_context(options.data)
        results["keyphrases"] = keyphrase_scores(encoder, options.data)
        keep("late_interaction", results)


if __name__ == "__main__":
    main()
