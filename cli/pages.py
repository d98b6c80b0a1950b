"""Pages that are written beside what a command prints."""

from __future__ import annotations

from pathlib import Path


def check_page(page: str | None, *, overwrite: bool) -> None:
    """Raise `OutputExists` where something is at ``page`` that may not be replaced."""
    from semvec.errors import OutputExists

    if page is not None and not overwrite and Path(page).exists():
        raise OutputExists(f"{page}: exists already; --overwrite replaces it")


def write_page(page: str, html: str) -> None:
    """Write ``html`` to ``page``, whole or not at all."""
    from semvec.embeddings.files import written_whole

    with written_whole(Path(page)) as (stream,):
        stream.write(html.encode())
