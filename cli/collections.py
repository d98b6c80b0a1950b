"""``semvec collections``: the collections there are."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def collections(folders: tuple[str, ...], as_json: bool) -> None:
    """List the collections in each FOLDER and the folders below it (default: here).

    \b
    Examples:
      semvec collections
      semvec collections ~/indexes --json
    """
    from semvec.errors import InputError, SemvecError
    from semvec.store.collection import Collection
    from semvec.store.database import FILE

    found = []
    for folder in folders or (".",):
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder")
        for path in sorted(Path(folder).rglob(FILE)):
            try:
                with Collection.open(path.parent) as collection:
                    found.append(collection.info())
            except (SemvecError, OSError) as error:
                found.append({"place": str(path.parent), "error": str(error)})
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for one in found:
        if "error" in one:
            click.echo(f"{one['place']}: {one['error']}")
            continue
        made = (one["fingerprint"] or {}).get("model", "an unknown encoder")
        click.echo(f"{one['place']}: {one['items']:,} items of {one['dim']} numbers by {made}, {one['bytes'] / 1e6:,.1f} MB")
    if not found:
        click.echo(f"no collections in {', '.join(folders) or 'this folder'}; 'semvec index build' makes one", err=True)
