"""What neighbours count for beside a model: p = w · p_kNN + (1 - w) · p_model (kNN-LM, arXiv:1911.00172).

The weight w is one number, or, with a gate, each text's own: the sigmoid of a linear function of how near the neighbours are, how
sure they and the model are, and whether both say the same (after arXiv:2109.04212).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from semvec.augment.memory import shares_of
from semvec.finetune.neighbours import COUNTS, LEAST, TEMPERATURES, WEIGHTS, held_out_gain
from semvec.measures.intervals import Outcome
from semvec.results import Hits
from semvec.types import JSON

Shares = NDArray[np.float64]
PENALTY = 1e-3
"""What the squares of a gate's numbers count for against the mean log-likelihood."""


@dataclass(frozen=True)
class Weighing:
    """How the ``k`` nearest count, by exp(score / ``temperature``), and for how much: ``weight``, or a ``gate``'s numbers."""

    k: int = COUNTS[0]
    temperature: float = TEMPERATURES[0]
    weight: float = 0.0
    gate: tuple[float, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether the neighbours have no say."""
        return not self.gate and not self.weight

    def mixed(self, own: Shares, hits: Sequence[Hits], labels: Mapping[str, int]) -> Shares:
        """Return ``own``, what the model says (texts, labels), with the neighbours' say in it; as it is where there are none."""
        if self.silent:
            return own
        return self._joined(own, shares_of(hits, labels, self.k, self.temperature), hits)

    def _joined(self, own: Shares, said: Shares, hits: Sequence[Hits]) -> Shares:
        weights = expit(clues(own, said, hits) @ np.array(self.gate)) if self.gate else np.full(len(own), self.weight)
        weights = np.where(said.sum(axis=1) > 0, weights, 0.0)[:, None]
        return np.asarray(weights * said + (1 - weights) * own)

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> Weighing:
        """Return what `to_json` gave; `KeyError`, `TypeError` or `ValueError` where it is not that."""
        k, numbers = record["k"], [record["temperature"], record["weight"], *list(record["gate"])]
        if type(k) is not int or not all(type(one) in (int, float) and np.isfinite(one) for one in numbers):
            raise TypeError("k, temperature, weight and gate are no numbers")
        its = cls(k, float(numbers[0]), float(numbers[1]), tuple(float(one) for one in numbers[2:]))
        if its.k < 1 or not its.temperature > 0 or not 0 <= its.weight <= 1 or len(its.gate) not in (0, CLUES):
            raise ValueError("k, temperature, weight and gate are none")
        return its


def clues(own: Shares, said: Shares, hits: Sequence[Hits]) -> Shares:
    """Return what a gate goes by (texts, 6): 1, the best score, both entropies, whether both agree, how sure the model is."""
    best = np.array([its[0].score if len(its) else 0.0 for its in hits])
    agree = own.argmax(axis=1) == said.argmax(axis=1)
    return np.stack([np.ones(len(own)), best, _entropy(own), _entropy(said), agree, own.max(axis=1)], axis=1).astype(np.float64)


CLUES = 6


def chosen_weight(own: Shares, hits: Sequence[Hits], labels: Mapping[str, int], worth: Callable[[Shares], Outcome]) -> Weighing:
    """Return the k, temperature and weight that are ``worth`` most on validation data; silent unless they hold on either half.

    ``own`` (texts, labels) is what the model says there, ``hits`` the neighbours. What is best of 180 settings looks good where
    it was chosen: what is best on one half of the examples has to gain half as much on the other.
    """
    tried = [(Weighing(), worth(own))]
    for k in COUNTS:
        for heat in TEMPERATURES:
            said = shares_of(hits, labels, k, heat)
            for weight in WEIGHTS:
                its = Weighing(k, heat, weight)
                tried.append((its, worth(its._joined(own, said, hits))))
    best, most = max(((its, outcome.value) for its, outcome in tried), key=lambda pair: pair[1])
    without = tried[0][1].value
    if best.silent or 2 * held_out_gain([outcome for _, outcome in tried]) < most - without:
        return Weighing()
    return best


def chosen_gate(
    own: Shares, hits: Sequence[Hits], labels: Mapping[str, int], gold: NDArray[np.int64], worth: Callable[[Shares], Outcome]
) -> Weighing:
    """Return the k, temperature and gate that make ``gold`` (texts,) likeliest on validation data.

    Each is learnt on one half of the examples and judged on the other, both ways; the best is learnt on all. Silent unless, on
    the halves it has not seen, it makes the right labels likelier than the model does alone by more than two standard errors, and
    is worth no less.
    """
    if len(own) < 4:
        return Weighing()
    halves = np.arange(len(own)) % 2 == 0
    best: tuple[float, Weighing, Shares] | None = None
    for k in COUNTS:
        for heat in TEMPERATURES:
            plain, said = Weighing(k, heat), shares_of(hits, labels, k, heat)
            asked, unseen = clues(own, said, hits), own.copy()
            for half in (halves, ~halves):
                gate = _learnt(asked[half], own[half], said[half], gold[half])
                rest = [hits[at] for at in np.flatnonzero(~half).tolist()]
                unseen[~half] = replace(plain, gate=gate)._joined(own[~half], said[~half], rest)
            likely = float(np.log(np.maximum(unseen[np.arange(len(gold)), gold], LEAST)).mean())
            if best is None or likely > best[0]:
                best = (likely, replace(plain, gate=_learnt(asked, own, said, gold)), unseen)
    assert best is not None
    rows, unseen = np.arange(len(gold)), best[2]
    gains = np.log(np.maximum(unseen[rows, gold], LEAST)) - np.log(np.maximum(own[rows, gold], LEAST))
    surely = gains.mean() > 2 * gains.std() / np.sqrt(len(gains))
    return best[1] if surely and worth(unseen).value >= worth(own).value else Weighing()


def _learnt(asked: Shares, own: Shares, said: Shares, gold: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the gate under which ``gold`` is likeliest."""
    rows = np.arange(len(gold))
    ours, theirs, there = own[rows, gold], said[rows, gold], said.sum(axis=1) > 0

    def loss(gate: Shares) -> tuple[float, Shares]:
        weights = np.where(there, expit(asked @ gate), 0.0)
        likely = np.maximum(weights * theirs + (1 - weights) * ours, LEAST)
        slope = (theirs - ours) / likely * weights * (1 - weights)
        return float(-np.log(likely).mean() + PENALTY * gate @ gate), -(slope @ asked) / len(gold) + 2 * PENALTY * gate

    found = minimize(loss, np.zeros(asked.shape[1]), jac=True, method="L-BFGS-B")
    return tuple(float(one) for one in found.x)


def _entropy(shares: Shares) -> Shares:
    """Return the entropy of each row, in nats: labels that come later change nothing in it."""
    sums = np.maximum(shares.sum(axis=1, keepdims=True), LEAST)
    its = np.maximum(shares / sums, LEAST)
    return np.asarray(-(its * np.log(its)).sum(axis=1))
