"""What do chosen tokens keep of the accuracy, and what do they cost? Rules, routers, experts; layers on fewer tokens; pruned encoders.

python benchmarks/selection.py --data ../shared/data
python benchmarks/selection.py --data ../shared/data --part pruned --seeds 0

Parts: rules (a logistic regression on the mean of the tokens kept, behind the encoder and before it), heads (on the frozen
encoder), layer (a layer on half of the tokens beside one on all), pruned (whole encoder taught to do with fewer; SST-2), and
trim (a model with the pieces of words of a corpus alone). Runs that are in results/selection.json already are not run again
(``--again`` does).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import harness
import numpy as np

from semvec.measures.basic import mean
from semvec.measures.intervals import Outcome

SETS = ("trec6", "mr", "subj", "sst2")
RULES = ("lead", "random", "frequency", "idf", "tf_idf", "centroid", "chi2", "class")
SHARES = (0.1, 0.25, 0.5, 0.75)
BEFORE = (0.25, 0.5)
"""Shares of the tokens that are left before the encoder: each has all texts encoded again."""

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
HEADS: dict[str, dict[str, Any]] = {
    "linear on the mean": {},
    "router, 25 %": {"head": "router", "keep": 0.25},
    "router, 50 %": {"head": "router", "keep": 0.5},
    "router, all": {"head": "router", "keep": 1.0},
    "expert choice, half a token each": {"head": "expert-choice", "capacity": 0.5},
    "expert choice, one a token": {"head": "expert-choice", "capacity": 1.0},
    "dense expert of as many parameters": {"head": "expert-choice", "capacity": 1.0, "experts": 1, "expert_dim": 384},
}
SCHEDULES = {
    "70 % from layer 1, 50 % from 3": ((1, 0.7), (3, 0.5)),
    "50 % from layer 1, 25 % from 3": ((1, 0.5), (3, 0.25)),
    "50 % from layer 2, 25 % from 4": ((2, 0.5), (4, 0.25)),
}
LEADING = "50 % from layer 1, 25 % from 3"
LAYERS = (4, 3)
"""Layers of the smaller models that pruned ones are set beside: the lowest of the whole one, taught by it alike."""

BATCH, LENGTH, RUNS = 32, 128, 15


def read(data: Path, name: str, part: str) -> tuple[list[str], list[str]]:
    """Return the labels and texts of a part of a set."""
    from semvec.text.examples import read_labelled

    its = read_labelled(data / name / f"{part}.tsv")  # by the names of columns: TREC's have a finer label between
    return its.labels, its.texts


def accuracy(parts: dict[str, tuple[list[str], np.ndarray]]) -> dict[str, float]:
    """Return the accuracy on test, with its interval, of a logistic regression on train whose strength is chosen on dev."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (labels, vectors), (dev, dev_vectors), (test, test_vectors) = (parts[name] for name in ("train", "dev", "test"))
    made = [make_pipeline(StandardScaler(), LogisticRegression(C=its, max_iter=300)).fit(vectors, labels) for its in STRENGTHS]
    best = max(made, key=lambda one: one.score(dev_vectors, dev))
    right = (best.predict(test_vectors) == np.array(test)).astype(float)
    found = Outcome.over_all("accuracy", mean, right).interval()
    return {"value": found.value, "low": found.low, "high": found.high}


