"""The model card: what a model is for, what it was made from and how well it does, as README.md in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semvec.finetune.pictures import CONFUSION, CURVE, TRIALS
from semvec.finetune.strategies import PLANS
from semvec.finetune.task import ClassRow, Findings, HeadConfig
from semvec.finetune.tasks import ABOUT, INPUT
from semvec.measures.intervals import Interval
from semvec.text.markdown import escaped, table
from semvec.types import JSON

if TYPE_CHECKING:
    from semvec.finetune.tuned import Tuned

CARD = "README.md"
SEARCHED = (
    "The best of {} settings on the validation data: its value there is flattered by the choice. Those that were worse than "
    "half of the others at the same look were given up."
)
SHOWN = 60
"""Classes of the card's table, the others are in `semvec report`."""


def write_card(folder: Path, tuned: Tuned, found: Findings, name: str) -> None:
    """Write the card of ``tuned``, whose answers on the validation data are worth what ``found`` says, into ``folder``."""
    (folder / CARD).write_text(card(folder, tuned, found, name), encoding="utf-8")


def card(folder: Path, tuned: Tuned, found: Findings, name: str) -> str:
    """Return the card of a model that is called ``name`` as Markdown, with the pictures that are in ``folder``."""
    record, options = tuned.record, tuned.options
    base = Path(tuned.base.base).name
    counts, parameters = record["examples"], record["parameters"]
    share = 100 * parameters["learning"] / max(parameters["all"], 1)
    how = "split off from the training data" if counts["split off"] else "examples of their own"
    parts = [
        f"# {base}, fine-tuned for {tuned.task.name} on {record['data']}",
        ABOUT[tuned.task.name],
        "\n".join(
            [
                f"- made from: {base} (weights {tuned.base.weights[:12]}…)",
                f"- strategy: {options.strategy}, {PLANS[options.strategy].about}; "
                f"{parameters['learning']:,} of {parameters['all']:,} parameters learnt ({share:.2f} %)",
                f"- examples: {counts['train']:,} to learn from, {counts['validation']:,} to validate on ({how})",
                f"- chosen by: {record['measure']}, at step {record['history']['best_step']:,} of {record['history']['steps']:,}",
                *([_pruned(tuned.config, record)] if getattr(tuned.config, "prune", ()) else []),
                *([_neighbours(record)] if "neighbours" in record["history"] else []),
                *([f"- labels: {_some(tuned.config.labels)}"] if getattr(tuned.config, "labels", ()) else []),
                f"- seed {options.seed}, {record['seconds']:,.0f} seconds on {record['device']}",
            ]
        ),
        "## On the validation data",
        "The choice of the best step was made on these examples, so new ones are likely to be done a little worse: "
        "`semvec report` measures on a test set.",
        measures_table(record, tuned.earlier),
    ]
    if record.get("search"):
        parts += ["## Settings that were tried", SEARCHED.format(len(record["search"]["trials"])), trials_table(record)]
    if found.rows:
        parts += ["## Classes", rows_table(found.rows[:SHOWN])]
    parts += [f"![]({name})" for name in (CURVE, TRIALS, CONFUSION) if (folder / name).is_file()]
    asked, test = INPUT.get(tuned.task.name, "texts.txt"), f"test{tuned.task.suffixes[0]}"
    parts += [
        "## Use",
        f"```sh\nsemvec predict {name} {asked}\nsemvec report {name} --data {test}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def write_few_shot_card(folder: Path, tuned: Tuned, name: str) -> None:
    """Write the card of a classifier that was made of a few examples, and measured on none, into ``folder``."""
    record, its, labels = tuned.record, tuned.record["few shot"], tuned.config.labels
    parts = [
        f"# {Path(its['model']).name}, a classifier of a few examples of {record['data']}",
        "\n".join(
            [
                f"- {record['examples']['train']:,} examples of {len(labels):,} labels: {_some(labels)}",
                _how(its),
                f"- seed {tuned.options.seed}, {record['seconds']:,.0f} seconds on {record['device']}",
                "- it was not measured: all examples were learnt from. `semvec few-shot --shots` and `semvec report` do",
            ]
        ),
        f"```sh\nsemvec predict {name} texts.txt\nsemvec report {name} --data test.tsv\n```",
    ]
    (folder / CARD).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _how(its: JSON) -> str:
    """Return how a classifier of a few examples learnt."""
    if its["pattern"] is not None:
        return f"- it learnt which words stand for labels in {its['pattern']!r} (strategy {its['strategy']})"
    if its["by"] == "labels":
        return f"- a linear head was fitted on them, then learnt on with the encoder (strategy {its['strategy']})"
    return f"- the encoder learnt by {its['pairs']:,} pairs of them (strategy {its['strategy']}), then a linear head did"


def measures_table(record: JSON, earlier: str) -> str:
    """Return the measures after and, where that was measured, before (by what, ``earlier`` says), as Markdown."""
    before, after = record.get("before"), record["validation"]
    head = ["measure", earlier, "fine-tuned"] if before else ["measure", "fine-tuned"]
    rows = [[name, *([shown(before.get(name))] if before else []), shown(its)] for name, its in after.items()]
    return table([head, *rows])


def trials_table(record: JSON) -> str:
    """Return a table of all settings that were tried, the best first, as Markdown."""
    its = record["search"]
    trials = sorted(its["trials"], key=lambda trial: (trial["value"] is None, trial["given up"], -(trial["value"] or 0)))
    head = ["trial", record["measure"], *(name.replace("_", " ") for name in its["options"]), "seconds"]
    rows = [
        [
            str(trial["trial"]),
            _worth(trial),
            *(f"{trial[name]:.4g}" for name in its["options"]),
            f"{trial['seconds'] or 0:,.0f}",
        ]
        for trial in trials
    ]
    return table([head, *rows])


def _worth(trial: JSON) -> str:
    if trial["value"] is None:
        return escaped(trial["error"] or "no number")
    return f"{trial['value']:.4f}" + (" (given up)" if trial["given up"] else "")


def rows_table(rows: Sequence[ClassRow]) -> str:
    """Return a table of the classes as Markdown."""
    cells = [[escaped(its.name), *(f"{x:.3f}" for x in (its.precision, its.recall, its.f1)), f"{its.support:,}"] for its in rows]
    return table([["class", "precision", "recall", "F1", "support"], *cells])


def shown(its: JSON) -> str:
    """Return a value with its interval."""
    return "-" if its is None else str(Interval(**its))


def _pruned(config: HeadConfig, record: JSON) -> str:
    said = ", ".join(f"{share:.0%} from layer {layer} on" for layer, share in config.prune)
    fast = record["history"]["times as fast"]
    return f"- pruned: the layers read {said} of the tokens, {fast:.2f} times as fast as the whole model on the validation data"


def _neighbours(record: JSON) -> str:
    its, kept = record["history"]["neighbours"], "- the training examples are kept in `neighbours.json`, to explain answers"
    if not its["weight"]:
        return f"{kept}; no setting of them bettered {record['measure']} on the validation data, so they have no say"
    gain = f"{record['measure']} {its['without']:.3f} without, {its['with']:.3f} with, flattered by the choice"
    how = f"the {its['k']} nearest, temperature {its['temperature']:g}, weight {its['weight']:g}"
    return f"{kept} and with a say ({how}): {gain}"


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:20]) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")
