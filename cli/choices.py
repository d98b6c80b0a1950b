"""The members of an enum as what an option may be."""

from __future__ import annotations

from collections.abc import Iterable

import click

from semvec.types import Choice


def one_of(kind: Iterable[Choice]) -> click.Choice[str]:
    """Return the members of ``kind``, or some of them, as what can be chosen from."""
    return click.Choice([str(one) for one in kind])
