"""How far do few labels go, or none? Zero-shot by descriptions, calibrated or not; eight examples a label, drawn ten times.

python benchmarks/few_labels.py --data ../shared/data
python benchmarks/few_labels.py --data ../shared/data --part cloze --masked CHECKPOINT   # a folder with a masked-LM head

Runs that are in results/few_labels.json already are not run again (``--again`` does).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness

LABELS = {
    "agnews": {"World": ["world news and politics"], "Sports": ["sports"], "Business": ["business and finance"], "Sci/Tech": ["science and technology"]},
    "trec6": {"ABBR": ["an abbreviation"], "DESC": ["a description or a definition"], "ENTY": ["a thing"], "HUM": ["a person"], "LOC": ["a place"], "NUM": ["a number or a date"]},
}  # fmt: skip
"""Descriptions that were written down once; of BANKING77 the labels' own names."""

ZERO, FEW = ("agnews", "banking77", "trec6"), ("banking77", "trec6", "sst2", "mr")
SOFT, CLOZE = ("trec6", "sst2", "mr"), ("sst2", "mr")
SETS = {"zero": ZERO, "few": FEW, "soft": SOFT, "cloze": CLOZE}
STRATEGIES = ("prompt", "ptuning", "prefix")
WORDS = {"neg": ["terrible", "bad"], "pos": ["great", "good"]}


def zero(data: Path, name: str, masked: str | None) -> list[dict[str, Any]]:
    """Return the accuracy of labels that were never learnt, with and without calibration, beside the commonest label."""
    from semvec.finetune.classify import Classify
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.zero_shot import labels_named, zero_shot
    from semvec.text.columns import split_file

    task = Classify()
    test: Any = task.read(split_file(data / name, "test", suffixes=task.suffixes), FinetuneOptions())
    known = LABELS.get(name) or labels_named(sorted(set(test.labels)))
    known = {label: known[label] for label in sorted(set(test.labels))}
    rows = []
    for calibrate in (False, True):
        found = zero_shot("minilm", known, calibrate=calibrate).measured(test).outcomes[0].interval()
        rows.append({"calibrate": calibrate, "test": len(test.texts), **vars(found)})
    commonest = max(test.labels.count(label) for label in known) / len(test.labels)
    return [{**row, "commonest": commonest} for row in rows]


def few(data: Path, name: str, masked: str | None) -> list[dict[str, Any]]:
    """Return the accuracies of ten draws of eight examples a label: a linear head, and few-shot learning."""
    from semvec.finetune.shots import drawn_shots

    return [drawn_shots("minilm", data / name, shots=8, repeats=10).to_json()]


def soft(data: Path, name: str, masked: str | None) -> list[dict[str, Any]]:
    """Return the accuracies of the first five of these draws of eight, learnt by soft prompts: a frozen encoder, and a head."""
    import numpy as np

    from semvec.finetune.classify import Classify
    from semvec.finetune.few_shot import shots_of
    from semvec.finetune.model import FineTuned
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.task import take
    from semvec.finetune.tuned import Lesson, Loading
    from semvec.text.columns import split_file

    task, found = Classify(), {strategy: list[float]() for strategy in STRATEGIES}
    train: Any = task.read(split_file(data / name, "train", suffixes=task.suffixes), FinetuneOptions())
    test: Any = task.read(split_file(data / name, "test", suffixes=task.suffixes), FinetuneOptions())
    for draw in range(5):
        some: Any = take(train, shots_of(train.labels, 8, (0, draw)))
        seed = int(np.random.default_rng((0, draw)).integers(2**31))
        for strategy in STRATEGIES:
            options = FinetuneOptions().changed({"strategy": strategy, "epochs": 40, "batch_size": 8, "seed": seed})
            with TemporaryDirectory() as work:
                tuned = FineTuned.start(task, "minilm", some, options, Loading("cpu"))
                tuned.taught(tuned.windows(some, labelled=True), Lesson(some, None, "accuracy", Path(work)))
                found[strategy].append(tuned.measured(test).values["accuracy"])
    return [{"test": len(test.texts), "accuracies": found}]


def cloze(data: Path, name: str, masked: str | None) -> list[dict[str, Any]]:
    """Return the accuracies of cloze prompts of the checkpoint ``masked``: never learnt, and of ten draws of 16 a label."""
    from semvec.finetune.classify import Classify
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.shots import drawn_shots
    from semvec.finetune.zero_shot import zero_shot
    from semvec.text.columns import split_file

    assert masked, "--part cloze wants --masked, the folder of a checkpoint with a masked-LM head"
    task, words = Classify(), WORDS
    test: Any = task.read(split_file(data / name, "test", suffixes=task.suffixes), FinetuneOptions())
    options = FinetuneOptions().changed({"epochs": 20, "learning_rate": 3e-4, "batch_size": 8})
    learnt = drawn_shots(masked, data / name, shots=16, repeats=10, words=words, options=options)
    plain = zero_shot(masked, words, by="cloze", calibrate=True).measured(test).outcomes[0].interval()
    return [{"never learnt": vars(plain), **learnt.to_json()}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=list(SETS), nargs="*", default=["zero", "few", "soft"])
    parser.add_argument("--masked", help="a folder with a checkpoint that has a masked-LM head, for the part cloze")
    parser.add_argument("--only", choices=sorted({*ZERO, *FEW}), nargs="*", default=[*ZERO, *FEW])
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        part, name = json.loads(asked.one)
        print(json.dumps({"zero": zero, "few": few, "soft": soft, "cloze": cloze}[part](asked.data, name, asked.masked)))
        return
    calls = [[part, name] for part in asked.part for name in SETS[part] if name in asked.only]
    more = ["--masked", asked.masked] if asked.masked else []
    harness.run_missing("few_labels", __file__, asked.data, calls, again=asked.again, more=more)


if __name__ == "__main__":
    main()
