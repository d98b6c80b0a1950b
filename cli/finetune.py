"""``semvec finetune``: labelled examples and an encoder → a model that does a task."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from semvec.errors import SemvecError
from semvec.finetune.options import HEAD_POOLINGS, MOST_LAYERS, HeadKind, Loss, Optimizer, Precision, Schedule, Scheme
from semvec.types import Strategy
from semvec_cli.bar import Bar
from semvec_cli.choices import one_of
from semvec_cli.column_names import column, columns_named

if TYPE_CHECKING:
    from semvec.finetune.train import Trained

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
RATE = click.FloatRange(0, 10, min_open=True)


EXAMPLES = {
    "classify": (
        "classify --data banking77 -o intents",
        "classify --data reviews.csv --column text=review --column label=stars --strategy lora -o sentiment",
        "classify --data papers.jsonl --many -o topics",
        "classify --data reviews.csv --head expert-choice --capacity 0.5 -o sentiment",
        "classify --data reviews.csv --strategy lora --search 20 -o sentiment",
        "classify --data reviews.csv --model sentiment --prune 1:0.5,3:0.25 -o sentiment-quick",
    ),
    "tag": ("tag --data wnut17 -o names", "tag --data wnut17 --crf --scheme BIOES -o names", "tag --data kp.jsonl -o phrases"),
    "relation": ("relation --data relations.jsonl -o relations",),
    "qa": ("qa --data squad/train.json --epochs 2 -o reader",),
    "similarity": (
        "similarity --data stsb/train.tsv --validation stsb/dev.tsv -o closer",
        "similarity --data pairs.tsv --hard-negatives 3 --matryoshka 256,128,64 -o search",
        "similarity --data texts.txt --loss tsdae --validation stsb/dev.tsv -o adapted",
    ),
    "seq2seq": (
        "seq2seq --data multi30k --column source=en --column target=de -o german",
        "seq2seq --data papers.jsonl --column source=abstract --column target=title -o titles",
    ),
    "pairs": ("pairs --data stsb/train.tsv -o alike", "pairs --data snli.jsonl --strategy adapter -o entailment"),
}
COMMON: tuple[Decorator, ...] = (
    click.option("-m", "--model", default="minilm", help="The encoder: a name, a folder or a hub id."),
    click.option("--data", required=True, metavar="DATA", help="A file, or a folder with train and, if there is one, dev."),
    click.option("-o", "--output", required=True, metavar="MODEL", help="The folder to write."),
    click.option("--validation", metavar="FILE", help="What to validate on.  [default: dev in DATA, else a share of it]"),
    click.option("--validation-share", type=click.FloatRange(0.001, 0.9), default=0.1, help="How much is split off for that."),
    column,
    click.option("-s", "--strategy", type=one_of(Strategy), default="full", help="How much of the encoder learns."),
    click.option("--epochs", type=click.FloatRange(0.001), help="Times the examples are read.  [default: 5 to 30, by strategy]"),
    click.option("--batch-size", type=click.IntRange(1), default=32, help="Examples a step."),
    click.option("--accumulate", type=click.IntRange(1), default=1, help="Batches a step."),
    click.option("--learning-rate", type=RATE, help="Of the encoder.  [default: by strategy]"),
    click.option("--head-learning-rate", type=RATE, help="Of the head.  [default: 0.001, of head alone 0.003]"),
    click.option("--optimizer", type=one_of(Optimizer), default="adamw", help="What takes the steps."),
    click.option("--schedule", type=one_of(Schedule), default="linear", help="Of the rates."),
    click.option("--warmup", type=click.FloatRange(0, 1), default=0.1, help="Share of the steps in which the rates rise."),
    click.option("--weight-decay", type=click.FloatRange(0, 10), default=0.01, help="Of all but biases and norms."),
    click.option("--dropout", type=click.FloatRange(0, 0.95), default=0.1, help="Of the head, and of LoRA."),
    click.option("--clip", type=click.FloatRange(0), default=1.0, help="The longest a gradient may be."),
    click.option("--patience", type=click.IntRange(1), default=3, help="Stop after so many looks (and 30 steps) for nothing."),
    click.option("--measure", help="What the best epoch is chosen by.  [default: the task's first]"),
    click.option("--precision", type=one_of(Precision), default="auto", help="auto: bf16 on a GPU."),
    click.option("--search", type=click.IntRange(0), default=0, help="Settings that Optuna tries before, of what is not named."),
    click.option("--seed", type=click.IntRange(0), default=0, help="Decides the head, the order, the split, the dropout."),
    click.option("--max-tokens", type=click.IntRange(8), help="Read so many at once, more in windows.  [default: MODEL's]"),
    click.option("--layers", help="-1, -4..-1 or -1,-2: put side by side.  [default: -1; tag with --strategy head -4..-1]"),
    click.option("--rank", type=click.IntRange(1), default=8, help="Of lora and dora."),
    click.option("--last-layers", type=click.IntRange(1), default=2, help="Of last-n."),
    click.option("--virtual-tokens", type=click.IntRange(1), default=20, help="Of prefix, prompt and ptuning."),
    click.option("--reduction", type=click.IntRange(1), default=16, help="How much narrower an adapter is than MODEL."),
    click.option("--before/--no-before", default=True, help="Train a linear head on the frozen encoder too, to compare."),
    click.option("--merge", is_flag=True, help="Store the whole encoder, not what it learnt alone (lora, dora, ia3, bitfit, …)."),
    click.option("--resume", is_flag=True, help="Go on with a run that was stopped."),
    click.option("--overwrite", is_flag=True, help="Replace a fine-tuned model that is at MODEL."),
    click.option("--device", help="cpu, cuda, …  [default: the best there is]"),
    click.option("--trust-pickle", is_flag=True, help="Read an encoder that is a pickle, which can run any code."),
    click.option("--trust-remote-code", is_flag=True, help="Run the Python code that an encoder brings along."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
)
CALL = ("model", "data", "output", "validation", "before", "merge", "resume", "overwrite", "device",
        "trust_pickle", "trust_remote_code")  # fmt: skip
"""What is not an option of the training itself."""

OWN: dict[str, Decorator] = {
    "many": click.option("--many", is_flag=True, help="Any number of labels a text (a list, or with commas between them)."),
    "balanced": click.option("--balanced", is_flag=True, help="Rare labels count as much as common ones."),
    "label_smoothing": click.option("--label-smoothing", type=click.FloatRange(0, 0.9), default=0.0, help="Doubt about labels."),
    "pooling": click.option(
        "--pooling",
        type=one_of(HEAD_POOLINGS),
        help="How tokens become a text.  [default: as MODEL does it]",
    ),
    "loss": click.option(
        "--loss",
        type=one_of(Loss),
        default="auto",
        help="auto: cosent for scores, contrastive for labels, mnr for pairs and triplets, simcse for texts alone.",
    ),
    "matryoshka": click.option("--matryoshka", metavar="DIMS", help="256,128,64: vectors that are good when cut to these, too."),
    "hard_negatives": click.option("--hard-negatives", type=click.IntRange(0, 100), default=0, help="Looked for, for each pair."),
    "head": click.option("--head", type=one_of(HeadKind), default="linear", help="What makes a label of a text's tokens."),
    "keep": click.option("--keep", type=click.FloatRange(0, 1, min_open=True), default=0.5, help="Share a router keeps."),
    "experts": click.option("--experts", type=click.IntRange(1, 256), default=4, help="Of --head expert-choice."),
    "expert_dim": click.option("--expert-dim", type=click.IntRange(1), default=96, help="Units of each expert."),
    "capacity": click.option("--capacity", type=click.FloatRange(0.01, 256), default=1.0, help="Experts a token has on average."),
    "prune": click.option(
        "--prune", metavar="LAYER:SHARE,…", help="2:0.5,4:0.25: read fewer tokens from there on. MODEL is one you have trained."
    ),
    "knn": click.option(
        "--knn", is_flag=True, help="Keep the training examples in MODEL: the nearest explain answers, and mend them if it helps."
    ),
    "beams": click.option("--beams", type=click.IntRange(1, 64), default=4, help="Drafts that are followed while writing."),
    "target_tokens": click.option("--target-tokens", type=click.IntRange(4, 4096), default=128, help="The most that is written."),
    "decoder_layers": click.option("--decoder-layers", type=click.IntRange(1, 100), default=3, help="Of a new decoder."),
    "vocabulary": click.option("--vocabulary", type=click.IntRange(300), default=8000, help="Pieces of words of a new decoder."),
    "crf": click.option("--crf", is_flag=True, help="Learn which tag may follow which."),
    "scheme": click.option("--scheme", type=one_of(Scheme), default="BIO", help="How spans are marked inside."),
}


class Tasks(click.Group):
    """A command a task, with the options that the task heeds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(EXAMPLES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _command(name) if name in EXAMPLES else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from semvec.finetune.tasks import ABOUT

        with formatter.section("Tasks"):
            formatter.write_dl([(name, ABOUT[name]) for name in EXAMPLES])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from semvec.types import did_you_mean

        if args and args[0] not in EXAMPLES and not args[0].startswith("-"):
            ctx.fail(f"no task {args[0]!r}{did_you_mean(args[0], list(EXAMPLES))}: there are {', '.join(EXAMPLES)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Tasks)
def finetune() -> None:
    """Train an encoder and a head for a task, on labelled examples of yours.

    The model is chosen by its measure on validation data, which is dev beside the training data or split off from them; a
    test file is never looked at. What is stored predicts ('semvec predict'), is examined on test data ('semvec report'), and
    is again an encoder, for every command with --model.

    \b
    Examples:
      semvec finetune classify --data banking77 -o intents
      semvec finetune tag --data wnut17 --strategy lora -o names
      semvec predict intents questions.txt
      semvec report intents --data banking77
    """


def _command(name: str) -> click.Command:
    """Return the command of a task."""
    from semvec.finetune.tasks import ABOUT, LAYOUT, USES

    def run(**options: Any) -> None:
        _run(name, **options)

    lines = "\n".join(f"  semvec finetune {line}" for line in EXAMPLES[name])
    run.__doc__ = f"{ABOUT[name]}\n\nData: {LAYOUT[name]}.\n\n\b\nExamples:\n{lines}"
    command: Any = run
    for option in reversed([*COMMON[:7], *(OWN[its] for its in USES[name]), *COMMON[7:]]):
        command = option(command)
    return click.command(name, context_settings={"show_default": True})(command)


def _run(task: str, **options: Any) -> None:
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.processes import number
    from semvec.finetune.train import finetune as make

    quiet, layers = options.pop("quiet"), options.pop("layers")
    call = {name: options.pop(name) for name in CALL}
    options["validation"] = options.pop("validation_share")
    options["columns"] = columns_named(options.pop("column"))
    if dims := options.pop("matryoshka", None):
        options["matryoshka"] = _dims(dims)
    if "prune" in options:
        options["prune"] = () if options["prune"] is None else _schedule(options["prune"])
    chosen = FinetuneOptions().changed({**options, "layers": None if layers is None else _layers(layers)})
    quiet = quiet or number() > 0  # of several processes one talks
    with Bar(quiet) as bar:
        try:
            made = make(task, options=chosen, progress=bar.to, **call)
        except SemvecError:
            if number() > 0:
                sys.exit(2)
            raise
    if not quiet:
        _print(made)


def _layers(text: str) -> tuple[int, ...]:
    """Return the numbers of layers that ``-4..-1`` or ``-1,-2`` name."""
    if match := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text):
        low, high = int(match[1]), int(match[2])
        if low <= high < low + MOST_LAYERS and (low < 0) == (high < 0):
            return tuple(range(low, high + 1))
    if re.fullmatch(r"-?\d+(,-?\d+)*", text):
        return tuple(map(int, text.split(",")))
    raise click.UsageError(f"--layers {text!r}: name numbers, as -1 or -4..-1 or -1,-2")


def _schedule(text: str) -> tuple[tuple[int, float], ...]:
    """Return the layers and shares that ``2:0.5,4:0.25`` names."""
    if not re.fullmatch(r"\d{1,4}:\d*\.?\d+(,\d{1,4}:\d*\.?\d+)*", text):
        raise click.UsageError(f"--prune {text!r}: name layers and the share of tokens that is left there, as 2:0.5,4:0.25")
    pairs = (pair.split(":") for pair in text.split(","))
    return tuple((int(layer), float(share)) for layer, share in pairs)


def _dims(text: str) -> tuple[int, ...]:
    """Return the dimensions that ``256,128`` names."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise click.UsageError(f"--matryoshka {text!r}: name dimensions, as 256,128,64")
    return tuple(map(int, text.split(",")))


def _print(made: Trained) -> None:
    from semvec.finetune.card import shown

    record = made.record
    counts, parameters, history = record["examples"], record["parameters"], record["history"]
    split = " (split off)" if counts["split off"] else ""
    click.echo(f"{counts['train']:,} examples to learn from, {counts['validation']:,} to validate on{split}")
    if labels := getattr(made.model.config, "labels", ()):
        click.echo(f"{len(labels):,} labels: {', '.join(labels[:8])}{', …' if len(labels) > 8 else ''}")
    if "resumed at" in history:
        click.echo(f"went on from step {history['resumed at']:,}")
    if record["processes"] > 1:
        click.echo(f"{record['processes']} processes shared every batch")
    share = 100 * parameters["learning"] / parameters["all"]
    click.echo(f"{parameters['learning']:,} of {parameters['all']:,} parameters learnt ({share:.2f} %)")
    for name, its in record["validation"].items():
        before = f", {made.model.earlier} {shown(record['before'].get(name))}" if record["before"] else ""
        click.echo(f"{name} {shown(its)} on the validation data{before}")
    if its := history.get("neighbours"):
        said = f"weight {its['weight']:g} of the {its['k']} nearest" if its["weight"] else "they do not help, so have no say"
        click.echo(f"neighbours: {record['measure']} {its['without']:.3f} without, {its['with']:.3f} with ({said})")
    if fast := history.get("times as fast"):
        click.echo(f"{fast:.2f} times as fast as the whole model on the validation data")
    if record["search"]:
        best = next(its for its in record["search"]["trials"] if its["trial"] == record["search"]["best"])
        chosen = ", ".join(f"{name.replace('_', ' ')} {best[name]:.3g}" for name in record["search"]["options"])
        click.echo(f"the best of {len(record['search']['trials'])} settings: {chosen}")
    if history.get("cut"):
        click.echo(f"{history['cut']:,} of {counts['train']:,} examples are cut: sources, or what is written (--target-tokens)")
    click.echo(f"step {history['best_step']:,} of {history['steps']:,} kept, by {record['measure']}; {record['seconds']:,.0f} s")
    click.echo(f"{made.path}: semvec predict {made.path} FILE, semvec report {made.path} --data TEST")
