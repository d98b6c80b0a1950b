"""The model card of a model that looks things up, as README.md in its folder; what it is, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semvec.augment.described import TASKS, Described, cost_in_words
from semvec.finetune.card import shown
from semvec.text.markdown import escaped, table
from semvec.types import Level, Way

NAMES = {"classify": "classifier", "tag": "tagger"}
USES = {
    Way.KNN: "whose labels are weighed beside what the model says",
    Way.GATE: "whose labels are weighed beside what the model says, each text with a weight of its own",
    Way.CONCAT: "which are read together with the text",
    Way.JOINT: "each of which is read with the text apart, the vectors of texts having learnt what to look for",
    Way.CROSS: "whose tokens layers on top of the encoder attend to",
}


def card(its: Described, name: str) -> str:
    """Return the card of the model that is called ``name`` as Markdown."""
    record = its.record
    counts = record["examples"]
    how = "split off from the training data" if counts["split off"] else "examples of their own"
    rows = [[one, shown(found), shown(record["alone"][one])] for one, found in record["validation"].items()]
    parts = [
        f"# A {NAMES[its.task]} that looks things up, learnt from {escaped(str(record['data']))}",
        f"It says {TASKS[its.task]}, with what it finds in a memory that can be added to and taken from without training.",
        "\n".join(f"- {line}" for line in facts(its)),
        f"- examples: {counts['train']:,} to learn from, {counts['validation']:,} to validate on ({how})\n"
        f"- {record['seconds']:,.0f} seconds",
        "## On the validation data",
        "The choice of the best step, and of what neighbours count for, was made on these examples, so new ones are likely to be "
        "done a little worse: `semvec augment report` measures on a test set.",
        table([["measure", "with what it finds", "where nothing is found"], *rows]),
        "## Use",
        f"```sh\nsemvec augment predict {name} texts.txt\nsemvec augment explain {name} TEXT\n"
        f"semvec augment report {name} --data TEST\n```",
    ]
    return "\n\n".join(parts) + "\n"


def facts(its: Described) -> Sequence[str]:
    """Return what a model finds, by what and where, and what it makes of it, each in a line."""
    how, weighing = its.retrieval, its.weighing
    by = "late interaction" if how.level == Level.TOKEN else "vectors and words" if how.hybrid else "vectors"
    if its.way not in (Way.KNN, Way.GATE):
        lines = [f"looks for {how.k} neighbours by {by}, {USES[its.way]} (way {its.way})"]
    elif weighing.silent:
        lines = [f"looks nothing up (way {its.way}): that did not help on the validation data"]
    else:
        weight = "" if weighing.gate else f", weight {weighing.weight:g}"
        lines = [
            f"looks for {weighing.k} neighbours by {by}, {USES[its.way]} (way {its.way})",
            f"what is found counts by exp(score / {weighing.temperature:g}){weight}",
        ]
    if (record := its.record) is None:
        return lines
    where = "in its folder" if its.collection is None else escaped(its.collection)
    lines.append(f"memory: {where}, {cost_in_words(record['cost'], record['dtype'])}")
    finder = "" if its.encoder is None or its.encoder == record["model"] else f", found by {escaped(Path(its.encoder).name)}"
    how_made = "taken as it was" if record["as is"] else f"strategy {record['strategy']}"
    lines.append(f"upon {escaped(Path(record['model']).name)}, {how_made}, seed {record['seed']}, on {record['device']}{finder}")
    return lines
