"""``semvec mteb``: the scores of models on local files, as MTEB computes them."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(context_settings={"show_default": True})
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--task",
    "tasks",
    metavar="KIND=PATH",
    multiple=True,
    required=True,
    help="sts, retrieval, classification, clustering or pair-classification, and its file or folder; may be given several times.",
)
@click.option("-o", "--output", metavar="FOLDER", help="Keep all that MTEB finds there, and go on from what is there.")
@click.option("--split", help="Evaluate on this split.  [default: test, else dev]")
@click.option("--language", default="eng-Latn", help="What the texts are written in, as MTEB calls it.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
def mteb(
    models: tuple[str, ...], tasks: tuple[str, ...], output: str | None, split: str | None, language: str, device: str | None
) -> None:
    """Print MTEB's main score of every MODEL on tasks of local files; nothing is downloaded.

    PATH is a table (score, sentence1, sentence2; or label, text), a folder with train, dev and test tables, or for
    retrieval a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv.

    \b
    Examples:
      semvec mteb minilm --task sts=stsb/dev.tsv
      semvec mteb minilm glove-50d --task classification=banking77 --task retrieval=scifact -o results
    """
    from semvec.encoders.catalog import load_encoder
    from semvec.evaluate.mteb import mteb_scores
    from semvec.evaluate.mteb_tasks import local_task
    from semvec.text.columns import data_name

    if output and Path(output).exists() and not Path(output).is_dir():
        raise click.UsageError(f"{output}: is a file where a folder is wanted")
    pairs = [_parted(task) for task in tasks]
    names = [f"{data_name(path)}-{kind}" for kind, path in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise click.UsageError(f"two tasks would be called {twice}: rename a folder")
    made = [local_task(kind, name, path, split=split, language=language) for (kind, path), name in zip(pairs, names, strict=True)]
    for task in made:  # a bad row is worth knowing before an hour's work
        task.load_data()
        task.unload_data()
    encoders = [load_encoder(model, device=device) for model in models]
    columns = [max(len(name) for name in [*names, "task"]), 5, max(len(task.metadata.main_score) for task in made)]
    click.echo(_line(["task", "split", "measure"], columns, list(models), models))
    for task in made:
        scores = [mteb_scores(encoder, [task], output)[0] for encoder in encoders]
        first = scores[0]
        click.echo(_line([first.task, first.split, first.measure], columns, [f"{one.score:.4f}" for one in scores], models))


def _parted(task: str) -> tuple[str, str]:
    kind, sign, path = task.partition("=")
    if not (kind and sign and path):
        raise click.UsageError(f"--task {task!r} is not KIND=PATH, as in sts=stsb/dev.tsv")
    return kind, path


def _line(cells: list[str], columns: list[int], scores: list[str], models: tuple[str, ...]) -> str:
    """Return ``cells`` in ``columns``, and each of ``scores`` under its model."""
    left = [cell.ljust(width) for cell, width in zip(cells, columns, strict=True)]
    right = [score.rjust(max(len(model), 6)) for score, model in zip(scores, models, strict=True)]
    return "  ".join([*left, *right])
