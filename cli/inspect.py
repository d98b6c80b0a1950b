"""``semvec inspect``: what a vectors file, or a folder of word vectors, holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

LARGE = 256 << 20


@click.command()
@click.argument("file", type=click.Path())
@click.option("-n", "--rows", type=click.IntRange(0), help="Show so many rows.  [default: 3, or none of a file over 256 MB]")
@click.option("--json", "as_json", is_flag=True, help="Print the header as JSON.")
def inspect(file: str, rows: int | None, as_json: bool) -> None:
    """Show what FILE holds and what made it: a vectors file, or a folder of word vectors.

    \b
    Examples:
      semvec inspect notes.npy
      semvec inspect notes.parquet --json
      semvec inspect glove-300d
    """
    from semvec.embeddings.storage import read_embeddings, read_header
    from semvec.encoders.word_folder import is_word_folder, read_word_header

    if is_word_folder(Path(file)):
        _inspect_words(file, read_word_header(Path(file)), as_json)
        return
    header = read_header(file)
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


def _inspect_words(file: str, header: dict[str, Any], as_json: bool) -> None:
    """Print what a folder of word vectors says of itself."""
    if as_json:
        click.echo(json.dumps(header, ensure_ascii=False, indent=1))
        return
    click.echo(f"{file}: {header['words']:,} words of {header['dim']} numbers, weights {header['weights'][:16]}")
    click.echo(f"from {', '.join(f'{name} {value}' for name, value in header['origin'].items())}")
    for name in ("subwords", "phrases", "lower", "sif"):
        if header.get(name):
            click.echo(f"  {name}: {header[name]}")
    if training := header.get("training"):
        click.echo(f"  trained as {training['kind']}: {training['settings']}")
        click.echo(f"  on {training['corpus']}")
