"""Token vectors → token vectors whose mean over a text points where another encoder's vector of it does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.pooling import Groups

EPOCHS = 4
RATE = 5e-3
BATCH = 1024


def fit_tokens(
    start: NDArray[np.float32],
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    goals: NDArray[np.float32],
    *,
    seed: int,
    progress: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Return the vectors ``start`` (tokens, dim), moved so that texts come near to ``goals`` (texts, dim).

    A text is ``lengths`` (texts,) of the ``ids``, one text after the other; it is near where the cosine of
    the mean of its tokens with its goal is large. Four passes of Adam in batches of 1,024 texts, which is
    where the training part of STS-B stopped to gain; a token that no text holds stays where it is. Goals
    are of length 1, and ``start`` of about that on average.
    """
    import torch
    from torch.nn.functional import embedding_bag, normalize

    table = torch.nn.Parameter(torch.from_numpy(start.copy()))
    adam, rng = torch.optim.Adam([table], lr=RATE), np.random.default_rng(seed)
    first = np.cumsum(lengths) - lengths
    orders = [rng.permutation(len(lengths)) for _ in range(EPOCHS)]
    batches = [order[at : at + BATCH] for order in orders for at in range(0, len(order), BATCH)]
    for step, rows in enumerate(batches):
        groups = Groups.ranges(first[rows], first[rows] + lengths[rows])
        tokens, bags = torch.from_numpy(ids[groups.tokens]), torch.from_numpy(groups.first)
        made = normalize(embedding_bag(tokens, table, bags, mode="mean"), dim=1)
        loss = 1 - (made * torch.from_numpy(goals[rows])).sum(1).mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        progress(step + 1, len(batches))
    return np.asarray(table.detach().numpy())
