"""Does looking things up help? Models in all ways beside the same model alone, facts added and removed, open-book answers.

python benchmarks/augment.py --data ../shared/data
python benchmarks/augment.py --data ../shared/data --part squad --reader reader

Parts: ways (each on the frozen encoder and, with ``--strategy full``, on all of it; WNUT-17 is tagged by concat), facts (labels that hang on facts
which stand in the collection alone), scale (what a million passages cost), squad (questions over all paragraphs of SQuAD's articles; ``--reader`` is a model of
`semvec finetune qa`, learnt from four fifths of them as benchmarks/finetune.py splits them). Runs that are in
results/augment.json already are not run again (``--again`` does).
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import harness
import numpy as np

SETS = {"trec6": "classify", "banking77": "classify", "sst2": "classify", "wnut17": "tag"}
WAYS = ("concat", "joint", "cross-attention")
ALONE = "looking nothing up"
KS = (1, 5, 10)
TEMPERATURES = (0.1, 0.2, 0.3, 0.5, 1.0)
SAMPLE, ASKED = 200, 500
"""Training questions on which the temperature is chosen, and test questions that are asked, drawn by chance."""

SCALES = ((100_000, "auto"), (1_000_000, "auto"), (1_000_000, "ivf-pq"))
BLOCK, NOISE, MOST_ASKED = 20_000, 0.5, 100


def kept(found: Any) -> dict[str, Any]:
    """Return what the first measure of ``found`` is and goes by, so that models can be compared example by example."""
    its = found.outcomes[0]
    [column] = its.columns
    rows = np.asarray(column, dtype=np.uint8).reshape(len(column), -1)
    return {"measure": its.measure, "width": rows.shape[1], "rows": rows.tobytes().hex()}


def options_of(strategy: str, seed: int) -> Any:
    """Return how all models are trained here."""
    from semvec.finetune.options import FinetuneOptions

    return FinetuneOptions(strategy=strategy, seed=seed, precision="float32" if strategy == "head" else "bf16")  # type: ignore[arg-type]


def looked_up(data: Path, name: str, way: str, strategy: str, seed: int) -> list[dict[str, Any]]:
    """Return what a model that looks things up is worth on the test, beside itself where nothing is found, and what it costs."""
    from semvec.augment.memory import Retrieval
    from semvec.augment.train import train

    with tempfile.TemporaryDirectory() as folder:
        how, options = Retrieval(4), options_of(strategy, seed)
        made = train("minilm", data / name, Path(folder) / "m", task=SETS[name], way=way, retrieval=how, options=options)
        return [{**worth(made.path, data / name), "seconds": made.record["seconds"]}]


def worth(place: Path, data: Path) -> dict[str, Any]:
    """Return what the model that looks things up in ``place`` is worth on the test of ``data``, and what it costs."""
    from semvec.augment.kinds import open_model
    from semvec.augment.report import FOUND, compared

    with open_model(place) as model:
        its = compared(model, data, split="test")
        weighing = model.described.weighing.to_json()
    found = its.examined.found[FOUND]
    return {
        "lines": its.lines,
        "differences": its.differences,
        "weighing": weighing,
        "cost": its.examined.to_json(),
        **kept(found),
    }


def plain(data: Path, name: str, strategy: str, seed: int) -> list[dict[str, Any]]:
    """Return what a model that looks nothing up is worth on the test, and, of labels, the same model with neighbours weighed."""
    from semvec.augment.memory import Retrieval
    from semvec.augment.train import train
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.report import TUNED, report
    from semvec.finetune.train import finetune

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "m"
        made = finetune(SETS[name], "minilm", data / name, place, options=options_of(strategy, seed), before=False)
        found = report(place, data / name, split="test", baselines=False)
        rows.append({"way": ALONE, "lines": {ALONE: found.lines[TUNED]}, "seconds": made.record["seconds"], **kept(found.found)})
        for way in ("knn", "gate") if SETS[name] == "classify" else ():
            options = FinetuneOptions(seed=seed)
            its = train(place, data / name, Path(folder) / way, way=way, retrieval=Retrieval(4), options=options, as_is=True)
            rows.append({"way": way, **worth(its.path, data / name), "seconds": its.record["seconds"]})
    return rows


def names_of(data: Path, split: str) -> list[tuple[str, str]]:
    """Return the names of WNUT-17 and their kinds, each once."""
    from semvec.text.columns import split_file
    from semvec.text.tagged import entities, read_tagged

    found: dict[str, str] = {}
    read = read_tagged(split_file(data / "wnut17", split, suffixes=(".conll", ".iob2", ".bio")))
    for words, tags in zip(read.words, read.tags, strict=True):
        for its in entities(tags):
            found.setdefault(" ".join(words[its.start : its.end]), its.kind)
    return sorted(found.items())


def facts(data: Path, way: str, seed: int) -> dict[str, Any]:
    """Return the accuracy where the label is a fact's, before it is in the collection, while it is, and after it was removed.

    A text asks about a made-up word; what it stands for, a name of WNUT-17, is said in one text of the collection; the label is
    the kind of that name. Names of the test are in no training text.
    """
    from semvec.augment.classifier import RetrievalAugmentedClassifier
    from semvec.augment.memory import Retrieval, new_memory
    from semvec.augment.train import train
    from semvec.encoders.catalog import load_encoder
    from semvec.finetune.options import FinetuneOptions
    from semvec.text.examples import LabelledTexts

    rng, how, said = random.Random(seed), Retrieval(2, hybrid=True), set[str]()

    def word() -> str:
        while (made := "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(4))) in said:
            pass
        said.add(made)
        return made

    parts = {split: [(word(), name, kind) for name, kind in names_of(data, split)] for split in ("train", "dev", "test")}
    seen = {name.casefold() for _, name, _ in parts["train"]}
    parts["test"] = [row for row in parts["test"] if row[1].casefold() not in seen]
    with tempfile.TemporaryDirectory() as folder:
        for split, rows in parts.items():
            lines = [json.dumps({"label": kind, "text": f"what is {made} ?"}) for made, _, kind in rows]
            (Path(folder) / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with new_memory(Path(folder) / "facts", load_encoder("minilm"), how) as memory:
            for split in ("train", "dev"):
                memory.add([made for made, _, _ in parts[split]], [f"{made} is {name}" for made, name, _ in parts[split]])
        options = FinetuneOptions(seed=seed, precision="bf16", epochs=8)
        train(
            "minilm", Path(folder), Path(folder) / "m", way=way, retrieval=how, collection=Path(folder) / "facts", options=options
        )
        with RetrievalAugmentedClassifier.open(Path(folder) / "m") as model:
            asked = LabelledTexts([f"what is {made} ?" for made, _, _ in parts["test"]], [kind for _, _, kind in parts["test"]])
            found = {"before": model.measured(asked).outcomes[0].interval()}
            model.add([f"{made} is {name}" for made, name, _ in parts["test"]], ids=[made for made, _, _ in parts["test"]])
            found["with the facts"] = model.measured(asked).outcomes[0].interval()
            model.remove([made for made, _, _ in parts["test"]])
            found["after"] = model.measured(asked).outcomes[0].interval()
    kinds = [kind for _, _, kind in parts["test"]]
    commonest = max(kinds.count(kind) for kind in set(kinds)) / len(kinds)
    return {"test": len(kinds), "commonest": commonest, **{name: vars(its) for name, its in found.items()}}


def squad(data: Path, reader: Path) -> Iterator[dict[str, Any]]:
    """Give the recall of retrieval, the reader's F1 on the right paragraph, and that of both together, on test articles."""
    from semvec.augment.reader import RetrievalReader
    from semvec.encoders.catalog import load_encoder
    from semvec.finetune.answer import normalised, token_f1
    from semvec.finetune.loading import load_model
    from semvec.results import Hit, Hits
    from semvec.search.fusion import Fusion
    from semvec.search.searcher import Searcher, settings_for
    from semvec.search.token_searcher import TokenSearcher, token_settings
    from semvec.store.collection import Collection
    from semvec.text.document import Document

    articles = json.loads(gzip.decompress((data / "squad_dev" / "train.json.gz").read_bytes()))["data"]
    paragraphs = list(dict.fromkeys(its["context"] for article in articles for its in article["paragraphs"]))
    ids = {text: str(at) for at, text in enumerate(paragraphs)}
    random.Random(0).shuffle(articles)  # as benchmarks/finetune.py splits them
    cut = round(0.2 * len(articles))

    def questions(some: list[Any]) -> list[tuple[str, str, list[str]]]:
        return [
            (one["question"], ids[its["context"]], [answer["text"] for answer in one["answers"]])
            for article in some
            for its in article["paragraphs"]
            for one in its["qas"]
        ]

    test, learnt = questions(articles[:cut]), questions(articles[cut:])
    test = random.Random(2).sample(test, min(ASKED, len(test)))
    chosen_on = random.Random(1).sample(learnt, min(SAMPLE, len(learnt)))
    model, encoder = load_model(reader), load_encoder("minilm")

    class Remembering(RetrievalReader):
        """Reads no pair of a question and a passage twice."""

        def _spans(self, pairs: Any, progress: Any) -> list[list[tuple[int, int, float]]]:
            new = [pair for pair in pairs if (pair[0], pair[1].text) not in read]
            read.update({(pair[0], pair[1].text): its for pair, its in zip(new, super()._spans(new, progress), strict=True)})
            return [read[pair[0], pair[1].text] for pair in pairs]

    read: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
    documents = [Document(name, text) for text, name in ids.items()]

    def worth(asked: list[Any], rows: list[tuple[str, str, list[str]]]) -> dict[str, float]:
        pairs = [(its.answers[0].answer if its.answers else "", right) for its, (_, _, right) in zip(asked, rows, strict=True)]
        f1 = np.mean([max(token_f1(one, said) for one in right) for said, right in pairs])
        exact = np.mean([max(float(normalised(one) == normalised(said)) for one in right) for said, right in pairs])
        return {"f1": float(f1), "exact": float(exact)}

    with tempfile.TemporaryDirectory() as folder:
        for kind in ("vectors", "vectors and words", "tokens"):
            settings = token_settings(encoder) if kind == "tokens" else settings_for(encoder)
            with Collection.open(Path(folder) / kind, settings) as collection:
                searcher: Any = (TokenSearcher if kind == "tokens" else Searcher)(encoder, collection)
                list(searcher.add(documents))
                how = {"hybrid": Fusion()} if kind == "vectors and words" else {}
                began = perf_counter()
                hits = searcher.search([question for question, _, _ in test], max(KS), **how)
                looked = (perf_counter() - began) / len(test)
                recall = {
                    str(k): float(np.mean([right in its.ids[:k] for its, (_, right, _) in zip(hits, test, strict=True)]))
                    for k in KS
                }
                some = searcher.search([question for question, _, _ in chosen_on], 10, **how)
                worths = {
                    heat: worth(Remembering(searcher, model, temperature=heat).read(some), chosen_on)["f1"]  # type: ignore[arg-type]
                    for heat in TEMPERATURES
                }
                best = max(worths, key=worths.__getitem__)
                its = Remembering(searcher, model, temperature=best)  # type: ignore[arg-type]
                read.clear()
                began = perf_counter()
                its.read(hits)
                cost = {"looking_ms": looked * 1e3, "reading_ms": (perf_counter() - began) / len(test) / max(KS) * 1e3}
                for k in KS:
                    asked = its.read([one[:k] for one in hits])
                    yield {"retriever": kind, "k": k, "recall": recall[str(k)], "temperature": best, **worth(asked, test), **cost}
                if kind == "vectors":
                    right = [Hits((Hit(name, 1.0, paragraphs[int(name)]),), question) for question, name, _ in test]
                    sizes = {"questions": len(test), "paragraphs": len(paragraphs)}
                    yield {"retriever": "the right paragraph", "k": 1, "recall": 1.0, **worth(its.read(right), test), **sizes}


