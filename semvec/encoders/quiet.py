"""Loading a model without the bars and notes that libraries draw on the terminal by themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers from drawing progress bars and notes, and leave its settings as they were."""
    from transformers.utils import logging as its

    verbosity, bars = its.get_verbosity(), its.is_progress_bar_enabled()
    its.set_verbosity(logging.ERROR)
    its.disable_progress_bar()
    try:
        yield
    finally:
        its.set_verbosity(verbosity)
        if bars:
            its.enable_progress_bar()
