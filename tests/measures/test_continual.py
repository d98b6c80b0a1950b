"""Measures of one task after the other, held against matrices worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from semvec.errors import InputError
from semvec.measures.continual import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
)

NAN = float("nan")
MATRIX = np.array([[0.9, 0.2, 0.4], [0.5, 0.8, 0.6], [0.6, 0.7, 1.0]])


def test_a_matrix_worked_by_hand() -> None:
    assert average_accuracy(MATRIX) == pytest.approx((0.6 + 0.7 + 1.0) / 3)
    assert average_incremental_accuracy(MATRIX) == pytest.approx((0.9 + (0.5 + 0.8) / 2 + (0.6 + 0.7 + 1.0) / 3) / 3)
    assert learning_accuracy(MATRIX) == pytest.approx(0.9)
    assert backward_transfer(MATRIX) == pytest.approx(((0.6 - 0.9) + (0.7 - 0.8)) / 2)
    assert forgetting(MATRIX) == pytest.approx(((0.9 - 0.6) + (0.8 - 0.7)) / 2)
    assert forward_transfer(MATRIX, [0.1, 0.1, 0.5]) == pytest.approx(((0.2 - 0.1) + (0.6 - 0.5)) / 2)


def test_forgetting_is_from_the_best_and_not_from_the_first() -> None:
    its = np.array([[0.5, NAN, NAN], [0.9, 0.7, NAN], [0.6, 0.8, 0.4]])
    assert forgetting(its) == pytest.approx(((0.9 - 0.6) + (0.7 - 0.8)) / 2)
    assert backward_transfer(its) == pytest.approx(((0.6 - 0.5) + (0.8 - 0.7)) / 2)


def test_what_cannot_be_said_is_none() -> None:
    one = np.array([[0.7]])
    assert (forgetting(one), backward_transfer(one), forward_transfer(one, [0.5])) == (None, None, None)
    assert average_accuracy(one) == learning_accuracy(one) == average_incremental_accuracy(one) == 0.7
    assert forward_transfer(np.array([[0.7, NAN], [0.5, 0.6]]), [0.5, 0.5]) is None


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.zeros(3), np.zeros((0, 0)), np.array([[0.5, 0.1], [NAN, 0.2]])])
def test_what_is_no_such_matrix_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InputError):
        average_accuracy(wrong)
    with pytest.raises(InputError, match="2 tasks, and 1"):
        forward_transfer(np.eye(2), [0.5])
