"""``semvec inspect``: what a vectors file, or a model, holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semvec.embeddings.formats.layout import Header
    from semvec.encoders.catalog import Found

LARGE = 256 << 20


@click.command()
@click.argument("file", type=click.Path())
@click.option("-n", "--rows", type=click.IntRange(0), help="Show so many rows.  [default: 3, or none of a file over 256 MB]")
@click.option("--json", "as_json", is_flag=True, help="Print the header as JSON.")
def inspect(file: str, rows: int | None, as_json: bool) -> None:
    """Show what FILE holds and what made it: a vectors file, or a model (a file, a folder, a name).

    \b
    Examples:
      semvec inspect notes.npy
      semvec inspect notes.parquet --json
      semvec inspect glove-300d -n 10
      semvec inspect minilm-static
    """
    from semvec.embeddings.formats.companions import header_path
    from semvec.embeddings.storage import read_header
    from semvec.errors import FormatError
    from semvec_cli.inspect_model import inspect_augmented, inspect_model

    path = Path(file)
    if (path / "augment.json").is_file():
        inspect_augmented(file, as_json)
        return
    if path.is_file():
        try:
            _show_vectors(file, read_header(file), rows, as_json)
            return
        except FormatError:  # .vec and .bin are also what others keep word vectors in, with no header beside them
            if header_path(path).exists() or not _holds_words(path):
                raise
    found = _model(file)
    inspect_model(file, found, _family(found), rows, as_json)


def _holds_words(path: Path) -> bool:
    from semvec.encoders.word_files import find_word_file
    from semvec.errors import ModelError

    try:
        kind = find_word_file(path).kind
    except ModelError:
        return False
    if kind == "gensim":
        raise ModelError(
            f"{path}: a file of gensim's own, a pickle; 'semvec convert {path} OUT --trust-pickle' makes a folder of it"
        )
    return True


def _model(name: str) -> Found:
    """Return where the model ``name`` lies; raise a `SemvecError` where it is none, or a collection."""
    from semvec.encoders.catalog import KNOWN, find_model
    from semvec.errors import FormatError, ModelNotFound
    from semvec.store.collection import is_collection
    from semvec.types import did_you_mean

    if is_collection(name):
        raise FormatError(f"{name}: a collection; 'semvec index info {name}' shows what it holds")
    try:
        return find_model(name, offline=True)
    except ModelNotFound as error:
        if name in KNOWN:
            raise
        raise FormatError(
            f"{name}: no such file, and no model here that is called so{did_you_mean(name, list(KNOWN))}"
        ) from error


def _family(found: Found) -> str:
    from semvec.encoders.catalog import recognise

    return found.known.family if found.known else recognise(found.path)


def _show_vectors(file: str, header: Header, rows: int | None, as_json: bool) -> None:
    from semvec.embeddings.storage import read_embeddings

    if as_json:
        click.echo(json.dumps(header.to_json(), ensure_ascii=False, indent=1))
        return
    made = header.fingerprint
    click.echo(f"{file}: {header.texts:,} texts, {header.rows:,} vectors of {made.dim} ({made.dtype}), level {made.level}")
    click.echo(
        f"made by {made.model} ({made.family}), weights {made.weights[:16]}, metric {made.metric}, normalized {made.normalized}"
    )
    for name, value in sorted(made.settings.items()):
        click.echo(f"  {name}: {value}")
    if header.calibration:
        click.echo(f"  int8 scale: {header.calibration.scale:.6g} (fitted on {header.calibration.rows:,} rows)")
    if rows is None:
        rows = 0 if Path(file).stat().st_size > LARGE and not file.endswith(".npy") else 3
    if not rows:
        return
    embeddings = read_embeddings(file)
    cut = int((embeddings.n_truncated > 0).sum())
    click.echo(f"{int(embeddings.n_tokens.sum()):,} tokens, {cut:,} texts cut")
    for row in range(min(rows, embeddings.rows)):
        text = int(embeddings.text_index[row])
        name = str(text) if embeddings.ids is None else embeddings.ids[text]
        numbers = " ".join(f"{x:.3f}" for x in embeddings.vectors[row, :4])
        click.echo(f"  {name}  [{numbers} …]  {embeddings.surface[row][:60]!r}")
