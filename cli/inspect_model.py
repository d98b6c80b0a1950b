"""What ``semvec inspect`` shows of a model: a table of words, static vectors, a transformer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from semvec.encoders.catalog import Found
    from semvec.encoders.static import StaticEncoder
    from semvec.encoders.word import WordEncoder

ROWS = 3
NUMBERS = 4
"""So many rows, and numbers of each, are shown where nobody says."""


def inspect_model(name: str, found: Found, family: str, rows: int | None, as_json: bool) -> None:
    """Print what the model ``name`` of a ``family`` holds, which was ``found`` on this machine."""
    from semvec.encoders.catalog import load_encoder
    from semvec.encoders.static import StaticEncoder
    from semvec.encoders.word import WordEncoder

    if (found.path / "semvec.json").is_file() and _show_tuned(name, found, as_json):
        return
    if family not in ("word", "static"):  # to load those takes long, and says little more
        _show_transformer(name, found, family, as_json)
        return
    encoder = load_encoder(name, offline=True)
    assert isinstance(encoder, WordEncoder | StaticEncoder)
    show = _show_words if isinstance(encoder, WordEncoder) else _show_static
    show(name, encoder, ROWS if rows is None else rows, as_json)  # type: ignore[arg-type]


def inspect_augmented(name: str, as_json: bool) -> None:
    """Print what the model that looks things up in the folder ``name`` is."""
    from semvec.augment.card import facts
    from semvec.augment.described import ABOUT, TASKS, Described

    its = Described.read(Path(name))
    if as_json:
        _print_json(json.loads((Path(name) / ABOUT).read_bytes()))
        return
    click.echo(f"{name}: says {TASKS[its.task]}, and looks things up")
    for line in facts(its):
        click.echo(f"  {line}")
    for measure, value in its.record["validation"].items() if its.record else ():
        if value is not None:
            click.echo(f"  {measure} {value['value']:.3f} on the validation data of {its.record['data']}")
    click.echo(f"  'semvec augment predict {name} FILE' asks it, 'semvec augment explain {name} TEXT' says why")


def _show_words(name: str, encoder: WordEncoder, rows: int, as_json: bool) -> None:
    from semvec.encoders.word_folder import is_word_folder, read_word_header

    table = encoder.table
    if as_json:
        facts = {"words": len(table.words), "dim": table.dim, "weights": table.weights, "origin": table.origin}
        _print_json(read_word_header(Path(name)) if is_word_folder(Path(name)) else facts)
        return
    click.echo(f"{name}: {len(table.words):,} words of {table.dim} numbers, weights {table.weights[:16]}")
    click.echo(f"from {_listed(table.origin.items(), ' ')}")
    if table.ngrams is not None:
        least, most, count = table.ngrams.least, table.ngrams.most, len(table.ngrams.vectors)
        click.echo(f"  n-grams: of {least} to {most} characters, {count:,} vectors, for words not in the vocabulary")
    if table.phrases:
        click.echo(f"  phrases: joined by {table.phrases!r}")
    if table.lower:
        click.echo("  words: in small letters, and looked up so")
    if table.sif is not None:
        click.echo(f"  sif: fitted on {table.sif.texts:,} texts (a {table.sif.a:g}); --pooling sif uses it")
    if table.training is not None:
        _show_training(dict(table.training))
    counts = table.counts
    _show_rows(
        rows if rows < len(table.words) else len(table.words),
        lambda row: table.words[row],
        table.vectors,
        lambda row: "" if counts is None else f"  {int(counts[row]):,} times",
    )


def _show_training(training: dict[str, Any]) -> None:
    """Print the record that training left, but for what does not apply."""
    settings, corpus = dict(training["settings"]), training["corpus"]
    if not settings["phrases"]:
        del settings["phrase_threshold"]
    click.echo(f"trained: {training['kind']} {settings.pop('algorithm')}, {_listed(settings.items(), ' ')}")
    click.echo(f"  corpus: {corpus['texts']:,} texts, {corpus['words']:,} words, sha256 {corpus['sha256'][:16]}")
    if corpus["without_words"]:
        click.echo(f"  without words: {corpus['without_words']:,} texts")
    if training["left_out"]["words"]:
        click.echo(f"  left out as too rare: {training['left_out']['words']:,} words")
    if training["phrases"]:
        click.echo(f"  phrases joined: {training['phrases']:,}")
    if training["losses"]:
        click.echo(f"  loss a word, epoch by epoch: {' '.join(f'{loss:.3f}' for loss in training['losses'])}")
    if training["before"]:
        click.echo(f"  went on from: weights {training['before']['weights'][:16]}")


def _show_static(name: str, encoder: StaticEncoder, rows: int, as_json: bool) -> None:
    from semvec.encoders.model_folder import read_config

    table = encoder.table
    origin = read_config(Path(name)).get("semvec") if (Path(name) / "config.json").is_file() else None
    facts = {"tokens": len(table.vectors), "dim": table.dim, "weights": table.weights, "origin": origin}
    if as_json:
        _print_json(facts)
        return
    click.echo(f"{name}: static vectors, {len(table.vectors):,} tokens of {table.dim} numbers, weights {table.weights[:16]}")
    click.echo(f"  texts: the mean of their tokens{', scaled to length 1' if table.normalized else ''}")
    if origin:
        learnt = f", learnt from {origin['texts']:,} texts with seed {origin['seed']}" if origin["texts"] else ""
        click.echo(f"distilled: from {origin['teacher']}, weights {origin['weights'][:16]}{learnt}")
    _show_rows(min(rows, len(table.vectors)), table.tokenizer.id_to_token, table.vectors, lambda _: "")


def _show_transformer(name: str, found: Found, family: str, as_json: bool) -> None:
    from semvec.encoders.model_folder import module_folders, read_config

    folder = next((one for one in module_folders(found.path) if (one / "config.json").is_file()), found.path)
    config = read_config(folder)
    facts = {key: config[key] for key in ("model_type", "hidden_size", "num_hidden_layers") if key in config}
    if as_json:
        _print_json({"family": family, "path": str(found.path), **facts})
        return
    click.echo(f"{name}: a {family} model in {found.path}")
    click.echo(f"  {_listed(facts.items(), ' ')}")
    _show_trimmed(found)
    click.echo(f"  'semvec encode TEXTS -o OUT --model {name}' encodes with it")


def _show_tuned(name: str, found: Found, as_json: bool) -> bool:
    """Print what a fine-tuned model is for; say whether it is one."""
    from semvec.encoders.tuned import read_about

    about = read_about(found.path)
    if "task" not in about:
        return False
    if as_json:
        _print_json(about)
        return True
    record, labels = about.get("record") or {}, (about.get("head") or {}).get("labels") or []
    upon, strategy = about["encoder"]["base"], about["options"]["strategy"]
    click.echo(f"{name}: fine-tuned for {about['task']}, from {upon}, strategy {strategy}")
    if labels:
        click.echo(f"  {len(labels):,} labels: {', '.join(labels[:8])}{', …' if len(labels) > 8 else ''}")
    for measure, its in (record.get("validation") or {}).items():
        click.echo(f"  {measure} {its['value']:.3f} on the validation data of {record['data']}")
    _show_trimmed(found)
    click.echo(f"  'semvec predict {name} FILE' asks it, 'semvec encode TEXTS -o OUT --model {name}' encodes with it")
    return True


def _show_trimmed(found: Found) -> None:
    from semvec.encoders.trim import told

    if said := told(found.path):
        click.echo(f"  {said}")


def _show_rows(rows: int, named: Callable[[int], str], vectors: Any, after: Callable[[int], str]) -> None:
    if rows:
        click.echo("the first rows:")
    for row in range(rows):
        numbers = " ".join(f"{x:.3f}" for x in vectors[row, :NUMBERS])
        more = " …" if vectors.shape[1] > NUMBERS else ""
        click.echo(f"  {named(row)}  [{numbers}{more}]{after(row)}")


def _listed(items: Iterable[tuple[str, Any]], between: str) -> str:
    """Return names and values in one line, but for those that there are none of."""
    return ", ".join(f"{name.replace('_', ' ')}{between}{_plain(value)}" for name, value in items if value is not None)


def _plain(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _print_json(facts: Any) -> None:
    click.echo(json.dumps(facts, ensure_ascii=False, indent=1))
