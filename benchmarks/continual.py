"""How much is forgotten, and what helps? BANKING77 as 7 tasks of 11 intents each, and sentiment in three domains, three seeds.

python benchmarks/continual.py --data ../shared/data

All strategies learn the same examples in the same order with the same encoder (MiniLM-L6) and steps; joint learns all tasks at
once. Runs that are in results/continual.json already are not run again (``--again`` does).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import harness
import numpy as np

STRATEGIES = ("naive", "ewc", "online-ewc", "lwf", "replay", "der", "adapters", "ncm", "knn", "joint")
A_LABEL, A_DOMAIN, TESTED, LETTERS, EPOCHS = (10, 20), 300, 500, 200, 5
"""Examples of an intent to learn and to be examined on, of a domain, texts a domain is examined on, their first letters that are
read, and epochs a task: so few that all strategies and seeds are learnt on two cores within two hours."""

MEMORY = {"class": 77, "domain": 60}
"""Examples remembered: one an intent, a tenth; 6.7 % of three domains."""

DOMAINS = {"sst2": "test", "imdb": "dev", "chnsenticorp_htl_zh": "test"}
"""What each is examined on. MR is left out: SST-2 is made of it."""


def some_of(texts: list[str], labels: list[str], count: int, rng: np.random.Generator, *, each: bool) -> Any:
    """Return ``count`` examples, of ``each`` label or of all together, in an order by chance."""
    from semvec.text.examples import LabelledTexts

    order, taken = rng.permutation(len(texts)).tolist(), dict.fromkeys(labels, 0)
    rows = []
    for row in order:
        if (taken[labels[row]] if each else len(rows)) < count:
            taken[labels[row]] += 1
            rows.append(row)
    return LabelledTexts([texts[row] for row in rows], [labels[row] for row in rows])


def intents(data: Path, seed: int) -> list[Any]:
    """Return BANKING77 as 7 tasks; ``seed`` decides the examples and which intents are together."""
    from semvec.continual.task import split_by_labels
    from semvec.text.columns import split_file
    from semvec.text.examples import read_labelled

    train, test = (read_labelled(split_file(data / "banking77", name)) for name in ("train", "test"))
    learnt, asked = A_LABEL
    some = some_of(train.texts, train.labels, learnt, np.random.default_rng(seed), each=True)
    test = some_of(test.texts, test.labels, asked, np.random.default_rng(0), each=True)
    return list(split_by_labels(some, test, 7, seed))


def domains(data: Path, seed: int) -> list[Any]:
    """Return three domains of sentiment: sentences of films, reviews of films, Chinese reviews of hotels."""
    from semvec.continual.task import ContinualTask
    from semvec.text.columns import split_file
    from semvec.text.examples import read_labelled

    made = []
    for name, asked in DOMAINS.items():
        parts = []
        for split, count, chance in (("train", A_DOMAIN, seed), (asked, TESTED, 0)):
            its = read_labelled(split_file(data / name, split))
            texts = [text[:LETTERS] for text in its.texts]
            parts.append(some_of(texts, its.labels, count, np.random.default_rng(chance), each=False))
        made.append(ContinualTask(name, *parts))
    return made


STREAMS = {"class": intents, "domain": domains}


def one(data: Path, part: str, strategy: str, seed: int, **changes: Any) -> list[dict[str, Any]]:
    """Return what a learner came to."""
    from semvec.continual.learner import ContinualLearner
    from semvec.continual.options import ContinualOptions
    from semvec.continual.task import ContinualTask
    from semvec.finetune.options import FinetuneOptions
    from semvec.text.examples import LabelledTexts

    tasks = STREAMS[part](data, seed)
    options = ContinualOptions(
        strategy=strategy, scenario=part, memory=MEMORY[part], finetune=FinetuneOptions(epochs=EPOCHS, seed=seed), **changes
    )
    learner = ContinualLearner("minilm", options=options)
    learner.expect(tasks)
    if strategy == "joint":
        texts, labels = ([its for task in tasks for its in getattr(task.train, name)] for name in ("texts", "labels"))
        learner.learn(ContinualTask("all", LabelledTexts(texts, labels)))
        learner.tasks[0]["name"] = tasks[0].name  # so that all tests are asked, those of tasks that it has learnt within this one
        learner.tasks += [{"name": task.name} for task in tasks[1:]]
        return [{"last": learner.examine(), "seconds": learner.tasks[0]["seconds"]}]
    for task in tasks:
        learner.learn(task)
    return [learner.report().to_json()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=list(STREAMS), nargs="*", default=list(STREAMS))
    parser.add_argument("--only", choices=STRATEGIES, nargs="*", default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.data, *json.loads(asked.one))))
        return
    calls = [[part, strategy, seed] for seed in asked.seeds for part in asked.part for strategy in asked.only]
    harness.run_missing("continual", __file__, asked.data, calls, again=asked.again)


if __name__ == "__main__":
    main()
