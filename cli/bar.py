"""One progress line on stderr, for whatever is under way."""

from __future__ import annotations

import sys
from typing import Any

from semvec.types import Step


class Bar:
    """A line with rate and time left, drawn only where stderr is a terminal; a new one for every unit and stage."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._shown: Any = None
        self._unit: str | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.close()

    def to(self, step: Step) -> None:
        """Show ``step``; a stage of another unit, or one that begins anew, gets a line of its own."""
        from tqdm import tqdm

        if self._shown is None or self._unit != step.unit or step.done < self._shown.n:
            self.__exit__()
            self._unit = step.unit
            self._shown = tqdm(
                unit=f" {step.unit}", unit_scale=True, disable=True if self._quiet else None, file=sys.stderr, leave=False
            )
        self._shown.total = step.total
        self._shown.set_description_str(step.stage, refresh=False)
        if step.loss is not None:
            self._shown.set_postfix_str(f"loss {step.loss:.3f}", refresh=False)
        self._shown.update(step.done - self._shown.n)

    def note(self, line: str) -> None:
        """Print ``line`` on stderr, above what is drawn."""
        from tqdm import tqdm

        if not self._quiet:
            tqdm.write(line, file=sys.stderr)

    def texts(self, done: int, total: int | None) -> None:
        """Show how many texts are ``done``."""
        self.to(Step("", done, total, "texts"))