def scale(data: Path, count: int, kind: str) -> list[dict[str, Any]]:
    """Return what it costs to look ``count`` passages through, beside what the encoder takes to read the texts that ask.

    100,000 are real sentences; what there is beyond are these with noise, so that each has others near it.
    """
    from search_data import CACHE, minilm

    from semvec.augment.memory import Memory, Retrieval
    from semvec.encoders.catalog import load_encoder
    from semvec.search.searcher import Searcher, settings_for
    from semvec.store.collection import Collection
    from semvec.types import Dtype

    real, _ = minilm(data)
    asked = json.loads((CACHE / f"texts-{len(real)}.json").read_text())[len(real) :]
    encoder, rng = load_encoder("minilm"), np.random.default_rng(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        Collection.open(Path(folder) / "m", settings_for(encoder, Dtype.INT8)) as collection,
    ):
        began = perf_counter()
        for at in range(0, count, BLOCK):
            rows = real[np.arange(at, min(at + BLOCK, count)) % len(real)]
            if at >= len(real):
                rows = rows + rng.normal(0, NOISE / np.sqrt(rows.shape[1]), rows.shape)
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            collection.upsert([str(one) for one in range(at, at + len(rows))], rows.astype(np.float32))
        made = collection.optimise(kind)
        about = {"items": count, "kind": made["kind"], "recall": made.get("recall"), "building_s": perf_counter() - began}
        memory, found = Memory(Searcher(encoder, collection), Retrieval(8)), []
        about["bytes"] = collection.info()["bytes"]
        for together in (1, len(asked)):
            some = [asked[at : at + together] for at in range(0, len(asked), together)][:MOST_ASKED]
            vectors = [encoder.encode_query(one).floats() for one in some]
            times = {
                "reading_ms": median_ms(encoder.encode_query, some, together),
                "searching_ms": median_ms(lambda one: collection.search(one, 8), vectors, together),
                "looking_ms": median_ms(memory.neighbours, some, together),
            }
            found.append({**about, "together": together, **times})
    return found