def rules(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """Give what every rule and share comes to on a set, where tokens are chosen behind the encoder, and before it."""
    from semvec.embeddings.means import mean_by_text
    from semvec.encoders.catalog import load_encoder
    from semvec.selection.selector import TokenSelector

    encoder = load_encoder("minilm")
    texts = {part: read(data, name, part) for part in ("train", "dev", "test")}
    tokens = {part: encoder.encode(its[1], level="token", normalize=False) for part, its in texts.items()}

    def worth(vectors: Callable[[str], np.ndarray]) -> dict[str, float]:
        return accuracy({part: (labels, vectors(part)) for part, (labels, _) in texts.items()})

    yield {"rule": "all tokens", "share": 1.0, "place": "behind", **worth(lambda part: mean_by_text(tokens[part]))}
    began = perf_counter()
    full = {part: encoder.encode(its[1], normalize=False).floats() for part, its in texts.items()}
    yield {
        "rule": "all tokens",
        "share": 1.0,
        "place": "before",
        "seconds": perf_counter() - began,
        **worth(lambda part: full[part]),
    }
    for rule in RULES:
        for share in SHARES:
            for seed in range(3) if rule == "random" else (0,):
                selector = TokenSelector(rule, share=share, seed=seed).fit(tokens["train"], texts["train"][1], texts["train"][0])
                common = {"rule": rule, "share": share, "seed": seed}
                yield {**common, "place": "behind", **worth(lambda part: selector.pooled(tokens[part], texts[part][1]))}  # noqa: B023
                if share in BEFORE and seed == 0:
                    short = {part: selector.shortened(tokens[part], its[1]) for part, its in texts.items()}
                    began = perf_counter()
                    again = {part: encoder.encode(its, normalize=False).floats() for part, its in short.items()}
                    yield {**common, "place": "before", "seconds": perf_counter() - began, **worth(lambda part: again[part])}  # noqa: B023


def head(data: Path, name: str, which: str, seed: int) -> dict[str, Any]:
    """Return what a head on the frozen encoder comes to on the test."""
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.report import TUNED, report
    from semvec.finetune.train import finetune

    with tempfile.TemporaryDirectory() as folder:
        options = FinetuneOptions(strategy="head", seed=seed, **HEADS[which])
        made = finetune("classify", "minilm", data / name, Path(folder) / "m", options=options, before=False)
        found = report(Path(folder) / "m", data / name, split="test", baselines=False)
    its: dict[str, Any] = {**found.lines[TUNED]["accuracy"], "learning": made.record["parameters"]["learning"]}
    its["seconds"] = made.record["seconds"]
    if found.routings is not None:
        about = found.routings.to_json()
        its["routing"] = {name: {key: about[name][key] for key in ("left_behind", "by_several", "entropy")} for name in about}
    return its


def layer() -> Iterator[dict[str, Any]]:
    """Give how long a layer takes on the tokens that are chosen beside one on all, a batch of 32 texts of 128 tokens."""
    import torch

    from semvec.encoders.catalog import load_encoder
    from semvec.selection.depths import MixtureOfDepths
    from semvec.selection.experts import ExpertChoiceLayer

    transformer = load_encoder("minilm", device="cpu").transformer  # type: ignore[attr-defined]
    one, dim = transformer.model.encoder.layer[2].eval(), transformer.hidden
    hidden, mask = torch.randn(BATCH, LENGTH, dim, generator=torch.Generator().manual_seed(0)), torch.ones(BATCH, LENGTH).long()

    def whole(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return one(tokens)

    class FeedForward(torch.nn.Module):
        """What a layer of experts is instead of: the same, of all tokens, with nothing gathered."""

        def __init__(self, size: int) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(dim, size), torch.nn.GELU(), torch.nn.Linear(size, dim))

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return tokens + self.layers(tokens)

    half, dense = MixtureOfDepths(whole, dim, 0.5).eval(), FeedForward(4 * dim).eval()
    single = ExpertChoiceLayer(dim, 1, 0.5, 4 * dim).eval()
    four, fewer = (ExpertChoiceLayer(dim, 4, capacity, dim).eval() for capacity in (1.0, 0.5))
    asked: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "a layer of MiniLM, half of the tokens go through": (lambda: half(hidden, mask), lambda: whole(hidden, mask)),
        "feed-forward, half of the tokens": (lambda: single(hidden, mask), lambda: dense(hidden)),
        "4 experts, one a token, beside a dense layer of as many parameters": (lambda: four(hidden, mask), lambda: dense(hidden)),
        "4 experts, half a token each, beside the same": (lambda: fewer(hidden, mask), lambda: dense(hidden)),
    }
    for name, (few, every) in asked.items():
        times: tuple[list[float], list[float]] = ([], [])
        with torch.inference_mode():
            for run in range(RUNS + 3):
                for its, kept in zip((few, every), times, strict=True):
                    began = perf_counter()
                    its()
                    if run >= 3:
                        kept.append(perf_counter() - began)
        ratios = [every / few for few, every in zip(*times, strict=True)]
        yield {"layer": name, "ms": median(times[0]) * 1e3, "dense_ms": median(times[1]) * 1e3, "times": median(ratios)}


