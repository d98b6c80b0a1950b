"""Where a command may write, checked before any work is done, and how."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def check_page(page: str | None, *, overwrite: bool) -> None:
    """Raise `OutputExists` where something is at ``page`` that may not be replaced."""
    check_outputs([page] if page is not None else [], (), overwrite=overwrite)


def check_outputs(outputs: Iterable[str], inputs: Iterable[str], *, overwrite: bool) -> None:
    """Raise `OutputError` for what cannot be written, comes twice or is one of ``inputs``, `OutputExists` for what is there."""
    from semvec.errors import OutputError, OutputExists

    read, seen = {os.path.realpath(name) for name in inputs}, set[str]()
    for out in outputs:
        place, folder = os.path.realpath(out), Path(out).parent
        if place in seen:
            raise OutputError(f"{out}: would be written twice")
        if place in read:
            raise OutputError(f"{out}: is an input; write somewhere else")
        if not folder.is_dir():
            raise OutputError(f"{out}: the folder {folder} does not exist")
        if Path(out).is_dir():
            raise OutputError(f"{out}: is a folder; name a file")
        if os.path.lexists(out) and not overwrite:
            raise OutputExists(f"{out}: exists already; --overwrite replaces it")
        if os.path.exists(place) and not os.path.isfile(place):
            raise OutputError(f"{out}: is no ordinary file")
        if not os.access(folder, os.W_OK):
            raise OutputError(f"{out}: no permission to write into {folder}")
        seen.add(place)


def write_page(page: str, html: str) -> None:
    """Write ``html`` to ``page``, whole or not at all."""
    from semvec.embeddings.files import written_whole

    with written_whole(Path(page)) as (stream,):
        stream.write(html.encode("utf-8", "replace"))


@contextmanager
def written_or_printed(output: str | None) -> Iterator[IO[str]]:
    """Give what to write text to: standard output, or a file that appears when all is written."""
    from io import TextIOWrapper

    from semvec.embeddings.files import written_whole

    if output is None:
        yield sys.stdout
        return
    with written_whole(Path(output)) as (stream,):
        text = TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="\n")
        yield text
        text.flush()
        text.detach()