def median_ms(run: Any, items: list[Any], together: int) -> float:
    """Return the milliseconds that ``run`` takes for one of ``together``, the median over ``items`` and three rounds, warm."""
    spent = []
    for turn in range(4):
        for item in items:
            began = perf_counter()
            run(item)
            if turn:
                spent.append((perf_counter() - began) / together * 1e3)
    return float(np.median(spent))


def run_one(call: list[Any], data: Path, reader: Path) -> list[dict[str, Any]]:
    """Return what one run, named by its part and arguments, comes to."""
    part, *rest = call
    if part == "squad":
        return list(squad(data, reader))
    if part == "scale":
        return scale(data, *rest)
    if part == "facts":
        return [facts(data, *rest)]
    return (plain if part == "plain" else looked_up)(data, *rest)


PARTS = ("ways", "facts", "squad", "scale")


def wanted(part: str, asked: argparse.Namespace) -> list[list[Any]]:
    """Return the runs of ``part``."""
    if part == "squad":
        return [["squad"]] if asked.reader else []
    if part == "scale":
        return [["scale", count, kind] for count, kind in SCALES]
    if part == "facts":
        return [["facts", way, seed] for seed in asked.seeds for way in ("concat", "cross-attention")]
    runs: list[list[Any]] = []
    for seed in asked.seeds:
        for name in asked.only:
            runs.append(["plain", name, asked.strategy, seed])
            able = [way for way in asked.ways if SETS[name] == "classify" or way == "concat"]
            runs += [["ways", name, way, asked.strategy, seed] for way in able]
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--only", choices=list(SETS), nargs="*", default=list(SETS))
    parser.add_argument("--ways", choices=WAYS, nargs="*", default=list(WAYS))
    parser.add_argument("--strategy", choices=["head", "full"], default="head")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--reader", type=Path)
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(run_one(json.loads(asked.one), asked.data, asked.reader)))
        return
    for part in asked.part:
        more = ["--reader", str(asked.reader)] if asked.reader else []
        harness.run_missing("augment", __file__, asked.data, wanted(part, asked), again=asked.again, more=more)


if __name__ == "__main__":
    main()
