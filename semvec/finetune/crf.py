"""A linear-chain conditional random field: which tag may follow which is learnt (Lafferty and others, 2001)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FORBIDDEN = -1e4
"""The score of what the tagging scheme does not allow: no better than any path without it."""


class Crf(nn.Module):
    """Scores of whole sequences of tags: those of every tag at its place, of every step, and of both ends.

    ``allowed`` says which tag may follow which, ``starts`` and ``ends`` which may stand first and last, as `may_follow` has it.
    """

    no_step: Tensor
    no_first: Tensor
    no_last: Tensor

    def __init__(self, allowed: NDArray[np.bool_], starts: NDArray[np.bool_], ends: NDArray[np.bool_]) -> None:
        super().__init__()
        n = len(starts)
        self.steps = nn.Parameter(torch.empty(n, n).uniform_(-0.1, 0.1))
        self.first = nn.Parameter(torch.empty(n).uniform_(-0.1, 0.1))
        self.last = nn.Parameter(torch.empty(n).uniform_(-0.1, 0.1))
        for name, its in (("no_step", allowed), ("no_first", starts), ("no_last", ends)):
            self.register_buffer(name, torch.from_numpy(np.where(its, 0.0, FORBIDDEN).astype(np.float32)), persistent=False)

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.steps + self.no_step, self.first + self.no_first, self.last + self.no_last

    def loss(self, logits: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the mean negative log-likelihood a tag of ``tags`` (rows, n), given ``logits`` (rows, n, tags).

        ``mask`` (rows, n) is false behind the end of a row; every row has at least one tag.
        """
        logits = logits.float()
        return (self._total(logits, mask) - self._path(logits, tags, mask)).sum() / mask.sum()

    def _path(self, logits: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the score (rows,) of the path ``tags``."""
        steps, first, last = self._scores()
        tags = tags.where(mask, torch.zeros_like(tags))
        here = logits.gather(2, tags[..., None])[..., 0] * mask
        moved = steps[tags[:, :-1], tags[:, 1:]] * mask[:, 1:]
        end = tags.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
        return here.sum(1) + moved.sum(1) + first[tags[:, 0]] + last[end]

    def _total(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the logarithm (rows,) of the sum over all paths, by the forward algorithm."""
        steps, first, last = self._scores()
        alpha = first + logits[:, 0]
        for at in range(1, logits.shape[1]):
            after = torch.logsumexp(alpha[:, :, None] + steps, dim=1) + logits[:, at]
            alpha = torch.where(mask[:, at, None], after, alpha)
        return torch.logsumexp(alpha + last, dim=1)

    def best(self, logits: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the best path (n,) for the ``logits`` (n, tags) of one row, by Viterbi's algorithm."""
        steps, first, last = (its.detach().float().cpu().numpy() for its in self._scores())
        score, back = first + logits[0], []
        for row in logits[1:]:
            every = score[:, None] + steps
            back.append(every.argmax(axis=0))
            score = every.max(axis=0) + row
        path = [int((score + last).argmax())]
        for pointers in reversed(back):
            path.append(int(pointers[path[-1]]))
        return np.array(path[::-1], dtype=np.int64)


def may_follow(tags: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of ``tags`` may follow which (tags, tags), which may stand first and which last, as BIO or BIOES has it."""
    signs = {tag[:1] for tag in tags if tag != "O"}
    closed = bool(signs & {"E", "S"})  # BIOES: a span has to be ended
    n = len(tags)
    allowed, starts, ends = np.ones((n, n), bool), np.ones(n, bool), np.ones(n, bool)
    for j, after in enumerate(tags):
        inside = after[:1] in ("I", "E") and after != "O"
        starts[j] = not inside
        ends[j] = not (closed and after != "O" and after[:1] in ("B", "I"))
        for i, before in enumerate(tags):
            goes_on = before != "O" and before[:1] in ("B", "I")
            same = before[2:] == after[2:]
            allowed[i, j] = (goes_on and same) if inside else not (closed and goes_on)
    return allowed, starts, ends