def pruned(data: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Give the accuracy on SST-2's test, and the speed, of what is made of a fine-tuned model and taught by it.

    Pruned encoders; one that reads the first tokens instead of those that routers choose; the lowest layers alone; and the
    whole model, trained on in the same way: what the further training does by itself.
    """
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.prune import PrunedModel
    from semvec.finetune.task import Findings
    from semvec.finetune.tasks import task_named
    from semvec.finetune.train import finetune, measures_of
    from semvec.finetune.tuned import Lesson, Loading

    options, place, task = FinetuneOptions(seed=seed, precision="bf16"), data / "sst2", task_named("classify")
    examples = {name: task.read(place / f"{name}.tsv", options) for name in ("train", "dev", "test")}
    with tempfile.TemporaryDirectory() as folder:
        whole = finetune("classify", "minilm", place, Path(folder) / "whole", options=options, before=False).model

        def row(name: str, model: Any) -> dict[str, Any]:
            windows = whole.windows(examples["test"], labelled=False)
            times: tuple[list[float], list[float]] = ([], [])
            for run in range(6):
                for its, kept in zip((model, whole), times, strict=True):
                    began = perf_counter()
                    its.logits(windows)
                    if run:
                        kept.append(perf_counter() - began)
            found: Findings = model.measured(examples["test"])
            speed = median(slow / quick for quick, slow in zip(*times, strict=True))
            return {"model": name, **measures_of(found, seed)["accuracy"], "times": speed, "seconds": median(times[0])}

        def taught(name: str, schedule: tuple[tuple[int, float], ...], change: Callable[[Any], None]) -> dict[str, Any]:
            its = replace(options, prune=schedule)
            model = PrunedModel.start(task, Path(folder) / "whole", examples["train"], its, Loading())
            model.whole_logits = lambda windows, progress=None: whole.logits(windows)  # type: ignore[method-assign]
            change(model.body)
            with tempfile.TemporaryDirectory() as work:
                model.learn(Lesson(examples["train"], examples["dev"], "accuracy", Path(work)))
            return row(name, model)

        yield row("whole", whole)
        yield taught("whole, trained on", ((1, 1.0),), lambda body: None)
        for name, schedule in SCHEDULES.items():
            yield taught(name, schedule, lambda body: None)
        yield taught(f"the first tokens: {LEADING}", SCHEDULES[LEADING], _leading)
        for layers in LAYERS:
            yield taught(f"the lowest {layers} layers", ((1, 1.0),), partial(_lower, layers))


def _leading(body: Any) -> None:
    """Have the routers of ``body`` choose the first tokens."""
    import torch

    for router in body.routers.values():
        router.scores = lambda hidden: -torch.arange(hidden.shape[1], device=hidden.device).float().expand(hidden.shape[:2])


def _lower(layers: int, body: Any) -> None:
    """Leave the lowest ``layers`` of ``body`` alone."""
    body.inner.encoder.layer = body.inner.encoder.layer[:layers]


def trimmed(data: Path, name: str) -> dict[str, Any]:
    """Return what is left of MiniLM that knows the pieces of words of a set's training texts alone, and how it reads the test."""
    from semvec.encoders.agreement import agreement
    from semvec.encoders.catalog import load_encoder
    from semvec.encoders.trim import trim

    with tempfile.TemporaryDirectory() as folder:
        made = trim("minilm", read(data, name, "train")[1], Path(folder) / "m")
        whole, small = load_encoder("minilm"), load_encoder(Path(folder) / "m")
        seen, new = (agreement(whole, small, read(data, name, part)[1]) for part in ("train", "test"))  # type: ignore[arg-type]
    about = {"pieces": made.pieces, "bytes": made.bytes, "texts": made.texts}
    return {"set": name, **about, "seen": vars(seen), "new": vars(new)}


def run_one(call: list[Any], data: Path) -> list[dict[str, Any]]:
    """Return what one run, named by its part and arguments, comes to."""
    part, *rest = call
    if part == "rules":
        return list(rules(data, *rest))
    if part == "layer":
        return list(layer())
    if part == "pruned":
        return list(pruned(data, *rest))
    return [head(data, *rest) if part == "heads" else trimmed(data, *rest)]


def wanted(part: str, sets: list[str], seeds: list[int]) -> list[list[Any]]:
    """Return the runs of ``part``."""
    runs: dict[str, list[list[Any]]] = {
        "rules": [["rules", name] for name in sets],
        "heads": [["heads", name, which, seed] for seed in seeds for name in sets for which in HEADS],
        "layer": [["layer"]],
        "pruned": [["pruned", seed] for seed in seeds],
        "trim": [["trim", name] for name in sets],
    }
    return runs[part]


PARTS = ("layer", "trim", "rules", "heads", "pruned")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--only", choices=SETS, nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(run_one(json.loads(asked.one), asked.data)))
        return
    for part in asked.part:
        harness.run_missing("selection", __file__, asked.data, wanted(part, asked.only, asked.seeds), again=asked.again)


if __name__ == "__main__":
    main()
