"""What a learner of one task after the other is worth, of the matrix of its accuracies.

Cell (i, j) of ``accuracies`` (tasks, tasks) is what it came to on task j after it learnt task i; NaN where it was not asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError

Accuracies = NDArray[np.float64]


def average_accuracy(accuracies: Accuracies) -> float:
    """Return the mean over all tasks after the last one: 1/T Σ_j R_Tj (Lopez-Paz and Ranzato, arXiv:1706.08840)."""
    return float(_checked(accuracies)[-1].mean())


def average_incremental_accuracy(accuracies: Accuracies) -> float:
    """Return the mean over the tasks known so far, averaged over all points in time (Rebuffi and others, arXiv:1611.07725)."""
    its = _checked(accuracies)
    return float(np.mean([its[at, : at + 1].mean() for at in range(len(its))]))


def learning_accuracy(accuracies: Accuracies) -> float:
    """Return how well each task is done right after it was learnt, on average: 1/T Σ_j R_jj (arXiv:1810.11910)."""
    return float(np.diagonal(_checked(accuracies)).mean())


def backward_transfer(accuracies: Accuracies) -> float | None:
    """Return what later tasks did to earlier ones, 1/(T-1) Σ_{j<T} (R_Tj - R_jj); below 0 is forgetting (arXiv:1706.08840).

    None of one task alone.
    """
    its = _checked(accuracies)
    return float((its[-1] - np.diagonal(its))[:-1].mean()) if len(its) > 1 else None


def forgetting(accuracies: Accuracies) -> float | None:
    """Return how far each earlier task has fallen from its best: 1/(T-1) Σ_{j<T} (max_{j≤i<T} R_ij - R_Tj) (arXiv:1801.10112).

    None of one task alone.
    """
    its = _checked(accuracies)
    n = len(its)
    return float(np.mean([its[at : n - 1, at].max() - its[-1, at] for at in range(n - 1)])) if n > 1 else None


def forward_transfer(accuracies: Accuracies, untaught: Sequence[float]) -> float | None:
    """Return what earlier tasks are worth for later ones: 1/(T-1) Σ_{j>1} (R_{j-1,j} - b_j) (arXiv:1706.08840).

    ``untaught`` (tasks,) are the b_j, what is right without learning. None of one task alone, and where a task was not asked
    before it was learnt.
    """
    its = _checked(accuracies)
    if len(untaught) != len(its):
        raise InputError(f"there are {len(its)} tasks, and {len(untaught)} accuracies without learning")
    before = np.diagonal(its, offset=1)
    return float((before - np.asarray(untaught)[1:]).mean()) if len(its) > 1 and not np.isnan(before).any() else None


def _checked(accuracies: Accuracies) -> Accuracies:
    """Return the matrix; `InputError` where it is none, or a task that was learnt was not asked."""
    its = np.asarray(accuracies, dtype=np.float64)
    if its.ndim != 2 or its.shape[0] != its.shape[1] or not its.size:
        raise InputError(f"a matrix (tasks, tasks) of accuracies is wanted, not one of {its.shape}")
    if np.isnan(its[np.tril_indices(len(its))]).any():
        raise InputError("after every task all tasks so far have to be asked")
    return its
