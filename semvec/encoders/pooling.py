"""Groups of tokens → rows: the one operation behind words, spans, chunks and texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Which tokens make each row: ``tokens`` (all of them, row after row) and ``lengths`` (rows,), none 0."""

    tokens: Ints
    lengths: Ints

    @property
    def first(self) -> Ints:
        """Where each row's tokens begin in ``tokens``."""
        return np.cumsum(self.lengths) - self.lengths

    def shifted(self, by: int) -> Groups:
        """Return the same groups for tokens that stand ``by`` further on."""
        return Groups(self.tokens + by, self.lengths)

    @classmethod
    def ranges(cls, start: Ints, end: Ints) -> Groups:
        """Return groups of the consecutive tokens ``start`` up to ``end`` (rows,) each."""
        lengths = end - start
        first = np.cumsum(lengths) - lengths
        return cls(np.arange(int(lengths.sum())) - np.repeat(first - start, lengths), lengths)

    @classmethod
    def concatenate(cls, parts: list[Groups]) -> Groups:
        """Return the rows of all ``parts``, one after the other."""
        if not parts:
            return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        return cls(np.concatenate([p.tokens for p in parts]), np.concatenate([p.lengths for p in parts]))

    def weights(self, how: str) -> NDArray[np.float32] | None:
        """Return what each token counts for in a mean, or None where ``how`` is not a mean.

        ``mean`` 1/n; ``mean_sqrt`` 1/√n; ``weighted_mean`` i / Σi for the i-th of n (SGPT, arXiv:2202.08904).
        """
        n = np.repeat(self.lengths, self.lengths).astype(np.float32)
        if how == "mean":
            return np.reciprocal(n)
        if how == "mean_sqrt":
            return np.reciprocal(np.sqrt(n))
        if how == "weighted_mean":
            place = np.arange(len(self.tokens)) - np.repeat(self.first, self.lengths) + 1
            return (place * 2 / (n * (n + 1))).astype(np.float32)
        return None


FIRST = ("first", "cls")
LAST = ("last", "last_token")
FUSED = ("cpu", "cuda")
"""Where torch gathers, weighs and adds up in one."""


def pool(tokens: NDArray[Any], groups: Groups, how: str) -> NDArray[np.float32]:
    """Return one vector a row of ``groups`` from ``tokens`` (tokens, dim), as float32 (rows, dim)."""
    if not len(groups.lengths):
        return np.zeros((0, tokens.shape[1]), dtype=np.float32)
    if how in FIRST:
        return np.asarray(tokens[groups.tokens[groups.first]], dtype=np.float32)
    if how in LAST:
        return np.asarray(tokens[groups.tokens[groups.first + groups.lengths - 1]], dtype=np.float32)
    weights = groups.weights(how)
    first, last = int(groups.tokens[0]), int(groups.tokens[-1]) + 1
    if len(groups.lengths) == 1 and last - first == len(groups.tokens):  # a whole text: nothing has to be copied
        whole = tokens[first:last]
        return np.asarray(whole.max(0, keepdims=True) if weights is None else weights[None] @ whole, dtype=np.float32)
    picked = np.asarray(tokens[groups.tokens], dtype=np.float32)
    if weights is None:
        return np.asarray(np.maximum.reduceat(picked, groups.first, axis=0))
    return np.asarray(np.add.reduceat(picked * weights[:, None], groups.first, axis=0))


def pool_table(table: NDArray[np.float32], ids: Ints, lengths: Ints, how: str) -> NDArray[np.float32]:
    """Return a vector for each row of ``lengths`` (rows,): that many ``ids`` further, pooled, of ``table`` (ids, dim).

    A row of no ids is zeros. A mean is one sparse product, which adds up the ids of a row in their order and
    so gives a row the same bits whatever stands beside it.
    """
    weights = Groups(ids, lengths).weights(how)
    if weights is not None:
        from scipy.sparse import csr_matrix

        ends = np.concatenate([[0], np.cumsum(lengths)])
        product = csr_matrix((weights, ids, ends), shape=(len(lengths), len(table))) @ table
        return np.asarray(product, dtype=np.float32)
    rows = np.zeros((len(lengths), table.shape[1]), dtype=np.float32)
    rows[lengths > 0] = pool(table[ids], Groups(np.arange(len(ids)), lengths[lengths > 0]), how)
    return rows


def pool_tensor(tokens: torch.Tensor, groups: Groups, how: str) -> torch.Tensor:
    """Return what `pool` returns, computed where ``tokens`` (tokens, dim) lies."""
    import torch

    def there(values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(tokens.device)

    if how in FIRST or (groups.lengths == 1).all():
        return tokens[there(groups.tokens[groups.first])]
    if how in LAST:
        return tokens[there(groups.tokens[groups.first + groups.lengths - 1])]
    weights = groups.weights(how)
    if weights is None:
        return torch.segment_reduce(tokens[there(groups.tokens)].float(), "max", lengths=there(groups.lengths), axis=0)
    if tokens.device.type in FUSED:
        places, first = there(groups.tokens), there(groups.first)
        return torch.nn.functional.embedding_bag(places, tokens.float(), first, mode="sum", per_sample_weights=there(weights))
    owner = there(np.repeat(np.arange(len(groups.lengths)), groups.lengths))
    sums = torch.zeros((len(groups.lengths), tokens.shape[1]), device=tokens.device)
    return sums.index_add_(0, owner, tokens[there(groups.tokens)].float() * there(weights)[:, None])
