"""The transport problem behind the word mover's distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def least_cost(supply: NDArray[np.float64], demand: NDArray[np.float64], costs: NDArray[np.float64]) -> float:
    """Return the least cost of moving ``supply`` (n,) to ``demand`` (m,), a unit from i to j costing ``costs[i, j]``.

    Both sum to the same; there may be nothing to move. Solved exactly, as a linear programme (HiGHS, by scipy).
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    n, m = costs.shape
    if not n or not m:
        return 0.0
    sums = vstack([kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))])
    solved = linprog(costs.ravel(), A_eq=sums, b_eq=np.concatenate([supply, demand]), method="highs")
    if solved.status:
        raise ArithmeticError(f"the transport problem was not solved: {solved.message}")
    return max(0.0, float(solved.fun))
