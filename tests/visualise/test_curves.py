"""Pictures of matrices: what is in them moves them, and letters that no font here has are told."""

from __future__ import annotations

import numpy as np
import pytest

from semvec.errors import LettersMissing
from semvec.visualise.curves import accuracies_picture, confusion_picture


def test_the_matrix_of_accuracies_has_names_in_any_script_and_says_what_it_lacks() -> None:
    cells = np.array([[0.9, np.nan], [0.5, 1.0]])
    made = accuracies_picture(cells, ["cards", "transfers"], "replay")
    assert made.startswith(b"\x89PNG")
    assert made == accuracies_picture(cells, ["cards", "transfers"], "replay")
    assert made != accuracies_picture(cells.T, ["cards", "transfers"], "replay")
    for draw in (
        lambda name: accuracies_picture(cells, [name, "b"], "a"),
        lambda name: confusion_picture(np.eye(2, dtype=int), [name, "b"]),
    ):
        with pytest.warns(LettersMissing, match="no font here has"):
            draw("\U00013000")
