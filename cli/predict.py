"""``semvec predict``: what a fine-tuned model says of the texts in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semvec_cli.column_names import column, columns_named

if TYPE_CHECKING:
    from semvec.finetune.task import Answer

SIZE = 512


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("input", metavar="INPUT")
@click.option("-o", "--output", metavar="OUT", help="The file to write.  [default: print]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "tsv", "conll"]),
    help="jsonl: all there is; tsv: the answer alone; conll: a word and its tag a line.  [default: by OUT's name, else jsonl]",
)
@column  # type: ignore[untyped-decorator]
@click.option("--scores", is_flag=True, help="How likely every label is (jsonl).")
@click.option(
    "--explain",
    type=click.IntRange(0),
    default=0,
    help="The nearest training examples (of --knn) with it; of tags, with words that have one.",
)
@click.option("--task", help="Which task the texts are of (of what 'semvec continual' made).")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--trust-pickle", is_flag=True, help="Read an encoder that is a pickle, which can run any code.")
@click.option("--trust-remote-code", is_flag=True, help="Run the Python code that the encoder brings along.")
@click.option("--overwrite", is_flag=True, help="Replace what is at OUT.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def predict(model: str, input: str, **options: Any) -> None:
    """Print what MODEL, which 'semvec finetune' or 'semvec continual' made, says of every text in INPUT.

    INPUT is, for classify and tag, a file of lines or a table with the column text; for tag also CoNLL columns; for pairs and
    similarity a table with sentence1 and sentence2; for relation one with text, e1 and e2; for qa SQuAD's .json, or a table
    with question and context; for seq2seq a file of lines or a table with the column source. - is standard input (lines).

    \b
    Examples:
      semvec predict intents questions.txt
      semvec predict names tweets.txt --format conll -o tweets.conll
      semvec predict intents questions.csv -o said.tsv
      semvec predict intents questions.txt --explain 3
      echo "where is my card?" | semvec predict intents - --scores
    """
    from semvec.finetune.loading import load_model
    from semvec.finetune.task import take
    from semvec_cli.bar import Bar
    from semvec_cli.pages import check_outputs, written_or_printed

    output = options["output"]
    form = options["form"] or ("jsonl" if output is None else FORMS.get(Path(output).suffix.lower(), "jsonl"))
    for name in ("scores", "explain"):
        if options[name] and form != "jsonl":
            raise click.UsageError(f"--{name} goes with --format jsonl")
    if output is None and options["overwrite"]:
        raise click.UsageError("--overwrite does nothing without --output")
    if output is not None:
        check_outputs([output], [input], overwrite=options["overwrite"])
    loading = {name: options[name] for name in ("device", "trust_pickle", "trust_remote_code")}
    learns_on = (Path(model) / LEARNER).is_file()
    tuned = _learner(model, options["task"], loading) if learns_on else load_model(model, **loading)
    if options["task"] is not None and not learns_on:
        raise click.UsageError("--task goes with what 'semvec continual' made")
    if form == "conll" and tuned.task.name != "tag":
        raise click.UsageError(f"--format conll is for tag, and {model} does {tuned.task.name}")
    options_of = tuned.options.changed({"columns": {**tuned.options.columns, **columns_named(options["column"])}})
    examples = tuned.task.read_inputs(input, options_of)
    with written_or_printed(output) as stream, Bar(options["quiet"] or output is None) as bar:
        if form == "tsv":
            stream.write("\t".join(_header(tuned)) + "\n")
        for start in range(0, len(examples), SIZE):
            some = take(examples, range(start, min(start + SIZE, len(examples))))
            for at, answer in enumerate(tuned.predict(some, explain=options["explain"])):
                stream.write(_line(_header(tuned), form, tuned.task.shown(some, at), answer, scores=options["scores"]))
            bar.texts(start + len(some), len(examples))
    if output is not None and not options["quiet"]:
        click.echo(f"{len(examples):,} answers in {output}", err=True)


def _learner(model: str, task: str | None, loading: dict[str, Any]) -> Any:
    """Return the continual learner in the folder ``model``, to be asked of texts of ``task``."""
    from semvec.continual.asked import Asked
    from semvec.continual.learner import ContinualLearner

    return Asked(ContinualLearner.load(model, **loading), task)


LEARNER = "continual.json"
FORMS = {".tsv": "tsv", ".conll": "conll", ".iob2": "conll", ".bio": "conll"}
HEADERS = {
    "classify": ("label", "score", "text"),
    "relation": ("label", "score", "text"),
    "pairs": ("label", "score", "sentence1", "sentence2"),
    "tag": ("entities", "text"),
    "similarity": ("score", "sentence1", "sentence2"),
    "qa": ("answer", "score", "question"),
    "seq2seq": ("target", "source"),
}


def _header(tuned: Any) -> list[str]:
    """Return what the columns of a table of answers are called."""
    absent = "label" if getattr(tuned.config, "scored", False) else "score" if getattr(tuned.config, "many", False) else ""
    return [name for name in HEADERS[tuned.task.name] if name != absent]


def _line(header: Sequence[str], form: str, about: dict[str, Any], answer: Answer, *, scores: bool) -> str:
    if form == "conll":
        return "".join(f"{word}\t{tag}\n" for word, tag in zip(answer["words"], answer["tags"], strict=True)) + "\n"
    if form == "jsonl":
        kept = {name: value for name, value in answer.items() if name != "scores" or scores}
        return json.dumps({**about, **kept}, ensure_ascii=False) + "\n"
    return "\t".join(_cell(name, {**about, **answer}) for name in header) + "\n"


def _cell(name: str, row: dict[str, Any]) -> str:
    if name == "label" and "labels" in row:
        value: Any = ",".join(row["labels"])
    elif name == "entities":
        value = "; ".join(f"{its['kind']}: {its['text']}" for its in row.get("entities", ()))
    elif name == "text" and "words" in row:
        value = " ".join(row["words"])
    else:
        value = row.get(name, "")
    return " ".join((f"{value:.6g}" if isinstance(value, float) else str(value)).split())
