"""Loading a model without what libraries draw on the terminal by themselves, but not without what they say."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from semvec.errors import ModelError

MISSING = re.compile(r"^(.+?)\s*\|\s*MISSING", re.MULTILINE)
NOT_USED = re.compile(r"(^|\.)pooler\.")


class _Report(logging.Handler):
    """Collects the weights that transformers did not find and made up at random."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.made_up: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.made_up += [name for name in MISSING.findall(record.getMessage()) if not NOT_USED.search(name)]


def _no_prompt_told(record: logging.LogRecord) -> bool:
    """Leave out the note that a model has a prompt of its own."""
    return not record.getMessage().startswith("Default prompt name")


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers from drawing bars and notes, and leave its settings as they were.

    Raises `ModelError` where weights were missing from the files, so that transformers made them up, and
    they belong to a part of the model that is used (the pooler of BERT is not).
    """
    from transformers.utils import logging as its

    verbosity, bars = its.get_verbosity(), its.is_progress_bar_enabled()
    report = _Report()
    its.set_verbosity(logging.WARNING)
    its.disable_progress_bar()
    its.disable_default_handler()
    its.add_handler(report)
    noted = logging.getLogger("sentence_transformers.base.model")
    noted.addFilter(_no_prompt_told)
    try:
        yield
    finally:
        noted.removeFilter(_no_prompt_told)
        its.remove_handler(report)
        its.enable_default_handler()
        its.set_verbosity(verbosity)
        if bars:
            its.enable_progress_bar()
    if report.made_up:
        some = ", ".join(report.made_up[:3])
        raise ModelError(f"the weights of {some}{' and others' if len(report.made_up) > 3 else ''} are missing from its files")
