"""How far do few labels go, or none? Zero-shot by descriptions, calibrated or not; eight examples a label, drawn ten times.

python benchmarks/few_labels.py --data ../shared/data

Runs that are in results/few_labels.json already are not run again (``--again`` does).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import harness

LABELS = {
    "agnews": {"World": ["world news and politics"], "Sports": ["sports"], "Business": ["business and finance"], "Sci/Tech": ["science and technology"]},
    "trec6": {"ABBR": ["an abbreviation"], "DESC": ["a description or a definition"], "ENTY": ["a thing"], "HUM": ["a person"], "LOC": ["a place"], "NUM": ["a number or a date"]},
}  # fmt: skip
"""Descriptions that were written down once; of BANKING77 the labels' own names."""

ZERO, FEW = ("agnews", "banking77", "trec6"), ("banking77", "trec6", "sst2", "mr")


def zero(data: Path, name: str) -> list[dict[str, Any]]:
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


def few(data: Path, name: str) -> list[dict[str, Any]]:
    """Return the accuracies of ten draws of eight examples a label: a linear head, and few-shot learning."""
    from semvec.finetune.shots import drawn_shots

    return [drawn_shots("minilm", data / name, shots=8, repeats=10).to_json()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["zero", "few"], nargs="*", default=["zero", "few"])
    parser.add_argument("--only", choices=sorted({*ZERO, *FEW}), nargs="*", default=[*ZERO, *FEW])
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        part, name = json.loads(asked.one)
        print(json.dumps({"zero": zero, "few": few}[part](asked.data, name)))
        return
    sets = {"zero": ZERO, "few": FEW}
    calls = [[part, name] for part in asked.part for name in sets[part] if name in asked.only]
    harness.run_missing("few_labels", __file__, asked.data, calls, again=asked.again)


if __name__ == "__main__":
    main()
