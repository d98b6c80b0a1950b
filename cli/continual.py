"""``semvec continual``: a stream of tasks in a TOML file → learners, and what each of them forgets."""

from __future__ import annotations

import json

import click

from semvec_cli.bar import Bar


@click.command()
@click.argument("run", metavar="RUN.toml", type=click.Path())
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The folder to write.")
@click.option("--resume", is_flag=True, help="Go on with a stream that was stopped, or to which tasks were added at its end.")
@click.option("--overwrite", is_flag=True, help="Replace a stream that is at FOLDER.")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors, and the table.")
def continual(run: str, output: str, *, resume: bool, overwrite: bool, device: str | None, as_json: bool, quiet: bool) -> None:
    """Teach a classifier one task after the other, as RUN.toml describes, and say what it forgets.

    \b
    model = "minilm"
    scenario = "class"                   # new labels; or task, or domain
    strategies = ["naive", "replay"]     # or joint, ewc, online-ewc, der, lwf, adapters, ncm, knn
    seeds = [0, 1, 2]
    [[task]]
    name = "cards"
    train = "cards.tsv"                  # beside RUN.toml: a table of label and text
    test = "cards-test.tsv"
    [[task]]
    …
    [options]                            # docs/continual.md has all
    memory = 500                         # of replay and der; less than there is to learn
    [finetune]
    epochs = 5

    In the place of [[task]], data = "banking77" and tasks = 7 split the labels of a folder with train and test. repeats = true
    says that labels which come again mean what they meant; [columns] what label and text are called.
    In FOLDER is then a learner for every strategy and seed ('semvec predict FOLDER/replay-0 texts.txt'), each with its report
    and the picture of its matrix, and a report of all.

    \b
    Examples:
      semvec continual RUN.toml -o learnt
      semvec continual RUN.toml -o learnt --resume
      semvec predict learnt/replay-0 questions.txt
    """
    from semvec.continual.run import learn_stream
    from semvec.continual.stream import read_stream

    if resume and overwrite:
        raise click.UsageError("--resume goes on with what is there, --overwrite begins anew: name one of them")
    stream = read_stream(run)
    with Bar(quiet) as bar:
        its = learn_stream(stream, output, resume=resume, overwrite=overwrite, device=device, progress=bar.to, told=bar.note)
    if as_json:
        click.echo(json.dumps(its.to_json(), ensure_ascii=False))
    elif its.reports:
        click.echo(its.to_markdown())
    if not quiet and not as_json:
        click.echo(f"{output}: semvec predict {output}/{stream.strategies[0]}-{stream.seeds[0]} FILE")
